"""Elements of a page that is being replaced: the driver tells so in more than one way."""

from __future__ import annotations

from typing import Any, cast

import pytest
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver import Chrome

from ibfeed_worker.login import browser

# As chromedriver says it while a document is exchanged, which was seen with Chromium of Debian 12.
GONE = 'unknown error: unhandled inspector error: {"code":-32000,"message":"Node does not belong to the document"}'
OTHER = "disconnected: not connected to DevTools"


class Page:
    """A page with one element, each use of which raises the next error, as long as there are any."""

    def __init__(self, *errors: WebDriverException) -> None:
        self.errors = list(errors)
        self.clicks = 0

    def find_elements(self, *_: Any) -> list[Page]:
        return [self]

    def execute_script(self, *_: Any) -> Page:
        return self

    def _use(self) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        return True

    is_displayed = is_enabled = _use

    def click(self) -> None:
        self.clicks += 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "_PASS_WAIT", 0.0)
    monkeypatch.setattr(browser, "_LOOK_EVERY", 0.0)


def gone() -> tuple[WebDriverException, ...]:
    return (StaleElementReferenceException("stale"), WebDriverException(GONE))


def as_driver(page: Page) -> Chrome:
    return cast("Chrome", page)


@pytest.mark.parametrize("error", gone())
def test_a_page_in_between_that_goes_is_passed(error: WebDriverException) -> None:
    page = Page(error)
    browser._pass(as_driver(page))
    assert (page.clicks, page.errors) == (1, [])


def test_an_element_is_looked_for_again_when_its_page_has_gone() -> None:
    page = Page(*gone())
    assert browser._find(as_driver(page), "login button", "button", deadline=float("inf")) is page  # type: ignore[comparison-overlap]
    assert not page.errors


def test_other_errors_of_the_driver_are_not_hidden() -> None:
    with pytest.raises(WebDriverException, match="not connected"):
        browser._pass(as_driver(Page(WebDriverException(OTHER))))
    with pytest.raises(WebDriverException, match="not connected"):
        browser._find(as_driver(Page(WebDriverException(OTHER))), "login button", "button", deadline=float("inf"))
