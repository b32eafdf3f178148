"""Random rules with every operator, and random records that nearly match them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import combinations
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from assigner.matching.rule_book import NO_PARENT, Rule, RuleBook
from territory.criteria import OPERATORS, Criterion, Fields, Lists, parse
from territory.criteria.values import FieldType, read_fields, read_value
from territory.model.periods import FiscalCalendar

Document = dict[str, Any]

TYPES: dict[str, FieldType] = {
    "country": "text", "zip": "text", "revenue": "number", "price": "money", "founded": "date", "signed": "datetime",
    "is_partner": "boolean", "tags": "set", "spot": "geo",
}  # fmt: skip
TABLES = {
    "zips": ["94105", "9", " 80000", "AB 1", "1012", "10 12AB", "abc 12 Avenue"],
    "countries": ["us", "ZÜRICH", "ﬁ"],
    "none": [],
}
TODAY = date(2016, 2, 29)
CALENDAR = FiscalCalendar("quarter", fiscal_year_start=4, zone=ZoneInfo("Europe/Berlin"))

_TEXTS = ("US", "us ", "U", "CA", "Zürich", "zurich", "ZU\u0308RICH", "ﬁ", "fi", "fin", 'a"b\\c', "日本", "\U0001f600")
_CODES = (
    "9",
    "80000",
    "94105",
    "94106",
    "9410",
    "94-105",
    "AB 1",
    "ab 2",
    "９",
    "94105-1234",
    "94105 12",
    "ab1",
    "1012 AB",
    "1012ab",
    "101-2ab",
    "10 12",
    "abc 12 avenue",
    "80 000",
    "1012 ab-9",
)
_NUMBERS = (-5, 0, 1, 2, 9, 80_000, 1.5, "1.5", "9", 0.1, "0.1", "0.10", "-0.0", 4, 5)
_AMOUNTS = (*_NUMBERS, "0.100000000001", 10**29, -(10**29), "79999.999999999999")
_DAYS = (
    "2016-02-29", "2016-02-28", "2016-03-01", "2016-01-01", "2015-12-31", "2016-03-31", "2016-04-01", "2015-03-31",
    "2015-04-01", "2017-02-28", "0001-01-01", "9999-12-31", "2016-02-22", "2016-03-07", "2016-01-31", "2016-02-01",
)  # fmt: skip
_INSTANTS = (
    *_DAYS, "2016-02-28T22:59:59.999999Z", "2016-02-28T23:00:00Z", "2016-02-29T22:59:59Z", "2016-02-29T23:00:00Z",
    "2016-02-29T23:00:00+05:00", "2016-03-31T21:59:59Z", "2016-03-31T22:00:00Z",
)  # fmt: skip
_TAGS = ("a", "B ", "b", "c", "ä")
_PLACES = (
    {"lat": 0, "lon": 0}, {"lat": 10, "lon": 5}, {"lat": 5, "lon": 5}, {"lat": "5.5", "lon": 180},
    {"lat": 5.5, "lon": -180}, {"lat": 90, "lon": 0}, {"lat": -33.9, "lon": 151.2}, {"lat": 5, "lon": 10.000000000001},
)  # fmt: skip
_CIRCLES = ({"lat": 0, "lon": 0, "km": 1100}, {"lat": 5.5, "lon": 179.9, "km": 50}, {"lat": 90, "lon": 7, "km": 1})
_SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
_HOLE = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
_REGIONS = (
    {"type": "Polygon", "coordinates": [_SQUARE]},
    {"type": "Polygon", "coordinates": [_SQUARE, _HOLE]},
    {"type": "MultiPolygon", "coordinates": [[[[170, 0], [180, 0], [180, 10], [170, 10], [170, 0]]]]},
)
_PERIODS = ("this_month", "this_quarter", "this_year", "previous_month", "previous_quarter", "previous_year")

VALUES: Mapping[str, tuple[Any, ...]] = {
    "country": _TEXTS,
    "zip": _CODES,
    "revenue": _NUMBERS,
    "price": _AMOUNTS,
    "founded": _DAYS,
    "signed": _INSTANTS,
    "is_partner": (True, False),
    "tags": _TAGS,
    "spot": _PLACES,
}
"""By field, the values of rules and records."""
ODD: Mapping[str, tuple[Any, ...]] = {
    "country": ("", "  ", 7, None, True, ["US"], "x" * 2_000, "springfield"),
    "zip": ("", None, 94105, 94105.0, "94105" * 400),
    "revenue": ("1e400", 1e308, float("nan"), float("inf"), "much", True, None, "", 10**31, "0.1000000000001", -80_000),
    "price": ("1e400", "2 EUR", [], 1e308, "0.0999999999999", 10**29 - 1, "1.25", 8),
    "founded": ("2015-02-29", "soon", "2016-02-28T23:30:00Z", 20160229, None, "2016-02-29T23:59:59-05:00"),
    "signed": (
        "2016-02-29T24:00:00Z",
        "yesterday",
        0,
        None,
        "2016-02-28T22:59:60Z",
        1456786799999,
        "2016-02-29 10:00+00",
    ),
    "is_partner": ("true", 1, None, "yes", "N", "on", 1.0),
    "tags": ("a", ["a", 1], [""], None, "b; C", 7, ["a", 1.5]),
    "spot": (
        [0, 0],
        {"lat": 91, "lon": 0},
        {"lat": 1},
        {"lat": True, "lon": 1},
        {"latitude": 5, "lng": "5"},
        {"lat": None},
        None,
    ),
}
"""By field, values that are missing, unreadable, written another way, or far from every rule (C6)."""


# --- rules -----------------------------------------------------------------------------------


def dice_of(seed: int | str) -> Random:
    """Return a random generator."""
    return Random(seed)  # noqa: S311 -- rules, not secrets


def operators_of(field: str) -> list[str]:
    """Return the operators of a field's type."""
    return [word for word, operator in OPERATORS.items() if TYPES[field] in operator.types]


def operand(field: str, word: str, dice: Random) -> Any:
    """Return a random operand of an operator for a field."""
    values, kind = VALUES[field], TYPES[field]
    match OPERATORS[word].shape:
        case "flag":
            return True
        case "one":
            return dice.choice(values)
        case "one or many":
            return dice.choice((dice.choice(values), dice.choices([*values, *(v[:1] for v in values)], k=3)))
        case "many" | "texts":
            return dice.choices(values, k=dice.randint(1, 4))
        case "table":
            return dice.choice(list(TABLES))
        case "pair":
            if kind == "datetime":  # the order of a day and a datetime depends on the zone
                values = dice.choice((_DAYS, _INSTANTS[len(_DAYS) :]))
            bounds: list[Any] = dice.choices(values, k=2)
            return sorted(bounds, key=lambda raw: read_value(kind, raw, CALENDAR.zone))  # type: ignore[arg-type, return-value]  # of one type
        case "codes":
            return dice.choice(
                [
                    ["9", "9"],
                    ["80000", "94105"],
                    ["94105", "94106"],
                    ["AB 1", "ab 2"],
                    ["1000", "1099"],
                    ["1012 AA", "1012az"],
                ]
            )
        case "days":
            return dice.choice([0, 1, 7, 366, 36_525])
        case "period":
            return dice.choice(_PERIODS)
        case "circle":
            return dice.choice(_CIRCLES)
    return dice.choice(_REGIONS)


def leaf(field: str, word: str, dice: Random) -> Document:
    """Return a leaf with a random operand."""
    return {"field": field, word: operand(field, word, dice)}


def document(fields: Sequence[str], dice: Random, leaves: int = 6) -> Document:
    """Return a rule with at most so many leaves over some fields."""
    if leaves == 1 or dice.random() < 0.2:
        field = dice.choice(fields)
        return leaf(field, dice.choice(operators_of(field)), dice)
    if dice.random() < 0.2:
        return {"not": document(fields, dice, leaves)}
    parts = dice.randint(1, min(leaves, 3))
    return {dice.choice(("all", "any")): [document(fields, dice, max(1, leaves // parts)) for _ in range(parts)]}


def wide_document(fields: Sequence[str], dice: Random) -> Document:
    """Return a rule over some fields that multiplies out to 81 conjunctions, or has 40 of them at once."""

    def some(word: str, count: int) -> Document:
        return {word: [document(fields, dice, 1) for _ in range(count)]}

    outer, inner = dice.choice((("all", "any"), ("any", "all")))
    wide = {outer: [some(inner, 3) for _ in range(4)]} if dice.random() < 0.5 else some(outer, 40)
    return {"not": wide} if dice.random() < 0.3 else wide


def criterion_of(document: Document) -> Criterion:
    """Return the rule of a valid document, resolved for `TODAY`."""
    criterion, faults = parse(document, TYPES, "rule", Lists(TABLES), CALENDAR.zone)
    assert criterion is not None, faults
    return criterion.on(TODAY, CALENDAR)


def flat(*rules: Document) -> RuleBook:
    """Return a book of siblings, t0 and so on."""
    return RuleBook(tuple(Rule(f"t{n}", criterion_of(rule), NO_PARENT) for n, rule in enumerate(rules)))


def book(dice: Random) -> RuleBook:
    """Return rules in a random tree; half of them compare a single field."""
    fields = list(TYPES)
    rules: list[Rule] = []
    for place in range(dice.randint(0, 12)):
        asked = fields if dice.random() < 0.5 else [dice.choice(fields)]
        parent = dice.randint(NO_PARENT, place - 1)
        rules.append(Rule(f"t{place}", criterion_of(document(asked, dice)), parent))
    return RuleBook(tuple(rules))


# --- records ---------------------------------------------------------------------------------


def raw_values(field: str) -> list[Any]:
    """Return values that a record may have in a field: values of rules, near ones, missing and odd ones."""
    values: list[Any] = [*VALUES[field], *ODD[field]]
    if field == "tags":
        values = [list(some) for count in range(4) for some in combinations(_TAGS, count)] + list(ODD[field])
    return values


def record(dice: Random) -> dict[str, Any]:
    """Return raw fields, a third of them missing."""
    return {field: dice.choice(raw_values(field)) for field in TYPES if dice.random() < 0.7}


def typed(raw: Mapping[str, Any]) -> Fields:
    """Return the typed values of raw fields."""
    values, _ = read_fields(TYPES, raw, CALENDAR.zone)
    return values
