"""SQL that makes the columns of a category row of a record, as ``rows.to_rows`` of the platform does in Python.

Kafka's tables read every number as text, so that its digits can be counted. Below, ``told`` is the column with the text
of a key: ``json_price`` for the key ``price``. It is null if the record has no value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ibfeed.clickhouse import sql
from ibfeed.clickhouse.categories import Category, Field

SCALE: Final = 18  # digits after the point of a stored decimal
CURRENCY: Final = "{currency}"
UNKNOWN_UNIT: Final = "unknown"
PREFIX: Final = "json_"  # a column must not be called as an alias of the same SELECT: ClickHouse takes the alias
LEVEL_PARTS: Final = ("side", "level", "price", "size")

_NOT_LIVE: Final = ("delayed", "frozen", "not_subscribed", "unverified")
# The words of each topic's states, and when a field has them. {told} is the field's text, {name} its name. A word that
# a field may not have is never asked for. ``states.py`` of the platform has the same rules in Python.
_PRESENCE: Final = {"present": "isNotNull({told})", "missing": "isNull({told})"}
_LATE: Final = f"hasAny(json_flags, {sql.texts(_NOT_LIVE)})"
_REAL_TIME: Final = "startsWith(ifNull(json_market_data_type, ''), 'R')"
_FLAG: Final = "isNotNull({told}) AND has(json_flags, '%s')"
_TICK: Final = _PRESENCE | {
    "live": f"isNotNull({{told}}) AND NOT {_LATE} AND {_REAL_TIME}",
    "delayed": _FLAG % "delayed",
    "frozen": _FLAG % "frozen",
    "not_subscribed": _FLAG % "not_subscribed",
    "unverified": f"isNotNull({{told}}) AND (has(json_flags, 'unverified') OR NOT ({_LATE} OR {_REAL_TIME}))",
    "previous_close": _FLAG % "previous_close",
    "halted": _FLAG % "halted",
    "snapshot": _FLAG % "snapshot",
    "changed": "has(json_flags, '{name}')",
}
_BOOK: Final = _PRESENCE | {
    "rank": "isNotNull({told}) AND json_kind = 'snapshot'",
    "place": "isNotNull({told}) AND json_kind != 'snapshot'",
    "removed": "json_kind = 'delta' AND ifNull(toDecimal128OrNull({told}, 18) = 0, 0)",
    "cleared": "json_kind = 'clear'",
    "crossed": "has(json_flags, 'crossed')",
    "incomplete": "has(json_flags, 'incomplete')",
    "stale": "has(json_flags, 'stale')",
}
_EVENT: Final = _PRESENCE | {"unknown": "isNull({told}) AND json_kind = 'gap'"}
_WORDS: Final = {"market_tick": _TICK, "order_book": _BOOK, "feed_event": _EVENT, "contract": _PRESENCE}


def told(category: Category, field: Field) -> str | None:
    """Return the column that has the text of a field; None if it is the same in all records."""
    if field.name in category.stream.constants:
        return None
    if field.name in category.stream.key_of:
        return PREFIX + category.stream.key_of[field.name]
    return PREFIX + field.name  # a part of a level, or its number


@dataclass(frozen=True)
class ColumnSql:
    """A column of a category row, and the SQL that makes it.

    Args:
        fixed: whether it is the same in all rows.
    """

    name: str
    sql: str
    fixed: bool


def columns(category: Category) -> Iterator[ColumnSql]:
    """Return the columns of a category row."""
    for field in category.fields:
        source = told(category, field)
        value, dtype, unit, state = (column.name for column in field.columns)
        constant = category.stream.constants.get(field.name, "")
        # A value that is the same in all rows is stored nevertheless, because tables are sorted by it.
        yield ColumnSql(value, _value(field, source) if source else sql.text(constant), fixed=False)
        yield ColumnSql(dtype, _dtype(field, source), fixed=field.dtype != "decimal")
        yield ColumnSql(unit, _unit(category, field), fixed=field.unit != CURRENCY or not _knows_currency(category))
        yield ColumnSql(state, _state(category, field, source), fixed=len(field.states) == 1)


def problem(category: Category) -> str:
    """Return SQL that says why a record cannot be stored; an empty text if it can."""
    cases: list[tuple[str, str]] = []
    for field in category.fields:
        key = category.stream.key_of.get(field.name)
        if key is not None:
            cases += _cases(field, PREFIX + key, key)
    if category.stream.levels:
        bad = " OR ".join(f"{_bad_decimal(f'one.{part}')} OR isNull(one.{part})" for part in ("price", "size"))
        levels = f"arrayExists(one -> isNotNull(one.side) AND ({bad}), json_levels)"
        cases.append((levels, sql.text("a level is no [price, size] of decimals")))
    return f"multiIf({', '.join(f'{when}, {text}' for when, text in cases)}, '')"


def _value(field: Field, source: str) -> str:
    converted = {
        "string": source,
        "int64": f"toInt64OrNull({source})",
        "decimal": f"toDecimal128OrNull({source}, {SCALE})",
        "list<string>": source,
        "list<span>": f"JSONExtract(ifNull({source}, '[]'), 'Array(Tuple(Int64, Int64))')",
    }[field.dtype]
    return converted if field.nullable or _is_list(field) else f"assumeNotNull({converted})"


def _dtype(field: Field, source: str | None) -> str:
    if field.dtype != "decimal" or source is None:
        return sql.text(field.dtype)
    scale = f"toString(greatest(0, {_digits(source)}))"
    return f"if(isNull({source}), 'decimal', concat('decimal(', {scale}, ')'))"


def _unit(category: Category, field: Field) -> str:
    """Return the unit. The contract's currency is put in where rows are read, except into the contract itself."""
    if field.unit == CURRENCY and _knows_currency(category):
        return f"ifNull({PREFIX}currency, {sql.text(UNKNOWN_UNIT)})"
    return sql.text(field.unit)


def _state(category: Category, field: Field, source: str | None) -> str:
    if len(field.states) == 1:
        return sql.text(field.states[0])
    when = {
        word: _WORDS[category.name][word].replace("{told}", source or "''").replace("{name}", field.name)
        for word in field.states
    }
    words = ", ".join(f"if({condition}, {sql.text(word)}, '')" for word, condition in when.items())
    return f"arrayStringConcat(arrayFilter(word -> word != '', [{words}]), '+')"


def _knows_currency(category: Category) -> bool:
    return CURRENCY.strip("{}") in category.stream.key_of


def _is_list(field: Field) -> bool:
    return field.dtype.startswith("list")


def _digits(source: str, fraction: str = "{}") -> str:
    """Return SQL for the digits after the point, less those that an exponent moves in front of it."""
    digits = fraction.format(f"extract(ifNull({source}, ''), '[.]([0-9]+)')")
    return f"length({digits}) - ifNull(toInt64OrZero(extract(ifNull({source}, ''), '[eE]([-+]?[0-9]+)')), 0)"


def _bad_decimal(source: str) -> str:
    """Return whether a text is no decimal of 38 digits, 18 of them after the point. Zeros at the end do not count."""
    needed = _digits(source, "replaceRegexpOne({}, '0+$', '')")
    return f"(isNotNull({source}) AND (isNull(toDecimal128OrNull({source}, {SCALE})) OR {needed} > {SCALE}))"


def _cases(field: Field, source: str, key: str) -> Iterator[tuple[str, str]]:
    """Return conditions under which a value cannot be stored, each with SQL of a text."""
    if not field.nullable and not _is_list(field):
        yield f"isNull({source})", sql.text(f"{key} has no value")
    shown = f"ifNull({source}, '')"
    match field.dtype:
        case "decimal":
            cause = f"{key} is no decimal of 38 digits, {SCALE} after the point: "
            yield _bad_decimal(source), f"concat({sql.text(cause)}, {shown})"
        case "int64":
            bad = f"isNotNull({source}) AND isNull(toInt64OrNull({source}))"
            yield bad, f"concat({sql.text(f'{key} is no whole number of 64 bits: ')}, {shown})"
        case "list<span>":
            span = r"\\s*\\[\\s*-?[0-9]+\\s*,\\s*-?[0-9]+\\s*\\]\\s*"
            whole = f"match({shown}, '^\\\\[({span}(,{span})*)?\\\\]$')"
            fits = f"arrayAll(one -> isNotNull(toInt64OrNull(one)), extractAll({shown}, '-?[0-9]+'))"
            yield f"isNotNull({source}) AND NOT ({whole} AND {fits})", sql.text(f"{key} is no list of spans")
