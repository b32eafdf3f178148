"""Every fault of a model's text is reported at once, each with its line and column."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.errors import Fault, ModelRefused
from territory_admin.models.validate import check_model
from tests.unit.territory.examples import FEW

Style = Literal["block", "braces", "json"]


@dataclass(frozen=True)
class Bad:
    """A value, or a key with its value, that must be reported at the place where it is written."""

    text: str
    at: Literal["key", "value", "piece"] = "value"


Pairs = list[tuple[str, Any]]
"""A mapping, in which a key may stand twice."""


@dataclass
class Writer:
    """Writes a model and notes the places of what must be reported."""

    json: bool
    text: str = ""
    places: list[tuple[int, int]] = field(default_factory=list)

    def here(self) -> tuple[int, int]:
        """Return the line and column of the next character."""
        return self.text.count("\n") + 1, len(self.text) - (self.text.rfind("\n") + 1) + 1

    def mapping(self, pairs: Pairs) -> None:
        """Write a mapping in braces."""
        self.text += "{"
        for number, (key, value) in enumerate(pairs):
            self.text += ", " if number else ""
            self.pair(key, value)
        self.text += "}"

    def pair(self, key: str, value: Any) -> None:
        """Write a key with its value."""
        if isinstance(value, Bad) and value.at == "key":
            self.places.append(self.here())
        self.text += f"{json.dumps(key) if self.json else key}: "
        self.value(value)

    def value(self, value: Any) -> None:
        """Write a value: text as it stands, a mapping, or a list of mappings."""
        if isinstance(value, Bad):
            if value.at == "value":
                self.places.append(self.here())
            value = value.text
        if isinstance(value, str):
            self.text += value if not self.json or value.isdigit() or value[0] in '["{' else json.dumps(value)
        elif value and isinstance(value[0], list):
            self.text += "["
            for number, item in enumerate(value):
                self.text += ", " if number else ""
                self.mapping(item)
            self.text += "]"
        else:
            self.mapping(value)


def written(sections: list[tuple[str, Any]], style: Style) -> tuple[str, list[tuple[int, int]]]:
    """Return a model's text, and the places of its faults."""
    out = Writer(style == "json")
    out.text = "{\n" if out.json else "# a model\n"
    for number, (name, value) in enumerate(sections):
        if out.json:
            out.text += ",\n\n" if number else ""
        is_list = isinstance(value, list) and value and isinstance(value[0], list)
        if not is_list or out.json:
            if is_list:
                for piece in value:
                    _note_piece(out, piece, None)
            _section(out, name, value)
            out.text += "" if out.json else "\n"
            continue
        out.text += f"{name}:\n"
        for piece in value:
            out.text += "  - "
            _note_piece(out, piece, out.here())
            if style == "braces":
                out.mapping(piece)
                out.text += "\n"
            else:
                for place, (key, inner) in enumerate(piece):
                    out.text += "    " if place else ""
                    out.pair(key, inner)
                    out.text += "\n"
    out.text += "\n}\n" if out.json else ""
    return out.text, out.places


def _section(out: Writer, name: str, value: Any) -> None:
    if not out.json or not (isinstance(value, list) and value and isinstance(value[0], list)):
        out.pair(name, value)
        return
    out.text += f"{json.dumps(name)}: [\n"
    for number, piece in enumerate(value):
        out.text += ",\n " if number else " "
        if any(isinstance(inner, Bad) and inner.at == "piece" for _, inner in piece):
            out.places.append(out.here())
        out.mapping([(key, inner) for key, inner in piece if not (isinstance(inner, Bad) and inner.at == "piece")])
    out.text += "\n]"


def _note_piece(out: Writer, piece: Pairs, place: tuple[int, int] | None) -> None:
    """Note a fault of a whole piece, which its missing attribute is."""
    if place is None:
        return
    for pair in [pair for pair in piece if isinstance(pair[1], Bad) and pair[1].at == "piece"]:
        piece.remove(pair)
        out.places.append(place)


@st.composite
def faulty(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    """Return a model's text with faults, and the place of each."""
    style: Style = draw(st.sampled_from(["block", "braces", "json"]))

    def bad(good: Any, *faults: Any) -> Any:
        fitting = [each for each in faults if style != "json" or not isinstance(each, Bad) or each.text[0] not in "*!"]
        return draw(st.sampled_from([good, good, *fitting])) if fitting else good

    def more(key: str, *faults: Bad) -> Pairs:
        """Return a pair that should not be there, sometimes."""
        return [(key, fault)] if (fault := bad(None, *faults)) is not None else []

    def maybe(pairs: Pairs) -> Pairs:
        return pairs if draw(st.booleans()) else []

    wrong_leaves: list[Any] = [[("field", Bad("zap")), ("eq", "x")], [("field", "zip"), ("starts_with", Bad("[]"))]]
    roles = [
        [("id", f"r{n}"), *maybe([("name", "NO"), *more("name", Bad("x", "key"))]),
         ("parent", bad("r0", Bad("nowhere"), Bad("no where"))), *more("colour", Bad("x", "key"))]
        for n in range(1, draw(st.integers(1, 4)))
    ]  # fmt: skip
    users = [
        [("id", f"u{n}"), ("role", bad("r0", Bad("nobody"), Bad("r0", "piece"))),
         ("name", bad("NO", Bad("*nobody"), Bad("!!binary x"), Bad("[a]"))),
         *([] if style == "json" else [("active", bad("no", Bad("maybe")))])]
        for n in range(draw(st.integers(0, 4)))
    ]  # fmt: skip
    territories = [
        [("id", f"t{n}"), ("priority", bad("007" if style != "json" else "7", Bad("high"), Bad("0x1F"))),
         ("rules", [("account", [("all", [
             bad([("field", "zip"), ("starts_with", "043" if style != "json" else "43")], *wrong_leaves),
             [("field", "size"), ("ge", bad("5", Bad("many")))],
         ])])])]
        for n in range(draw(st.integers(0, 4)))
    ]  # fmt: skip
    targets = [
        [("territory", "t"), ("period", bad(f"20{n:02}-Q1", Bad(f"20x{n}"))),
         ("amount", bad("5", *([Bad("1,000")] if style == "braces" else []), Bad("lots")))]
        for n in range(10, 10 + draw(st.integers(0, 4)))
    ]  # fmt: skip
    sections: list[tuple[str, Any]] = [
        ("org", bad("acme", Bad("a/b"))),
        ("currency", bad("EUR", Bad("euro"))),
        ("fiscal_year_start", bad("4", Bad("13"))),
        ("fields", [("account", [("zip", "text"), ("size", "number"), ("x", bad("date", Bad("datum")))])]),
        ("stages", [("Won", [("category", bad("won", Bad("lost"))), ("probability", bad("1", Bad("2")))])]),
        *more("colour", Bad("x", "key")),
        ("roles", [[("id", "r0")], *roles]),
        ("users", users),
        ("territories", [[("id", "t")], *territories]),
        ("targets", targets),
    ]
    return written([(name, value) for name, value in sections if value != []], style)


def faults_of(text: str) -> tuple[Fault, ...]:
    """Return the faults of a model's text."""
    try:
        check_model(text)
    except ModelRefused as refused:
        return refused.faults
    return ()


@given(faulty())
@FEW
def test_every_fault_is_reported_with_its_place(model: tuple[str, list[tuple[int, int]]]) -> None:
    """However many faults a text has, each is reported once, with its line and column, in the order of the text."""
    text, places = model
    found = [(fault.line, fault.column) for fault in faults_of(text)]
    assert found == sorted(places), text


RULE = """org: acme
fields: {account: {size: number, open: boolean}}
territories:
- id: a
  rules:
    account:"""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("org: acme\nroles: [{id: a}, {id: b},\n  {id: a}]",
         "line 3, column 3: roles[a]: the id is used twice; ids are unique (the same id is also on line 2)"),
        ("org: acme\ncolour: red", "line 2, column 1: colour: unknown key; known are org"),
        ("roles: []", "line 1, column 1: org: found None, expected 1 to 100 letters"),
        ('{"org": "acme",\n\t"users": [{"id": "ann", "role": "boss"}]}',
         "line 2, column 34: users[ann].role: unknown role 'boss'"),
        ("org: acme\nbase: &base {role: boss}\nusers:\n- {<<: *base, id: ann}",
         "line 2, column 20: users[ann].role: unknown role 'boss'"),
        (f"{RULE} {{field: size, eq: 1_000}}",
         "line 6, column 32: territories[a].rules.account.eq: found text '1_000', expected a number"),
        (f"{RULE} {{field: open, eq: 1.50}}",
         "line 6, column 32: territories[a].rules.account.eq: found text '1.50', expected a boolean"),
        ("org: acme\nstages: {'Closed.Won [x]': {category: none}}",
         "line 2, column 39: stages[Closed.Won [x]].category: "),
    ],
)  # fmt: skip
def test_places_of_faults(text: str, fault: str) -> None:
    """A repeated id names both lines; a wrong value is shown as its author wrote it; so is a merged one."""
    assert any(str(found).startswith(fault) for found in faults_of(text)), list(map(str, faults_of(text)))


def test_a_fault_of_the_text_does_not_hide_others() -> None:
    """One bad scalar does not stop the reading: faults of the text and of the model come together, once each."""
    text = (
        "org: acme\n"
        "roles: [{id: ceo}]\n"
        "users:\n"
        "- {id: ann, role: boss, name: x, name: y}\n"
        "territories: [{id: a, manager: bob}]\n"
        "targets:\n"
        "- {territory: a, period: 2026-Q4, amount: 1,000}\n"
        "- {territory: b, period: 2026-Q9, amount: 5}\n"
    )
    assert [(fault.line, fault.column, fault.path) for fault in faults_of(text)] == [
        (4, 19, "users[ann].role"),
        (4, 34, "users[ann].name"),
        (5, 32, "territories[a].manager"),
        (7, 43, "targets[0].amount"),
        (8, 15, "targets[1].territory"),
        (8, 26, "targets[1].period"),
    ]
