"""IB's login page: where its elements are, and what its answer means. Pure.

Two versions are in use; the element names are those that facts and other clients agree on. The feed's
``spec.gateway.login`` replaces a selector on the day that IB changes the page.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from ibfeed_api.feed import Login
from ibfeed_api.names import Reason

SUCCESS: Final = "Client login succeeds"
_WRONG_CREDENTIALS: Final = ("invalid username password", "invalid username or password", "invalid credentials")
_WRONG_MODE: Final = ("please select the correct login mode",)
_LOCKED: Final = ("locked", "too many failed", "has been disabled")
_TEXT_LIMIT: Final = 200


class Selectors(msgspec.Struct, frozen=True, kw_only=True):
    """CSS selectors; of several alternatives, separated by commas, the first that is there counts."""

    username: str = "[name='user_name'], [name='username'], #xyz-field-username"
    password: str = "[name='password'], #xyz-field-password"
    submit: str = ".btn.btn-lg.xyz-button-login, form.xyzform-username button[type='submit'], .btn.btn-lg.btn-primary"
    error: str = ".alert.alert-danger.margin-top-10, .xyz-errormessage, .xyzblock-error"
    second_factor: str = (
        "#twofactbase, .login-step-notification, #xyz-field-bronze-response, #xyz-field-silver-response"
    )
    paper_toggle: str = "label[for='toggle1']"


def selectors(configured: Login) -> Selectors:
    """The built-in selectors with those of the feed's spec in their place."""
    given = {
        name: value
        for name in ("username", "password", "submit", "error")
        if (value := getattr(configured, name)) is not None
    }
    return Selectors(**given)


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    WRONG_CREDENTIALS = "wrong credentials"
    WRONG_MODE = "wrong mode"
    LOCKED = "locked"
    SECOND_FACTOR = "second factor"
    REFUSED = "refused"  # an error text that we don't know
    PAGE_CHANGED = "page changed"
    TIMED_OUT = "timed out"  # the page took the form and never answered
    PAGE_UNREACHABLE = "page unreachable"
    BROWSER_FAILED = "browser failed"


# BROWSER_FAILED and TIMED_OUT say nothing about the account, nor do the page's troubles: none of them counts.
REASONS: Final = {
    Outcome.WRONG_CREDENTIALS: Reason.WRONG_CREDENTIALS,
    Outcome.WRONG_MODE: Reason.WRONG_MODE,
    Outcome.LOCKED: Reason.ACCOUNT_LOCKED,
    Outcome.SECOND_FACTOR: Reason.SECOND_FACTOR,
    Outcome.REFUSED: Reason.LOGIN_FAILED,
    Outcome.PAGE_CHANGED: Reason.LOGIN_PAGE_CHANGED,
    Outcome.TIMED_OUT: Reason.LOGIN_TIMEOUT,
    Outcome.PAGE_UNREACHABLE: Reason.UPSTREAM_UNREACHABLE,
    Outcome.BROWSER_FAILED: Reason.BROWSER_FAILED,
}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the login's process reads from its stdin; the only place where credentials cross a process border."""

    url: str
    spki: str  # of the gateway's certificate, see gateway.pin
    username: str
    password: str
    selectors: Selectors
    paper: bool  # switch the page to paper trading where it has the switch
    timeout_s: float
    chromium: str
    chromedriver: str
    profile: str  # an empty folder

    def __repr__(self) -> str:
        return f"Order(url={self.url!r})"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What it prints to its stdout: the last one counts, the ones before are for the case that nothing follows."""

    outcome: Outcome
    text: str = ""
    seconds: float = 0.0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the page after the form was sent."""

    body: str = ""  # visible text, at most some thousand characters
    errors: tuple[str, ...] = ()  # texts of the visible error elements
    second_factor: bool = False


def judge(seen: Seen) -> Result | None:
    """What the page has answered, or None while it has not."""
    if SUCCESS in seen.body:
        return Result(outcome=Outcome.SUCCEEDED)
    if text := " ".join(seen.errors).strip()[:_TEXT_LIMIT]:
        return Result(outcome=_kind(text.lower()), text=text)
    if seen.second_factor:
        return Result(outcome=Outcome.SECOND_FACTOR, text="the login asks for a second factor")
    return None


def _kind(text: str) -> Outcome:
    for outcome, known in (
        (Outcome.WRONG_CREDENTIALS, _WRONG_CREDENTIALS),
        (Outcome.WRONG_MODE, _WRONG_MODE),
        (Outcome.LOCKED, _LOCKED),
    ):
        if any(phrase in text for phrase in known):
            return outcome
    return Outcome.REFUSED
