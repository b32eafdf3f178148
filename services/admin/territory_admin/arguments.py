"""What people write on the command line: names of records, and words that are nearly right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, get_args

import typer

from territory.model.compiled import Model
from territory.model.document import ObjectType
from territory.wire.keys import record_key
from territory_admin.errors import NotFound, Refused

OBJECTS: tuple[ObjectType, ...] = get_args(ObjectType)
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]

_ID_CHARACTERS_MAX = 255


@dataclass(frozen=True, slots=True)
class RecordName:
    """A record as people name it: `account/A-1`."""

    object: ObjectType
    id: str

    def key(self, org_id: str) -> str:
        """Return the record's key."""
        return record_key(org_id, self.object, self.id)

    def __str__(self) -> str:
        return f"{self.object}/{self.id}"


def record_name(text: str) -> RecordName:
    """Return the record that a text names. Raises: ValueError saying what was expected."""
    word, slash, record_id = text.partition("/")
    if not slash or not record_id.strip() or len(record_id) > _ID_CHARACTERS_MAX or not record_id.isprintable():
        raise ValueError(f"found {text!r}, expected OBJECT/ID such as account/A-1")
    for known in OBJECTS:
        if word == known:
            return RecordName(known, record_id)
    raise ValueError(f"found object {word!r} in {text!r}, expected one of {', '.join(OBJECTS)}")


def near_matches(word: str, names: Mapping[str, str]) -> list[str]:
    """Return at most three ids that are like a word, by id or by name; best first.

    Args:
        word: What was written.
        names: Display names by id.
    """
    by_text: dict[str, str] = {}
    for known, name in names.items():
        by_text.setdefault(name.casefold(), known)
    for known in names:
        by_text[known.casefold()] = known
    found = difflib.get_close_matches(word.casefold(), by_text, n=6, cutoff=0.5)
    return list(dict.fromkeys(by_text[text] for text in found))[:3]


def not_there(kind: str, word: str, names: Mapping[str, str], where: str) -> str:
    """Return the sentence for an unknown id: what is near it, else how many there are."""
    near = near_matches(word, names)
    hint = f"did you mean {_either(near)}?" if near else f"there are {len(names)}"
    return f"{kind} {word!r} is not in {where}; {hint}"


def check_territory(model: Model, territory_id: str) -> None:
    """Raises: NotFound for a territory that a model lacks, naming what is near it."""
    if territory_id not in model.territories:
        names = {node.id: node.name for node in model.territories.values()}
        raise NotFound(not_there("territory", territory_id, names, f"the model of {model.org_id!r}"))


def check_user(model: Model, user_id: str) -> None:
    """Raises: NotFound for a user whom a model lacks, naming who is near."""
    if user_id not in model.people:
        names = {person.id: person.name for person in model.people.values()}
        raise NotFound(not_there("user", user_id, names, f"the model of {model.org_id!r}"))


def check_period(model: Model, period: str) -> None:
    """Raises: Refused for what is no period of a model."""
    if not model.calendar.is_period(period):
        raise Refused(f"found period {period!r}, expected a {model.calendar.kind} such as {model.calendar.example}")


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
