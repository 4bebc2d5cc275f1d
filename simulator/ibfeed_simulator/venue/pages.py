"""IB's login pages, with the names of elements, blocks and messages that scripts look for."""

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
# IB says it now and then about credentials that pass a moment later.
REFUSED: Final = "ERROR"
# The form's field for the time (ms) between the last key and the sending.
TYPED: Final = "typedAgo"
CONTINUE: Final = "continue"  # a form's field: the token of the login that waits behind a page

# Like the real one, the page first shows a loading block, and becomes usable a moment later.
_LOADING_MS: Final = 300

_STYLE: Final = """
body{font-family:sans-serif;margin:3em auto;max-width:26em}
.hidden{display:none}.alert-danger,.xyz-errormessage,.xyzblock-error{color:#b00020}
"""

# IB answers a form that is sent at once after typing with "Invalid username password combination". The reason is not
# known. Here the page tells the time since the last key, and the server refuses a form that came too soon.
_TYPED: Final = """
(function(){
  var form = document.querySelector('form');
  form.dataset.typed = form.dataset.typed || Date.now();
  form.addEventListener('input', function(event){
    if (event.target.type !== 'checkbox') form.dataset.typed = Date.now();
  });
  form.addEventListener('submit', function(){form.elements['%s'].value = Date.now() - form.dataset.typed});
})();
"""

# A banner that covers the form's button, so that a click on the button meets the banner.
_BANNER: Final = """
<div id="onetrust-banner-sdk" class="cookie-banner" role="dialog"
 style="position:fixed;inset:0;background:rgba(255,255,255,.9)">
  <p>We use cookies to improve your experience.</p>
  <button type="button" onclick="this.parentNode.remove()">Accept All Cookies</button>
</div>
"""

_REVEAL: Final = """
window.setTimeout(function(){
  document.querySelectorAll('.xyzblock-loading').forEach(function(e){e.classList.add('hidden')});
  document.querySelectorAll('.after-loading').forEach(function(e){e.classList.remove('hidden')});
},%d);
"""


# IB's page sends the form without being loaded again. The typed text and its time are still there beside the error.
# ibeam relies on it.
_KEEP: Final = """
(function(){
  var form = document.querySelector('.xyzform-username'), store = window.sessionStorage;
  var typed = JSON.parse(store.getItem('typed') || 'null');
  store.removeItem('typed');
  if (typed && document.querySelector('.xyz-errormessage')) {
    form.username.value = typed[0];
    form.password.value = typed[1];
    form.dataset.typed = typed[2];
  }
  form.addEventListener('submit', function(){
    store.setItem('typed', JSON.stringify([form.username.value, form.password.value, form.dataset.typed]));
  });
})();
"""


@dataclass(frozen=True)
class LoginPage:
    version: Version
    error: str = ""
    changed: bool = False  # as on the day when IB renames everything
    banner: bool = False

    def html(self) -> str:
        body = _changed() if self.changed else _version_1(self.error) if self.version == 1 else _version_2(self.error)
        return _document(f"{body}<script>{_TYPED % TYPED}</script>{_BANNER if self.banner else ''}")


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


def ibkey_promo(token: str) -> str:
    """Return an advertisement for IB's authenticator. ``ibkey-promo-skip`` leads on to the login."""
    return _document(
        f"""
<div class="ibkey-promo">
  <h2>Protect your account with IB Key</h2>
  <p>Use your phone to confirm your logins.</p>
  <a href="https://localhost/ibkey" class="btn btn-lg btn-primary">Activate IB Key</a>
  {_leads_on(token, '<button type="submit" class="btn btn-lg btn-default ibkey-promo-skip">Continue</button>')}
</div>
"""
    )


def notice(token: str) -> str:
    """Return a notice that has to be acknowledged."""
    return _document(
        f"""
<div class="xyzblock-notice">
  <h2>Important Notice</h2>
  <p>Market data of a paper trading account may be delayed.</p>
  {_leads_on(token, '<button type="submit" class="btn btn-lg btn-primary">I understand</button>')}
</div>
"""
    )


def agreement(token: str) -> str:
    """Return a page that only the account's owner may answer, since it makes an agreement in the owner's name."""
    return _document(
        f"""
<div class="xyzblock-agreement">
  <h2>Market Data Subscriber Agreement</h2>
  <p>Please read and accept the agreement below.</p>
  {_leads_on(token, '<button type="submit" class="btn btn-lg btn-primary">I agree and sign</button>')}
  <button type="button" class="btn btn-lg">Decline</button>
</div>
"""
    )


def _leads_on(token: str, button: str) -> str:
    return (
        f'<form method="post" action="/sso/Dispatcher"><input type="hidden" name="{CONTINUE}" value="{escape(token)}">'
        f"{button}</form>"
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
  <input type="hidden" name="forwardTo" value="22"><input type="hidden" name="typedAgo" value="">
  <p><input type="text" id="user_name" name="user_name" placeholder="Username" autocomplete="off"></p>
  <p><input type="password" id="password" name="password" placeholder="Password" autocomplete="off"></p>
  <button type="submit" id="submitForm" class="btn btn-lg btn-primary btn btn-lg xyz-button-login">Login</button>
  {alert}
</form>
"""


def _version_2(error: str) -> str:
    """Return the current page. With an error the form is there at once, as IB's page is not loaded again."""
    loading, form = (" hidden", "") if error else ("", " after-loading hidden")
    message = f'<div class="xyz-errormessage">{escape(error)}</div>' if error else ""
    return f"""
<div class="xyzblock xyzblock-loading{loading}">Loading&hellip;</div>
<div class="xyzblock xyzblock-error{"" if error else " hidden"}">{message}</div>
<div class="xyzblock xyzblock-username{form}">
  <form class="xyzform-username" method="post" action="/sso/Dispatcher" autocomplete="off">
    <h2>Login</h2>
    {_toggle()}
    <input type="hidden" name="forwardTo" value="22"><input type="hidden" name="typedAgo" value="">
    <p><label for="xyz-field-username">Username</label>
    <input type="text" id="xyz-field-username" name="username" maxlength="64"></p>
    <p><label for="xyz-field-password">Password</label>
    <input type="password" id="xyz-field-password" name="password" maxlength="64"></p>
    <button type="submit" class="btn btn-lg btn-primary btn btn-lg xyz-button-login">Login</button>
  </form>
</div>
<script>{_REVEAL % _LOADING_MS}{_KEEP}</script>
"""


def _changed() -> str:
    return """
<form class="sign-in" method="post" action="/sso/Dispatcher">
  <h2>Sign in</h2>
  <input type="hidden" name="typedAgo" value="">
  <p><input type="text" id="login-id" name="login_id"></p>
  <p><input type="password" id="login-secret" name="login_secret"></p>
  <button type="submit" class="sign-in-button">Continue</button>
</form>
"""
