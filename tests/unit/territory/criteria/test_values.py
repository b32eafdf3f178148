"""Reading JSON values as typed values."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from territory.criteria.values import (
    DECIMALS_MAX,
    FIELD_TYPES,
    FOUND_CHARACTERS_MAX,
    MAGNITUDE_MAX,
    FieldType,
    Unreadable,
    date_of,
    datetime_of,
    folded,
    is_blank,
    number_of,
    read_fields,
    read_operand,
    read_operands,
    read_value,
)
from tests.support.oracle import read
from tests.support.oracle_values import UNREADABLE
from tests.unit.territory.examples import FIELDS, degrees, json_values, letters, scalars, texts, written

BAD = Unreadable(None, "text")
"""Equal to every unreadable value."""


def same(value: object, wanted: object) -> bool:
    """Whether a value is what the oracle reads."""
    return isinstance(value, Unreadable) if wanted is UNREADABLE else value == wanted


# --- text -------------------------------------------------------------------------------------


@given(st.text())
def test_folding_is_idempotent(text: str) -> None:
    """Folding a folded text changes nothing (C3)."""
    assert folded(folded(text)) == folded(text)


@given(st.lists(st.text() | st.text(st.characters(max_codepoint=127)) | st.integers()))
@example([chr(code) + "A" + chr(code) for code in range(128)])
def test_a_list_of_texts_is_read_as_each_of_them_is_folded(raws: list[object]) -> None:
    """The fast path for lists of ASCII texts gives the same values as folding each text (C3)."""
    expected = [folded(raw) or None if isinstance(raw, str) else None for raw in raws]
    assert read_operands("text", raws) == [read_operand("text", raw) for raw in raws] == expected


@given(st.text(letters), st.sampled_from(["", " ", "\t\n", "\u00a0", "\u3000"]))
def test_folding_ignores_case_and_margins(text: str, margin: str) -> None:
    """Folding ignores case and surrounding white space (C3)."""
    assert folded(f"{margin}{text}{margin}") == folded(text)
    if text.isascii():
        assert folded(text.upper()) == folded(text.lower()) == folded(text)


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("STRASSE", "straße", True),
        ("Ａcme", "acme", True),  # full width
        ("ﬁnance", "Finance", True),  # a ligature
        ("½", "1⁄2", True),
        ("Cafe\u0301", "Café", True),  # decomposed and composed
        ("Cafe", "Café", False),  # accents count
        ("ΣΊΣΥΦΟΣ", "σίσυφος", True),
        ("İ", "i", False),  # the dot stays: no language's own rules
        ("New York", "New  York", False),  # white space within counts
        ("co\u200bop", "coop", False),  # a zero-width space is no margin
    ],
)
def test_which_texts_are_the_same(text: str, other: str, same: bool) -> None:
    """Text compares trimmed and case-folded, after NFKC; accents count (C3)."""
    assert (folded(text) == folded(other)) is same


@pytest.mark.parametrize("raw", ["", "  ", "\t", "\u00a0", None])
def test_blank_text_is_missing(raw: object) -> None:
    """Empty or blank text is missing, not unreadable (C3)."""
    assert read_fields({"f": "text"}, {"f": raw}) == ({}, 0)
    assert is_blank(raw)


# --- numbers ----------------------------------------------------------------------------------


@given(st.integers() | st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact_or_missing(number: int | Decimal) -> None:
    """A number is read exactly or is unreadable; it is never rounded (C6)."""
    found = number_of(format(Decimal(number), "f"))
    assert found is None or Decimal(found) == number


@given(st.decimals(-(10**30) + 1, 10**30 - 1, allow_nan=False, places=DECIMALS_MAX))
@example(Decimal("12345678901234567890.123456789012"))
@example(Decimal(-999999999999999999999999999999))
def test_every_number_within_the_bounds_is_read(number: Decimal) -> None:
    """Numbers below 10^30 with at most 12 decimals are read, with all of their digits (C6)."""
    text = format(number, "f")
    assert Decimal(number_of(text) or 0) == number
    assert number_of(f" {text}\n") == number_of(text)


@given(st.integers(1, 10**29), st.integers(1, 9))
@example(12345678901234567890, 3)
def test_a_thirteenth_decimal_is_too_many(whole: int, last: int) -> None:
    """A number with more than 12 decimals is unreadable, however many digits stand before them (C6)."""
    assert number_of(f"{whole}.123456789012{last}") is None
    assert number_of(f"{whole}.1234567890120") == Decimal(f"{whole}.123456789012")


@given(st.floats())
def test_a_float_is_the_decimal_that_is_written_for_it(number: float) -> None:
    """A float stands for its shortest decimal text, as JSON has it (C6, F10)."""
    found = number_of(number)
    assert found is None or (math.isfinite(number) and Decimal(found) == Decimal(repr(number)))
    if number == 0:
        assert found == 0


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("12", 12),
        ("+12", 12),
        ("-0", 0),
        (-0.0, 0),
        ("1e3", 1000),
        ("1.5E-2", Decimal("0.015")),
        ("-.5", Decimal("-0.5")),
        ("5.", 5),
        ("007", 7),
        (0.1, Decimal("0.1")),
        (1e22, 10**22),
        ("0e999", 0),
        (int(MAGNITUDE_MAX) - 1, int(MAGNITUDE_MAX) - 1),
        (int(MAGNITUDE_MAX), None),
        ("-1e30", None),
        ("1e400", None),
        ("1e9999", None),
        ("1e-13", None),
        ("NaN", None),
        ("Infinity", None),
        (math.inf, None),
        (math.nan, None),
        ("1_000", None),
        ("1,000", None),
        ("1,234.50", None),
        ("102.389.699,89", None),
        ("1'000", None),
        ("€ 5", None),
        ("0x10", None),
        ("٣", None),  # an Arabic three is a digit elsewhere
        ("1 000", None),
        ("twelve", None),
        ("", None),
        (True, None),
        (False, None),
        ([12], None),
        ({"amount": 12}, None),
        ("0" * 65, None),  # longer than any number within the bounds has to be
    ],
)
def test_numbers(raw: object, number: object) -> None:
    """A plain decimal text is read as its number; anything else that is not empty is unreadable (C6)."""
    assert number_of(raw) == number
    expected = BAD if number is None and raw != "" else number
    assert read_value("money", raw) == read_value("number", raw) == expected


# --- days and instants ------------------------------------------------------------------------

NEW_YORK = ZoneInfo("America/New_York")
zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=zones).filter(lambda instant: 1 < instant.year < 9999))
def test_instants_compare_across_zones(instant: datetime) -> None:
    """An RFC 3339 text is its instant, and its day is the day in the organisation's time zone (C6, C8)."""
    assert datetime_of(instant.isoformat()) == instant
    assert date_of(instant.isoformat()) == instant.astimezone(UTC).date()
    assert date_of(instant.isoformat(), NEW_YORK) == instant.astimezone(NEW_YORK).date()


@given(st.dates())
def test_a_day_is_its_midnight(day: date) -> None:
    """A plain date is that day in every time zone, and as an instant its midnight in the zone (C6, C8)."""
    assert date_of(day.isoformat()) == date_of(day.isoformat(), NEW_YORK) == day
    start = datetime_of(day.isoformat(), NEW_YORK)
    assert start is not None
    assert day == date.min or start.astimezone(NEW_YORK).date() == day
    assert datetime_of(day.isoformat()) == datetime(day.year, day.month, day.day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "instant"),
    [
        ("2016-02-29", "2016-02-29T00:00:00+00:00"),
        ("2017-02-29", None),
        ("2000-02-29", "2000-02-29T00:00:00+00:00"),
        ("1900-02-29", None),
        (" 2017-03-01 ", "2017-03-01T00:00:00+00:00"),
        ("2017-03-01t10:00:00z", "2017-03-01T10:00:00+00:00"),
        ("2017-03-01T01:30:00+02:00", "2017-02-28T23:30:00+00:00"),
        ("2017-03-01T10:00:00.123456789Z", "2017-03-01T10:00:00.123456+00:00"),
        ("2017-03-01T10:00:00.5Z", "2017-03-01T10:00:00.500000+00:00"),
        ("2017-03-01T10:00:00.000+0000", "2017-03-01T10:00:00+00:00"),  # Salesforce
        ("2017-03-01T10:00:00-0530", "2017-03-01T15:30:00+00:00"),
        ("2017-03-01T10:00:00+00", "2017-03-01T10:00:00+00:00"),
        ("2017-03-01T10:00Z", "2017-03-01T10:00:00+00:00"),
        ("2017-03-01 10:00:00Z", "2017-03-01T10:00:00+00:00"),
        ("2017-03-01 10:00+05", "2017-03-01T05:00:00+00:00"),
        (1488362400000, "2017-03-01T10:00:00+00:00"),  # epoch milliseconds: HubSpot
        (1488362400001, "2017-03-01T10:00:00.001000+00:00"),
        ("1488362400000", "2017-03-01T10:00:00+00:00"),
        (10**10, "1970-04-26T17:46:40+00:00"),
        (-(10**10), "1969-09-07T06:13:20+00:00"),
        (10**10 - 1, None),  # seconds, or a day without hyphens
        (10**15, None),  # after the calendar
        (-(10**15), None),
        (10**30, None),
        (1488362400000.0, None),
        ("148836240000", None),  # as a text only from 2001 to 2286
        ("0488362400000", None),
        ("-1488362400000", None),
        ("20170301100000", None),
        ("2017-03-01T10:00:00123Z", None),  # digits without their point
        ("2017-03-01T10:00:00.Z", None),
        ("2017-03-01T10:00:00", None),  # no time zone
        ("2017-03-01  10:00:00Z", None),
        ("2017-03-01T10Z", None),
        ("2017-03-01T10:00:00 Z", None),
        ("2017-03-01T10:00:00+0", None),
        ("2017-03-01T10:00:00+000", None),
        ("2017-03-01T10:00:00,5Z", None),
        ("2017-03-01T24:00:00Z", None),
        ("2017-03-01T10:60Z", None),
        ("2016-12-31T23:59:60Z", None),
        ("2017-03-01T10:00:00+24:00", None),
        ("2017-03-01T10:00:00+2400", None),
        ("2017-03-01T10:00:00+00:99", None),
        ("0001-01-01T00:30:00+01:00", None),  # before the calendar
        ("9999-12-31T23:30:00-01:00", None),  # after it
        ("2017-3-1", None),
        ("20170301", None),
        ("01.03.2017", None),
        ("03/01/2017", None),
        ("/Date(1488362400000)/", None),
        ("٢٠١٧-03-01", None),
        (20170301, None),
        (True, None),
        (date(2017, 3, 1), None),
    ],
)
def test_instants_and_dates(raw: object, instant: str | None) -> None:
    """Days are YYYY-MM-DD; instants are ISO 8601 with an offset, or epoch milliseconds; others are unreadable (C6)."""
    found = datetime_of(raw)
    assert (None if found is None else found.isoformat()) == instant
    assert date_of(raw) == (None if found is None else found.date())
    assert isinstance(read_value("datetime", raw), Unreadable) is (instant is None)
    assert isinstance(read_value("date", raw), Unreadable) is (instant is None)


@pytest.mark.parametrize(
    ("raw", "zone", "day"),
    [
        ("2016-10-01T00:30:00Z", "America/Los_Angeles", "2016-09-30"),
        ("2016-09-30T17:30:00-07:00", "America/Los_Angeles", "2016-09-30"),
        ("2016-09-30", "America/Los_Angeles", "2016-09-30"),
        (1475281800000, "America/Los_Angeles", "2016-09-30"),
        (1475281800000, "UTC", "2016-10-01"),
        ("2016-09-30T23:30:00.000+0000", "Europe/Berlin", "2016-10-01"),
        ("9999-12-31T23:30:00Z", "Europe/Berlin", None),
        ("0001-01-01T00:30:00Z", "America/Los_Angeles", None),
    ],
)
def test_day_of_an_instant(raw: object, zone: str, day: str | None) -> None:
    """An instant in a field for days is its day in the organisation's time zone (C8)."""
    assert date_of(raw, ZoneInfo(zone)) == (None if day is None else date.fromisoformat(day))


# --- other types, and all of them -------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("boolean", True, True),
        ("boolean", False, False),
        ("boolean", "true", True),  # HubSpot
        ("boolean", " TRUE", True),
        ("boolean", "Yes", True),
        ("boolean", "Y", True),
        ("boolean", "1", True),
        ("boolean", 1, True),
        ("boolean", "False", False),
        ("boolean", "no", False),
        ("boolean", "N", False),
        ("boolean", "0", False),
        ("boolean", 0, False),
        ("boolean", "ｎｏ", False),
        ("boolean", "", None),
        ("boolean", 1.0, BAD),
        ("boolean", "1.0", BAD),
        ("boolean", 2, BAD),
        ("boolean", "t", BAD),
        ("boolean", "on", BAD),
        ("boolean", "ja", BAD),
        ("boolean", [True], BAD),
        ("text", "12", "12"),
        ("text", 12, "12"),
        ("text", -3, "-3"),
        ("text", 10**29, "1" + 29 * "0"),
        ("text", 10**30, BAD),
        ("text", 12.5, BAD),
        ("text", float("nan"), BAD),
        ("text", True, BAD),
        ("text", ["US"], BAD),
        ("text", {"name": "US"}, BAD),
        ("text", [], None),
        ("text", {}, None),
        ("set", [" A ", "b", "", "a"], frozenset({"a", "b"})),
        ("set", "A;b; a ;", frozenset({"a", "b"})),  # Salesforce
        ("set", "a", frozenset({"a"})),
        ("set", "a,b", frozenset({"a,b"})),
        ("set", ["a;b"], frozenset({"a;b"})),
        ("set", ["a", 1, None], frozenset({"a", "1"})),
        ("set", [], None),
        ("set", [" "], None),
        ("set", [None], None),
        ("set", " ; ", None),
        ("set", "", None),
        ("set", ["a", 1.5], BAD),
        ("set", ["a", True], BAD),
        ("set", ["a", ["b"]], BAD),
        ("set", 1, BAD),
        ("set", {"a": True}, BAD),
        ("geo", {"lat": 52.5, "lon": -13}, (Decimal("52.5"), Decimal(-13))),
        ("geo", {"lat": "52.520008123456", "lon": "13"}, (Decimal("52.520008123456"), Decimal(13))),
        ("geo", {"lat": 90, "lon": 180, "name": "edge"}, (Decimal(90), Decimal(180))),
        (
            "geo",
            {"lat": -37.774929500000013, "lon": "122.41941550000004"},
            (Decimal("-37.7749295"), Decimal("122.4194155")),
        ),
        (
            "geo",
            {"lat": "0.1234567890125", "lon": "0.1234567890135"},
            (Decimal("0.123456789012"), Decimal("0.123456789014")),
        ),
        ("geo", {"latitude": "52.5", "longitude": -13}, (Decimal("52.5"), Decimal(-13))),
        ("geo", {"lat": 52.5, "lng": "-13"}, (Decimal("52.5"), Decimal(-13))),
        ("geo", {"lat": 52.5, "latitude": "52.50", "lon": -13, "lng": None}, (Decimal("52.5"), Decimal(-13))),
        ("geo", {"latitude": None, "longitude": None, "city": "Berlin"}, None),  # an address without its place
        ("geo", {"lat": "", "lon": " "}, None),
        ("geo", {}, None),
        ("geo", {"lat": 52.5, "lon": None}, BAD),
        ("geo", {"lat": 52.5, "latitude": 52.6, "lon": -13}, BAD),
        ("geo", {"city": "Berlin"}, BAD),
        ("geo", {"lat": "90.00000000000001", "lon": 0}, BAD),  # beyond the pole before it is rounded
        ("geo", {"lat": float("nan"), "lon": 0}, BAD),
        ("geo", {"lat": True, "lon": 0}, BAD),
        ("geo", {"lat": 90.1, "lon": 0}, BAD),
        ("geo", {"lat": 0, "lon": -180.1}, BAD),
        ("geo", {"lat": 52.5}, BAD),
        ("geo", [52.5, 13.4], BAD),
        ("geo", "52.5,13.4", BAD),
    ],
)
def test_reading_by_type(kind: FieldType, raw: object, value: object) -> None:
    """What CRMs write is read where its meaning is certain; anything else that is not empty is unreadable (C6)."""
    assert read_value(kind, raw) == value


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("text", 5),
        ("boolean", "true"),
        ("boolean", 1),
        ("date", 1488362400000),
        ("datetime", 1488362400000),
        ("number", "many"),
    ],
)
def test_operands_are_read_strictly(kind: FieldType, raw: object) -> None:
    """A model is written by hand: what only CRMs write is refused as an operand (C5, C6)."""
    assert read_operand(kind, raw) is None
    assert read_operands(kind, [raw]) == [None]


def test_what_an_unreadable_value_says() -> None:
    """An unreadable value says what was found, cut, and what was expected (C6)."""
    assert str(Unreadable("1,5", "number")) == 'unreadable: found "1,5", expected a number'
    assert Unreadable(["ä", 1], "text").found == '["ä", 1]'
    for long in ("x" * 1000, ["x" * 1000], list(range(1000)), {"x": "y" * 1000}):
        assert len(Unreadable(long, "boolean").found) == FOUND_CHARACTERS_MAX
    assert Unreadable("x" * 1000, "boolean").found.endswith("…")


@given(st.sampled_from(FIELD_TYPES), json_values)
def test_reading_never_fails(kind: FieldType, raw: object) -> None:
    """Any JSON value in a field is a value of the declared type, missing or unreadable; no error escapes (C6)."""
    value = read_value(kind, raw)
    expected: dict[FieldType, type | tuple[type, ...]] = {
        "text": str, "number": (int, Decimal), "money": (int, Decimal), "date": date, "datetime": datetime,
        "boolean": bool, "set": frozenset, "geo": tuple,
    }  # fmt: skip
    if isinstance(value, Unreadable):
        assert not is_blank(raw)
        assert (value.raw, value.expected) == (raw, kind)
        assert len(str(value)) < 150
        return
    assert value is None or isinstance(value, expected[kind])
    assert kind in ("boolean", "geo") or not isinstance(value, bool)


@given(
    st.sampled_from([kind for kind in FIELD_TYPES if kind != "geo"]),
    scalars | written | st.lists(scalars | texts, max_size=3),
    st.sampled_from(["UTC", "America/New_York", "Pacific/Kiritimati"]),
)
def test_reading_agrees_with_the_oracle(kind: FieldType, raw: object, zone: str) -> None:
    """A field of any type is read as the oracle reads it, in any time zone (C3, C6, C8)."""
    assert same(read_value(kind, raw, ZoneInfo(zone)), read(kind, raw, zone))


@given(st.dictionaries(st.sampled_from(["lat", "latitude", "lon", "lng", "longitude", "city"]), scalars | degrees))
def test_places_agree_with_the_oracle(raw: dict[str, Any]) -> None:
    """A position is read as the oracle reads it, with degrees rounded to 12 decimals (C6)."""
    assert same(read_value("geo", raw), read("geo", raw))


@given(st.dictionaries(st.sampled_from([*FIELDS, "other"]), json_values))
def test_fields_are_read_or_counted(fields: dict[str, Any]) -> None:
    """Every declared field that is present and not blank is in the values; unreadable ones are counted (C2, C6)."""
    values, unreadable = read_fields(FIELDS, fields)  # type: ignore[arg-type]  # the values are field types
    assert values == {
        name: value
        for name, kind in FIELDS.items()
        if (value := read_value(kind, fields.get(name))) is not None  # type: ignore[arg-type]  # a field type
    }
    assert values.keys() <= {name for name in FIELDS if not is_blank(fields.get(name))}
    assert sum(isinstance(value, Unreadable) for value in values.values()) == unreadable


def test_fields_that_are_not_declared_do_not_count() -> None:
    """Undeclared fields are neither read nor counted (C5, C6)."""
    assert read_fields({"a": "number"}, {"a": "x", "b": "y", "c": True}) == ({"a": BAD}, 1)
