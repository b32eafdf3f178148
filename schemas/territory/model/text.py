"""Reads the YAML or JSON text of a model into plain JSON values, exactly and within bounds."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import yaml

from territory.criteria.values import number_of
from territory.errors import Fault, ModelRefused
from territory.wire.codec import JSON, MESSAGE_LEVELS_MAX, loads_exactly, plain

DOCUMENT_CHARACTERS_MAX = 64 * 1024 * 1024
ALIASED_VALUES_MAX = 1_000_000


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]  # libyaml may be absent
    """The safe loader, which also refuses repeated keys and keeps numbers exact."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        if len(set(written)) < len(written):
            raise ModelRefused([_twice(f"line {node.start_mark.line + 1}", written)])
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float | str:
        number: float = super().construct_yaml_float(node)
        exact = number_of(node.value)
        kept = math.isfinite(number) and (exact is None or exact == number_of(number))
        return number if kept else str(node.value)


_MERGE = "tag:yaml.org,2002:merge"
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)

# PyYAML raises these for an explicit tag that does not fit, such as `!!int x`, and for an alias within itself.
_UNCONSTRUCTED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def parse_text(text: str) -> JSON:
    """Parse a YAML or JSON text.

    Numbers that a double can't hold stay text. JSON is tried first: it parses ten times faster.

    Raises: ModelRefused when the text is neither, repeats a key or is longer than 64 Mi characters.
    """
    if len(text) > DOCUMENT_CHARACTERS_MAX:
        raise _refused(f"found {len(text)} characters, expected at most {DOCUMENT_CHARACTERS_MAX}")
    try:
        return loads_exactly(text, _unique)  # type: ignore[no-any-return]  # JSON, by its nature
    except (ValueError, RecursionError):
        pass  # not JSON, so it should be YAML
    try:
        _check_levels(text)
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 -- derived from the safe loader
        return plain(document, max(ALIASED_VALUES_MAX, len(text)))  # type: ignore[no-any-return]  # JSON from here on
    except yaml.YAMLError as fault:
        raise _refused(f"neither YAML nor JSON: {fault}") from fault
    except _UNCONSTRUCTED as fault:
        raise _refused(f"holds a value that can't be read as JSON's: {fault}; put it in quotes") from fault


def _refused(reason: str) -> ModelRefused:
    return ModelRefused([Fault("model", reason)])


def _twice(path: str, keys: list[str]) -> Fault:
    repeated = sorted(key for key, count in Counter(keys).items() if count > 1)
    return Fault(path, f"{', '.join(repeated)} is written twice; keep one of them")


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ModelRefused([_twice("model", [key for key, _ in pairs])])
    return mapping


def _check_levels(text: str) -> None:
    """Refuse deep nesting before libyaml's composer runs: it would overflow the C stack."""
    level = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
            if level > MESSAGE_LEVELS_MAX:
                raise _refused(f"nested deeper than {MESSAGE_LEVELS_MAX} levels; flatten it")
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
