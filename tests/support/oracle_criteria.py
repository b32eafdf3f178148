"""The oracle's meaning of a criteria tree, leaf by leaf (C1, C2, C4)."""

from collections.abc import Mapping
from typing import Any

from .oracle_values import read

POSITIVE_OF = {
    "ne": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "not_starts_with": "starts_with",
    "not_between": "between",
    "is_empty": "is_not_empty",
}
"""Every negative operator and the positive one that it negates (C2)."""


def criteria_holds(
    criteria: Mapping[str, Any], record_fields: Mapping[str, Any], field_types: Mapping[str, str]
) -> bool:
    """Return whether a tree of `all`, `any`, `not` and leaves holds for a record's fields (C1)."""
    if "all" in criteria:
        return all(criteria_holds(part, record_fields, field_types) for part in criteria["all"])
    if "any" in criteria:
        return any(criteria_holds(part, record_fields, field_types) for part in criteria["any"])
    if "not" in criteria:
        return not criteria_holds(criteria["not"], record_fields, field_types)
    return _leaf_holds(criteria, record_fields, field_types)


def _leaf_holds(leaf: Mapping[str, Any], record_fields: Mapping[str, Any], field_types: Mapping[str, str]) -> bool:
    """Return whether one leaf holds; a negative operator negates its positive one (C2)."""
    ((operator, operand),) = ((key, leaf[key]) for key in leaf if key != "field")
    field_type = field_types[leaf["field"]]
    value = read(field_type, record_fields.get(leaf["field"]))
    if operator in POSITIVE_OF:
        return not _positive_holds(POSITIVE_OF[operator], value, operand, field_type)
    return _positive_holds(operator, value, operand, field_type)


def _positive_holds(operator: str, value: Any, operand: Any, field_type: str) -> bool:
    """Return whether a positive operator holds; for a missing field none does (C2, C4)."""
    if value is None:
        return False
    match operator:
        case "is_not_empty":
            return _must_be_true(operand)
        case "in":
            return any(value == _operand(field_type, item) for item in operand)
        case "between":
            low, high = operand
            return bool(_operand(field_type, low) <= value <= _operand(field_type, high))
        case _:
            return _compares(operator, value, _operand(field_type, operand))


def _compares(operator: str, value: Any, operand: Any) -> bool:
    """Return whether a value that is there compares so with an operand (C4)."""
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


def _operand(field_type: str, raw: Any) -> Any:
    """Return an operand as a value of the field's type; a model with another is not valid (C5)."""
    operand = read(field_type, raw)
    if operand is None:
        raise ValueError(f"operand {raw!r} is no {field_type}; the oracle takes valid models only")
    return operand


def _must_be_true(operand: Any) -> bool:
    if operand is not True:
        raise ValueError(f"operand {operand!r} of is_empty or is_not_empty: expected true")
    return True
