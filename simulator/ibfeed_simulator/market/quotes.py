"""A contract's prices and sizes of the day, as whole ticks and contracts, and the IB fields that show them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ibfeed_simulator.market.contracts import Contract
from ibfeed_simulator.market.forms import PriceForm, rounded, signed, size
from ibfeed_simulator.market.source import Changes

_EXCHANGE_CODES = {
    "NYMEX": "N",
    "COMEX": "C",
    "CME": "M",
    "CBOT": "B",
    "CFE": "F",
    "EUREX": "E",
    "ICEUS": "I",
    "HKFE": "H",
    "NASDAQ": "Q",
    "NYSE": "N",
    "ARCA": "P",
    "MEXI": "X",
}


@dataclass
class Quotes:
    """The state of a contract. It is mutable, because a walk changes a few numbers at each step."""

    contract: Contract
    form: PriceForm
    bid: int
    ask: int
    bid_size: int
    ask_size: int
    last: int
    last_size: int
    volume: int
    open_interest: int
    open: int
    high: int
    low: int
    prior_close: int
    traded: bool = True  # today; until then the last price is the previous close, marked C
    _sent: Changes = field(default_factory=dict)

    def trade(self, price: int, quantity: int) -> None:
        if not self.traded:
            self.open = self.high = self.low = price
            self.traded = True
        self.last, self.last_size = price, quantity
        self.volume += quantity
        self.high, self.low = max(self.high, price), min(self.low, price)

    def new_day(self) -> None:
        """Begin a day after a session break: the last price becomes the previous close, and nothing has traded yet."""
        self.prior_close = self.last
        self.volume = 0
        self.traded = False

    def full(self) -> Changes:
        """Return all fields. They are also the base against which ``changes`` compares."""
        self._sent = self._fields()
        return dict(self._sent)

    def changes(self) -> Changes:
        """Return the fields that differ from the last result of ``full`` or ``changes``."""
        now = self._fields()
        sent = self._sent
        different = {key: value for key, value in now.items() if sent.get(key) != value}
        self._sent = now
        return different

    def _fields(self) -> Changes:
        text = self.form.text
        change = self.last - self.prior_close
        exchange = _EXCHANGE_CODES[self.contract.product.exchange]
        fields: Changes = {
            "31": text(self.last) if self.traded else f"C{text(self.prior_close)}",
            "55": self.contract.product.root,
            "82": signed(self.form, change if self.traded else 0),
            "83": round(100 * change / self.prior_close, 2) if self.traded and self.prior_close else 0.0,
            "84": text(self.bid),
            "85": size(self.ask_size),
            "86": text(self.ask),
            "87": rounded(self.volume),
            "87_raw": float(self.volume),
            "88": size(self.bid_size),
            "7057": exchange,
            "7058": exchange,
            "7068": exchange,
            "7094": f"{self.contract.conid}@{self.contract.product.exchange}",
            "7184": "1",
            "7219": self.contract.symbol,
            "7221": self.contract.product.exchange,
            "7635": text((self.bid + self.ask) // 2),
            "7741": text(self.prior_close),
            "7762": str(self.volume),
            "7768": "1",
        }
        if self.contract.month:  # only futures have one
            fields["7697"] = size(self.open_interest)
        if self.traded:
            fields |= {
                "70": text(self.high),
                "71": text(self.low),
                "7059": size(self.last_size),
                "7295": text(self.open),
                "7296": text(self.prior_close),
            }
        return fields
