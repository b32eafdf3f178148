"""The operators, compared with an independent reading of the rules and with examples."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.criteria import OPERATORS, Leaf
from territory.criteria.values import FieldType, read_fields
from tests.support.oracle import Setting, criteria_holds
from tests.support.oracle_criteria import POSITIVE_OF

from ..examples import FIELDS, Document
from .examples import VALUES, holds, leaves, on, parsed, records, settings, trees


@given(trees, records, settings)
def test_criteria_agree_with_the_oracle(document: Document, fields: dict[str, Any], setting: Setting) -> None:
    """Criteria hold exactly when the oracle says so, for any values on any day (C1 to C7)."""
    assert holds(document, fields, setting=setting) is criteria_holds(document, fields, FIELDS, setting)


@pytest.mark.parametrize("word", OPERATORS)
@given(data=st.data(), setting=settings)
def test_every_operator_agrees_with_the_oracle(word: str, data: st.DataObject, setting: Setting) -> None:
    """Every operator holds exactly when the oracle says so, for values of the right type (C4, C7)."""
    leaf = data.draw(leaves([word]))
    fields = {leaf["field"]: data.draw(VALUES[leaf["field"]])}
    assert holds(leaf, fields, setting=setting) is criteria_holds(leaf, fields, FIELDS, setting)


@given(leaves(POSITIVE_OF), records)
def test_a_negative_operator_negates(leaf: Document, fields: dict[str, Any]) -> None:
    """Every negative operator is exactly the negation of its positive one; both are unknown or none is (C2)."""
    name, (word, operand) = leaf["field"], next((word, leaf[word]) for word in leaf if word != "field")
    positive: Document = {"field": name, POSITIVE_OF[word]: operand}
    assert holds(leaf, fields) is holds({"not": positive}, fields)
    assert holds({"not": leaf}, fields) is holds(positive, fields)


@given(trees, records)
def test_the_logic_is_kleenes(document: Document, fields: dict[str, Any]) -> None:
    """`not` is true where its part is false; where values are unreadable, neither may be true (C2)."""
    yes, no = holds(document, fields), holds({"not": document}, fields)
    assert not (yes and no)
    assert holds({"not": {"not": document}}, fields) is yes
    assert holds({"all": [document]}, fields) is holds({"any": [document]}, fields) is yes
    assert holds({"all": [document, {"not": document}]}, fields) is False
    assert holds({"any": [document, {"not": document}]}, fields) is (yes or no)
    values, unreadable = read_fields(FIELDS, fields)  # type: ignore[arg-type]  # they are field types
    assert yes or no or unreadable
    assert (yes, no) == (parsed(document).holds(values), parsed(document).fails(values))


UNREADABLE: Document = {
    "text": True, "number": "many", "money": "1,234.50", "date": "2017-02-29", "datetime": "2017-03-01T10:00:00",
    "boolean": "on", "set": 1.5, "geo": [52.5, 13.4],
}  # fmt: skip
"""By field, a value that cannot be read."""


@given(trees, records, st.sets(st.sampled_from(sorted(UNREADABLE))), st.data())
def test_an_unreadable_value_never_makes_criteria_true(
    document: Document, fields: dict[str, Any], names: set[str], data: st.DataObject
) -> None:
    """Criteria that hold with unreadable values hold with any readable ones in their place, too (C2, C6).

    So nothing that cannot be read grants or assigns, under any nesting of `not`, `all`, `any` and negative operators.
    """
    if holds(document, fields | {name: UNREADABLE[name] for name in names}):
        for _ in range(5):
            readable = {name: data.draw(VALUES[name], name) for name in names}  # type: ignore[index]  # a field type
            assert holds(document, fields | readable)


@given(leaves())
def test_an_unreadable_field(leaf: Document) -> None:
    """An unreadable value is not empty, and answers nothing else, negated or not (C2)."""
    for negated in (leaf, {"not": leaf}):
        is_there = ("is_not_empty" in leaf and negated is leaf) or ("is_empty" in leaf and negated is not leaf)
        assert holds(negated, UNREADABLE) is is_there


@given(leaves())
def test_a_missing_field(leaf: Document) -> None:
    """A missing field satisfies `is_empty` and the negative operators, and nothing else (C2)."""
    assert holds(leaf, {}) is any(word in leaf for word in POSITIVE_OF)


@given(leaves(), st.sampled_from([None, "", " \t", "\u00a0"]))
def test_null_and_blank_are_missing(leaf: Document, blank: str | None) -> None:
    """Null and a blank text are missing, in a field of any type (C2, C3)."""
    assert holds(leaf, {leaf["field"]: blank}) is holds(leaf, {})


def test_every_operator_has_its_example() -> None:
    """The list of operators is complete, and negative ones are marked (C4)."""
    assert set(OPERATORS) == {
        *("eq", "ne", "in", "not_in"),
        *("contains", "not_contains", "starts_with", "not_starts_with", "ends_with"),
        *("in_table", "postal_between"),
        *("lt", "le", "gt", "ge", "between", "not_between"),
        *("within_last_days", "within_next_days", "older_than_days", "in_period"),
        *("includes_any", "includes_all", "excludes_any", "excludes_all"),
        *("within_km", "in_polygon"),
        *("is_empty", "is_not_empty"),
    }
    assert {word for word, operator in OPERATORS.items() if operator.negated} == set(POSITIVE_OF)
    assert set(get_args(FieldType)) == set(FIELDS)


@pytest.mark.parametrize(
    ("leaf", "value", "expected"),
    [
        ({"field": "text", "ne": "Software"}, None, True),  # like the CRMs' "is not"
        ({"field": "text", "ne": "Software"}, "software ", False),
        ({"field": "text", "eq": "CAFÉ"}, "Cafe\u0301", True),
        ({"field": "text", "eq": "Café"}, "Cafe", False),
        ({"field": "text", "in": ["us", "CA"]}, " Us", True),
        ({"field": "text", "contains": "fin"}, "ﬁnance", True),
        ({"field": "text", "contains": "x p"}, "GTX Pro", True),
        ({"field": "text", "starts_with": " gtx"}, "GTX Pro", True),
        ({"field": "text", "starts_with": ["MG", "gtx"]}, "GTX Pro", True),
        ({"field": "text", "starts_with": ["GTX Pro Max", "Pro"]}, "GTX Pro", False),
        ({"field": "text", "starts_with": ["GTX Pro Max", "G"]}, "GTX Pro", True),
        ({"field": "text", "not_starts_with": ["MG", "gtx"]}, "GTX Pro", False),
        ({"field": "text", "not_starts_with": ["MG", "gtx"]}, None, True),
        ({"field": "text", "ends_with": "PRO"}, "GTX Pro ", True),
        ({"field": "text", "starts_with": "Pro"}, "GTX Pro", False),
        ({"field": "text", "eq": "9"}, 9, True),  # CRMs write codes as numbers
        ({"field": "text", "is_empty": True}, 9, False),
        ({"field": "text", "ne": "9"}, 9.0, False),  # unreadable: unknown
        ({"field": "text", "eq": "9"}, "9.0", False),  # as texts they differ
        ({"field": "number", "eq": "9"}, "9.0", True),
        ({"field": "number", "lt": "80000"}, "9", True),  # as texts "9" would be above
        ({"field": "number", "gt": 80000}, "9", False),
        ({"field": "number", "eq": 0.3}, "0.30", True),
        ({"field": "number", "eq": 12345678901234567}, "12345678901234567.0", True),
        ({"field": "number", "eq": "0.1"}, 0.1, True),
        ({"field": "number", "eq": 0}, "-0", True),
        ({"field": "number", "eq": 1}, True, False),  # a boolean is no number
        ({"field": "number", "ne": 1}, True, False),  # unreadable: unknown
        ({"field": "number", "le": 5}, "NaN", False),
        ({"field": "number", "gt": 5}, "1e400", False),  # beyond the bounds: unreadable, not large
        ({"field": "number", "ge": 5}, None, False),
        ({"field": "number", "lt": 5}, None, False),  # neither below nor above
        ({"field": "number", "between": [5, 9]}, 5, True),
        ({"field": "number", "between": [5, 9]}, "9.000", True),
        ({"field": "number", "between": [5, 9]}, "9.001", False),
        ({"field": "number", "not_between": [5, 9]}, "x", False),
        ({"field": "number", "is_empty": True}, "x", False),
        ({"field": "number", "is_not_empty": True}, "x", True),
        ({"field": "boolean", "eq": True}, "true", True),
        ({"field": "boolean", "ne": True}, "true", False),
        ({"field": "boolean", "ne": True}, "on", False),
        ({"field": "boolean", "eq": False}, 0, True),
        ({"field": "date", "eq": "2016-02-29"}, "2016-02-29", True),
        ({"field": "date", "is_empty": True}, "2017-02-29", False),  # no such day, but something is there
        ({"field": "date", "eq": "2017-02-28"}, "2017-03-01T01:30:00+02:00", True),  # in UTC
        ({"field": "datetime", "lt": "2017-03-01"}, "2017-03-01T01:30:00+02:00", True),
        ({"field": "set", "is_not_empty": True}, ["a"], True),
        ({"field": "set", "is_empty": True}, [""], True),
        ({"field": "geo", "is_not_empty": True}, {"lat": 52.5, "lon": 13.4}, True),
        ({"field": "geo", "is_empty": True}, {"lat": 95, "lon": 13.4}, False),
        ({"field": "geo", "is_empty": True}, {"latitude": None, "longitude": None}, True),
    ],
)
def test_debatable_cases(leaf: Document, value: object, expected: bool) -> None:
    """Null under a negative operator, case, accents, text against number, dates in UTC (C2 to C6)."""
    assert holds(leaf, {leaf["field"]: value}) is expected


@pytest.mark.parametrize(
    ("operand", "value", "held_by"),
    [
        (["a"], ["A ", "b"], "includes_any includes_all"),
        (["a", "b"], ["b", "c"], "includes_any excludes_all"),
        (["a", "b"], ["c", "b", "a"], "includes_any includes_all"),
        (["a", "b"], ["c"], "excludes_any excludes_all"),
        (["a", "A"], ["a"], "includes_any includes_all"),  # one value, written twice
        (["Cafe"], ["Café"], "excludes_any excludes_all"),
        (["a"], [], "excludes_any excludes_all"),
        (["a"], [" "], "excludes_any excludes_all"),
        (["a"], None, "excludes_any excludes_all"),
        (["a"], "a", "includes_any includes_all"),
        (["a", "b"], "c; B", "includes_any excludes_all"),
        (["1"], ["a", 1], "includes_any includes_all"),
        (["a"], ["b", 1.5], ""),  # unreadable
    ],
)
def test_fields_of_many_values(operand: list[str], value: object, held_by: str) -> None:
    """`includes_any` needs one of the values, `includes_all` each; the others are their negations (C2, C4)."""
    words = ("includes_any", "includes_all", "excludes_any", "excludes_all")
    assert [word for word in words if holds({"field": "set", word: operand}, {"set": value})] == held_by.split()


@pytest.mark.parametrize(
    ("bounds", "code", "expected"),
    [
        (["94100", "94199"], "94102", True),
        (["94100", "94199"], " 94199 ", True),
        (["94100", "94199"], "9415", False),  # shorter: another kind of code
        (["94100", "94199"], "941021234", False),
        (["01000", "09999"], "04109", True),
        (["1000", "9999"], "04109", False),
        (["sw1a 1aa", "SW1A 2ZZ"], "SW1A 1AB", True),
        (["SW1A 1AA", "SW1A 2ZZ"], "SW1A1AB", True),  # blanks do not count
        (["SW1A1AA", "SW1A 2ZZ"], "sw1a  1ab", True),
        (["94100", "94199"], "94102-1234", True),  # ZIP+4: the first part is compared
        (["94100", "94199"], "94102 1234", True),
        (["94100", "94199"], "94102x1234", False),
        (["94100", "94199"], "9410-21234", False),
        (["941001000", "941999999"], "94102-1234", False),  # the hyphen is a character
        (["94100-1000", "94199-9999"], "94102-1234", True),
        (["1000", "1099"], "1012 AB", True),
        (["1000", "1099"], "1012AB", False),  # no blank, so it does not go on
        (["1012 AA", "1012 AZ"], "1012ab", True),
        (["94100", "94199"], 94102, True),
        (["94100", "94199"], 94102.0, False),
        (["94100", "94199"], "９４１０２", True),  # full-width digits
        (["94100", "94100"], "94100", True),
    ],
)
def test_postal_codes(bounds: list[str], code: object, expected: bool) -> None:
    """Postal codes are texts; those of the bounds' length are compared, or first parts of that length (C4, C10)."""
    assert holds({"field": "text", "postal_between": bounds}, {"text": code}) is expected


@pytest.mark.parametrize(
    ("value", "table", "expected"),
    [
        ("us ", "core", True),
        ("STRASSE", "core", True),
        ("94102", "core", False),
        ("94102", "codes", True),
        (94102, "codes", True),
        ("8ab", "codes", True),
        ("x", "none", False),
        ("", "core", False),
        ("94102-1234", "codes", True),
        ("94102 1234", "codes", True),
        ("94102x1234", "codes", False),
        ("94102-abc", "codes", False),  # this looks like no postal code
        ("8 AB", "codes", True),  # blanks do not count
        ("X1", "codes", False),
        ("8AB-C1-2", "codes", True),
        ("US-1", "core", False),  # a first part without a digit is a word
        ("us core", "core", False),
    ],
)
def test_tables(value: object, table: str, expected: bool) -> None:
    """A table matches like a list of the same values; of postal codes also by their first part (C3, C4, C10)."""
    assert holds({"field": "text", "in_table": table}, {"text": value}) is expected


@pytest.mark.parametrize(
    ("beginning", "value", "expected"),
    [
        ("94102", "94102-1234", True),
        ("1012A", "1012 AB", True),
        ("1012 A", "1012ab", True),
        (["SW1A 1", "EC1"], "sw1a1aa", True),
        ("941 0", "94102", True),
        ("New Y", "New York", True),
        ("NewY", "New York", False),  # blanks of other texts count
        ("1012A", "1012 Avenue", False),
        ("1012 A", "1012 Avenue", True),
    ],
)
def test_beginnings_of_postal_codes(beginning: object, value: str, expected: bool) -> None:
    """Blanks in postal codes do not count, also where their beginnings are compared (C10)."""
    assert holds({"field": "text", "starts_with": beginning}, {"text": value}) is expected
    assert holds({"field": "text", "not_starts_with": beginning}, {"text": value}) is not expected


@pytest.mark.parametrize(
    ("today", "day", "held_by"),
    [
        ("2017-03-01", "2017-03-01", "last 30, next 30, last 0, next 0"),
        ("2017-03-01", "2017-01-30", "last 30, older 0"),
        ("2017-03-01", "2017-01-29", "older 30, older 0"),
        ("2017-03-01", "2017-03-31", "next 30"),
        ("2017-03-01", "2017-04-01", ""),
        ("2017-03-01", "2017-02-28", "last 30, older 0"),
        ("2016-03-01", "2016-02-29", "last 30, older 0"),
        ("2016-02-29", "2016-03-01", "next 30"),
        ("2017-01-01", "2016-12-31", "last 30, older 0"),
        ("2016-12-31", "2017-01-01", "next 30"),
        ("2017-03-01", None, ""),
        ("2017-03-01", "2017-02-29", ""),  # no such day: unreadable, and not old
    ],
)
def test_days_from_today(today: str, day: str | None, held_by: str) -> None:
    """N days back or ahead are today and the N days next to it; older days are before that window (C7)."""
    words = {
        f"{short} {count}": {"field": "date", word: count}
        for count in (30, 0)
        for short, word in (("last", "within_last_days"), ("next", "within_next_days"), ("older", "older_than_days"))
    }
    found = {name for name, leaf in words.items() if holds(leaf, {"date": day}, setting=on(today))}
    assert found == set(filter(None, held_by.split(", ")))


@pytest.mark.parametrize(
    ("zone", "instant", "last", "coming"),
    [
        ("UTC", "2017-03-01T00:00:00Z", True, True),
        ("UTC", "2017-03-01T23:59:59.999999Z", True, True),
        ("UTC", "2017-02-28T23:59:59.999999Z", True, False),
        ("UTC", "2017-03-02T00:00:00Z", False, True),
        ("America/New_York", "2017-03-01T04:59:59Z", True, False),  # still February there
        ("America/New_York", "2017-03-01T05:00:00Z", True, True),
        ("America/New_York", "2017-03-02T04:59:59Z", True, True),
        ("America/New_York", "2017-03-02T05:00:00Z", False, True),
        ("Pacific/Kiritimati", "2017-02-28T10:00:00Z", True, True),  # March begins 14 hours earlier there
        ("Pacific/Kiritimati", "2017-03-01T10:00:00Z", False, True),
    ],
)
def test_instants_are_on_days_of_the_organisation(zone: str, instant: str, last: bool, coming: bool) -> None:
    """An instant belongs to its day in the organisation's time zone (C7)."""
    setting = on("2017-03-01", time_zone=zone)
    fields = {"datetime": instant}
    assert holds({"field": "datetime", "within_last_days": 1}, fields, setting=setting) is last
    assert holds({"field": "datetime", "within_next_days": 1}, fields, setting=setting) is coming


@pytest.mark.parametrize(
    ("leaf", "instant", "expected"),
    [
        ({"eq": "2017-03-01"}, "2017-03-01T04:59:59.999999Z", False),
        ({"eq": "2017-03-01"}, "2017-03-01T05:00:00Z", True),
        ({"eq": "2017-03-01"}, "2017-03-02T04:59:59.999999Z", True),
        ({"eq": "2017-03-01"}, "2017-03-02T05:00:00Z", False),
        ({"eq": "2017-03-01"}, "2017-03-01", True),
        ({"lt": "2017-03-01"}, "2017-03-01T04:59:59Z", True),
        ({"le": "2017-03-01"}, "2017-03-02T04:59:59Z", True),
        ({"gt": "2017-03-01"}, "2017-03-02T04:59:59Z", False),
        ({"ge": "2017-03-01"}, "2017-03-01T05:00:00Z", True),
        ({"in": ["2017-03-01", "2017-03-03", "2017-03-05T00:00:00Z"]}, "2017-03-03T22:00:00Z", True),
        ({"in": ["2017-03-01", "2017-03-03", "2017-03-05T00:00:00Z"]}, "2017-03-02T22:00:00Z", False),
        ({"in": ["2017-03-01", "2017-03-03", "2017-03-05T00:00:00Z"]}, "2017-03-05T01:00:00+01:00", True),
        ({"between": ["2017-03-01", "2017-03-02"]}, "2017-03-03T04:59:59.999999Z", True),
        ({"between": ["2017-03-01", "2017-03-01"]}, "2017-03-02T05:00:00Z", False),
        ({"between": ["2017-03-01T12:00:00Z", "2017-03-01"]}, "2017-03-02T04:00:00Z", True),  # not exchanged
        ({"ge": "2017-03-01T06:00:00+0100"}, "2017-03-01T05:00:00Z", True),
        ({"eq": "0001-01-01"}, "0001-01-01T00:00:00Z", True),
        ({"le": "9999-12-31"}, "9999-12-31T23:59:59Z", True),  # "for ever"
    ],
)
def test_datetimes_beside_days(leaf: Document, instant: str, expected: bool) -> None:
    """A datetime beside a day is its day in the organisation's time zone; two datetimes are instants (C8)."""
    setting = on("2017-03-01", time_zone="America/New_York")
    leaf = {"field": "datetime", **leaf}
    assert holds(leaf, {"datetime": instant}, setting=setting) is expected
    assert holds({"not": leaf}, {"datetime": instant}, setting=setting) is not expected


@pytest.mark.parametrize(
    ("start", "today", "day", "held_by"),
    [
        (1, "2017-03-31", "2017-01-01", "this_quarter this_year"),
        (1, "2017-03-31", "2017-03-01", "this_month this_quarter this_year"),
        (1, "2017-03-31", "2017-02-28", "this_quarter this_year previous_month"),
        (1, "2017-03-31", "2016-12-31", "previous_quarter previous_year"),
        (1, "2017-01-01", "2016-12-31", "previous_month previous_quarter previous_year"),
        (1, "2016-02-29", "2016-02-01", "this_month this_quarter this_year"),
        (1, "2017-03-31", "2018-01-01", ""),
        (4, "2017-03-31", "2016-04-01", "this_year"),
        (4, "2017-03-31", "2017-01-01", "this_quarter this_year"),
        (4, "2017-03-31", "2016-03-31", "previous_year"),
        (4, "2017-04-01", "2017-03-31", "previous_month previous_quarter previous_year"),
        (2, "2017-01-31", "2016-11-01", "this_quarter this_year"),
        (2, "2017-01-31", "2016-10-31", "this_year previous_quarter"),
        (12, "2016-12-01", "2017-02-28", "this_quarter this_year"),
        (12, "2016-11-30", "2016-12-01", ""),
    ],
)
def test_fiscal_periods(start: int, today: str, day: str, held_by: str) -> None:
    """Months are calendar months; quarters and years are fiscal (C4, domain: period)."""
    setting = on(today, fiscal_year_start=start)
    periods = ("this_month", "this_quarter", "this_year", "previous_month", "previous_quarter", "previous_year")
    for field, value in (("date", day), ("datetime", f"{day}T12:00:00Z")):
        leaves_by_period = {period: {"field": field, "in_period": period} for period in periods}
        found = [period for period, leaf in leaves_by_period.items() if holds(leaf, {field: value}, setting=setting)]
        assert found == held_by.split()


def test_a_field_may_have_the_name_of_a_keyword() -> None:
    """A leaf is recognised by its key `field`, so fields may be named `all`, `not` or `eq` (C1)."""
    types: dict[str, str] = dict.fromkeys(["all", "not", "eq", "field", "fünf Wörter"], "text")
    for name in types:
        assert holds({"field": name, "eq": "x"}, {name: "X"}, types)


def test_a_list_of_fifty_thousand() -> None:
    """An `in` list may have 50 000 values (C4)."""
    wanted = [f"{number:018d}" for number in range(50_000)]
    assert holds({"field": "text", "in": wanted}, {"text": " 000000000000049999"})
    assert not holds({"field": "text", "in": wanted}, {"text": "50000"})
    assert "… 49995 more]" in str(parsed({"field": "text", "in": wanted}))


@pytest.mark.parametrize(
    ("leaf", "wanted"),
    [
        ({"field": "text", "eq": " STRASSE"}, "strasse"),
        ({"field": "text", "not_contains": "Straße"}, "strasse"),
        ({"field": "text", "starts_with": "Ａ"}, "a"),
        ({"field": "text", "in": ["US", " us", "CA"]}, frozenset({"us", "ca"})),
        ({"field": "number", "not_in": ["1e3", 0.5]}, frozenset({1000, Decimal("0.5")})),
        ({"field": "date", "between": ["2017-01-01", "2017-02-28"]}, (date(2017, 1, 1), date(2017, 2, 28))),
        ({"field": "boolean", "eq": True}, True),
        ({"field": "set", "is_empty": True}, True),
        ({"field": "set", "excludes_all": ["Straße", "STRASSE", "b"]}, frozenset({"strasse", "b"})),
        ({"field": "text", "postal_between": ["8AA", "8ＡB"]}, ("8aa", "8ab")),
        ({"field": "text", "in_table": "core"}, frozenset({"us", "strasse"})),
        (
            {"field": "datetime", "ge": "2017-03-01T01:00:00+0100"},
            datetime(2017, 3, 1, tzinfo=UTC),
        ),
        ({"field": "datetime", "le": "2017-03-01"}, datetime(2017, 3, 1, 23, 59, 59, 999999, UTC)),
        ({"field": "date", "within_last_days": 30}, (date(2017, 1, 30), date(2017, 3, 1))),
        ({"field": "date", "within_next_days": 1}, (date(2017, 3, 1), date(2017, 3, 2))),
        ({"field": "date", "older_than_days": 1}, (None, date(2017, 2, 27))),
        ({"field": "date", "in_period": "previous_month"}, (date(2017, 2, 1), date(2017, 2, 28))),
        (
            {"field": "datetime", "within_last_days": 0},
            (datetime(2017, 3, 1, tzinfo=UTC), datetime(2017, 3, 1, 23, 59, 59, 999999, UTC)),
        ),
    ],
)
def test_typed_operands(leaf: Document, wanted: object) -> None:
    """A leaf has its operand as a typed, folded value (C3, C4)."""
    criterion = parsed(leaf)
    assert isinstance(criterion, Leaf)
    assert criterion.wanted == wanted
    assert type(criterion.wanted) is type(wanted)
    assert criterion.operand == next(leaf[word] for word in leaf if word != "field")
