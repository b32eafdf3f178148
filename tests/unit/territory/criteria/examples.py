"""Shared by the tests of criteria: random criteria, records, days and calendars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from territory.criteria import OPERATORS, Criterion, Leaf, Lists, parse
from territory.criteria.values import FieldType, is_day, read_fields, read_value
from territory.model.periods import FiscalCalendar
from tests.support.oracle import Setting

from ..examples import FIELDS, Document, days, instants, long_decimals, scalars, texts, written

TABLES = {"core": ["US", " Straße", "us"], "codes": ["94102", "94103", "8AB", "X1-2", "abc 12 Street"], "none": []}

# --- settings ---------------------------------------------------------------------------------

ZONES = (
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",  # its clocks skipped midnight
    "Asia/Kolkata",
    "Pacific/Auckland",
    "Pacific/Kiritimati",  # 14 hours ahead
)
ENDS = [
    date(2016, 2, 28), date(2016, 2, 29), date(2016, 3, 1), date(2015, 12, 31), date(2016, 1, 1), date(2016, 3, 31),
    date(2016, 4, 1), date(2016, 6, 30), date(2016, 7, 1), date(2016, 10, 15), date(2016, 10, 16), date(2016, 10, 17),
    date(2016, 12, 31), date(2017, 1, 1), date(2017, 2, 28), date(2017, 3, 1),
]  # fmt: skip
"""Ends of months, quarters and years, leap days, and days whose midnight some clocks skip."""
near_days = st.sampled_from(ENDS) | st.dates(date(2015, 1, 1), date(2018, 1, 31))
_CLOCKS = ("00:00:00", "23:59:59.999999", "02:59:59.999999", "03:00:00", "04:59:59.999999", "05:00:00", "10:00:00",
           "09:59:59.999999", "11:00:00", "12:59:59.999999", "18:29:59.999999", "18:30:00")  # fmt: skip
near_instants = st.builds("{}T{}Z".format, near_days, st.sampled_from(_CLOCKS))

settings = st.builds(
    Setting,
    today=near_days,
    fiscal_year_start=st.integers(1, 12),
    time_zone=st.sampled_from(ZONES),
    tables=st.just(TABLES),
)
SETTING = Setting(today=date(2017, 3, 1), tables=TABLES)


def calendar_of(setting: Setting) -> FiscalCalendar:
    """Return the calendar of a setting."""
    return FiscalCalendar("quarter", setting.fiscal_year_start, ZoneInfo(setting.time_zone))


# --- values and operands ----------------------------------------------------------------------

NUMBERS = (9, "80000", 0.1, "0.10", -0.0, "1e3", "12345678901234567890.123456789012")
CODES = (
    "94102",
    "94103",
    " 94110",
    "9411",
    "8ab",
    "8AB",
    "8b",
    "８ＡＢ",
    "zzzzz",
    "94102-1234",
    "94102 12",
    "941 02",
    "8 ab",
    "8a-b1",
    "x1 ab-2",
    "abc 12 street",
)
tags = st.sampled_from(["a", " A", "b", "Straße", "STRASSE", "c"])
_latitudes = st.sampled_from([-90, 90, -89.5]) | st.integers(-6, 6) | st.integers(-12, 12).map(lambda half: half / 2)
_longitudes = (
    st.sampled_from([-180, 180, -179.5]) | st.integers(-6, 6) | st.integers(-12, 12).map(lambda half: half / 2)
)
places = st.fixed_dictionaries({"lat": _latitudes, "lon": _longitudes}) | st.fixed_dictionaries(
    {"lat": st.floats(-90, 90), "lon": st.floats(-180, 180)}
)
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(["US", " us ", "ＵＳ", "USA", "Straße", "STRASSE", "9", "80000", *CODES])
    | texts.map("x".__add__),
    "number": st.sampled_from(NUMBERS) | st.integers(-20, 20) | long_decimals.map(str),
    "money": st.sampled_from(NUMBERS) | st.floats(-1e6, 1e6).map(lambda number: round(number, 6)),
    "date": st.sampled_from(["2016-02-29", "2017-03-01T01:30:00+02:00"]) | near_days.map(str) | days,
    "datetime": st.sampled_from(["2016-02-29", "2017-03-01T01:30:00+02:00", "2017-03-01T01:30+0200"])
    | near_instants
    | near_days.map(str)
    | days
    | instants,
    "boolean": st.booleans(),
    "set": st.lists(tags, min_size=1, max_size=3),
    "geo": places,
}
"""Values of each field type, which are also operands of most operators."""


def _bounds(kind: FieldType, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return two operands, the lower first; days and datetimes are not mixed, as their order depends on the zone."""
    if kind == "datetime":
        return _sorted_pairs("date", VALUES["date"].filter(is_day)) | _sorted_pairs(
            "datetime", near_instants | instants
        )
    return _sorted_pairs(kind, values)


def _sorted_pairs(kind: FieldType, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=2, max_size=2).map(
        lambda pair: sorted(pair, key=lambda raw: read_value(kind, raw))  # type: ignore[arg-type, return-value]
    )


def _comparable(code: str) -> str:
    """Return a postal code as it is compared: without blanks."""
    return "".join(str(read_value("text", code)).split())


def _same_length(pair: list[Any]) -> bool:
    return len(set(map(len, map(_comparable, pair)))) == 1


rings = (
    st.lists(st.tuples(st.integers(-6, 6), st.integers(-6, 6)), min_size=3, max_size=8, unique=True)
    | st.lists(st.tuples(_longitudes, _latitudes), min_size=3, max_size=6, unique=True)
    | st.lists(st.tuples(st.integers(-60, 60), st.integers(-60, 60)), min_size=40, max_size=60, unique=True)
).map(lambda ring: [list(position) for position in (*ring, ring[0])])
"""Rings on a grid, so that positions are often on them; many of them cross themselves."""
polygons = st.lists(rings, min_size=1, max_size=3)
regions = st.one_of(
    polygons.map(lambda coordinates: {"type": "Polygon", "coordinates": coordinates}),
    st.lists(polygons, min_size=1, max_size=2).map(
        lambda coordinates: {"type": "MultiPolygon", "coordinates": coordinates}
    ),
)
circles = st.fixed_dictionaries(
    {
        "lat": _latitudes,
        "lon": _longitudes,
        "km": st.sampled_from([1, "111.5", 314, 5000, 20_004]) | st.floats(1, 20_000),
    }
)
_PERIODS = ("this_month", "this_quarter", "this_year", "previous_month", "previous_quarter", "previous_year")


def operands(shape: str, kind: FieldType) -> st.SearchStrategy[Any]:
    """Return valid operands of a shape for a field type."""
    values = VALUES[kind]
    return {
        "flag": st.just(True),
        "one": values,
        "one or many": values | st.lists(values, min_size=1, max_size=4),
        "many": st.lists(values, min_size=1, max_size=4),
        "texts": st.lists(tags, min_size=1, max_size=3),
        "pair": _bounds(kind, values),
        "codes": st.lists(st.sampled_from(CODES), min_size=2, max_size=2)
        .filter(_same_length)
        .map(lambda pair: sorted(pair, key=_comparable)),
        "table": st.sampled_from(sorted(TABLES)),
        "days": st.sampled_from([0, 1, 28, 29, 30, 31, 365, 366, 36_525]) | st.integers(0, 800),
        "period": st.sampled_from(_PERIODS),
        "circle": circles,
        "region": regions,
    }[shape]


# --- criteria and records ---------------------------------------------------------------------


@st.composite
def leaves(draw: st.DrawFn, words: Iterable[str] = OPERATORS) -> Document:
    """Return a valid leaf with a random operator."""
    word = draw(st.sampled_from(sorted(words)))
    kind = draw(st.sampled_from(OPERATORS[word].types))
    return {"field": kind, word: draw(operands(OPERATORS[word].shape, kind))}


def _grown(inner: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    parts = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        parts.map(lambda items: {"all": items}),
        parts.map(lambda items: {"any": items}),
        inner.map(lambda item: {"not": item}),
    )


trees: st.SearchStrategy[Document] = st.recursive(leaves(), _grown, max_leaves=6)

odd_values = scalars | written | st.lists(texts, max_size=2)
records = st.fixed_dictionaries({}, optional={kind: odd_values | values | values for kind, values in VALUES.items()})
"""The fields of a record: readable, unreadable, or missing."""


def unresolved(document: Any, types: Mapping[str, str] = FIELDS, zone: tzinfo = UTC) -> Criterion:
    """Parse valid criteria; relative dates are not absolute yet."""
    criterion, faults = parse(document, types, "rule", Lists(TABLES), zone)  # type: ignore[arg-type]  # field types
    assert faults == []
    assert criterion is not None
    return criterion


def parsed(document: Any, types: Mapping[str, str] = FIELDS, setting: Setting = SETTING) -> Criterion:
    """Parse valid criteria and make them absolute for a setting's day."""
    assert setting.today is not None
    return unresolved(document, types, ZoneInfo(setting.time_zone)).on(setting.today, calendar_of(setting))


def holds(
    document: Document, fields: Mapping[str, Any], types: Mapping[str, str] = FIELDS, setting: Setting = SETTING
) -> bool:
    """Return whether criteria hold for a record's raw fields."""
    values, _ = read_fields(types, fields, ZoneInfo(setting.time_zone))  # type: ignore[arg-type]  # field types
    return parsed(document, types, setting).holds(values)


def on(today: str, **others: Any) -> Setting:
    """Return a setting on a day."""
    return replace(SETTING, today=date.fromisoformat(today), **others)


def faults_in(document: Any) -> dict[str, str]:
    """Return the faults of criteria by path."""
    criterion, faults = parse(document, FIELDS, "rule", Lists(TABLES))  # type: ignore[arg-type]  # they are field types
    assert criterion is None
    return {fault.path: fault.message for fault in faults}


def leaves_of(criterion: Criterion) -> list[Leaf]:
    """Return all leaves of criteria."""
    if isinstance(criterion, Leaf):
        return [criterion]
    parts = criterion.parts if hasattr(criterion, "parts") else (criterion.part,)
    return [leaf for part in parts for leaf in leaves_of(part)]
