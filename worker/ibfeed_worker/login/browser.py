"""Drive headless Chromium through the login page. Runs in a process of its own, which ends with the login."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from ibfeed_worker.login.page import Order, Outcome, Result, Seen, judge

_FIND_LIMIT: Final = 15.0  # seconds for the form to appear on a page that has loaded
_LOOK_EVERY: Final = 0.1
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
# One round trip for each look. Hidden templates of error blocks are on the page from the start: the visible count.
_LOOK: Final = """
const [error, factor] = arguments;
const visible = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== 'hidden';
const outermost = (e, _, found) => !found.some((other) => other !== e && other.contains(e));
const all = (css) => Array.from(document.querySelectorAll(css)).filter(visible).filter(outermost);
return {
  body: (document.body ? document.body.innerText : '').slice(0, 4000),
  errors: all(error).map((e) => e.innerText.trim()).filter((t) => t),
  second_factor: all(factor).length > 0,
};
"""


class _Missing(Exception):
    """An element of the form is not on the page."""


def log_in(order: Order, tell: Callable[[Result], None]) -> Result:
    """One attempt; never raises what a page or a browser can cause, and never repeats what was typed.

    ``tell`` hears what it comes to if nothing follows: the driver's own time limit is not always kept (Chromium of
    Debian 12, one page of about eight that never comes), and its call then never returns.
    """
    begun = time.monotonic()
    try:
        driver = _start(order)
    except WebDriverException as error:
        return Result(outcome=Outcome.BROWSER_FAILED, text=_first_line(error), seconds=time.monotonic() - begun)
    try:
        result = _attempt(driver, order, tell, deadline=begun + order.timeout_s)
    except WebDriverException as error:
        result = Result(outcome=Outcome.BROWSER_FAILED, text=_first_line(error))
    finally:
        driver.quit()
    return msgspec.structs.replace(result, seconds=round(time.monotonic() - begun, 3))


def _start(order: Order) -> Chrome:
    options = ChromeOptions()
    options.binary_location = order.chromium
    options.page_load_strategy = "eager"
    for flag in _FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={order.profile}")
    options.add_argument(f"--ignore-certificate-errors-spki-list={order.spki}")
    # The driver's log holds every key that is typed: it goes nowhere.
    return Chrome(options=options, service=Service(order.chromedriver, log_output=subprocess.DEVNULL))


def _attempt(driver: Chrome, order: Order, tell: Callable[[Result], None], *, deadline: float) -> Result:
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
    except _Missing as missing:
        return Result(
            outcome=Outcome.PAGE_CHANGED,
            text=f"found no {missing} on the login page ({driver.title.strip()[:60] or 'no title'})",
        )
    while time.monotonic() < deadline:
        result = judge(_look(driver, order))
        if result is not None:
            return result
        time.sleep(_LOOK_EVERY)
    return Result(outcome=Outcome.TIMED_OUT, text=f"no answer to the login form within {order.timeout_s:g} s")


def _http_status(driver: Chrome) -> int:
    return int(driver.execute_script("return performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0"))


def _fill(driver: Chrome, order: Order, *, deadline: float) -> None:
    chosen = order.selectors
    username = _find(driver, "user name field", chosen.username, deadline)
    if order.paper:
        _switch_to_paper(driver, chosen.paper_toggle)
    password = _find(driver, "password field", chosen.password, deadline)
    submit = _find(driver, "login button", chosen.submit, deadline)
    username.send_keys(order.username)
    password.send_keys(order.password)
    submit.click()


def _find(driver: Chrome, what: str, selector: str, deadline: float) -> WebElement:
    while True:
        for element in driver.find_elements(By.CSS_SELECTOR, selector):
            if element.is_displayed() and element.is_enabled():
                return element
        if time.monotonic() > deadline:
            raise _Missing(f"{what} ({selector})")
        time.sleep(_LOOK_EVERY)


def _switch_to_paper(driver: Chrome, selector: str) -> None:
    for label in driver.find_elements(By.CSS_SELECTOR, selector):
        box = driver.find_elements(By.ID, label.get_attribute("for") or "")
        if label.is_displayed() and not (box and box[0].is_selected()):
            label.click()
        return


def _look(driver: Chrome, order: Order) -> Seen:
    try:
        found: Any = driver.execute_script(_LOOK, order.selectors.error, order.selectors.second_factor)
    except WebDriverException:  # the page is being replaced; the next look sees the new one
        return Seen()
    return msgspec.convert(found, Seen)


def _first_line(error: WebDriverException) -> str:
    said = (error.msg or type(error).__name__).strip().splitlines()[0]
    return said.partition("; For documentation")[0][:200]
