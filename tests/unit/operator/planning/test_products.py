"""Roots under which IB lists several products: what is streamed, what is refused, and what it is all called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
import yaml

from ibfeed_api.calls import ResolvedContract, ResolvedProduct
from ibfeed_api.feed import Depth, Root
from ibfeed_api.instrument import LONGEST_SYMBOL, Product, multiplier_text
from ibfeed_api.symbology import prefix, symbol
from ibfeed_operator.model.types import Contract, RootProblemKind, Universe
from ibfeed_operator.planning.symbols import named
from ibfeed_operator.planning.universe import Answer, merge, telling
from support.build import feed

TODAY = "20270115"
MONTHS = [f"2027{month:02d}" for month in range(1, 13)]
SI, SIL = Product("COMEX", "SI", "5000", "USD"), Product("COMEX", "SIL", "1000", "USD")
CME, ICE = Product("CME", "EAD", "125000", "AUD"), Product("ICEUS", "EAD", "125000", "AUD")
VX, VX07 = Product("CFE", "VX", "1000", "USD"), Product("CFE", "VX07", "1000", "USD")


def contract(
    conid: int, product: Product, month: str, *, root: str = "SI", day: str = "", called: str = "", slot: int = 0
) -> Contract:
    return Contract(
        conid=conid,
        root=root,
        symbol=called or symbol(prefix(root, product.trading_class), month),
        exchange=product.exchange,
        trading_class=product.trading_class,
        multiplier=product.multiplier,
        currency=product.currency,
        contract_month=month,
        last_trading_day=day or f"{month}20",
        slot=slot,
    )


def chain(product: Product, first: int, count: int, root: str = "SI") -> list[Contract]:
    return [contract(first + place, product, month, root=root) for place, month in enumerate(MONTHS[:count])]


def answer(*contracts: Contract, months: int = 3, label: str = "SI", **more: Any) -> Answer:
    products: dict[Product, list[Contract]] = {}
    for one in contracts:
        products.setdefault(one.product, []).append(one)
    return Answer(
        root=label,
        months=months,
        contracts=tuple(
            ResolvedContract(
                conid=one.conid,
                root=one.root,
                symbol=one.symbol,
                contract_month=one.contract_month,
                last_trading_day=one.last_trading_day,
                **one.product._asdict(),
            )
            for one in sorted(contracts, key=lambda one: (one.last_trading_day, one.conid))
        ),
        products=tuple(ResolvedProduct(*product, len(mine), mine[0].symbol) for product, mine in products.items()),
        **more,
    )


def known(contracts: Iterable[Contract]) -> dict[int, Contract]:
    return {one.conid: msgspec.structs.replace(one, slot=place) for place, one in enumerate(contracts)}


def universe(
    *roots: Root, has: Iterable[Contract] = (), answers: Iterable[Answer] = (), today: str = TODAY, months: int = 3
) -> Universe:
    spec = feed(roots=roots or (Root(symbol="SI"),), front_months=months).spec
    return merge(spec, known(has), {one.root: one for one in answers}, today=today)


def symbols(found: Universe) -> list[str]:
    return [one.symbol for one in found.contracts]


BOTH = answer(*chain(SI, 100, 3), *chain(SIL, 200, 3))


class TestAmbiguous:
    def test_a_new_root_with_two_products_is_refused_with_the_lines(self) -> None:
        found = universe(answers=[BOTH])
        assert found.contracts == ()
        assert found.resolved  # there is nothing to wait for
        (problem,) = found.problems
        assert (problem.root, problem.kind) == ("SI", RootProblemKind.AMBIGUOUS)
        assert problem.message == (
            "IB lists 2 products of SI: COMEX SI 5000 USD (3 months, SIF7), COMEX SIL 1000 USD (3 months, SILF7)."
            ' Write into spec.roots which one: {symbol: "SI", tradingClass: "SI"} or'
            ' {symbol: "SI", tradingClass: "SIL"}; until then nothing of it is streamed'
        )

    def test_other_roots_stream_on(self) -> None:
        cl = chain(Product("NYMEX", "CL", "1000", "USD"), 300, 3, "CL")
        found = universe(Root(symbol="SI"), Root(symbol="CL"), answers=[BOTH, answer(*cl, label="CL")])
        assert symbols(found) == ["CLF7", "CLG7", "CLH7"]

    def test_the_lines_are_yaml_that_names_each_product(self) -> None:
        odd = [Product("Y", "N", "5"), Product("Y", "1E5", "5"), Product("Y", "NO", "0.1")]
        listed = [one for place, product in enumerate(odd) for one in chain(product, 100 * place + 1, 1, "ON")]
        (problem,) = universe(Root(symbol="ON"), answers=[answer(*listed, label="ON")]).problems
        lines = problem.message.split("which one: ")[1].split("; until")[0].split(" or ")
        roots = [msgspec.convert(yaml.safe_load(line), Root) for line in lines]
        assert [root.product.trading_class for root in roots] == ["N", "1E5", "NO"]

    def test_many_products_fit_a_condition(self) -> None:
        weekly = [Product("CFE", f"VX{week:02d}", "1000", "USD") for week in range(30)]
        listed = [one for place, product in enumerate(weekly) for one in chain(product, 100 * place + 1, 1, "VIX")]
        (problem,) = universe(Root(symbol="VIX"), answers=[answer(*listed, label="VIX")]).problems
        assert "and 26 more" in problem.message
        assert len(problem.message) < 900

    def test_a_running_root_keeps_the_product_it_has(self) -> None:
        found = universe(has=chain(SI, 100, 3), answers=[BOTH])
        assert symbols(found) == ["SIF7", "SIG7", "SIH7"]
        (problem,) = found.problems
        assert problem.kind is RootProblemKind.AMBIGUOUS
        assert problem.message.endswith("; until then COMEX SI 5000 USD goes on as before")

    def test_and_its_next_month_enters_when_one_expires(self) -> None:
        later = answer(*chain(SI, 100, 5)[1:], *chain(SIL, 200, 5)[1:])
        found = universe(has=chain(SI, 100, 3), answers=[later], today="20270121")
        assert symbols(found) == ["SIG7", "SIH7", "SIJ7"]

    def test_a_restarted_operator_asks_nothing_that_moves_a_contract(self) -> None:
        both = [*chain(SI, 100, 3), *chain(SIL, 200, 3)]
        assert len(universe(has=both).contracts) == 6

    def test_a_month_that_is_missing_is_told_by_its_own_product(self) -> None:
        """The weeklies end in January; the monthly contract of February is missing all the same."""
        weekly = [contract(200 + day, SIL, "202701", day=f"202701{day}") for day in (16, 23, 30)]
        months = chain(SI, 100, 4)
        found = universe(has=[*months[:3], *weekly], answers=[answer(months[0], *months[2:], *weekly)])
        assert [problem.kind for problem in found.problems] == [RootProblemKind.SHRANK]
        assert "lacks SIG7, which" in found.problems[0].message
        assert {one.conid for one in found.contracts} == {100, 101, 102, 216, 223, 230}

    def test_what_two_products_were_mixed_of_goes_on_and_is_told_apart(self) -> None:
        """A feed of before products were told apart: three nearest contracts of either, under one name."""
        mixed = [
            contract(conid, Product("COMEX"), month, called=symbol("SI", month))
            for conid, month in ((100, "202701"), (200, "202701"), (101, "202702"))
        ]
        assert symbols(universe(has=mixed)) == ["SIF7", "SIF7", "SIG7"]
        found = universe(has=mixed, answers=[BOTH])
        assert {one.conid: one.symbol for one in found.contracts} == {
            100: "SIF7", 200: "SILF7", 101: "SIG7", 201: "SILG7", 102: "SIH7", 202: "SILH7"
        }  # fmt: skip
        assert found.problems[0].kind is RootProblemKind.AMBIGUOUS

    def test_and_what_is_not_asked_for_any_more_leaves(self) -> None:
        mixed = [
            contract(conid, Product("COMEX"), month, called=symbol("SI", month))
            for conid, month in ((100, "202701"), (200, "202701"), (101, "202702"))
        ]
        root = Root(symbol="SI", trading_class="SI")
        found = universe(root, has=mixed, answers=[answer(*chain(SI, 100, 3), label=root.label)])
        assert symbols(found) == ["SIF7", "SIG7", "SIH7"]
        assert found.problems == ()

    def test_a_product_that_is_gone_from_the_answer_is_not_replaced(self) -> None:
        found = universe(has=chain(SI, 100, 3), answers=[answer(*chain(SIL, 200, 3))])
        assert symbols(found) == ["SIF7", "SIG7", "SIH7"]
        assert found.problems[0].kind is RootProblemKind.SHRANK


class TestAskedFor:
    @pytest.mark.parametrize(
        "root",
        [
            Root(symbol="SI", trading_class="SIL"),
            Root(symbol="SI", multiplier=1000),
            Root(symbol="SI", multiplier="1000.0"),
            Root(symbol="SI", exchange="COMEX", multiplier="1,000", currency="USD"),
        ],
        ids=lambda root: root.label,
    )
    def test_one_product_by_any_of_its_words(self, root: Root) -> None:
        found = universe(root, answers=[answer(*chain(SIL, 200, 3), label=root.label)])
        assert symbols(found) == ["SILF7", "SILG7", "SILH7"]
        assert found.problems == ()

    def test_front_months_count_for_each(self) -> None:
        big, small = Root(symbol="SI", trading_class="SI", front_months=1), Root(symbol="SI", trading_class="SIL")
        found = universe(
            big,
            small,
            answers=[answer(*chain(SI, 100, 3), label=big.label), answer(*chain(SIL, 200, 3), label=small.label)],
        )
        assert symbols(found) == ["SIF7", "SILF7", "SILG7", "SILH7"]
        assert len({one.slot for one in found.contracts}) == 4

    def test_each_known_contract_is_of_the_root_that_asks_for_most(self) -> None:
        roots = Root(symbol="SI"), Root(symbol="SI", trading_class="SIL")
        found = universe(*roots, has=chain(SIL, 200, 3), answers=[BOTH])
        assert [problem.root for problem in found.problems] == ["SI"]
        assert symbols(found) == ["SILF7", "SILG7", "SILH7"]

    def test_two_filters_for_one_product_stream_it_once(self) -> None:
        deep = Root(symbol="SI", multiplier=5000, front_months=1, depth=Depth())
        wide = Root(symbol="SI", trading_class="SI")
        listed = chain(SI, 100, 3)
        found = universe(deep, wide, answers=[answer(*listed, label=deep.label), answer(*listed, label=wide.label)])
        assert symbols(found) == ["SIF7", "SIG7", "SIH7"]
        assert [one.depth for one in found.contracts] == [True, False, False]

    def test_nothing_fits_and_what_there_is_is_named(self) -> None:
        root = Root(symbol="SI", exchange="NYMEX")
        found = universe(root, answers=[Answer(root=root.label, months=3, products=BOTH.products)])
        (problem,) = found.problems
        assert problem.kind is RootProblemKind.UNKNOWN
        assert problem.message.startswith(
            "IB lists nothing of SI (exchange NYMEX), but COMEX SI 5000 USD (3 months, SIF7), COMEX SIL 1000 USD"
        )
        assert '{symbol: "SI", tradingClass: "SIL"}' in problem.message
        assert found.resolved

    def test_a_worker_of_an_earlier_version_does_not_mix_products_in(self) -> None:
        root = Root(symbol="SI", trading_class="SIL")
        plain = [contract(100, Product("COMEX"), "202701"), contract(200, Product("COMEX"), "202701")]
        told = answer(*plain, label=root.label)
        found = universe(root, answers=[Answer(root=root.label, months=3, contracts=told.contracts)])
        assert found.contracts == ()
        assert found.problems[0].kind is RootProblemKind.FAILED

    def test_an_unusable_month_is_named_and_the_others_stream(self) -> None:
        told = answer(*chain(SI, 100, 3), unusable=("contract 7 of SI, which expires on 2027-02-20: no month",))
        found = universe(answers=[told])
        assert len(found.contracts) == 3
        (problem,) = found.problems
        assert problem.kind is RootProblemKind.UNUSABLE
        assert "contract 7 of SI, which expires on 2027-02-20: no month: left out of SI" in problem.message


@pytest.mark.parametrize(
    ("product", "others", "expected"),
    [
        (SIL, [SI, SIL], Product(trading_class="SIL")),
        (CME, [CME, ICE], Product(exchange="CME")),
        (Product("E", "X", "5"), [Product("E", "X", "5"), Product("E", "X", "1")], Product(multiplier="5")),
        (
            Product("E", "X", "5", "EUR"),
            [Product("E", "X", "5", "EUR"), Product("E", "X", "5", "USD")],
            Product(currency="EUR"),
        ),
        (
            Product("E", "X", "5"),
            [Product("E", "X", "5"), Product("E", "X", "1"), Product("F", "X", "5")],
            Product("E", "", "5"),
        ),
        (Product("E", "", "5"), [Product("E", "", "5"), Product("E", "X", "5")], Product("E", "", "5")),
    ],
)  # fmt: skip
def test_the_fewest_words_tell_a_product(product: Product, others: list[Product], expected: Product) -> None:
    assert telling(product, others) == expected


class TestSymbols:
    def test_a_class_names_its_product_whoever_else_is_there(self) -> None:
        alone = named(chain(SIL, 200, 2), {})
        beside = named([*chain(SI, 100, 2), *chain(SIL, 200, 2)], {})
        assert [one.symbol for one in alone] == [one.symbol for one in beside[2:]] == ["SILF7", "SILG7"]

    def test_one_class_at_two_exchanges(self) -> None:
        found = named([*chain(CME, 1, 2, "EAD"), *chain(ICE, 11, 3, "EAD")], {})
        assert [one.symbol for one in found] == ["EADF7", "EADG7", "EADF7.ICEUS", "EADG7.ICEUS", "EADH7.ICEUS"]

    def test_who_is_there_already_keeps_its_name(self) -> None:
        """Whatever the order in the spec, and for its next months, too."""
        there = known(chain(ICE, 11, 2, "EAD"))
        found = named([*chain(CME, 1, 3, "EAD"), *chain(ICE, 11, 3, "EAD")], there)
        assert [one.symbol for one in found[3:]] == ["EADF7", "EADG7", "EADH7"]
        assert [one.symbol for one in found[:3]] == ["EADF7.CME", "EADG7.CME", "EADH7.CME"]

    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            (Product("E", "X", "5", "EUR"), "XF7.5"),
            (Product("E", "X", "25", "USD"), "XF7.USD"),
            (Product("F", "X", "5", "USD"), "XF7.F"),
            (Product("E", "X", "1", "USD"), "XF7.USD"),
            (Product("E", "X", "", ""), "XF7.E.X.R"),
        ],
    )
    def test_what_differs_is_added(self, other: Product, expected: str) -> None:
        taken = [contract(n, Product("E", "X", word, "EUR"), "202701", root="R") for n, word in ((1, "25"), (2, "1"))]
        names = [one.symbol for one in named([*taken, contract(3, other, "202701", root="R")], {})]
        assert names == ["XF7", "XF7.1", expected]

    def test_a_class_that_is_anothers_root(self) -> None:
        other = Product("SMFE", "SIL", "100", "USD")
        found = named([contract(1, SIL, "202701"), contract(2, other, "202701", root="SIL")], {})
        assert [one.symbol for one in found] == ["SILF7", "SILF7.SMFE"]

    def test_weeklies_of_one_class_have_the_day(self) -> None:
        weekly = [contract(n, VX, "202701", root="VIX", day=f"202701{7 * n:02d}") for n in (1, 2, 3)]
        found = named([*weekly, contract(9, VX, "202702", root="VIX")], {})
        assert [one.symbol for one in found] == ["VXF7-07", "VXF7-14", "VXF7-21", "VXG7"]

    def test_weeklies_with_a_class_of_their_own_need_none(self) -> None:
        found = named([contract(1, VX, "202702", root="VIX"), contract(2, VX07, "202702", root="VIX")], {})
        assert [one.symbol for one in found] == ["VXG7", "VX07G7"]

    def test_ten_years_apart_the_further_one_has_two_digits(self) -> None:
        near, far = contract(1, SI, "202712"), contract(2, SI, "203712")
        assert [one.symbol for one in named([near, far], {})] == ["SIZ7", "SIZ37"]
        later = named([far], known([contract(2, SI, "203712", called="SIZ37")]))
        assert later[0].symbol == "SIZ37"  # for life

    def test_nothing_is_called_like_another_whatever_there_is(self) -> None:
        same = [contract(conid, SI, "202701", day="20270120") for conid in range(1, 5)]
        names = [one.symbol for one in named(same, {})]
        assert len(set(names)) == 4

    def test_no_name_is_longer_than_an_object_can_hold(self) -> None:
        long = [Product("E" * 16, "X" * 12, "1" * 16, "C" * 8)._replace(exchange=letter * 16) for letter in "EFEF"]
        of = [contract(n, product, "202701", root="R" * 12, day=f"2027011{n}") for n, product in enumerate(long)]
        names = [one.symbol for one in named(of, {})]
        assert len(set(names)) == 4
        assert max(map(len, names)) <= LONGEST_SYMBOL

    def test_an_old_name_stays_for_life(self) -> None:
        """Before, symbols were made of the root."""
        euro = Product("CME", "6E", "125000", "USD")
        old = known([contract(1, Product("CME"), "202703", root="EUR", called="EURH7")])
        found = named([contract(1, euro, "202703", root="EUR"), contract(2, euro, "202706", root="EUR")], old)
        assert [one.symbol for one in found] == ["EURH7", "6EM7"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5000, "5000"), ("5000", "5000"), ("5000.0", "5000"), ("1,000", "1000"), (0.1, "0.1"), ("0.20", "0.2"),
        ("1e3", "1000"), (0, ""), (-5, ""), (None, ""), ("", ""), ("many", ""), ("nan", ""), (True, ""), ("1e99", ""),
        ("101.7313", "101.7313"),
    ],
)  # fmt: skip
def test_multipliers_in_one_form(value: object, text: str) -> None:
    assert multiplier_text(value) == text
