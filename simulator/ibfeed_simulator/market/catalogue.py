"""The products that the venue knows. Append only, because a product's position is part of its contracts' conids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ibfeed_simulator.market import calendar

ALL: Final = "FGHJKMNQUVXZ"
QUARTERS: Final = "HMUZ"
_NEW_YORK: Final = "America/New_York"
_ZONES: Final = {
    **dict.fromkeys(("CME", "CBOT", "CFE"), "America/Chicago"),
    "EUREX": "Europe/Berlin",
    "HKFE": "Asia/Hong_Kong",
}


@dataclass(frozen=True)
class Product:
    """A futures product. IB lists several under one root where they have the underlying in common.

    ``tick`` and ``price`` are decimal strings; ``months`` are the codes of its months. ``trading_class`` is the
    exchange's own name for it, if that is not the root. ``weekly``: one contract expires each week, and its class has
    the week's number.
    """

    root: str
    name: str
    exchange: str
    multiplier: str
    tick: str
    price: str
    months: str
    last_trading_day: calendar.Rule
    listed: int = 24
    physical: bool = True
    trading_class: str = ""
    currency: str = "USD"
    weekly: bool = False

    @property
    def timezone(self) -> str:
        return _ZONES.get(self.exchange, _NEW_YORK)


def _index(root: str, name: str, exchange: str, multiplier: str, tick: str, price: str) -> Product:
    return Product(
        root, name, exchange, multiplier, tick, price, QUARTERS, calendar.third_friday, listed=24, physical=False
    )


def _dax(trading_class: str, multiplier: str) -> Product:
    return Product(
        "DAX",
        "DAX 40 Index",
        "EUREX",
        multiplier,
        "1",
        "16740",
        QUARTERS,
        calendar.third_friday,
        listed=9,
        physical=False,
        trading_class=trading_class,
        currency="EUR",
    )


def _vix(listed: int, *, weekly: bool = False) -> Product:
    return Product(
        "VIX",
        "CBOE Volatility Index",
        "CFE",
        "1000",
        "0.05",
        "13.60",
        ALL,
        calendar.volatility,
        listed,
        physical=False,
        trading_class="VX",
        weekly=weekly,
    )


def _euro_in_australian_dollars(exchange: str) -> Product:
    return Product(
        "EAD",
        "Euro in Australian dollars",
        exchange,
        "125000",
        "0.0001",
        "1.6250",
        QUARTERS,
        calendar.currency,
        listed=6,
        currency="AUD",
    )


_PRIOR: Final = calendar.last_business_day_of_prior_month

PRODUCTS: Final[tuple[Product, ...]] = (
    Product("CL", "Light Sweet Crude Oil", "NYMEX", "1000", "0.01", "71.90", ALL, calendar.crude_oil, 72),
    Product("NG", "Henry Hub Natural Gas", "NYMEX", "10000", "0.001", "3.120", ALL, calendar.natural_gas, 72),
    _index("ES", "E-mini S&P 500", "CME", "50", "0.25", "4810.00"),
    _index("MES", "Micro E-Mini S&P 500 Stock Price Index", "CME", "5", "0.25", "4810.00"),
    _index("NQ", "E-mini NASDAQ 100", "CME", "20", "0.25", "17015.00"),
    _index("MNQ", "Micro E-Mini Nasdaq-100 Index", "CME", "2", "0.25", "17015.00"),
    _index("RTY", "E-Mini Russell 2000 Index", "CME", "50", "0.1", "2055.0"),
    _index("YM", "Mini Sized Dow Jones Industrial Average $5", "CBOT", "5", "1", "37750"),
    Product("GC", "Gold", "COMEX", "100", "0.1", "2065.0", "GJMQVZ", calendar.metal),
    Product("MGC", "E-Micro Gold", "COMEX", "10", "0.1", "2065.0", "GJMQVZ", calendar.metal),
    Product("SI", "NYMEX Silver Index", "COMEX", "5000", "0.005", "24.400", "FHKNUZ", calendar.metal),
    Product("HG", "NYMEX Copper Index", "COMEX", "25000", "0.0005", "3.8900", ALL, calendar.metal),
    Product("PL", "NYMEX Platinum Index", "NYMEX", "50", "0.1", "975.0", "FJNV", calendar.metal),
    Product("RB", "NYMEX RBOB Gasoline Index", "NYMEX", "42000", "0.0001", "2.1300", ALL, _PRIOR, 36),
    Product("HO", "NYMEX Heating Oil Index", "NYMEX", "42000", "0.0001", "2.6500", ALL, _PRIOR, 36),
    Product("BZ", "Brent Crude Oil - Last Day", "NYMEX", "1000", "0.01", "77.50", ALL, calendar.brent, 36),
    Product("MCL", "Micro WTI Crude Oil", "NYMEX", "100", "0.01", "71.90", ALL, calendar.crude_oil, 24, False),
    Product("ZC", "Corn Futures", "CBOT", "5000", "0.25", "472.50", "HKNUZ", calendar.grain),
    Product("ZW", "Wheat Futures", "CBOT", "5000", "0.25", "616.25", "HKNUZ", calendar.grain),
    Product("ZS", "Soybean Futures", "CBOT", "5000", "0.25", "1306.25", "FHKNQUX", calendar.grain),
    Product("ZN", "10 Year US Treasury Note", "CBOT", "1000", "0.015625", "112.515625", QUARTERS, calendar.treasury),
    Product("ZB", "30 Year US Treasury Bond", "CBOT", "1000", "0.03125", "123.96875", QUARTERS, calendar.treasury),
    Product(
        "ZF",
        "5 Year US Treasury Note",
        "CBOT",
        "1000",
        "0.0078125",
        "108.3828125",
        QUARTERS,
        calendar.last_business_day,
    ),
    Product("6E", "European Monetary Union Euro", "CME", "125000", "0.00005", "1.10650", QUARTERS, calendar.currency),
    Product("6B", "British pound", "CME", "62500", "0.0001", "1.2700", QUARTERS, calendar.currency),
    Product("6J", "Japanese yen", "CME", "12500000", "0.0000005", "0.0070950", QUARTERS, calendar.currency),
    Product("VX", "CBOE Volatility Index", "CFE", "1000", "0.05", "13.60", ALL, calendar.volatility, 24, False),
    Product("MBT", "Micro Bitcoin", "CME", "0.1", "5", "43250", ALL, calendar.last_friday, 24, False),
    Product("HSI", "Hang Seng Index", "HKFE", "50", "1", "17450", ALL, calendar.hang_seng, 24, False, currency="HKD"),
    # Roots with more than one product, and one with a dot.
    Product(
        "SI",
        "NYMEX Silver Index",
        "COMEX",
        "1000",
        "0.005",
        "24.400",
        "FHKNUZ",
        calendar.metal,
        18,
        trading_class="SIL",
    ),
    _dax("FDAX", "25"),
    _dax("FDXM", "5"),
    _dax("FDXS", "1"),
    _vix(9),
    _vix(5, weekly=True),
    _euro_in_australian_dollars("CME"),
    _euro_in_australian_dollars("ICEUS"),
    Product(
        "HHI.HK",
        "Hang Seng China Enterprises Index",
        "HKFE",
        "50",
        "1",
        "5720",
        ALL,
        calendar.hang_seng,
        12,
        False,
        trading_class="HHI",
        currency="HKD",
    ),
)

BY_ROOT: Final[dict[str, tuple[Product, ...]]] = {
    root: tuple(product for product in PRODUCTS if product.root == root)
    for root in dict.fromkeys(product.root for product in PRODUCTS)
}
