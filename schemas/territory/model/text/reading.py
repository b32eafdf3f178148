"""Reads the text of a model within bounds, and tells where its parts are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from territory.errors import Fault, ModelRefused
from territory.model.text.expected import settled_model
from territory.model.text.json_nodes import json_nodes
from territory.model.text.nodes import Node, TextFault, Unquoted, UnreadableText, value_of
from territory.model.text.places import path_of, places_of
from territory.model.text.yaml_nodes import yaml_nodes
from territory.wire.codec import JSON, loads_exactly

DOCUMENT_CHARACTERS_MAX = 64 * 1024 * 1024
ALIASED_VALUES_MAX = 1_000_000
TEXT_FAULTS_MAX = 1_000
"""The most faults of the text that are listed."""
LOCATED_FAULTS_MAX = 1_000
"""The most faults whose lines are looked up."""


@dataclass(slots=True)
class ModelText:
    """A text that was read: its value, the faults of the text alone, and its parts with their places."""

    value: JSON
    faults: list[Fault]
    """Sorted by line; such as repeated keys. The value lacks what they concern."""
    _text: str
    _root: Node | None

    def located(self, faults: Iterable[Fault]) -> list[Fault]:
        """Return these faults and those of the text, with lines and columns, in the order of the text.

        A fault at a place that has a fault of the text is left out, since it follows from that one.
        """
        if self._root is None:
            self._root = json_nodes(self._text)
        root, known = self._root, {(fault.line, fault.column) for fault in self.faults}
        found = [
            self._placed(root, fault) if number < LOCATED_FAULTS_MAX else fault for number, fault in enumerate(faults)
        ]
        every = [*self.faults, *(fault for fault in found if (fault.line, fault.column) not in known)]
        return sorted(every, key=lambda fault: (fault.line or 0, fault.column or 0, fault))

    def _placed(self, root: Node, fault: Fault) -> Fault:
        places = places_of(root, fault.path, of_key=fault.message.startswith("unknown key"))
        if len(places) == 1:
            return replace(fault, line=places[0].line, column=places[0].column)
        lines = ", ".join(str(place.line) for place in places[:-1])
        message = f"{fault.message} (the same id is also on line {lines})"
        return replace(fault, message=message, line=places[-1].line, column=places[-1].column)


def parse_text(text: str) -> JSON:
    """Parse a YAML or JSON text into a value.

    Raises: ModelRefused with every fault of the text.
    """
    found = read_text(text)
    if found.faults:
        raise ModelRefused(found.faults)
    return found.value


def read_text(text: str) -> ModelText:
    """Read a YAML or JSON text. JSON is tried first: it parses ten times faster.

    Each scalar without quotes is read by the type that its place in a model expects: `NO` and `043` are texts
    where a text is expected, and `0100` is a hundred where a number is (C11).

    Raises: ModelRefused when the text can't be read to its end, or has more than 64 Mi characters.
    """
    if len(text) > DOCUMENT_CHARACTERS_MAX:
        raise _refused(f"found {len(text)} characters, expected at most {DOCUMENT_CHARACTERS_MAX}")
    text = text.removeprefix("\ufeff")
    try:
        root: Node | None = None
        raw: Any = None
        faults: list[TextFault] = []
        is_json, is_unique = True, True

        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            nonlocal is_unique
            mapping = dict(pairs)
            is_unique &= len(mapping) == len(pairs)
            return mapping

        try:
            raw = loads_exactly(text, unique, Unquoted)
        except (ValueError, RecursionError):
            is_json = False
        if not (is_json and is_unique):
            root = json_nodes(text) if is_json else yaml_nodes(text)
            raw, faults = value_of(root, max(ALIASED_VALUES_MAX, len(text)))
        return ModelText(settled_model(raw), _text_faults(root, faults), text, root)
    except UnreadableText as fault:
        raise _refused(fault.problem, fault.line, fault.column) from fault
    except RecursionError as fault:
        raise _refused("nested too deep; flatten it") from fault


def _text_faults(root: Node | None, faults: Iterable[TextFault]) -> list[Fault]:
    if root is None:
        return []
    found = [
        Fault(
            path_of(root, each.node) if number < TEXT_FAULTS_MAX else "model",
            each.problem,
            each.node.line,
            each.node.column,
        )
        for number, each in enumerate(faults)
    ]
    return sorted(found, key=lambda fault: (fault.line, fault.column, fault))[:TEXT_FAULTS_MAX]


def _refused(reason: str, line: int | None = None, column: int | None = None) -> ModelRefused:
    return ModelRefused([Fault("model", reason, line, column)])
