"""Shows the active model as a document, and writes it as YAML that applies to the same model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from territory.model.document import LIST_SECTIONS, document_of
from territory.model.pieces import Organisation
from territory.wire.codec import JSON
from territory_admin.log.kafka_session import kafka_session
from territory_admin.models.topic import Activated, ModelTopicReader
from territory_runtime.settings import Settings

LINE_CHARACTERS = 120
_SECTIONS = ("org", *Organisation.model_fields, "fields", "stages", "tables", "frozen_periods", *LIST_SECTIONS)
_FIRST = ("id", "name", "parent")
_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[ .-][A-Za-z0-9_]+)*")
"""Texts that no version of YAML reads as anything else, but for words such as `no`, which PyYAML quotes."""
_ONE_LETTER_BOOLEANS = {"y", "n", "Y", "N"}


@dataclass(frozen=True, slots=True)
class ShownModel:
    """The active model of an organisation."""

    org_id: str
    revision: int
    activated_at: str
    model: dict[str, JSON]
    """The document: what `validate`, `plan` and `apply` read."""


async def show_model(settings: Settings) -> ShownModel:
    """Return the active model of the settings' organisation. Raises: NotFound if it has none; KafkaError."""
    async with kafka_session(settings) as kafka:
        await kafka.existing_partitions()
        topic = ModelTopicReader(kafka)
        await topic.read_on()
        return shown(settings.org_id, topic.log.required(settings.org_id))


def shown(org_id: str, activated: Activated) -> ShownModel:
    """Return an active model: sections in the order of the documentation, parents before their children."""
    document: Mapping[str, Any] = document_of(org_id, activated.pieces)
    order = [name for name in _SECTIONS if name in document] + [name for name in document if name not in _SECTIONS]
    model = {name: document[name] for name in order}
    for name in ("roles", "territories"):
        if name in model:
            model[name] = _parents_first(model[name])
    for name in LIST_SECTIONS:
        if name in model:
            model[name] = [_named_first(item) for item in model[name]]
    activation = activated.activation
    return ShownModel(org_id, activation.revision, activation.activated_at, model)


def yaml_of(found: ShownModel) -> str:
    """Return the model as YAML, with a first line that names the revision. Applying it changes nothing.

    Comments, and the order of the lists, of the file that was applied are not on the log.
    """
    text: str = yaml.dump(
        found.model, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=LINE_CHARACTERS
    )
    return f"# {found.org_id}, revision {found.revision}, active since {found.activated_at}\n{text}"


class _Dumper(yaml.CSafeDumper if hasattr(yaml, "CSafeDumper") else yaml.SafeDumper):  # type: ignore[misc]  # libyaml may be absent
    """The safe dumper, which repeats instead of using anchors, and quotes what could be read as no text."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN_WORD.fullmatch(text) and text not in _ONE_LETTER_BOOLEANS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _text_node)


def _parents_first(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of a tree, each after its parent and next to its siblings."""
    children: dict[str | None, list[dict[str, Any]]] = {}
    for item in items:
        children.setdefault(item.get("parent"), []).append(item)
    found: list[dict[str, Any]] = []
    waiting = children.get(None, [])[::-1]
    while waiting:
        item = waiting.pop()
        found.append(item)
        waiting += children.get(item["id"], [])[::-1]
    return found


def _named_first(item: dict[str, Any]) -> dict[str, Any]:
    return {**{name: item[name] for name in _FIRST if name in item}, **item}
