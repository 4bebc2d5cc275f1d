"""Drives headless Chromium through the login page. Runs in a process of its own, which ends with the login."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
    TimeoutException,
    WebDriverException,
)
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from ibfeed_worker.login.page import (
    INTERSTITIALS,
    PASSED_AT_MOST,
    Order,
    Outcome,
    Result,
    Seen,
    came_again,
    result_of,
    unanswered,
    without_credentials,
)

_FIND_LIMIT: Final = 15.0  # seconds for the form to appear on a page that has loaded
_LOOK_EVERY: Final = 0.1
_PASS_WAIT: Final = 1.0  # seconds before a page in between is clicked: its button moves in
_PASS_LIMIT: Final = 5.0  # seconds for that page to go
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # the pod's seccomp profile and user forbid what the sandbox needs
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-features=Translate,OptimizationHints,MediaRouter",
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--window-size=1000,800",
)
# One round trip for each look. Hidden templates of error blocks are on the page from the start, so only visible ones
# count.
_LOOK: Final = """
const [error, factor, password, known] = arguments;
const visible = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== 'hidden';
const outermost = (e, _, found) => !found.some((other) => other !== e && other.contains(e));
const shown = (css) => Array.from(document.querySelectorAll(css)).filter(visible);
const all = (css) => shown(css).filter(outermost);
const label = (e) => (e.innerText || e.value || '').trim().replace(/\\s+/g, ' ');
const leads = (one) => shown(one.css).find((e) => !one.label || label(e).toLowerCase() === one.label);
const between = known.findIndex(leads);
window.ibfeedLeadsOn = between < 0 ? null : leads(known[between]);
return {
  body: (document.body ? document.body.innerText : '').slice(0, 4000),
  errors: all(error).map((e) => e.innerText.trim()).filter((t) => t),
  second_factor: all(factor).length > 0,
  form: shown(password).length > 0,
  between: between < 0 ? null : between,
  heading: label(shown('h1, h2, h3')[0] || {}),
  buttons: shown('button, a.btn, input[type=submit]').map(label).filter((t) => t).slice(0, 6),
};
"""


class _MissingElementError(Exception):
    """An element of the form is not on the page."""


class _WithdrawnError(Exception):
    """The form may not be sent any more."""


def log_in(order: Order, tell: Callable[[Result], None], may_submit: Callable[[], bool]) -> Result:
    """Try once. It never raises an error that a page or a browser can cause, and never repeats what was typed.

    The driver does not always keep its own time limit: with Chromium of Debian 12, for one page of about eight that
    never comes. Its call then never returns.

    Args:
        tell: called with the result that counts if nothing follows.
        may_submit: waits for the leave to send the form; False if there will be none.
    """
    begun = time.monotonic()
    try:
        driver = _start(order)
    except WebDriverException as error:
        return Result(outcome=Outcome.BROWSER_FAILED, text=_first_line(error), seconds=time.monotonic() - begun)
    try:
        result = _attempt(driver, order, tell, may_submit, deadline=begun + order.timeout_s)
    except _WithdrawnError:
        result = Result(outcome=Outcome.BROWSER_FAILED, text="the login was withdrawn before the form was sent")
    except WebDriverException as error:
        result = Result(outcome=Outcome.BROWSER_FAILED, text=_first_line(error))
    finally:
        driver.quit()
    result = without_credentials(result, order)
    return msgspec.structs.replace(result, seconds=round(time.monotonic() - begun, 3))


def _start(order: Order) -> Chrome:
    options = ChromeOptions()
    options.binary_location = order.chromium
    options.page_load_strategy = "eager"
    for flag in _FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={order.profile}")
    options.add_argument(f"--ignore-certificate-errors-spki-list={order.spki}")
    # The driver's log holds every key that is typed, so it is discarded.
    return Chrome(options=options, service=Service(order.chromedriver, log_output=subprocess.DEVNULL))


def _attempt(
    driver: Chrome, order: Order, tell: Callable[[Result], None], may_submit: Callable[[], bool], *, deadline: float
) -> Result:
    left = max(1.0, deadline - time.monotonic())
    driver.set_page_load_timeout(left)
    tell(Result(outcome=Outcome.PAGE_UNREACHABLE, text="the login page did not load, and the browser hung over it"))
    try:
        driver.get(order.url)
    except TimeoutException:
        return Result(outcome=Outcome.PAGE_UNREACHABLE, text=f"the login page did not load within {left:.0f} s")
    except WebDriverException as error:
        return Result(outcome=Outcome.PAGE_UNREACHABLE, text=f"the login page did not load: {_first_line(error)}")
    tell(Result(outcome=Outcome.BROWSER_FAILED, text="the browser hung on the login page"))
    status = _http_status(driver)
    if status == 0:  # the browser's own error page, such as the one for a certificate that is not the pinned one
        return Result(outcome=Outcome.PAGE_UNREACHABLE, text=f"the login page did not load: {driver.title[:60]}")
    if status >= 400:
        return Result(outcome=Outcome.PAGE_UNREACHABLE, text=f"the login page answered HTTP {status}")
    try:
        _fill(driver, order, deadline=min(deadline, time.monotonic() + _FIND_LIMIT))
        filled = time.monotonic()
        time.sleep(order.submit_wait_s)
        tell(Result(outcome=Outcome.BROWSER_FAILED, text="the browser hung over the filled login form", typed=True))
        if not may_submit():
            raise _WithdrawnError
        _submit(driver, order)
    except _MissingElementError as missing:
        return Result(
            outcome=Outcome.PAGE_CHANGED,
            text=f"found no {missing} on the login page ({driver.title.strip()[:60] or 'no title'})",
        )
    tell(Result(outcome=Outcome.BROWSER_FAILED, text="the browser hung after the login form was sent"))
    return _answer(driver, order, deadline=deadline + time.monotonic() - filled)


def _answer(driver: Chrome, order: Order, *, deadline: float) -> Result:
    """Return the page's answer to the form. Known pages in between are passed."""
    passed: Counter[int] = Counter()
    seen = Seen()
    while time.monotonic() < deadline:
        seen = _look(driver, order)
        if (result := result_of(seen)) is not None:
            return result
        if seen.between is not None:
            if passed[seen.between] == PASSED_AT_MOST:
                return came_again(seen.between)
            passed[seen.between] += 1
            _pass(driver)
        time.sleep(_LOOK_EVERY)
    return unanswered(seen, order.timeout_s)


def _pass(driver: Chrome) -> None:
    """Click the button that the last look has found to lead on, and wait until the page has gone."""
    try:
        button: WebElement | None = driver.execute_script("return window.ibfeedLeadsOn")
        if button is None:
            return
        time.sleep(_PASS_WAIT)
        _click(driver, button)
        until = time.monotonic() + _PASS_LIMIT
        while time.monotonic() < until:
            button.is_enabled()  # raises once its page has gone
            time.sleep(_LOOK_EVERY)
    except WebDriverException as error:
        if not _has_gone(error):
            raise


def _has_gone(error: WebDriverException) -> bool:
    """Whether an element's page has gone. In the midst of it the driver tells the browser's own words."""
    return isinstance(error, StaleElementReferenceException) or "not belong to the document" in (error.msg or "")


def _click(driver: Chrome, element: WebElement) -> None:
    """Click, if need be through a banner that lies over the element. The banner's question is not ours to answer."""
    try:
        element.click()
    except ElementClickInterceptedException:
        driver.execute_script("arguments[0].click()", element)


def _http_status(driver: Chrome) -> int:
    return int(driver.execute_script("return performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0"))


def _fill(driver: Chrome, order: Order, *, deadline: float) -> None:
    chosen = order.selectors
    username = _find(driver, "user name field", chosen.username, deadline)
    if order.paper:
        _switch_to_paper(driver, chosen.paper_toggle)
    password = _find(driver, "password field", chosen.password, deadline)
    _find(driver, "login button", chosen.submit, deadline)
    username.send_keys(order.username)
    password.send_keys(order.password)


def _submit(driver: Chrome, order: Order) -> None:
    """Send the form. The button is looked for again, since the page may have drawn it again while the form waited."""
    chosen, now = order.selectors, time.monotonic()
    _find(driver, "password field", chosen.password, now)
    _click(driver, _find(driver, "login button", chosen.submit, now))


def _find(driver: Chrome, what: str, selector: str, deadline: float) -> WebElement:
    while True:
        try:
            for element in driver.find_elements(By.CSS_SELECTOR, selector):
                if element.is_displayed() and element.is_enabled():
                    return element
        except WebDriverException as error:
            if not _has_gone(error):
                raise
        if time.monotonic() > deadline:
            raise _MissingElementError(f"{what} ({selector})")
        time.sleep(_LOOK_EVERY)


def _switch_to_paper(driver: Chrome, selector: str) -> None:
    for label in driver.find_elements(By.CSS_SELECTOR, selector):
        box = driver.find_elements(By.ID, label.get_attribute("for") or "")
        if label.is_displayed() and not (box and box[0].is_selected()):
            _click(driver, label)
        return


def _look(driver: Chrome, order: Order) -> Seen:
    chosen, known = order.selectors, [msgspec.structs.asdict(one) for one in INTERSTITIALS]
    try:
        found: Any = driver.execute_script(_LOOK, chosen.error, chosen.second_factor, chosen.password, known)
    except WebDriverException:  # the page is being replaced; the next look sees the new one
        return Seen()
    return msgspec.convert(found, Seen)


def _first_line(error: WebDriverException) -> str:
    said = (error.msg or type(error).__name__).strip().splitlines()[0]
    return said.partition("; For documentation")[0][:200]
