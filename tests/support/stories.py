"""Stories: what an organisation does, and what must then be true, as data that every ring runs.

A story is one YAML file of `tests/scenarios`. It has a sentence, the rules it proves, a model and
steps; `tests/scenarios/README.md` shows every step. The loader is strict: what it does not know
it refuses, with the file and the path of the fault. Ids, versions and times that a story leaves
out are made from its name and the order of its messages, so that every run sends the same bytes.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

import yaml

ORG = "acme"
OBJECTS = ("account", "contact", "lead", "deal")
OPS = ("upsert", "patch", "delete", "link")
KINDS = ("assign", "exclude", "none")
CAUSES = ("rule", "manual", "inherited")
FIGURES = (
    "target",
    "won",
    "pipeline",
    "best_case",
    "committed",
    "weighted",
    "won_by_others",
    "deals_won",
    "attainment_pct",
    "gap",
    "shortage",
)
DEAD_LETTER_CODES = (
    "not_json",
    "unknown_object",
    "unknown_op",
    "missing_id",
    "bad_version",
    "wrong_type",
    "too_large",
    "wrong_key",
    "no_record",
)
START = datetime(2017, 1, 2, 8, 0, tzinfo=UTC)
BETWEEN_MESSAGES = timedelta(minutes=1)

Change = dict[str, Any]
"""One RecordChange in its contract form, complete."""
Model = dict[str, Any]
"""One organisation's whole model in its contract form."""
AttainmentKey = tuple[str, str, str | None]
"""A territory, a period, and a user or None."""


class StoryRefused(ValueError):
    """Raised when a file is not a story: names the file, the path in it, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A message whose bytes are given: bad input, or a tombstone."""

    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Publish:
    """Send these messages to `crm.records.v1`, in this order."""

    messages: tuple[Change | Raw, ...]

    @property
    def changes(self) -> list[Change]:
        """The messages that are changes, without the bad input between them."""
        return [message for message in self.messages if not isinstance(message, Raw)]


@dataclass(frozen=True, slots=True)
class Apply:
    """Make this whole model the organisation's; it must be accepted."""

    model: Model


@dataclass(frozen=True, slots=True)
class Refuse:
    """Try to apply this whole model: it must be refused, and the present one stays.

    Each of `faults` is a set of words that one and the same reported fault must contain.
    """

    model: Model
    faults: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop all services and start them again: they restore from the log."""


@dataclass(frozen=True, slots=True)
class Expect:
    """What must be true once everything published is worked off.

    None and a key left out mean "not asked". Records are named `account/A-1`.

    Attributes:
        links: The territories of a record, in order.
        causes: The causes of each link of a record: all its links, each with all its causes.
        cut, runners_up, dropped: What its assignment names beside its links, in order.
        gone: Records that have no assignment at all.
        sees, edits: By user and object, all the ids that the user may read, may edit.
        admins: All administrators.
        attainment: Some figures of each; None: there is no such attainment. A figure of None: it is empty.
        left_out: All deals that are in no sum and listed, each with its reason.
        dead_letters: How many were refused since the story began, by code; all codes.
        why: By record and linked territory, texts that each are part of some line of the link's why.
    """

    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    causes: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    cut: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    runners_up: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    sees: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    edits: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    admins: frozenset[str] | None = None
    attainment: Mapping[AttainmentKey, Mapping[str, str | None] | None] = field(default_factory=dict)
    left_out: Mapping[str, str] | None = None
    dead_letters: Mapping[str, int] | None = None
    why: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


Step = Publish | Apply | Refuse | Restart | Expect


@dataclass(frozen=True, slots=True)
class Story:
    """One file: its name without the ending, its sentence, the rules it proves, and what happens."""

    name: str
    title: str
    rules: tuple[str, ...]
    model: Model | None
    steps: tuple[Step, ...]


def load_stories(folder: Path) -> list[Story]:
    """Return every story of a folder, in the order of their file names.

    Raises: StoryRefused.
    """
    return [load_story(path) for path in sorted(folder.glob("*.yaml"))]


def load_story(path: Path) -> Story:
    """Return the story of one file.

    Raises: StoryRefused.
    """
    try:
        document = _PlainLoader(path.read_text("utf-8")).get_single_data()
    except yaml.YAMLError as fault:
        raise StoryRefused(f"{path.name}: not YAML: {fault}") from fault
    return _Reader(path).story(document)


def same_figure(expected: str | None, found: object) -> bool:
    """Return whether a figure is the expected one: the same number, or both empty.

    `100`, `100.00` and `1E+2` are one number; a percentage must show its two decimals as written.
    """
    if expected is None or found is None or found == "":
        return expected is None and found in (None, "")
    try:
        return Decimal(expected) == Decimal(str(found))
    except InvalidOperation:
        return False


# --- YAML without surprises ------------------------------------------------------------------


class _PlainLoader(yaml.SafeLoader):
    """Reads dates and `yes`, `no`, `on`, `off` as text, whole numbers as decimal (C11), and refuses repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return int(node.value)


_INT = "tag:yaml.org,2002:int"
_PLAIN_TAGS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool", _INT)
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _PLAIN_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))
_PlainLoader.add_implicit_resolver(_INT, re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_PlainLoader.add_constructor(_INT, _PlainLoader.construct_yaml_int)


# --- reading a story -------------------------------------------------------------------------


class _Reader:
    """Reads one file; remembers the versions, the messages and the model so far."""

    def __init__(self, path: Path) -> None:
        self._file = path.name
        self._name = path.stem
        self._model: Model | None = None
        self._versions: dict[tuple[str, str, str], int] = {}
        self._sent: dict[str, str] = {}

    def story(self, document: object) -> Story:
        top = self._mapping(document, "", known=("story", "rules", "model", "steps"))
        rules = self._texts(top.get("rules"), "rules")
        for rule in rules:
            if not re.fullmatch(r"[CAVF][1-9][0-9]?", rule):
                raise self._refused("rules", f"found {rule!r}, expected a rule number such as A1")
        if top.get("model") is not None:
            self._model = self._whole_model(top["model"], "model")
        opening = copy.deepcopy(self._model)
        steps = tuple(
            self._step(item, f"steps/{index}") for index, item in enumerate(self._list(top.get("steps"), "steps"))
        )
        if not steps or not isinstance(steps[-1], Expect):
            raise self._refused("steps", "expected an expect step at the end")
        return Story(self._name, self._text(top.get("story"), "story"), rules, opening, steps)

    def _step(self, document: object, where: str) -> Step:
        step = self._mapping(document, where)
        if len(step) != 1:
            raise self._refused(where, f"found {sorted(step)}, expected exactly one of {sorted(self._steps)}")
        ((word, body),) = step.items()
        if word not in self._steps:
            raise self._refused(where, f"unknown step {word!r}, expected one of {sorted(self._steps)}")
        return self._steps[word](self, body, f"{where}/{word}")

    def _publish(self, body: object, where: str) -> Publish:
        items = [self._message(item, f"{where}/{index}") for index, item in enumerate(self._list(body, where))]
        return Publish(tuple(items))

    def _apply(self, body: object, where: str) -> Apply:
        self._model = self._new_model(self._mapping(body, where), where)
        return Apply(copy.deepcopy(self._model))

    def _refuse(self, body: object, where: str) -> Refuse:
        step = dict(self._mapping(body, where))
        faults = self._list(step.pop("faults", None), f"{where}/faults")
        if not faults:
            raise self._refused(f"{where}/faults", "expected at least one fault, a list of words")
        words = tuple(self._texts(words, f"{where}/faults/{index}") for index, words in enumerate(faults))
        return Refuse(self._new_model(step, where), words)

    def _restart(self, body: object, where: str) -> Restart:
        if body is not True:
            raise self._refused(where, f"found {body!r}, expected true")
        return Restart()

    # --- messages ---

    def _message(self, document: object, where: str) -> Change | Raw:
        item = self._mapping(document, where)
        return self._raw(item, where) if "raw" in item else self._change(item, where)

    def _raw(self, item: Mapping[str, Any], where: str) -> Raw:
        self._mapping(item, where, known=("raw", "key", "pad_to"))
        raw = item["raw"]
        if raw is None:
            return Raw(self._text(item.get("key"), f"{where}/key"), None)
        value = raw.encode() if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False).encode()
        size = item.get("pad_to", 0)
        if type(size) is not int:
            raise self._refused(f"{where}/pad_to", f"found {size!r}, expected a number of bytes")
        return Raw(self._text(item.get("key"), f"{where}/key"), value.ljust(size))

    def _change(self, item: Mapping[str, Any], where: str) -> Change:
        # A deal names its account and its contact too: the most dependent of the objects is the record.
        about = next((word for word in ("deal", "lead", "contact", "account") if word in item), None)
        if about is None:
            raise self._refused(where, f"found {sorted(item)}, expected one of {sorted(OBJECTS)}")
        op = self._one_of(item.get("op", "upsert"), OPS, f"{where}/op")
        references = {"deal": ("account", "contact"), "contact": ("account",)}.get(about, ())
        carried = {
            "upsert": ("owner", *references, "fields"),
            "patch": ("owner", *references, "fields"),
            "delete": (),
            "link": ("territory", "kind"),
        }[op]
        self._mapping(item, where, known=(about, "op", "version", "event", *carried))
        change: Change = {
            "org_id": ORG,
            "object": about,
            "id": self._text(item[about], f"{where}/{about}"),
        }
        change |= {"version": self._version(change, op, item.get("version"), where), "op": op}
        if op == "link":
            change["territory_id"] = self._text(item.get("territory"), f"{where}/territory")
            change["kind"] = self._one_of(item.get("kind"), KINDS, f"{where}/kind")
        for word in ("owner", *references) if op in ("upsert", "patch") else ():
            if op == "upsert" or word in item:
                change[f"{word}_id"] = self._reference(item.get(word), f"{where}/{word}")
        if op == "upsert" or "fields" in item:
            change["fields"] = dict(self._mapping(item.get("fields", {}), f"{where}/fields"))
        return self._stamped(change, item.get("event"))

    def _version(self, change: Change, op: str, given: object, where: str) -> int:
        count = ("link" if op == "link" else "record", change["object"], change["id"])
        last = self._versions.get(count, 0)
        version = last + 1 if given is None else given
        if type(version) is not int or version < 1:
            raise self._refused(
                f"{where}/version",
                f"found {given!r}, expected an integer from 1; send others as raw",
            )
        self._versions[count] = max(last, version)
        return version

    def _stamped(self, change: Change, event: object) -> Change:
        """Give a change its id and time; a second copy of one version has those of the first, unless it says more."""
        count = "link" if change["op"] == "link" else "record"
        name = f"{self._name}/{change['object']}/{change['id']}/{count}/{change['version']}"
        name += "" if event is None else f"/{event}"
        event_id = uuid5(NAMESPACE_URL, name).hex
        at = START + BETWEEN_MESSAGES * len(self._sent)
        occurred_at = self._sent.setdefault(event_id, at.isoformat().replace("+00:00", "Z"))
        return {"event_id": event_id, **change, "occurred_at": occurred_at}

    # --- models ---

    def _whole_model(self, document: object, where: str) -> Model:
        model = dict(self._mapping(document, where))
        if model.get("org") != ORG:
            raise self._refused(f"{where}/org", f"found {model.get('org')!r}, expected {ORG!r}")
        return copy.deepcopy(model)

    def _new_model(self, step: Mapping[str, Any], where: str) -> Model:
        if "change" not in step:
            return self._whole_model(step, where)
        self._mapping(step, where, known=("change",))
        if self._model is None:
            raise self._refused(f"{where}/change", "there is no model to change yet")
        model = copy.deepcopy(self._model)
        for index, edit in enumerate(self._list(step["change"], f"{where}/change")):
            self._edit(model, edit, f"{where}/change/{index}")
        return model

    def _edit(self, model: Model, document: object, where: str) -> None:
        edit = self._mapping(document, where)
        word = next((word for word in ("set", "add", "remove") if word in edit), None)
        if word is None:
            raise self._refused(where, f"found {sorted(edit)}, expected one of add, remove, set")
        argument = {"set": "to", "add": "item", "remove": None}[word]
        self._mapping(edit, where, known=tuple(filter(None, (word, argument))))
        if argument is not None and argument not in edit:
            raise self._refused(where, f"{word} needs {argument!r}")
        *parents, last = self._text(edit[word], f"{where}/{word}").split("/")
        place: Any = model
        for segment in parents:
            place = place[self._position(place, segment, where)]
        if word == "add":
            if isinstance(place, dict):
                place.setdefault(last, [])
            place = place[self._position(place, last, where)]
            self._list(place, f"{where}/add")
            place.append(copy.deepcopy(edit["item"]))
        elif word == "remove":
            del place[self._position(place, last, where)]
        elif isinstance(place, dict):
            place[last] = copy.deepcopy(edit["to"])
        else:
            place[self._position(place, last, where)] = copy.deepcopy(edit["to"])

    def _position(self, place: object, segment: str, where: str) -> Any:
        """Return the key or index that a segment of a path means.

        In a mapping its key. In a list the one item that is the text, or has it for its `id`, or
        has every `key=text` of it; `key=` means that the key is not there.
        """
        if isinstance(place, dict):
            if segment not in place:
                raise self._refused(where, f"{segment!r} is not there; found {sorted(place)}")
            return segment
        found = [index for index, item in enumerate(self._list(place, where)) if _answers(item, segment)]
        if len(found) != 1:
            raise self._refused(where, f"{segment!r} is {len(found)} times in the list, expected once")
        return found[0]

    # --- expectations ---

    def _expect(self, body: object, where: str) -> Expect:
        known = tuple(Expect.__dataclass_fields__)
        expect = self._mapping(body, where, known=known)
        if not expect:
            raise self._refused(where, f"expected at least one of {sorted(known)}")
        read: dict[str, Any] = {}
        for word, value in expect.items():
            read[word] = self._expectations[word](self, value, f"{where}/{word}")
        return Expect(**read)

    def _territories(self, body: object, where: str) -> dict[str, tuple[str, ...]]:
        return {
            self._record(record, where): self._texts([ids] if isinstance(ids, str) else ids, f"{where}/{record}")
            for record, ids in self._mapping(body, where).items()
        }

    def _causes(self, body: object, where: str) -> dict[str, dict[str, frozenset[str]]]:
        return {
            self._record(record, where): {
                territory: frozenset(self._one_of(cause, CAUSES, f"{where}/{record}/{territory}") for cause in causes)
                for territory, causes in self._lists_of(links, f"{where}/{record}").items()
            }
            for record, links in self._mapping(body, where).items()
        }

    def _gone(self, body: object, where: str) -> tuple[str, ...]:
        return tuple(self._record(record, where) for record in self._texts(body, where))

    def _access(self, body: object, where: str) -> dict[str, dict[str, frozenset[str]]]:
        return {
            user: {
                self._one_of(about, OBJECTS, f"{where}/{user}"): frozenset(ids)
                for about, ids in self._lists_of(sets, f"{where}/{user}").items()
            }
            for user, sets in self._mapping(body, where).items()
        }

    def _admins(self, body: object, where: str) -> frozenset[str]:
        return frozenset(self._texts(body, where))

    def _attainment(self, body: object, where: str) -> dict[AttainmentKey, dict[str, str | None] | None]:
        read: dict[AttainmentKey, dict[str, str | None] | None] = {}
        for name, figures in self._mapping(body, where).items():
            here = f"{where}/{name}"
            parts = name.split("/")
            if len(parts) not in (2, 3):
                raise self._refused(here, "expected territory/period or territory/period/user")
            key = (parts[0], parts[1], parts[2] if len(parts) == 3 else None)
            if figures is None:
                read[key] = None
                continue
            self._mapping(figures, here, known=FIGURES)
            read[key] = {word: self._text_or_null(value, f"{here}/{word}") for word, value in figures.items()}
        return read

    def _left_out(self, body: object, where: str) -> dict[str, str]:
        return {deal: self._text(reason, f"{where}/{deal}") for deal, reason in self._mapping(body, where).items()}

    def _dead_letters(self, body: object, where: str) -> dict[str, int]:
        counts = self._mapping(body, where, known=DEAD_LETTER_CODES)
        for code, count in counts.items():
            if type(count) is not int or count < 1:
                raise self._refused(f"{where}/{code}", f"found {count!r}, expected an integer from 1")
        return dict(counts)

    def _why(self, body: object, where: str) -> dict[str, dict[str, tuple[str, ...]]]:
        return {
            self._record(record, where): self._lists_of(links, f"{where}/{record}")
            for record, links in self._mapping(body, where).items()
        }

    # --- small parts ---

    def _record(self, name: str, where: str) -> str:
        about, _, record_id = name.partition("/")
        if about not in OBJECTS or not record_id:
            raise self._refused(where, f"found {name!r}, expected a record such as account/A-1")
        return name

    def _lists_of(self, body: object, where: str) -> dict[str, tuple[str, ...]]:
        return {word: self._texts(texts, f"{where}/{word}") for word, texts in self._mapping(body, where).items()}

    def _mapping(self, value: object, where: str, known: Collection[str] | None = None) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._refused(where, f"found {value!r}, expected a mapping")
        odd = [key for key in value if not isinstance(key, str)]
        if odd:
            raise self._refused(where, f"key {odd[0]!r} is no text; quote it")
        unknown = sorted(set(value) - set(known)) if known is not None else []
        if known is not None and unknown:
            raise self._refused(where, f"unknown key {unknown[0]!r}, expected one of {sorted(known)}")
        return value

    def _list(self, value: object, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise self._refused(where, f"found {value!r}, expected a list")
        return value

    def _texts(self, value: object, where: str) -> tuple[str, ...]:
        return tuple(self._text(item, f"{where}/{index}") for index, item in enumerate(self._list(value, where)))

    def _text(self, value: object, where: str) -> str:
        if not isinstance(value, str) or not value:
            raise self._refused(where, f"found {value!r}, expected a text; quote it if it is one")
        return value

    def _text_or_null(self, value: object, where: str) -> str | None:
        return None if value is None else self._text(value, where)

    def _reference(self, value: object, where: str) -> str | None:
        """Return an id, which may be empty (A13)."""
        return "" if value == "" else self._text_or_null(value, where)

    def _one_of(self, value: object, words: Collection[str], where: str) -> str:
        if not isinstance(value, str) or value not in words:
            raise self._refused(where, f"found {value!r}, expected one of {sorted(words)}")
        return value

    def _refused(self, where: str, problem: str) -> StoryRefused:
        return StoryRefused(f"{self._file}: {where or 'the file'}: {problem}")

    _steps: ClassVar[Mapping[str, Callable[..., Step]]] = {
        "publish": _publish,
        "apply": _apply,
        "refuse": _refuse,
        "restart": _restart,
        "expect": _expect,
    }
    _expectations: ClassVar[Mapping[str, Callable[..., object]]] = {
        "links": _territories,
        "causes": _causes,
        "cut": _territories,
        "runners_up": _territories,
        "dropped": _territories,
        "gone": _gone,
        "sees": _access,
        "edits": _access,
        "admins": _admins,
        "attainment": _attainment,
        "left_out": _left_out,
        "dead_letters": _dead_letters,
        "why": _why,
    }


def _answers(item: object, segment: str) -> bool:
    if not isinstance(item, dict):
        return item == segment
    if "=" not in segment:
        return item.get("id") == segment
    wanted = dict(part.split("=", 1) for part in segment.split(","))
    return all(item.get(key, "") == text for key, text in wanted.items())
