"""A seeded random walk: the quotes of a contract for which nothing was recorded."""

from __future__ import annotations

from random import Random
from typing import Final

from ibfeed_simulator.market.contracts import Contract
from ibfeed_simulator.market.forms import PriceForm, size
from ibfeed_simulator.market.quotes import Quotes
from ibfeed_simulator.market.source import Changes, Ladder, Level

LEVELS: Final = 10
SLOWER_PER_MONTH: Final = 1.3  # each month further out is quieter by this factor
_SLOWEST: Final = 20.0  # seconds between updates, at most on average


class Walk:
    """Quotes that start at the product's usual price and move by single ticks.

    ``rank`` 0 is the front month, which changes every ``fastest`` seconds. Each month behind it changes ``slower``
    times less often (1: all alike). The same seed, contract and number of steps give the same quotes.
    """

    def __init__(
        self, contract: Contract, seed: int, rank: int, fastest: float, now: float, slower: float = SLOWER_PER_MONTH
    ) -> None:
        self._random = Random(f"{seed}:{contract.conid}")  # noqa: S311 - a market, not a secret
        self._fastest = fastest
        self._mean = min(fastest * slower**rank, max(_SLOWEST, fastest))
        form = PriceForm.of(contract.product.tick)
        quiet = 1.15**rank
        middle = max(20, form.ticks(contract.product.price) + self._random.randint(-5, 5) - 3 * rank)
        day = self._random.randint(5, 40)
        self._quotes = Quotes(
            contract=contract,
            form=form,
            bid=middle,
            ask=middle + 1 + min(rank // 3, 8),
            bid_size=self._depth(quiet),
            ask_size=self._depth(quiet),
            last=middle,
            last_size=self._random.randint(1, 12),
            volume=int(self._random.randint(20_000, 400_000) / quiet**2),
            open_interest=int(self._random.randint(40_000, 350_000) / quiet),
            open=middle - day // 2,
            high=middle + day,
            low=max(1, middle - day),
            prior_close=max(1, middle - self._random.randint(-30, 30)),
        )
        self._quiet = quiet
        # Contracts do not move together: each has its own phase on the 500 ms grid.
        self._due = now + self._random.random() * fastest
        self._quotes.full()

    def full(self) -> Changes:
        return self._quotes.full()

    def due(self) -> float:
        return self._due

    def advance(self, now: float) -> Changes:
        if now < self._due:
            return {}
        changes: Changes = {}
        while not changes:  # a step may lead back to the same values
            self._step()
            changes = self._quotes.changes()
        wait = self._fastest
        if self._mean > self._fastest:
            wait += self._random.expovariate(1 / (self._mean - self._fastest))
        # A contract that was not watched for a while does not catch up.
        self._due = max(self._due + wait, now + wait / 2)
        return changes

    def new_day(self) -> None:
        self._quotes.new_day()

    def last(self) -> str:
        return self._quotes.form.text(self._quotes.last)

    def ladder(self) -> Ladder:
        quotes, text = self._quotes, self._quotes.form.text
        # Sizes behind the best level follow from the price. So a level keeps its size while the market moves.
        asks = [(quotes.ask + depth, self._behind(quotes.ask + depth)) for depth in range(LEVELS)]
        bids = [(quotes.bid - depth, self._behind(quotes.bid - depth)) for depth in range(LEVELS)]
        asks[0], bids[0] = (quotes.ask, quotes.ask_size), (quotes.bid, quotes.bid_size)
        rows: list[Level] = []
        for price, quantity in reversed(asks):
            rows.append(self._row(price, text(price), ask=size(quantity)))
        for price, quantity in bids:
            rows.append(self._row(price, text(price), bid=size(quantity)))
        return tuple(rows)

    def _row(self, price: int, text: str, bid: str | None = None, ask: str | None = None) -> Level:
        if price == self._quotes.last:
            return Level(f"{size(self._quotes.last_size)} @ {text}", bid, ask, focus=True)
        return Level(text, bid, ask)

    def _behind(self, price: int) -> int:
        return 1 + (price * 2_654_435_761 % 997) % max(2, int(400 / self._quiet))

    def _depth(self, quiet: float) -> int:
        return 1 + int(self._random.expovariate(1 / (300 / quiet)))

    def _step(self) -> None:
        random, quotes = self._random, self._quotes
        roll = random.random()
        if roll < 0.45:  # a trade at the best price, which takes from its size
            at_ask = random.random() < 0.5
            quantity = 1 + int(random.expovariate(1 / 6))
            quotes.trade(quotes.ask if at_ask else quotes.bid, quantity)
            if at_ask:
                quotes.ask_size = max(1, quotes.ask_size - quantity)
            else:
                quotes.bid_size = max(1, quotes.bid_size - quantity)
        elif roll < 0.70:  # the market moves a tick
            step = 1 if random.random() < 0.5 else -1
            if quotes.bid + step > 1:
                quotes.bid += step
                quotes.ask += step
            quotes.bid_size, quotes.ask_size = self._depth(self._quiet), self._depth(self._quiet)
        elif roll < 0.85:
            quotes.bid_size = self._depth(self._quiet)
        elif roll < 0.995:
            quotes.ask_size = self._depth(self._quiet)
        else:
            quotes.open_interest = max(0, quotes.open_interest + random.randint(-200, 200))
