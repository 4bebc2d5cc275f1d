"""IB's login pages: the names of elements, blocks and messages that scripts look for."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final, Literal

Version = Literal[1, 2]

WRONG_CREDENTIALS: Final = "Invalid username password combination"
WRONG_MODE: Final = (
    "You have selected the Live Account Mode, but the specified user is a Paper Trading user."
    " Please select the correct Login mode."
)
LOCKED: Final = "This account has been locked. Please contact Client Services."

# The page shows a loading block first and becomes usable a moment later, as the real one does.
_LOADING_MS: Final = 300

_STYLE: Final = """
body{font-family:sans-serif;margin:3em auto;max-width:26em}
.hidden{display:none}.alert-danger,.xyz-errormessage,.xyzblock-error{color:#b00020}
"""

_REVEAL: Final = """
window.setTimeout(function(){
  document.querySelectorAll('.xyzblock-loading').forEach(function(e){e.classList.add('hidden')});
  document.querySelectorAll('.after-loading').forEach(function(e){e.classList.remove('hidden')});
},%d);
"""


@dataclass(frozen=True)
class LoginPage:
    version: Version
    error: str = ""
    changed: bool = False  # the day IB renames everything

    def html(self) -> str:
        if self.changed:
            return _document(_changed())
        return _document(_version_1(self.error) if self.version == 1 else _version_2(self.error))


def second_factor() -> str:
    return _document(
        """
<div id="twofactbase" class="login-step-notification">
  <h2>Second Factor Authentication</h2>
  <p>A notification has been sent to your IB Key device.</p>
  <form method="post" action="/sso/Authenticator">
    <label for="xyz-field-bronze-response">Security code</label>
    <input type="text" id="xyz-field-bronze-response" name="chlginput" autocomplete="off">
    <button type="submit" class="btn btn-lg btn-primary xyz-button-twofact">Login</button>
  </form>
  <a href="#" onclick="resendNotification()">Resend notification</a>
</div>
<script>function resendNotification(){return false}</script>
"""
    )


def logged_in() -> str:
    return _document("<pre>Client login succeeds</pre>")


def maintenance() -> str:
    return _document("<h1>Service Unavailable</h1><p>The system is undergoing maintenance.</p>")


def _document(body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Login</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _toggle() -> str:
    return (
        '<div class="toggle"><span>Live</span> <input type="checkbox" id="toggle1" name="paperSwitch" value="on">'
        ' <label for="toggle1">Paper</label></div>'
    )


def _version_1(error: str) -> str:
    alert = f'<div class="alert alert-danger margin-top-10">{escape(error)}</div>' if error else ""
    return f"""
<form id="loginform" name="loginform" method="post" action="/sso/Dispatcher">
  <h2>Login</h2>
  {_toggle()}
  <input type="hidden" name="forwardTo" value="22">
  <p><input type="text" id="user_name" name="user_name" placeholder="Username" autocomplete="off"></p>
  <p><input type="password" id="password" name="password" placeholder="Password" autocomplete="off"></p>
  <button type="submit" id="submitForm" class="btn btn-lg btn-primary btn btn-lg xyz-button-login">Login</button>
  {alert}
</form>
"""


def _version_2(error: str) -> str:
    message = f'<div class="xyz-errormessage">{escape(error)}</div>' if error else ""
    return f"""
<div class="xyzblock xyzblock-loading">Loading&hellip;</div>
<div class="xyzblock xyzblock-error{"" if error else " hidden"}">{message}</div>
<div class="xyzblock xyzblock-username after-loading hidden">
  <form class="xyzform-username" method="post" action="/sso/Dispatcher" autocomplete="off">
    <h2>Login</h2>
    {_toggle()}
    <input type="hidden" name="forwardTo" value="22">
    <p><label for="xyz-field-username">Username</label>
    <input type="text" id="xyz-field-username" name="username" maxlength="64"></p>
    <p><label for="xyz-field-password">Password</label>
    <input type="password" id="xyz-field-password" name="password" maxlength="64"></p>
    <button type="submit" class="btn btn-lg btn-primary btn btn-lg xyz-button-login">Login</button>
  </form>
</div>
<script>{_REVEAL % _LOADING_MS}</script>
"""


def _changed() -> str:
    return """
<form class="sign-in" method="post" action="/sso/Dispatcher">
  <h2>Sign in</h2>
  <p><input type="text" id="login-id" name="login_id"></p>
  <p><input type="password" id="login-secret" name="login_secret"></p>
  <button type="submit" class="sign-in-button">Continue</button>
</form>
"""
