"""Gives the contracts of a feed unique symbols. Pure.

A symbol is made of the trading class, the month code and the last digit of the year (``ibfeed_api.symbology``). So it
follows from the contract alone and stays as it is when other products join the feed.

In rare cases two contracts of a feed would have the same symbol. Then the older contract keeps its symbol for life, and

- contracts of one product in one month (weeklies without a class of their own) get the day added: ``VXZ6-09``;
- the further one of two that are ten years apart gets two digits of the year: ``SR3Z36``;
- of two products with one trading class, the later one gets a distinguishing word added: ``EADZ6.ICEUS``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from ibfeed_api.instrument import LONGEST_SYMBOL, Product
from ibfeed_api.symbology import is_month, prefix, symbol
from ibfeed_operator.model.types import Contract

_Key = tuple[str, Product]  # root and product
_DIFFERENCES: Final = (0, 2, 3)  # places in Product: exchange, multiplier, currency


def named(contracts: Sequence[Contract], known: Mapping[int, Contract]) -> list[Contract]:
    """Return the contracts with unique symbols, in the spec's order. ``known``: the feed's former ones, by conid."""
    kept = _kept(contracts, known)
    taken = set(kept.values())
    added = _additions(contracts, known)
    crowd = Counter((contract.root, contract.product, contract.contract_month) for contract in contracts)
    result = []
    for contract in contracts:
        mine = kept.get(contract.conid)
        if mine is None:
            crowded = crowd[contract.root, contract.product, contract.contract_month] > 1
            candidates = _candidates(contract, added[contract.root, contract.product], crowded=crowded)
            mine = next(one for one in candidates if one not in taken and len(one) <= LONGEST_SYMBOL)
            taken.add(mine)
        result.append(contract if contract.symbol == mine else replace(contract, symbol=mine))
    return result


def _kept(contracts: Iterable[Contract], known: Mapping[int, Contract]) -> dict[int, str]:
    """Return the symbols that contracts keep for life, by conid.

    Before products were told apart, a feed may have given one symbol to two contracts. It stays with the contract whose
    own symbol it is, once that is known. Until then no contract is renamed.
    """
    remembered = {contract.conid: known[contract.conid].symbol for contract in contracts if contract.conid in known}
    count = Counter(remembered.values())
    return {
        contract.conid: mine
        for contract in contracts
        if (mine := remembered.get(contract.conid)) is not None
        and (count[mine] == 1 or mine == contract.symbol or not contract.trading_class)
    }


def _additions(contracts: Sequence[Contract], known: Mapping[int, Contract]) -> dict[_Key, str]:
    """Return the suffix of each product's symbols. It is empty for the first product with its trading class."""
    first = sorted(contracts, key=lambda contract: contract.conid not in known)  # known contracts keep their symbols
    added: dict[_Key, str] = {}
    alike: dict[str, list[_Key]] = {}
    for root, product in dict.fromkeys((contract.root, contract.product) for contract in first):
        others = alike.setdefault(prefix(root, product.trading_class), [])
        added[root, product] = f".{_difference(root, product, others)}" if others else ""
        others.append((root, product))
    return added


def _difference(root: str, product: Product, others: Sequence[_Key]) -> str:
    """Return the first word that none of the others has, or all words if there is none."""
    for place in _DIFFERENCES:
        if product[place] and all(other[place] != product[place] for _, other in others):
            return product[place]
    if all(other != root for other, _ in others):
        return root
    return ".".join((*(word for word in product if word), root))


def _candidates(contract: Contract, added: str, *, crowded: bool) -> Iterator[str]:
    day = f"-{contract.last_trading_day[6:]}" if crowded else ""
    yield f"{contract.symbol}{day}{added}"
    if is_month(contract.contract_month):
        long = symbol(prefix(contract.root, contract.trading_class), contract.contract_month, digits=2)
        yield f"{long}{day}{added}"
    yield f"{contract.symbol}.{contract.conid}"
