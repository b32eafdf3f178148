"""The oracle's criteria against examples computed by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.oracle import Setting, criteria_holds, read
from tests.support.oracle_criteria import truth_of
from tests.support.oracle_values import UNREADABLE

from .oracle_examples import IN_CA, IN_US, MUCH, Document

TEN = datetime(2017, 3, 1, 10, tzinfo=UTC)
SPOT = (Decimal("52.5"), Decimal("-13.4"))


@pytest.mark.parametrize(
    ("criteria", "holds"),
    [
        ({"all": [IN_US, IN_CA]}, True),
        ({"all": [IN_US, {"field": "state", "eq": "NY"}]}, False),
        ({"all": []}, True),
        ({"any": [{"field": "state", "eq": "NY"}, IN_US]}, True),
        ({"any": [{"field": "state", "eq": "NY"}, {"field": "state", "eq": "WA"}]}, False),
        ({"any": []}, False),
        ({"not": IN_US}, False),
        ({"not": {"any": [{"not": IN_US}, {"not": IN_CA}]}}, True),
        ({"field": "all", "eq": "x"}, True),
    ],
)
def test_trees(criteria: Document, holds: bool) -> None:
    """A criteria tree is `all`, `any`, `not` over leaves (C1)."""
    fields = {"country": "US", "state": "CA", "all": "x"}
    assert criteria_holds(criteria, fields, dict.fromkeys(fields, "text")) is holds


@pytest.mark.parametrize(
    ("leaf", "holds"),
    [
        ({"ne": "Software"}, True),
        ({"not_in": ["Software"]}, True),
        ({"not_contains": "soft"}, True),
        ({"not_starts_with": "soft"}, True),
        ({"is_empty": True}, True),
        ({"eq": "Software"}, False),
        ({"in": ["Software"]}, False),
        ({"contains": "soft"}, False),
        ({"starts_with": "soft"}, False),
        ({"ends_with": "ware"}, False),
        ({"is_not_empty": True}, False),
    ],
)
@pytest.mark.parametrize("fields", [{}, {"industry": None}, {"industry": ""}, {"industry": " \t"}])
def test_missing_text(fields: Document, leaf: Document, holds: bool) -> None:
    """A missing or blank text satisfies the negative operators and `is_empty` only (C2, C3)."""
    assert criteria_holds({"field": "industry", **leaf}, fields, {"industry": "text"}) is holds


@pytest.mark.parametrize(
    ("leaf", "holds"),
    [
        ({"ne": 5}, True),
        ({"not_in": [5]}, True),
        ({"not_between": [1, 9]}, True),
        ({"is_empty": True}, True),
        ({"lt": 5}, False),
        ({"le": 5}, False),
        ({"gt": 5}, False),
        ({"ge": 5}, False),
        ({"between": [1, 9]}, False),
    ],
)
def test_missing_number(leaf: Document, holds: bool) -> None:
    """A missing number is neither below nor above anything: `lt` does not negate `ge` (C2)."""
    assert criteria_holds({"field": "n", **leaf}, {}, {"n": "number"}) is holds


@pytest.mark.parametrize(
    ("text", "operand", "equal"),
    [
        ("  Software ", "software", True),
        ("STRASSE", "straße", True),
        ("\uff21cme", "acme", True),  # a full-width A
        ("ﬁnance", "FINANCE", True),  # a ligature
        ("\u00a0Acme\u00a0", "acme", True),  # no-break spaces
        ("Cafe\u0301", "Café", True),  # a composed and a decomposed accent
        ("Cafe", "Café", False),
        ("soft ware", "software", False),
    ],
)
def test_text_compares(text: str, operand: str, equal: bool) -> None:
    """Text compares trimmed and case-folded, after NFKC; accents count (C3)."""
    leaf = {"field": "name", "eq": operand}
    assert criteria_holds(leaf, {"name": text}, {"name": "text"}) is equal


@pytest.mark.parametrize(
    ("leaf", "holds"),
    [
        ({"eq": "gtx pro"}, True),
        ({"ne": "gtx pro"}, False),
        ({"in": ["MG", " gtx PRO "]}, True),
        ({"in": []}, False),
        ({"not_in": ["MG", "gtx"]}, True),
        ({"contains": "X P"}, True),
        ({"contains": "xp"}, False),
        ({"not_contains": "x p"}, False),
        ({"starts_with": "Gtx"}, True),
        ({"starts_with": "pro"}, False),
        ({"starts_with": ["pro", "gt"]}, True),
        ({"starts_with": ["pro", "gtx pro max"]}, False),
        ({"not_starts_with": ["pro", "gt"]}, False),
        ({"not_starts_with": "pro"}, True),
        ({"ends_with": "pro "}, True),
        ({"ends_with": "gtx"}, False),
        ({"is_empty": True}, False),
        ({"is_not_empty": True}, True),
    ],
)
def test_text_operators(leaf: Document, holds: bool) -> None:
    """Equality, text and emptiness operators on a text (C4)."""
    criteria = {"field": "product", **leaf}
    assert criteria_holds(criteria, {"product": "GTX Pro"}, {"product": "text"}) is holds


@pytest.mark.parametrize(
    ("leaf", "holds"),
    [
        ({"eq": "10.5"}, True),
        ({"in": [1, 10.50]}, True),
        ({"lt": 10.5}, False),
        ({"lt": 10.6}, True),
        ({"le": 10.5}, True),
        ({"gt": 10.5}, False),
        ({"gt": 10}, True),
        ({"ge": 10.5}, True),
        ({"ge": 11}, False),
        ({"between": [10.5, 11]}, True),
        ({"between": [10, 10.5]}, True),
        ({"between": [11, 10]}, False),
        ({"not_between": [10.5, 11]}, False),
        ({"not_between": [11, 12]}, True),
    ],
)
@pytest.mark.parametrize("value", ["10.50", 10.5])
def test_number_operators(value: object, leaf: Document, holds: bool) -> None:
    """Order operators on money, both bounds of a range included (C4)."""
    assert criteria_holds({"field": "n", **leaf}, {"n": value}, {"n": "money"}) is holds


@pytest.mark.parametrize(
    ("field_type", "value", "leaf", "holds"),
    [
        ("date", "2017-03-01", {"eq": "2017-03-01"}, True),
        ("date", "2017-03-01", {"ge": "2017-03-01"}, True),
        ("date", "2017-03-01", {"lt": "2017-03-01"}, False),
        ("date", "2017-02-28", {"between": ["2017-02-28", "2017-03-01"]}, True),
        ("date", "2017-03-01T01:30:00+02:00", {"eq": "2017-02-28"}, True),
        ("datetime", "2017-03-01", {"eq": "2017-03-01T02:00:00+02:00"}, True),
        ("datetime", "2017-03-01T00:00:00.5Z", {"gt": "2017-03-01T00:00:00Z"}, True),
        ("boolean", True, {"eq": True}, True),
        ("boolean", False, {"ne": True}, True),
        ("boolean", False, {"in": [True, False]}, True),
        ("set", ["a"], {"is_not_empty": True}, True),
        ("set", [], {"is_empty": True}, True),
        ("geo", {"lat": 52.5, "lon": 13.4}, {"is_not_empty": True}, True),
        ("geo", {"lat": 92.5, "lon": 13.4}, {"is_empty": True}, False),
    ],
)
def test_operators_of_other_types(field_type: str, value: object, leaf: Document, holds: bool) -> None:
    """Dates, instants, booleans, sets and places take the operators of their types (C4, C5)."""
    assert criteria_holds({"field": "f", **leaf}, {"f": value}, {"f": field_type}) is holds


@pytest.mark.parametrize(
    ("value", "held_by"),
    [
        (["a"], ["includes_any", "excludes_all"]),
        (["b ", "A", "c"], ["includes_any", "includes_all"]),
        (["c"], ["excludes_any", "excludes_all"]),
        (None, ["excludes_any", "excludes_all"]),
        ([" "], ["excludes_any", "excludes_all"]),
        ("; ;", ["excludes_any", "excludes_all"]),
        ("a", ["includes_any", "excludes_all"]),
        ("B; a;c", ["includes_any", "includes_all"]),
        (["c", 7, None], ["excludes_any", "excludes_all"]),
        (["c", True], []),
        ({"c": 1}, []),
        (7, []),
    ],
)
def test_fields_of_many_values(value: object, held_by: list[str]) -> None:
    """`includes_any` and `includes_all` with [a, b], and their negations (C2, C4)."""
    words = ("includes_any", "includes_all", "excludes_any", "excludes_all")
    assert [word for word in words if criteria_holds({"field": "f", word: ["a", "B"]}, {"f": value}, {"f": "set"})] == (
        held_by
    )


@pytest.mark.parametrize(
    ("leaf", "value", "holds"),
    [
        ({"postal_between": ["94100", "94199"]}, "94103", True),
        ({"postal_between": ["94100", "94199"]}, " 94199", True),
        ({"postal_between": ["94100", "94199"]}, "9415", False),
        ({"postal_between": ["94100", "94199"]}, "941500", False),
        ({"postal_between": ["1aa", "1ZZ"]}, "1Bc", True),
        ({"postal_between": ["94100", "94199"]}, "94103-1234", True),
        ({"postal_between": ["94100", "94199"]}, "94103 1234", True),
        ({"postal_between": ["94100", "94199"]}, "94103x", False),
        ({"postal_between": ["1000", "1099"]}, "1012 AB", True),
        ({"postal_between": ["1000", "1099"]}, "1012AB", False),
        ({"postal_between": ["1012 AA", "1012AZ"]}, "1012 ab", True),
        ({"starts_with": "1012a"}, "1012 AB", True),
        ({"starts_with": "10 12a"}, "1012 AB", True),
        ({"starts_with": "NewY"}, "New York", False),
        ({"in_table": "zips"}, "94103-1234", True),
        ({"in_table": "zips"}, "94103 AB", True),
        ({"in_table": "zips"}, "94103 street", False),
        ({"in_table": "zips"}, "1 aa", True),
        ({"postal_between": ["94100", "94199"]}, None, False),
        ({"in_table": "zips"}, "94103 ", True),
        ({"in_table": "zips"}, "1AA", True),
        ({"in_table": "zips"}, "94104", False),
        ({"in_table": "zips"}, None, False),
        ({"in_table": "none"}, "94103", False),
    ],
)
def test_postal_codes_and_tables(leaf: Document, value: object, holds: bool) -> None:
    """Codes, or first parts, of the bounds' length are compared; a table is a list that the model names (C4, C10)."""
    setting = Setting(tables={"zips": [" 94103", "1aa"], "none": []})
    assert criteria_holds({"field": "zip", **leaf}, {"zip": value}, {"zip": "text"}, setting) is holds


@pytest.mark.parametrize(
    ("leaf", "day", "holds"),
    [
        ({"within_last_days": 1}, "2016-03-01", True),
        ({"within_last_days": 1}, "2016-02-29", True),
        ({"within_last_days": 1}, "2016-02-28", False),
        ({"within_last_days": 1}, "2016-03-02", False),
        ({"within_next_days": 1}, "2016-03-02", True),
        ({"within_next_days": 1}, "2016-03-03", False),
        ({"within_next_days": 0}, "2016-03-01", True),
        ({"older_than_days": 1}, "2016-02-28", True),
        ({"older_than_days": 1}, "2016-02-29", False),
        ({"older_than_days": 1}, None, False),
        ({"in_period": "this_month"}, "2016-03-31", True),
        ({"in_period": "this_month"}, "2017-03-01", False),
        ({"in_period": "previous_month"}, "2016-02-29", True),
        ({"in_period": "previous_month"}, "2016-01-31", False),
        ({"in_period": "this_quarter"}, "2016-02-01", True),
        ({"in_period": "this_quarter"}, "2016-01-31", False),
        ({"in_period": "previous_quarter"}, "2015-11-01", True),
        ({"in_period": "previous_quarter"}, "2015-10-31", False),
        ({"in_period": "this_year"}, "2017-01-31", True),
        ({"in_period": "this_year"}, "2016-01-31", False),
        ({"in_period": "previous_year"}, "2015-02-01", True),
        ({"in_period": "previous_year"}, "2015-01-31", False),
    ],
)
def test_days(leaf: Document, day: str | None, holds: bool) -> None:
    """Days are counted from today, which is 1 March 2016; the fiscal year begins in February (C7)."""
    setting = Setting(today=date(2016, 3, 1), fiscal_year_start=2)
    assert criteria_holds({"field": "f", **leaf}, {"f": day}, {"f": "date"}, setting) is holds
    instant = None if day is None else f"{day}T12:00:00Z"
    assert criteria_holds({"field": "f", **leaf}, {"f": instant}, {"f": "datetime"}, setting) is holds


@pytest.mark.parametrize(("instant", "holds"), [("2016-03-01T04:59:59Z", False), ("2016-03-01T05:00:00Z", True)])
def test_days_of_a_time_zone(instant: str, holds: bool) -> None:
    """March begins five hours later in New York (C7)."""
    setting = Setting(today=date(2016, 3, 1), time_zone="America/New_York")
    assert (
        criteria_holds({"field": "f", "in_period": "this_month"}, {"f": instant}, {"f": "datetime"}, setting) is holds
    )


def test_no_day() -> None:
    """The oracle requires a day (C7)."""
    with pytest.raises(ValueError, match="depends on the day"):
        criteria_holds({"field": "f", "within_last_days": 1}, {"f": "2016-03-01"}, {"f": "date"})


SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
HOLE = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
EAST = [[-180, 0], [-170, 0], [-180, 5], [-180, 0]]


@pytest.mark.parametrize(
    ("leaf", "lat", "lon", "holds"),
    [
        ({"within_km": {"lat": 0, "lon": 0, "km": "111.32"}}, 0, 1, True),
        ({"within_km": {"lat": 0, "lon": 0, "km": "111.31"}}, 0, 1, False),
        ({"within_km": {"lat": 0, "lon": 180, "km": 112}}, 0, -179, True),
        ({"in_polygon": {"type": "Polygon", "coordinates": [SQUARE, HOLE]}}, 2, 3, True),
        ({"in_polygon": {"type": "Polygon", "coordinates": [SQUARE, HOLE]}}, 5, 5, False),
        ({"in_polygon": {"type": "Polygon", "coordinates": [SQUARE, HOLE]}}, 4, 5, True),
        ({"in_polygon": {"type": "Polygon", "coordinates": [SQUARE, HOLE]}}, 10, 0, True),
        ({"in_polygon": {"type": "Polygon", "coordinates": [SQUARE, HOLE]}}, 4, 11, False),
        ({"in_polygon": {"type": "MultiPolygon", "coordinates": [[HOLE], [EAST]]}}, 5, 5, True),
        ({"in_polygon": {"type": "MultiPolygon", "coordinates": [[HOLE], [EAST]]}}, 2, 180, True),
        ({"in_polygon": {"type": "MultiPolygon", "coordinates": [[HOLE], [EAST]]}}, 2, 179, False),
        ({"in_polygon": {"type": "Polygon", "coordinates": [[[0, 80], [9, 80], [5, 90], [0, 80]]]}}, 90, -77, True),
        ({"in_polygon": {"type": "Polygon", "coordinates": [[[0, 80], [9, 80], [5, 89], [0, 80]]]}}, 90, 5, False),
    ],
)
def test_places(leaf: Document, lat: object, lon: object, holds: bool) -> None:
    """Places within kilometres and polygons: edges belong, the date line is at 180 and -180, poles touch (C4)."""
    assert criteria_holds({"field": "f", **leaf}, {"f": {"lat": lat, "lon": lon}}, {"f": "geo"}) is holds
    assert criteria_holds({"field": "f", **leaf}, {}, {"f": "geo"}) is False


@pytest.mark.parametrize(
    "leaf",
    [
        {"field": "revenue", "eq": "much"},
        {"field": "revenue", "like": 5},
        {"field": "revenue", "is_empty": "yes"},
    ],
)
def test_invalid_leaf(leaf: Document) -> None:
    """The oracle expects valid models: a wrong operand or operator raises (C5)."""
    with pytest.raises(ValueError, match=r"oracle|expected true"):
        criteria_holds(leaf, {"revenue": 5}, {"revenue": "money"})


def test_undeclared_field() -> None:
    """A rule can't name a field without a declared type (C5)."""
    with pytest.raises(KeyError):
        criteria_holds(IN_US, {"country": "US"}, {"state": "text"})


@pytest.mark.parametrize(
    ("field_type", "raw", "value"),
    [
        ("number", "12", Decimal(12)),
        ("number", " 12.50 ", Decimal("12.5")),
        ("money", "1e3", Decimal(1000)),
        ("money", "-.5", Decimal("-0.5")),
        ("money", 0.1, Decimal("0.1")),
        (
            "number",
            "12345678901234567890.123456789012",
            Decimal("12345678901234567890.123456789012"),
        ),
        ("number", "0.1230000000000000", Decimal("0.123")),
        ("number", "0.1234567890123", UNREADABLE),  # 13 decimals
        ("number", "999999999999999999999999999999", Decimal(999999999999999999999999999999)),
        ("number", "1e30", UNREADABLE),
        ("number", "-1e30", UNREADABLE),
        ("number", "1e999999999999999999999", UNREADABLE),
        ("number", float("inf"), UNREADABLE),
        ("number", float("nan"), UNREADABLE),
        ("number", "NaN", UNREADABLE),
        ("number", "Infinity", UNREADABLE),
        ("number", "1_000", UNREADABLE),
        ("number", "1,000", UNREADABLE),
        ("money", "1,234.50", UNREADABLE),
        ("money", "102.389.699,89", UNREADABLE),
        ("money", "1.234", Decimal("1.234")),  # a thousand somewhere, but it reads as a number
        ("number", "twelve", UNREADABLE),
        ("number", "", None),
        ("number", [], None),
        ("number", True, UNREADABLE),
        ("number", [12], UNREADABLE),
        ("text", 12, "12"),
        ("text", -7, "-7"),
        ("text", 12.0, UNREADABLE),
        ("text", True, UNREADABLE),
        ("text", ["US"], UNREADABLE),
        ("text", {"name": "US"}, UNREADABLE),
        ("text", "12", "12"),
        ("text", [" "], None),
        ("date", "2017-02-29", UNREADABLE),
        ("date", "01.03.2017", UNREADABLE),
        ("date", 20170301, UNREADABLE),
        ("date", " 2017-03-01 ", date(2017, 3, 1)),
        ("date", "2017-03-01T10:00:00", UNREADABLE),  # an instant without an offset
        ("date", 1488326400000, date(2017, 3, 1)),
        ("date", "1488326400000", date(2017, 3, 1)),
        ("date", True, UNREADABLE),
        ("datetime", "2017-03-01T10:00:00", UNREADABLE),
        ("datetime", "2017-03-01T10:00:00.000+0000", TEN),
        ("datetime", "2017-03-01T10:00:00+00", TEN),
        ("datetime", "2017-03-01 10:00Z", TEN),
        ("datetime", "2017-03-01t12:30+0230", TEN),
        ("datetime", 1488362400000, TEN),
        ("datetime", 1488362400, UNREADABLE),  # seconds
        ("datetime", "1488362400", UNREADABLE),
        ("datetime", 1488362400000.0, UNREADABLE),
        ("datetime", 10**18, UNREADABLE),
        ("datetime", "2017-03-01  10:00Z", UNREADABLE),
        ("datetime", "2017-03-01T10Z", UNREADABLE),
        ("datetime", "2017-03-01T10:00+0", UNREADABLE),
        ("boolean", "true", True),
        ("boolean", " TRUE ", True),
        ("boolean", "Yes", True),
        ("boolean", "Y", True),
        ("boolean", 1, True),
        ("boolean", "1", True),
        ("boolean", "false", False),
        ("boolean", "No", False),
        ("boolean", "n", False),
        ("boolean", 0, False),
        ("boolean", "0", False),
        ("boolean", "", None),
        ("boolean", 1.0, UNREADABLE),
        ("boolean", 2, UNREADABLE),
        ("boolean", "on", UNREADABLE),
        ("boolean", "t", UNREADABLE),
        ("boolean", [True], UNREADABLE),
        ("set", "a", frozenset({"a"})),
        ("set", "B;a; b ;", frozenset({"a", "b"})),
        ("set", ["a;b"], frozenset({"a;b"})),
        ("set", ["a", 1], frozenset({"a", "1"})),
        ("set", ["a", None, ""], frozenset({"a"})),
        ("set", [None], None),
        ("set", ["a", 1.5], UNREADABLE),
        ("set", ["a", ["b"]], UNREADABLE),
        ("set", 1, UNREADABLE),
        ("geo", {"lat": 52.5}, UNREADABLE),
        ("geo", {"lat": "52.5", "lon": "-13.40000000000004"}, SPOT),
        ("geo", {"latitude": 52.5, "longitude": -13.4, "accuracy": None}, SPOT),
        ("geo", {"lat": "52.5", "lng": -13.4}, SPOT),
        ("geo", {"lat": 52.5, "lon": -13.4, "lng": "-13.40", "latitude": None}, SPOT),
        ("geo", {"lat": 52.5, "lon": -13.4, "lng": 13.4}, UNREADABLE),  # which of them?
        ("geo", {"latitude": None, "longitude": "", "city": "Berlin"}, None),
        ("geo", {"city": "Berlin"}, UNREADABLE),
        ("geo", {}, None),
        ("geo", "52.5,13.4", UNREADABLE),
        ("geo", [52.5, 13.4], UNREADABLE),
    ],
)
def test_reading(field_type: str, raw: object, value: object) -> None:
    """What CRMs write is read where its meaning is certain; anything else that is not empty is unreadable (C6)."""
    assert read(field_type, raw) == value


@pytest.mark.parametrize(
    ("raw", "day"),
    [
        ("2017-03-01T04:59:59.999+0000", date(2017, 2, 28)),
        ("2017-03-01T05:00:00Z", date(2017, 3, 1)),
        ("2017-03-01", date(2017, 3, 1)),
        (1488344399999, date(2017, 2, 28)),
    ],
)
def test_days_of_instants(raw: object, day: date) -> None:
    """The day of an instant is that of the organisation's time zone, here New York (C8)."""
    assert read("date", raw, "America/New_York") == day


def test_days_as_instants() -> None:
    """A day in a field for datetimes is the instant at which it begins in the organisation's time zone (C8)."""
    assert read("datetime", "2017-03-01", "America/New_York") == datetime(2017, 3, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("leaf", "instant", "holds"),
    [
        ({"eq": "2017-03-01"}, "2017-03-01T05:00:00Z", True),
        ({"eq": "2017-03-01"}, "2017-03-02T04:59:59.999999Z", True),
        ({"eq": "2017-03-01"}, "2017-03-02T05:00:00Z", False),
        ({"ne": "2017-03-01"}, "2017-03-01T23:00:00Z", False),
        ({"in": ["2017-03-01", "2017-03-05T00:00:00Z"]}, "2017-03-05T01:00:00+01:00", True),
        ({"in": ["2017-03-01", "2017-03-05T00:00:00Z"]}, "2017-03-05T00:00:01Z", False),
        ({"lt": "2017-03-01"}, "2017-03-01T04:59:59Z", True),
        ({"lt": "2017-03-01"}, "2017-03-01T05:00:00Z", False),
        ({"le": "2017-03-01"}, "2017-03-02T04:59:59Z", True),
        ({"gt": "2017-03-01"}, "2017-03-02T04:59:59Z", False),
        ({"gt": "2017-03-01"}, "2017-03-02T05:00:00Z", True),
        ({"ge": "2017-03-01"}, "2017-03-01T05:00:00Z", True),
        ({"between": ["2017-03-01", "2017-03-02"]}, "2017-03-03T04:59:59Z", True),
        ({"between": ["2017-03-01", "2017-03-02"]}, "2017-03-03T05:00:00Z", False),
        ({"between": ["2017-03-01T12:00:00Z", "2017-03-02"]}, "2017-03-01T11:59:59Z", False),
        ({"lt": "2017-03-01T10:00:00+0100"}, "2017-03-01T08:59:59Z", True),
    ],
)
def test_datetimes_beside_days(leaf: Document, instant: str, holds: bool) -> None:
    """A datetime beside a day is its day in the organisation's time zone; two datetimes are instants (C8)."""
    setting = Setting(time_zone="America/New_York")
    assert criteria_holds({"field": "f", **leaf}, {"f": instant}, {"f": "datetime"}, setting) is holds


@pytest.mark.parametrize(
    ("criteria", "truth"),
    [
        ({"field": "f", "eq": 1}, None),
        ({"field": "f", "ne": 1}, None),
        ({"field": "f", "not_in": [1]}, None),
        ({"field": "f", "not_between": [1, 2]}, None),
        ({"field": "f", "is_empty": True}, False),
        ({"field": "f", "is_not_empty": True}, True),
        ({"not": {"field": "f", "eq": 1}}, None),
        ({"not": {"field": "f", "is_empty": True}}, True),
        ({"all": [{"field": "f", "eq": 1}, {"field": "g", "eq": 5}]}, None),
        ({"all": [{"field": "f", "eq": 1}, {"field": "g", "eq": 6}]}, False),
        ({"any": [{"field": "f", "eq": 1}, {"field": "g", "eq": 5}]}, True),
        ({"any": [{"field": "f", "eq": 1}, {"field": "g", "eq": 6}]}, None),
        ({"any": [{"field": "f", "eq": 1}, {"not": {"field": "f", "eq": 1}}]}, None),
        ({"not": {"all": [{"field": "f", "eq": 1}, {"field": "g", "eq": 6}]}}, True),
        ({"not": {"any": [{"field": "f", "eq": 1}, {"field": "g", "eq": 5}]}}, False),
    ],
)
def test_unreadable_values(criteria: Document, truth: bool | None) -> None:
    """A comparison with an unreadable value is unknown, and `not`, `all`, `any` follow Kleene (C2)."""
    fields, types = {"f": "much", "g": 5}, {"f": "number", "g": "number"}
    assert truth_of(criteria, fields, types) is truth
    assert criteria_holds(criteria, fields, types) is (truth is True)


@given(
    raw=st.none() | st.text(max_size=4) | st.integers(-5, 5) | st.booleans(),
    operand=st.integers(-5, 5),
    pair=st.sampled_from([("eq", "ne"), ("in", "not_in"), ("between", "not_between")]),
)
@MUCH
def test_negative_operators_negate(raw: object, operand: int, pair: tuple[str, str]) -> None:
    """Every negative operator is exactly the negation of its positive one, where the value can be read (C2)."""
    whole = {"eq": operand, "in": [operand, 0], "between": [operand, 3]}[pair[0]]
    positive, negative = (
        criteria_holds({"field": "n", operator: whole}, {"n": raw}, {"n": "number"}) for operator in pair
    )
    assert (positive or negative) is (read("number", raw) is not UNREADABLE)
    assert not (positive and negative)
