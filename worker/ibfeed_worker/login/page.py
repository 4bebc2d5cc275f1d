"""IB's login page: where its elements are, and what its answer means. Pure.

Two versions are in use. The element names are those that our sources and other clients agree on. The feed's
``spec.gateway.login`` replaces a selector on the day that IB changes the page.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from ibfeed_api.feed import Login
from ibfeed_api.reasons import Reason
from ibfeed_worker.account.login_record import SUBMIT_WAIT_S

SUCCESS: Final = "Client login succeeds"
# IB answers a form that is sent at once after typing like a wrong password (public reports; other clients wait as
# long).
_WRONG_CREDENTIALS: Final = ("invalid username password", "invalid username or password", "invalid credentials")
_WRONG_MODE: Final = ("please select the correct login mode",)
_LOCKED: Final = ("locked", "too many failed", "has been disabled")
_TEXT_LIMIT: Final = 200
_LABEL_LIMIT: Final = 60


class Selectors(msgspec.Struct, frozen=True, kw_only=True):
    """The page's CSS selectors. Of alternatives, separated by commas, the first one on the page counts."""

    username: str = "[name='user_name'], [name='username'], #xyz-field-username"
    password: str = "[name='password'], #xyz-field-password"
    submit: str = ".btn.btn-lg.xyz-button-login, form.xyzform-username button[type='submit'], .btn.btn-lg.btn-primary"
    error: str = ".alert.alert-danger.margin-top-10, .xyz-errormessage, .xyzblock-error"
    second_factor: str = (
        "#twofactbase, .login-step-notification, #xyz-field-bronze-response, #xyz-field-silver-response"
    )
    paper_toggle: str = "label[for='toggle1']"


def selectors(configured: Login) -> Selectors:
    """Return the built-in selectors, replaced by those of the feed's spec where it has any."""
    given = {
        name: value
        for name in ("username", "password", "submit", "error")
        if (value := getattr(configured, name)) is not None
    }
    return Selectors(**given)


class Interstitial(msgspec.Struct, frozen=True, kw_only=True):
    """A page that may come between the password and the login, and the button that leads on without harm.

    The button is the first visible element of ``css``, with exactly this ``label`` (in small letters) if there is one.
    """

    name: str
    css: str
    label: str = ""


# A page that agrees to anything in the owner's name must never be added here.
INTERSTITIALS: Final = (
    Interstitial(name="the IB Key advertisement", css=".ibkey-promo-skip"),
    Interstitial(name="the notice to be understood", css="button, a.btn, input[type='submit']", label="i understand"),
)
PASSED_AT_MOST: Final = 2  # times in one login; a page that comes again is not the one that is known


class Outcome(StrEnum):
    """The outcome of one attempt to log in."""

    SUCCEEDED = "succeeded"
    WRONG_CREDENTIALS = "wrong credentials"
    WRONG_MODE = "wrong mode"
    LOCKED = "locked"
    SECOND_FACTOR = "second factor"
    REFUSED = "refused"  # an error text that we don't know
    PAGE_CHANGED = "page changed"
    UNKNOWN_PAGE = "unknown page"  # after the password, and not passed
    TIMED_OUT = "timed out"  # the page took the form and never answered
    PAGE_UNREACHABLE = "page unreachable"
    BROWSER_FAILED = "browser failed"


REASONS: Final = {
    Outcome.WRONG_CREDENTIALS: Reason.WRONG_CREDENTIALS,
    Outcome.WRONG_MODE: Reason.WRONG_MODE,
    Outcome.LOCKED: Reason.ACCOUNT_LOCKED,
    Outcome.SECOND_FACTOR: Reason.SECOND_FACTOR,
    Outcome.REFUSED: Reason.LOGIN_FAILED,
    Outcome.PAGE_CHANGED: Reason.LOGIN_PAGE_CHANGED,
    Outcome.UNKNOWN_PAGE: Reason.LOGIN_PAGE_UNKNOWN,
    Outcome.TIMED_OUT: Reason.LOGIN_TIMEOUT,
    Outcome.PAGE_UNREACHABLE: Reason.UPSTREAM_UNREACHABLE,
    Outcome.BROWSER_FAILED: Reason.BROWSER_FAILED,
}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The order that the login's process reads from its stdin. Only here do credentials cross a process border."""

    url: str
    spki: str  # of the gateway's certificate, see gateway.pin
    username: str
    password: str
    selectors: Selectors
    paper: bool  # switch the page to paper trading where it has the switch
    timeout_s: float  # for the page and its answer
    submit_wait_s: float = SUBMIT_WAIT_S  # between the last key and the click, beside that
    chromium: str
    chromedriver: str
    profile: str  # an empty folder

    def __repr__(self) -> str:
        return f"Order(url={self.url!r})"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result that the process prints to its stdout.

    The last one counts; earlier ones hold in case nothing follows.
    """

    outcome: Outcome
    text: str = ""
    seconds: float = 0.0
    typed: bool = False  # the form is filled in, and waits for leave to be sent


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the page after the form was sent."""

    body: str = ""  # visible text, at most some thousand characters
    errors: tuple[str, ...] = ()  # texts of the visible error elements
    second_factor: bool = False
    form: bool = False  # a password can be typed in
    between: int | None = None  # place in INTERSTITIALS of the page that this is
    heading: str = ""
    buttons: tuple[str, ...] = ()


def result_of(seen: Seen) -> Result | None:
    """Return what the page has answered, or None while it has not."""
    if SUCCESS in seen.body:
        return Result(outcome=Outcome.SUCCEEDED)
    if text := " ".join(seen.errors).strip()[:_TEXT_LIMIT]:
        return Result(outcome=_kind(text.lower()), text=text)
    if seen.second_factor:
        return Result(outcome=Outcome.SECOND_FACTOR, text="the login asks for a second factor")
    return None


def unanswered(seen: Seen, limit_s: float) -> Result:
    """Return the result when the page has not answered in time. ``seen`` is the last look."""
    if seen.form or not (seen.heading or seen.buttons):
        return Result(outcome=Outcome.TIMED_OUT, text=f"no answer to the login form within {limit_s:g} s")
    heading = f'"{seen.heading[:_LABEL_LIMIT]}"' if seen.heading else "one without a heading"
    buttons = "".join(f" [{label[:_LABEL_LIMIT]}]" for label in seen.buttons[:4])
    text = f"after the password came a page that is not known here: {heading}{buttons}; log in by hand and answer it"
    return Result(outcome=Outcome.UNKNOWN_PAGE, text=text)


def came_again(between: int) -> Result:
    """Return the result when a known page was passed and kept coming again."""
    name = INTERSTITIALS[between].name
    text = f"{name} came again after it was passed {PASSED_AT_MOST} times; log in by hand and answer it"
    return Result(outcome=Outcome.UNKNOWN_PAGE, text=text)


def without_credentials(result: Result, order: Order) -> Result:
    """Return ``result`` without user name and password in its text.

    A page may greet the user by name, and its words go into a status that others read.
    """
    text = result.text
    for secret in (order.username, order.password):
        if secret.strip():
            text = re.sub(re.escape(secret.strip()), "***", text, flags=re.IGNORECASE)
    return msgspec.structs.replace(result, text=text)


def _kind(text: str) -> Outcome:
    for outcome, known in (
        (Outcome.WRONG_CREDENTIALS, _WRONG_CREDENTIALS),
        (Outcome.WRONG_MODE, _WRONG_MODE),
        (Outcome.LOCKED, _LOCKED),
    ):
        if any(phrase in text for phrase in known):
            return outcome
    return Outcome.REFUSED
