"""The oracle's evaluation of a criteria tree, leaf by leaf, in three-valued logic (C1, C2, C4, C7, C8, C10)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from geographiclib.geodesic import Geodesic

from .oracle_values import UNREADABLE, read, read_date, read_geo, read_text

POSITIVE_OF = {
    "ne": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "not_starts_with": "starts_with",
    "not_between": "between",
    "excludes_any": "includes_any",
    "excludes_all": "includes_all",
    "is_empty": "is_not_empty",
}
"""Every negative operator and the positive one that it negates (C2)."""


@dataclass(frozen=True)
class Setting:
    """What leaves depend on besides the record: the day, the calendar and the tables."""

    today: date | None = None
    fiscal_year_start: int = 1
    time_zone: str = "UTC"
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)


def setting_of(model: Mapping[str, Any]) -> Setting:
    """Return the setting of a model document; the oracle's caller may add `today` to it, a date."""
    return Setting(
        today=model.get("today"),
        fiscal_year_start=model.get("fiscal_year_start", 1),
        time_zone=(model.get("settings") or {}).get("time_zone", "UTC"),
        tables=model.get("tables") or {},
    )


NOWHERE = Setting()


def criteria_holds(
    criteria: Mapping[str, Any],
    record_fields: Mapping[str, Any],
    field_types: Mapping[str, str],
    setting: Setting = NOWHERE,
) -> bool:
    """Return whether a tree of `all`, `any`, `not` and leaves is true for a record's fields (C1, C2)."""
    return truth_of(criteria, record_fields, field_types, setting) is True


def truth_of(
    criteria: Mapping[str, Any],
    record_fields: Mapping[str, Any],
    field_types: Mapping[str, str],
    setting: Setting = NOWHERE,
) -> bool | None:
    """Return true, false, or None for unknown, as Kleene's logic has it (C2)."""
    if "all" in criteria:
        parts = [truth_of(part, record_fields, field_types, setting) for part in criteria["all"]]
        return False if False in parts else None if None in parts else True
    if "any" in criteria:
        parts = [truth_of(part, record_fields, field_types, setting) for part in criteria["any"]]
        return True if True in parts else None if None in parts else False
    if "not" in criteria:
        part = truth_of(criteria["not"], record_fields, field_types, setting)
        return None if part is None else not part
    return _truth_of_leaf(criteria, record_fields, field_types, setting)


def _truth_of_leaf(
    leaf: Mapping[str, Any], record_fields: Mapping[str, Any], field_types: Mapping[str, str], setting: Setting
) -> bool | None:
    """Return the truth of one leaf; a negative operator negates its positive one, unreadable is unknown (C2)."""
    ((operator, operand),) = ((key, leaf[key]) for key in leaf if key != "field")
    field_type = field_types[leaf["field"]]
    value = read(field_type, record_fields.get(leaf["field"]), setting.time_zone)
    if value is UNREADABLE:  # it is there, whatever it is
        return {"is_empty": False, "is_not_empty": True}.get(operator)
    if operator in POSITIVE_OF:
        return not _positive_holds(POSITIVE_OF[operator], value, operand, field_type, setting)
    return _positive_holds(operator, value, operand, field_type, setting)


def _positive_holds(operator: str, value: Any, operand: Any, field_type: str, setting: Setting) -> bool:
    """Return whether a positive operator holds; none holds for a missing field (C2, C4)."""
    if value is None:
        return False
    if operator in RELATIVE:
        return _relative_holds(operator, _day_of(value, setting), operand, setting)
    match operator:
        case "includes_any":
            return any(_operand("text", item) in value for item in operand)
        case "includes_all":
            return all(_operand("text", item) in value for item in operand)
        case "in_table" | "starts_with" | "postal_between":
            return _code_holds(operator, value, operand, setting)
        case "within_km":
            return _kilometres(value, read_geo(operand)) <= float(operand["km"])
        case "in_polygon":
            polygons = operand["coordinates"] if operand["type"] == "MultiPolygon" else [operand["coordinates"]]
            return any(_in_polygon(value, rings) for rings in polygons)
        case "is_not_empty":
            return _must_be_true(operand)
        case "in":
            return any(_holds_for_one("eq", value, item, field_type, setting) for item in operand)
        case "between":
            low, high = operand
            return _holds_for_one("ge", value, low, field_type, setting) and _holds_for_one(
                "le", value, high, field_type, setting
            )
        case _:
            return _holds_for_one(operator, value, operand, field_type, setting)


def _holds_for_one(operator: str, value: Any, operand: Any, field_type: str, setting: Setting) -> bool:
    """Return whether an operator holds for a value and one operand; a datetime beside a day is its day (C8)."""
    if field_type == "datetime" and _is_day(operand):
        return _compares(operator, _day_of(value, setting), read_date(operand))
    return _compares(operator, value, _operand(field_type, operand, setting))


def _is_day(operand: Any) -> bool:
    return isinstance(operand, date) or len(operand.strip()) == len("2017-01-31")


def _compares(operator: str, value: Any, operand: Any) -> bool:
    """Return whether an operator holds for a present value and an operand (C4)."""
    match operator:
        case "eq":
            holds = value == operand
        case "lt":
            holds = value < operand
        case "le":
            holds = value <= operand
        case "gt":
            holds = value > operand
        case "ge":
            holds = value >= operand
        case "contains":
            holds = operand in value
        case "starts_with":
            holds = value.startswith(operand)
        case "ends_with":
            holds = value.endswith(operand)
        case _:
            raise ValueError(f"operator {operator!r} is not one that the oracle knows")
    return bool(holds)


def _operand(field_type: str, raw: Any, setting: Setting = NOWHERE) -> Any:
    """Return an operand as a value of the field's type; a model with another is not valid (C5)."""
    operand = read(field_type, raw, setting.time_zone)
    if operand is None or operand is UNREADABLE:
        raise ValueError(f"operand {raw!r} is no {field_type}; the oracle takes valid models only")
    return operand


def _must_be_true(operand: Any) -> bool:
    if operand is not True:
        raise ValueError(f"operand {operand!r} of is_empty or is_not_empty: expected true")
    return True


# --- postal codes (C10) -----------------------------------------------------------------------


def _code_holds(operator: str, value: str, operand: Any, setting: Setting) -> bool:
    """Return whether an operator holds that compares postal codes as such."""
    if operator == "in_table":
        return any(_is_entry(value, read_text(item)) for item in setting.tables[operand])
    if operator == "starts_with":
        return any(
            _begins(value, _operand("text", one)) for one in (operand if isinstance(operand, list) else [operand])
        )
    low, high = (_without_blanks(_operand("text", item)) for item in operand)
    return any(low <= part <= high for part in _parts_of_length(value, len(low)))


def _looks_like_a_code(text: str) -> bool:
    """Return whether a text has 2 to 12 letters and digits in groups that may be of a postal code."""
    groups = [group for part in text.split(" ") if part for group in part.split("-")]
    characters = "".join(groups)
    return (
        2 <= len(characters) <= 12
        and characters.isascii()
        and all(group.isalnum() for group in groups)
        and any(character.isdigit() for character in characters)
        and all(_has_digit(group) or len(group) == 2 for group in groups[1:])
        and not re.search("- | -", text)
    )


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _without_blanks(text: str) -> str:
    return "".join(character for character in text if not character.isspace())


def _parts_of_length(code: str, length: int) -> list[str]:
    """Return the beginnings of so many characters, blanks aside, behind which a code ends or goes on anew."""
    cuts = [
        place for place in range(1, len(code) + 1) if place == len(code) or code[place] == "-" or code[place].isspace()
    ]
    return [part for place in cuts if len(part := _without_blanks(code[:place])) == length]


def _is_entry(value: str, entry: str | None) -> bool:
    """Return whether a value is an entry of a table: of codes, blanks do not count, and the first part is enough."""
    if entry is None or value == entry or not (_looks_like_a_code(value) and _looks_like_a_code(entry)):
        return value == entry
    first = re.split("[- ]", value)[0]
    return _without_blanks(entry) in (_without_blanks(value), first if len(first) > 2 and _has_digit(first) else None)


def _begins(value: str, beginning: str) -> bool:
    """Return whether a text begins so; of a code, blanks do not count."""
    if value.startswith(beginning):
        return True
    return _looks_like_a_code(value) and _without_blanks(value).startswith(_without_blanks(beginning))


# --- days (C7) --------------------------------------------------------------------------------

RELATIVE = ("within_last_days", "within_next_days", "older_than_days", "in_period")


def _day_of(value: Any, setting: Setting) -> date:
    """Return the day of a date, or of an instant in the organisation's time zone."""
    if isinstance(value, datetime):
        try:
            return value.astimezone(ZoneInfo(setting.time_zone)).date()
        except OverflowError:  # beyond the calendar: its first or last day
            return date.max if value.year > 1 else date.min
    day: date = value
    return day


def _relative_holds(operator: str, day: date, operand: Any, setting: Setting) -> bool:
    """Return whether an operator with a relative date holds for a day."""
    if setting.today is None:
        raise ValueError(f"{operator} depends on the day; add `today` to the model")
    days_ago = (setting.today - day).days
    match operator:
        case "within_last_days":
            return bool(0 <= days_ago <= operand)
        case "within_next_days":
            return bool(0 <= -days_ago <= operand)
        case "older_than_days":
            return bool(days_ago > operand)
    which, unit = operand.split("_")
    return _span(day, unit, setting) == _named_span(which, unit, setting.today, setting)


def _span(day: date, unit: str, setting: Setting) -> tuple[int, ...]:
    """Return an identifier of a day's month, fiscal quarter or fiscal year."""
    if unit == "month":
        return (day.year, day.month)
    year = day.year if day.month >= setting.fiscal_year_start else day.year - 1  # in which the fiscal year began
    if unit == "year":
        return (year,)
    return (year, (day.month - setting.fiscal_year_start) % 12 // 3)


def _named_span(which: str, unit: str, today: date, setting: Setting) -> tuple[int, ...]:
    """Return this or the previous month, quarter or year, by going back day by day."""
    this = _span(today, unit, setting)
    day = today
    while which == "previous" and _span(day, unit, setting) == this:
        day -= timedelta(days=1)
    return _span(day, unit, setting)


# --- places -----------------------------------------------------------------------------------


def _kilometres(place: Any, other: Any) -> float:
    """Return the geodesic distance of two positions on the WGS 84 ellipsoid."""
    (lat, lon), (other_lat, other_lon) = place, other
    way = Geodesic.WGS84.Inverse(float(lat), float(lon), float(other_lat), float(other_lon))
    return float(way["s12"]) / 1000


Point = tuple[Fraction, Fraction]
"""Longitude and latitude, exactly."""


def _in_polygon(place: Any, rings: Sequence[Sequence[Sequence[Any]]]) -> bool:
    """Return whether a position is in a GeoJSON polygon, including all edges, those of holes as well."""
    outer, *holes = [[_point(lat, lon) for lon, lat, *_ in ring] for ring in rings]
    lon, lat = _point(*place)
    if abs(lat) == 90:  # a pole is at every longitude
        return any(corner[1] == lat for corner in outer)
    longitudes = [lon, -lon] if abs(lon) == 180 else [lon]  # the date line is at two
    return any(
        _on_line((each, lat), outer)
        or (_inside((each, lat), outer) and not any(_deep_in((each, lat), hole) for hole in holes))
        for each in longitudes
    )


def _point(lat: Any, lon: Any) -> Point:
    latitude, longitude = _operand("geo", {"lat": lat, "lon": lon})
    return Fraction(longitude), Fraction(latitude)


def _deep_in(point: Point, ring: Sequence[Point]) -> bool:
    return _inside(point, ring) and not _on_line(point, ring)


def _on_line(point: Point, ring: Sequence[Point]) -> bool:
    """Return whether a point is on one of the straight edges of a ring."""
    x, y = point
    for (x1, y1), (x2, y2) in pairwise(ring):
        in_its_box = min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2)
        if in_its_box and (x1 == x2 or y == y1 + (y2 - y1) * (x - x1) / (x2 - x1)):
            return True
    return False


def _inside(point: Point, ring: Sequence[Point]) -> bool:
    """Return whether a ray to the north from a point crosses an odd number of edges."""
    x, y = point
    crossings = 0
    for (x1, y1), (x2, y2) in pairwise(ring):
        if (x1 <= x) != (x2 <= x) and y1 + (y2 - y1) * (x - x1) / (x2 - x1) > y:
            crossings += 1
    return crossings % 2 == 1
