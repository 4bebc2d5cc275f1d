"""The logins of one worker: when one may be tried, one attempt, and the record of it on the account's Lease."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from ibfeed_api.ib_calendar import refuses_all
from ibfeed_api.log import Log
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Account, Session
from ibfeed_worker import login
from ibfeed_worker.account.leaseholder import Leaseholder, read_record
from ibfeed_worker.account.login_record import (
    MOST_TRIES,
    LoginRecord,
    after_failure,
    after_login,
    before_login,
    may_log_in,
    may_probe,
    may_try_parked,
    of_user,
    scheduled,
    streamed,
    submitted,
    tries_of_the_day,
    with_other_credentials,
)
from ibfeed_worker.account.login_slots import reserve_slot
from ibfeed_worker.account.pool import Pool, told
from ibfeed_worker.account.user import digest
from ibfeed_worker.config import Config
from ibfeed_worker.credentials import Credentials, CredentialsError, CredentialSource
from ibfeed_worker.errors import AccountParkedError, SessionError
from ibfeed_worker.gateway.process import Gateway
from ibfeed_worker.kube.client import Kube, KubeError
from ibfeed_worker.login.page import REASONS, Outcome
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.runtime.tasks import first
from ibfeed_worker.session.loop import TAKEN
from ibfeed_worker.session.schedule import place
from ibfeed_worker.session.status import SessionStatus

_LOOK_AT_PARKED_S: Final = 5.0
_LOOK_AT_STREAM_S: Final = 1.0
# Seconds between two looks for corrected credentials. A vault costs a process and two calls each time.
_LOOK_AT_SECRET_S: Final = 15.0
_LOOK_AT_VAULT_S: Final = 300.0
# After these outcomes it is not known what became of the form.
_MAYBE_LOGGED_IN: Final = frozenset({Outcome.TIMED_OUT, Outcome.BROWSER_FAILED})
_AFTER_MAINTENANCE: Final = timedelta(minutes=10)  # the first tries after it are spread over this
_log: Final = Log(__name__)


class Logins:
    """The logins of one worker. ``pool`` shares the state of the login page with the workers of the account source."""

    def __init__(
        self,
        config: Config,
        kube: Kube,
        status: SessionStatus,
        metrics: Metrics,
        credentials: CredentialSource,
        log_in: login.LogIn,
    ) -> None:
        self.pool: Final = Pool(kube, config.spec.accounts.logins_lease_name, config.spec.login_settings)
        self._config = config
        self._kube = kube
        self._status = status
        self._metrics = metrics
        for outcome in Outcome:  # a counter that begins at 1 shows no increase
            metrics.logins.labels(outcome=outcome.value)
        self._credentials = credentials
        self._log_in = log_in
        self._look_s = _LOOK_AT_VAULT_S if config.spec.accounts.key_vault is not None else _LOOK_AT_SECRET_S
        self._key = secrets.token_bytes(16)
        self._known: dict[str, bytes] = {}  # by Lease: a keyed digest of the credentials that IB refused
        self._corrected: set[str] = set()  # Leases whose credentials have changed since

    # Before a login.

    async def until_due(self, account: Account, hold: Leaseholder) -> None:
        """Return when a login may be tried. Raises SessionError or AccountParkedError if that is not soon."""
        record, now = hold.record, datetime.now(UTC)
        if account.lease in self._corrected:
            await self._insist(account, hold)
            return
        if record.parked and record.history.parked_since is None:  # written by an earlier version, which noted no time
            record = scheduled(record, now)
            await hold.write(record)
        if record.parked and not may_try_parked(record, now):
            raise AccountParkedError(_reason(record.parked), _parked_text(record))
        if await self.pool.look() is not None:
            await self._until_the_page_is_well(account, hold)
        elif (until := may_log_in(record, now)) is not None:
            raise _not_before(until, record)

    async def _until_the_page_is_well(self, account: Account, hold: Leaseholder) -> None:
        """Wait until the page is well, this account is to probe it, or its credentials are corrected.

        Once the page is well, no pause that its trouble has caused is kept, but for the day's limit.
        """
        tries = tries_of_the_day(hold.record, datetime.now(UTC))
        our_turn = self.pool.until_it_is_our_turn(
            account.index, tries, lambda now: may_probe(hold.record, now), self._tell_trouble
        )
        await first(our_turn, self.until_corrected(account))
        if account.lease in self._corrected:
            await self._insist(account, hold)
        elif tries >= MOST_TRIES and (until := may_log_in(hold.record, datetime.now(UTC))) is not None:
            raise _not_before(until, hold.record)

    async def _insist(self, account: Account, hold: Leaseholder) -> None:
        """Clear the record, since a person has corrected the credentials: they are tried at once."""
        self._corrected.discard(account.lease)
        _log.info("the credentials have changed: they are tried at once", account=account.index)
        await hold.write(with_other_credentials(hold.record))
        self.pool.insist()

    async def read(self, account: Account, hold: Leaseholder) -> Credentials:
        """Return credentials for one login, and note the digest of their user on the Lease. Raises CredentialsError."""
        found = await self._credentials.read(account.index)
        user = await asyncio.to_thread(digest, found.username)
        if hold.record.user != user:
            await hold.write(of_user(hold.record, user, datetime.now(UTC)))
        return found

    async def while_used_elsewhere(self, account: Account, hold: Leaseholder) -> NoReturn:
        """Stay logged out while the user is in use by another worker, as the operator has found.

        It watches whether the user changes.
        """
        text = (
            f"the user of account {account.index} is in use by worker {account.used_by}, and one user has one session"
            " at a time: give this feed a user of its own, or take it from the other one"
        )
        while True:
            self._status.set(Session.WAITING_FOR_ACCOUNT, Reason.ACCOUNT_HELD, text)
            await asyncio.sleep(self._look_s)
            try:
                await self.read(account, hold)
            except CredentialsError as error:
                self._status.set(Session.BACKING_OFF, error.reason, error.message)
                await asyncio.sleep(self._look_s)

    async def until_corrected(self, account: Account) -> None:
        """Return when the credentials differ from those that were refused, or else from the present ones."""
        while True:
            try:
                found = self._print(await self._credentials.read(account.index))
            except CredentialsError:
                pass  # the next login reports what is wrong with them
            else:
                if self._known.setdefault(account.lease, found) != found:
                    self._known[account.lease] = found
                    self._corrected.add(account.lease)
                    return
            await asyncio.sleep(self._look_s)

    async def while_parked(self, account: Account) -> None:
        """Return when a parked account may be tried again: cleared by a person, after a while, or corrected."""
        await first(self._until_cleared(account), self.until_corrected(account))

    async def _until_cleared(self, account: Account) -> None:
        while True:
            await asyncio.sleep(_LOOK_AT_PARKED_S)
            try:
                record = await read_record(self._kube, account.lease)
            except KubeError as error:
                _log.warning("parked account not read", lease=account.lease, error=str(error))
                continue
            if not record.parked or may_try_parked(record, datetime.now(UTC)):
                return

    # During a login and after it.

    async def log_in(
        self, account: Account, gateway: Gateway, hold: Leaseholder, credentials: asyncio.Task[Credentials]
    ) -> bool:
        """Log in once by browser. Return whether an earlier session of ours ended without a logout.

        Raises SessionError or AccountParkedError.
        """
        try:
            found = await credentials
        except CredentialsError as error:
            raise SessionError(error.reason, error.message) from None
        accounts = self._config.spec.accounts
        await self._await_turn(accounts.logins_lease_name)
        before, sent = hold.record, False

        async def may_submit() -> None:
            nonlocal sent
            if not await self.pool.may_submit():
                raise self._page_trouble(account)
            now = datetime.now(UTC)
            await hold.write(before_login(submitted(hold.record, now), now=now))
            if hold.lost.is_set():  # nothing was written, and another worker may log in with the account
                raise SessionError(Reason.LEASE_LOST, hold.why_lost)
            sent = True

        result = await self._log_in(
            login.Browser(self._config.chromium, self._config.chromedriver),
            folder=self._config.run_folder,
            url=gateway.login_url,
            spki=gateway.tls.spki,
            username=found.username,
            password=found.password,
            login=self._config.spec.gateway.login,
            paper=not accounts.allow_live,
            submit_wait_s=hold.record.submit_wait_s,
            may_submit=may_submit,
        )
        self._metrics.logins.labels(outcome=result.outcome.value).inc()
        self._metrics.login_seconds.observe(result.seconds)
        _log.info("login", outcome=result.outcome.value, text=result.text, seconds=result.seconds)
        if result.outcome is Outcome.SUCCEEDED:
            self._known.pop(account.lease, None)
            await self.pool.passed(account.index)
            if hold.record != (clean := after_login(hold.record)):
                await hold.write(clean)
            return before.session_open is not None
        self._known[account.lease] = self._print(found)
        reason = REASONS[result.outcome]
        if sent:
            if result.outcome not in _MAYBE_LOGGED_IN:
                hold.note(replace(hold.record, session_open=before.session_open))
            await self.failed(account, hold, reason, result.text)
        elif await self.pool.failed(reason, result.text, account.index):
            raise self._page_trouble(account)
        raise SessionError(reason, result.text)

    async def failed(self, account: Account, hold: Leaseholder, reason: Reason, text: str) -> NoReturn:
        """Record a login that led to nothing, or a session that may not be used.

        Raises SessionError or AccountParkedError.
        """
        accounts, now = self._config.spec.accounts, datetime.now(UTC)
        common = await self.pool.failed(reason, text, account.index)
        closed = refuses_all(accounts.region, now)
        record = after_failure(
            hold.record, reason, text, now=now, most=accounts.max_failed_logins, excused=common or closed is not None
        )
        if common:
            record = replace(record, next_login=None)  # the page's probes decide
        elif closed is not None and record.next_login is not None:
            again = closed.ends + place(account.index) * _AFTER_MAINTENANCE
            record = replace(record, next_login=min(record.next_login, again))
        await hold.write(record)
        if record.parked:
            raise AccountParkedError(_reason(record.parked), _parked_text(record))
        if common:
            raise self._page_trouble(account)
        raise SessionError(reason, text, until=record.next_login)

    async def note_stream(self, account: Account, hold: Leaseholder, is_streaming: Callable[[], bool]) -> NoReturn:
        """Once the session streams, record that its login was not in vain and that IB takes this kind of account."""
        while not is_streaming():  # noqa: ASYNC110 - many things make it stream, and a second does not matter
            await asyncio.sleep(_LOOK_AT_STREAM_S)
        if hold.record.history.tries:
            await hold.write(streamed(hold.record))
        await self.pool.passed(account.index, sessions=True)
        await asyncio.Event().wait()
        raise AssertionError("an event without a setter was set")

    async def _await_turn(self, lease: str) -> None:
        """Wait for this worker's turn, so that workers that were lost or started together do not log in together."""
        moment = await reserve_slot(self._kube, lease)
        delay = (moment - datetime.now(UTC)).total_seconds()
        if delay > 0:
            text = f"one worker after the other logs in: this one at {moment:%H:%M:%S} UTC"
            self._status.set(Session.LOGGING_IN, None, text)
            await asyncio.sleep(delay)
            self._status.set(Session.LOGGING_IN)
        _log.info("login begins", waited=max(0.0, delay))

    def _tell_trouble(self, text: str) -> None:
        self._status.set(Session.BACKING_OFF, Reason.LOGIN_PAGE_TROUBLE, text)

    def _page_trouble(self, account: Account) -> SessionError:
        """Return the error for trouble of the page. The wait comes before the next login: see ``until_due``."""
        trouble = self.pool.trouble
        text = told(trouble, account.index) if trouble is not None else "IB's login page fails for several accounts"
        return SessionError(Reason.LOGIN_PAGE_TROUBLE, text, delay=0.0)

    def _print(self, found: Credentials) -> bytes:
        """Return a fingerprint of credentials, which shows a change within this process only."""
        both = f"{found.username}\0{found.password}".encode()
        return hashlib.blake2b(both, key=self._key, digest_size=16).digest()


def _reason(text: str) -> Reason:
    return Reason(text) if text in set(Reason) else Reason.ACCOUNT_PARKED


def _not_before(until: datetime, record: LoginRecord) -> SessionError:
    if record.lost_to_others and not record.history.in_a_row:
        return SessionError(Reason.COMPETING, TAKEN, until=until)
    tries, last = len(record.history.tries), record.last_failure
    text = f"{record.history.in_a_row or record.failed} failed logins in a row, the last: {last}"
    if not last:
        text = f"{tries} logins within a day led to no stream: they are spread, so that IB does not lock the user"
    return SessionError(Reason.LOGIN_FAILED, text, until=until)


def _parked_text(record: LoginRecord) -> str:
    history = record.history
    said = ", ".join(f'"{one.text}"' for one in history.said) or record.last_failure or record.parked
    since = f" since {history.parked_since:%Y-%m-%d %H:%M} UTC" if history.parked_since is not None else ""
    again = (
        f"it is tried again at {history.try_again_at:%Y-%m-%d %H:%M} UTC, or as soon as its credentials change"
        if history.try_again_at is not None
        else "it is tried again when its credentials change, or a person clears it"
    )
    return f"account is parked{since} ({record.parked}), after IB said {said}; {again}"
