"""Every subscription of ibind's websocket client, from start to shutdown; run with the interpreter that has ibind."""

from __future__ import annotations

import queue
from typing import Any

from ibind import BindingStatus, IbkrClient, IbkrWsClient, events
from ibind import subscriptions as subs
from outcomes import attempt, job, report

WITHIN_S = 10.0
FIELDS = ["31", "84", "86", "7059"]


class Inbox:
    """A sink: events wait here for whoever asks for their kind."""

    def __init__(self) -> None:
        self.queues: dict[str, queue.Queue[Any]] = {}

    def emit(self, event: Any) -> None:
        self.of(type(event)).put(event)

    def of(self, kind: type) -> queue.Queue[Any]:
        return self.queues.setdefault(kind.__name__, queue.Queue())

    def next(self, kind: type) -> Any:
        try:
            return self.of(kind).get(timeout=WITHIN_S)
        except queue.Empty:
            raise TimeoutError(f"no {kind.__name__} within {WITHIN_S:.0f} s") from None


def follow(client: IbkrWsClient, inbox: Inbox, subscription: Any, event: type | None) -> Any:
    """Subscribe, hear the first event (None: IB sends none), unsubscribe; each as ibind understands it."""
    handle = client.subscribe(subscription)
    if not handle.wait(WITHIN_S):
        raise TimeoutError(f"never confirmed: {handle.status}")
    heard = inbox.next(event) if event is not None else None
    ended = client.unsubscribe(subscription)
    if not ended.wait(WITHIN_S) or ended.status is not BindingStatus.UNSUBSCRIBED:
        raise TimeoutError(f"never unsubscribed: {ended.status}")
    return heard


def needed(answer: Any, otherwise: str) -> Any:
    if not answer:
        raise TimeoutError(otherwise)
    return answer


def stop(client: IbkrWsClient) -> Any:
    """Shut ibind's client down, with a second try.

    Two of its threads read the close frame, whatever the gateway. If the wrong one is first, it gives up after 5 s,
    says so, and succeeds when it is asked again.
    """
    return client.shutdown() or needed(client.shutdown(), "it did not stop")


def main() -> None:
    asked = job()
    account, conid, stock = asked["account"], str(asked["future"]), str(asked["stock"])
    rest = IbkrClient(account_id=account, url=f"{asked['url']}/v1/api/", cacert=False, timeout=10, max_retries=0)
    rest.receive_brokerage_accounts()
    inbox = Inbox()
    url = f"{asked['url'].replace('https', 'wss')}/v1/api/ws"
    client = IbkrWsClient(account_id=account, url=url, ibkr_client=rest, cacert=False, sink=inbox)
    followed = {
        "MarketDataSubscription": (subs.MarketDataSubscription(conid=conid, fields=FIELDS), events.MarketData),
        "MarketDataSubscription of a stock": (
            subs.MarketDataSubscription(conid=stock, fields=FIELDS),
            events.MarketData,
        ),
        "MarketHistorySubscription": (
            subs.MarketHistorySubscription(conid=conid, period="1h", bar="5min"),
            events.MarketHistory,
        ),
        "PriceLadderSubscription": (
            subs.PriceLadderSubscription(account_id=account, conid=conid),
            events.PriceLadder,
        ),
        "AccountSummarySubscription": (subs.AccountSummarySubscription(account_id=account), events.AccountSummary),
        "AccountLedgerSubscription": (subs.AccountLedgerSubscription(account_id=account), events.AccountLedger),
        "PnlSubscription": (subs.PnlSubscription(), events.Pnl),
        "TradesSubscription": (subs.TradesSubscription(days=1), events.Trades),
        "OrdersSubscription": (subs.OrdersSubscription(), None),
    }

    def refused(_: Exception) -> None:
        return None

    def start() -> Any:
        if not client.start():
            raise TimeoutError("not authenticated")
        return [inbox.next(kind) for kind in (events.System, events.AccountUpdate, events.AuthenticationStatus)]

    attempt("all", "start", start, refused)
    attempt("all", "tic", lambda: needed(client.tic(), "no answer"), refused)
    for name, (subscription, event) in followed.items():
        attempt("all", name, lambda s=subscription, e=event: follow(client, inbox, s, e), refused)
    attempt("all", "hard_reset", lambda: reset(client, inbox, conid), refused)
    attempt("all", "shutdown", lambda: stop(client), refused)
    known = {name for name in subs.__all__ if name.endswith("Subscription")} - {"Subscription"}
    for name in sorted(known - {name.partition(" ")[0] for name in followed}):
        report("all", name, "not called")
    for name in ("IbkrError", "GenericIbkrEvent"):
        while not inbox.of(getattr(events, name)).empty():
            report("all", name, f"unexpected: {inbox.of(getattr(events, name)).get()}")


def reset(client: IbkrWsClient, inbox: Inbox, conid: str) -> Any:
    """Another connection, and what was subscribed before streams again by itself."""
    subscription = subs.MarketDataSubscription(conid=conid, fields=FIELDS)
    if not client.subscribe(subscription).wait(WITHIN_S):
        raise TimeoutError("never confirmed")
    inbox.next(events.MarketData)
    client.hard_reset()
    if not client.is_authenticated():  # as in stop()
        client.hard_reset()
    market = inbox.of(events.MarketData)
    while not market.empty():
        market.get()
    return inbox.next(events.MarketData)


if __name__ == "__main__":
    main()
