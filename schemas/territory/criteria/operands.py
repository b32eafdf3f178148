"""Reads the operand of an operator into typed values, or refuses it (C5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, tzinfo
from typing import Any, get_args

from territory.criteria.days import DAYS_MAX
from territory.criteria.faults import WrongOperand, found, there_are
from territory.criteria.geojson import latitude, longitude, region_of
from territory.criteria.lists import Lists
from territory.criteria.places import KM_MAX, Circle
from territory.criteria.postal import without_blanks
from territory.criteria.values import NAMED_TYPES, FieldType, Value, is_day, measure_of, read_operand, read_operands
from territory.criteria.windows import Stretch, Windows
from territory.model.periods import RelativePeriod, end_of_day, start_of_day


def typed_operand(shape: str, operand: object, kind: FieldType, lists: Lists, zone: tzinfo = UTC) -> Any:
    """Read an operand of a given shape for a field type.

    A day beside a datetime is all of its instants in the organisation's time zone: a Stretch, or Windows for a
    list with days (C8).

    Raises: WrongOperand.
    """
    if kind == "datetime" and shape in ("one", "many", "pair"):
        return _of_instants(shape, operand, lists, zone)
    match shape:
        case "one" | "many" | "one or many":
            if shape == "one" or (shape == "one or many" and not isinstance(operand, list)):
                return _one(operand, kind, zone)
            return lists.shared(kind, _values(operand, kind, zone))
        case "texts":
            return lists.shared("text", _values(operand, "text"))
        case "table":
            return _table(operand, lists)
        case "pair":
            return _pair(operand, kind, zone)
        case "codes":
            return _codes(operand)
        case "days":
            return _days(operand)
        case "period":
            return _period(operand)
        case "circle":
            return _circle(operand)
        case "region":
            return region_of(operand)
        case _:
            return _flag(operand)


def _flag(operand: object) -> bool:
    if operand is not True:
        raise WrongOperand(f"found {found(operand)}, expected true")
    return True


def _of_instants(shape: str, operand: object, lists: Lists, zone: tzinfo) -> Any:
    if shape == "one":
        instant = _one(operand, "datetime", zone)
        return _stretch(operand, instant, zone) if is_day(operand) else instant
    instants = _values(operand, "datetime", zone)
    written: list[Any] = operand  # type: ignore[assignment]  # `_values` takes lists only
    if shape == "many" and not any(map(is_day, written)):
        return lists.shared("datetime", instants)
    stretches = [_stretch(raw, instant, zone) for raw, instant in zip(written, instants, strict=True)]
    return Windows.of(stretches) if shape == "many" else _bounds([one.first for one in stretches], stretches[-1].last)


def _stretch(written: Any, instant: Any, zone: tzinfo) -> Stretch:
    """Return the instants of a day, or one instant alone."""
    if not is_day(written):
        return Stretch(instant, instant)
    day = date.fromisoformat(written.strip())
    return Stretch(start_of_day(day, zone), end_of_day(day, zone))


def _one(operand: object, kind: FieldType, zone: tzinfo = UTC) -> Value:
    value = read_operand(kind, operand, zone)
    if value is None:
        raise WrongOperand(f"found {found(operand)}, expected {NAMED_TYPES[kind]}")
    return value


def _values(operand: object, kind: FieldType, zone: tzinfo = UTC) -> list[Any]:
    if not isinstance(operand, list) or not operand:
        raise WrongOperand(f"found {found(operand)}, expected a list of {kind} values")
    values = read_operands(kind, operand, zone)
    if None in values:
        odd = operand[values.index(None)]
        raise WrongOperand(f"found {found(odd)} in the list, expected {kind} values")
    return values


def _pair(operand: object, kind: FieldType, zone: tzinfo = UTC) -> tuple[Any, Any]:
    values = _values(operand, kind, zone)
    return _bounds(values, values[-1])


def _bounds(values: list[Any], high: Any) -> tuple[Any, Any]:
    """Return the first of two values as the low bound, with the high one."""
    if len(values) != 2:
        raise WrongOperand(f"found {len(values)} values, expected two bounds [low, high]")
    low = values[0]
    if low > high:
        raise WrongOperand(f"the low bound {low} is above the high bound {high}; exchange them")
    return low, high


def _codes(operand: object) -> tuple[str, str]:
    codes = [without_blanks(code) for code in _values(operand, "text")]
    low, high = _bounds(codes, codes[-1])
    if len(low) != len(high):
        raise WrongOperand(
            f"found bounds of {len(low)} and {len(high)} characters, expected the same length: "
            "only codes of that length are compared"
        )
    return low, high


def _table(operand: object, lists: Lists) -> frozenset[Value]:
    if not isinstance(operand, str):
        raise WrongOperand(f"found {found(operand)}, expected the name of a table")
    if operand not in lists.tables:
        raise WrongOperand(f"unknown table {operand!r}; add it or correct the name ({there_are(lists.tables)})")
    return lists.table(operand)


def _days(operand: object) -> int:
    if type(operand) is not int or not 0 <= operand <= DAYS_MAX:
        raise WrongOperand(f"found {found(operand)}, expected a whole number of days from 0 to {DAYS_MAX}")
    return operand


def _period(operand: object) -> RelativePeriod:
    if operand not in get_args(RelativePeriod):
        raise WrongOperand(f"found {found(operand)}, expected one of {', '.join(get_args(RelativePeriod))}")
    return operand  # type: ignore[return-value]  # one of them


def _circle(operand: object) -> Circle:
    if not isinstance(operand, Mapping) or set(operand) != {"lat", "lon", "km"}:
        raise WrongOperand(f"found {found(operand)}, expected {{lat, lon, km}}")
    lat, lon = latitude(operand["lat"], ".lat"), longitude(operand["lon"], ".lon")
    km = measure_of(operand["km"], KM_MAX)
    if km is None or km <= 0:
        raise WrongOperand(f"found {found(operand['km'])}, expected kilometres above 0, at most {KM_MAX}", ".km")
    return Circle(lat, lon, km)
