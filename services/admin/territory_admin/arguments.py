"""Parses and checks what people ask for: names of records, territories, users and periods."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from territory.model.document import OBJECTS, ObjectType
from territory.wire.keys import record_key
from territory_admin.errors import NotFound, Refused

if TYPE_CHECKING:
    from territory.model.compiled import Model

_ID_CHARACTERS_MAX = 255


@dataclass(frozen=True, slots=True)
class RecordName:
    """A record as people name it: `account/A-1`."""

    object: ObjectType
    id: str

    def key(self, org_id: str) -> str:
        """Return the record's key in an organisation."""
        return record_key(org_id, self.object, self.id)

    def __str__(self) -> str:
        return f"{self.object}/{self.id}"


def record_name(text: str) -> RecordName:
    """Parse the name of a record. Raises: ValueError, with what was expected."""
    word, slash, record_id = text.partition("/")
    if not slash or not record_id.strip() or len(record_id) > _ID_CHARACTERS_MAX or not record_id.isprintable():
        raise ValueError(f"found {text!r}, expected OBJECT/ID such as account/A-1")
    for known in OBJECTS:
        if word == known:
            return RecordName(known, record_id)
    raise ValueError(f"found object {word!r} in {text!r}, expected one of {', '.join(OBJECTS)}")


def near_matches(word: str, names: Mapping[str, str]) -> list[str]:
    """Return at most three ids that resemble a word, by id or by name; the best first.

    Args:
        word: A misspelt id or name.
        names: Display names by id.
    """
    by_text: dict[str, str] = {}
    for known, name in names.items():
        by_text.setdefault(name.casefold(), known)
    for known in names:
        by_text[known.casefold()] = known
    found = difflib.get_close_matches(word.casefold(), by_text, n=6, cutoff=0.6)
    return list(dict.fromkeys(by_text[text] for text in found))[:3]


def not_there(kind: str, word: str, names: Mapping[str, str], where: str) -> str:
    """Return the error text for an unknown id, with the ids that resemble it or else how many there are."""
    near = [_with_name(found, names[found]) for found in near_matches(word, names)]
    count = "there is one" if len(names) == 1 else f"there are {len(names)}"
    hint = f"did you mean {_either(near)}?" if near else count
    return f"{kind} {word!r} is not in {where}; {hint}"


def check_territory(model: Model, territory_id: str) -> None:
    """Raises: NotFound if the model lacks a territory; the text names similar ones."""
    if territory_id not in model.territories:
        names = {node.id: node.name for node in model.territories.values()}
        raise NotFound(not_there("territory", territory_id, names, f"the model of {model.org_id!r}"))


def check_user(model: Model, user_id: str) -> None:
    """Raises: NotFound if the model lacks a user; the text names similar ones."""
    if user_id not in model.people:
        names = {person.id: person.name for person in model.people.values()}
        raise NotFound(not_there("user", user_id, names, f"the model of {model.org_id!r}"))


def check_owner(model: Model, owner_id: str) -> None:
    """Raises: NotFound if the model has neither such a user nor such a group; the text names similar ones."""
    names = {person.id: person.name for person in model.people.values()}
    names |= {group.id: group.name for group in model.groups.values()}
    if owner_id not in names:
        raise NotFound(not_there("user or group", owner_id, names, f"the model of {model.org_id!r}"))


def check_period(model: Model, period: str) -> None:
    """Raises: Refused for a text that is neither a period of the model's calendar nor a fiscal year."""
    calendar = model.calendar
    if not (calendar.is_period(period) or calendar.is_year(period)):
        expected = f"expected a {calendar.kind} such as {calendar.example}, or a fiscal year such as 2017"
        raise Refused(f"found period {period!r}, {expected}")


def _with_name(found: str, name: str) -> str:
    """Return an id with its name, by which it may have been found."""
    return found if name in ("", found) else f"{found} ({name})"


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
