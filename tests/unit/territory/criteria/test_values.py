"""Reading JSON values as typed values."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from territory.criteria.values import (
    DECIMALS_MAX,
    FIELD_TYPES,
    MAGNITUDE_MAX,
    FieldType,
    date_of,
    datetime_of,
    folded,
    is_blank,
    number_of,
    read_fields,
    read_value,
    read_values,
)
from tests.support.oracle import read
from tests.unit.territory.examples import FIELDS, json_values, letters, scalars, texts

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
    assert read_values("text", raws) == [read_value("text", raw) for raw in raws] == expected


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
    """Empty or blank text is missing, not of the wrong type (C3)."""
    assert read_fields({"f": "text"}, {"f": raw}) == ({}, 0)
    assert is_blank(raw)


# --- numbers ----------------------------------------------------------------------------------


@given(st.integers() | st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact_or_missing(number: int | Decimal) -> None:
    """A number is read exactly or counts as missing; it is never rounded (C6)."""
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
    """A number with more than 12 decimals is of the wrong type, however many digits stand before them (C6)."""
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
    """A plain decimal text is read as its number; a boolean is of the wrong type (C6)."""
    assert number_of(raw) == number
    assert read_value("money", raw) == read_value("number", raw) == number


# --- days and instants ------------------------------------------------------------------------

zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=zones).filter(lambda instant: 1 < instant.year < 9999))
def test_instants_compare_across_zones(instant: datetime) -> None:
    """An RFC 3339 text is its instant, and its day is the day in UTC (C6)."""
    assert datetime_of(instant.isoformat()) == instant
    assert date_of(instant.isoformat()) == instant.astimezone(UTC).date()


@given(st.dates())
def test_a_day_is_its_midnight(day: date) -> None:
    """A plain date is that day, and as an instant its midnight in UTC (C6)."""
    assert date_of(day.isoformat()) == day
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
        ("2017-03-01T10:00:00123Z", None),  # digits without their point
        ("2017-03-01T10:00:00.Z", None),
        ("2017-03-01T10:00:00", None),  # no time zone
        ("2017-03-01 10:00:00Z", None),
        ("2017-03-01T10:00Z", None),
        ("2017-03-01T24:00:00Z", None),
        ("2016-12-31T23:59:60Z", None),
        ("2017-03-01T10:00:00+24:00", None),
        ("2017-03-01T10:00:00+00:99", None),
        ("0001-01-01T00:30:00+01:00", None),  # before the calendar
        ("9999-12-31T23:30:00-01:00", None),  # after it
        ("2017-3-1", None),
        ("20170301", None),
        ("01.03.2017", None),
        ("٢٠١٧-03-01", None),
        (20170301, None),
        (True, None),
        (date(2017, 3, 1), None),
    ],
)
def test_instants_and_dates(raw: object, instant: str | None) -> None:
    """Dates are YYYY-MM-DD, instants RFC 3339 with a zone; anything else is of the wrong type (C6)."""
    found = datetime_of(raw)
    assert (None if found is None else found.isoformat()) == instant
    assert date_of(raw) == (None if found is None else found.date())


# --- other types, and all of them -------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("boolean", True, True),
        ("boolean", False, False),
        ("boolean", "true", None),
        ("boolean", 1, None),
        ("boolean", 0, None),
        ("text", "12", "12"),
        ("text", 12, None),
        ("text", True, None),
        ("text", ["US"], None),
        ("set", [" A ", "b", "", "a"], frozenset({"a", "b"})),
        ("set", [], None),
        ("set", [" "], None),
        ("set", ["a", 1], None),
        ("set", "a", None),
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
        ("geo", {"lat": "90.00000000000001", "lon": 0}, None),  # beyond the pole before it is rounded
        ("geo", {"lat": float("nan"), "lon": 0}, None),
        ("geo", {"lat": True, "lon": 0}, None),
        ("geo", {"lat": 90.1, "lon": 0}, None),
        ("geo", {"lat": 0, "lon": -180.1}, None),
        ("geo", {"lat": 52.5}, None),
        ("geo", [52.5, 13.4], None),
    ],
)
def test_reading_by_type(kind: FieldType, raw: object, value: object) -> None:
    """A value of the wrong type is treated as missing (C6)."""
    assert read_value(kind, raw) == value


@given(st.sampled_from(FIELD_TYPES), json_values)
def test_reading_never_fails(kind: FieldType, raw: object) -> None:
    """Any JSON value in a field is a value of the declared type or missing; no error escapes (C6)."""
    value = read_value(kind, raw)
    expected: dict[FieldType, type | tuple[type, ...]] = {
        "text": str, "number": (int, Decimal), "money": (int, Decimal), "date": date, "datetime": datetime,
        "boolean": bool, "set": frozenset, "geo": tuple,
    }  # fmt: skip
    assert value is None or isinstance(value, expected[kind])
    assert kind in ("boolean", "geo") or not isinstance(value, bool)


@given(st.sampled_from([kind for kind in FIELD_TYPES if kind != "geo"]), scalars | st.lists(texts, max_size=3))
def test_reading_agrees_with_the_oracle(kind: FieldType, raw: object) -> None:
    """A field of any type is read as the oracle reads it (C3, C6)."""
    assert read_value(kind, raw) == read(kind, raw)


@given(st.fixed_dictionaries({}, optional={"lat": scalars | st.floats(-90, 90), "lon": scalars | st.floats(-180, 180)}))
def test_places_agree_with_the_oracle(raw: dict[str, Any]) -> None:
    """A position is read as the oracle reads it, with degrees rounded to 12 decimals (C6)."""
    assert read_value("geo", raw) == read("geo", raw)


@given(st.dictionaries(st.sampled_from([*FIELDS, "other"]), json_values))
def test_fields_are_read_or_counted(fields: dict[str, Any]) -> None:
    """Every declared field that is present and not blank is read, or counted as of the wrong type (C6)."""
    values, wrong = read_fields(FIELDS, fields)  # type: ignore[arg-type]  # the values are field types
    there = {name for name in FIELDS if not is_blank(fields.get(name))}
    assert len(there - values.keys()) == wrong
    assert values.keys() <= there
    assert all(values[name] == read_value(FIELDS[name], fields[name]) for name in values)  # type: ignore[arg-type]


def test_fields_that_are_not_declared_do_not_count() -> None:
    """Undeclared fields are neither read nor counted (C5, C6)."""
    assert read_fields({"a": "number"}, {"a": "x", "b": "y", "c": True}) == ({}, 1)
