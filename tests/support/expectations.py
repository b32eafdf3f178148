"""Whether an end state is what a story expects: one comparison for all rings and the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from tests.support.stories import AttainmentKey, Expect, same_figure


@dataclass(frozen=True, slots=True)
class Standing:
    """One record's assignment, as far as stories ask.

    `why` holds the lines of each link; None: whoever looked can't know them, so they are not compared.
    """

    links: tuple[str, ...]
    causes: Mapping[str, frozenset[str]]
    cut: tuple[str, ...] = ()
    runners_up: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    why: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What somebody found: all of it, in the words of stories.

    Attributes:
        assignments: By record, `account/A-1`; a record without an assignment is not in it.
        visible, editable: By user and object; no entry is the empty set.
        attainments: By territory, period and user or None; an attainment that is none is not in it.
        left_out: By deal. None: not looked at, so not compared.
        dead_letters: How many by code. None: not looked at, so not compared.
    """

    assignments: Mapping[str, Standing] = field(default_factory=dict)
    visible: Mapping[tuple[str, str], Set[str]] = field(default_factory=dict)
    editable: Mapping[tuple[str, str], Set[str]] = field(default_factory=dict)
    admins: Set[str] = frozenset()
    attainments: Mapping[AttainmentKey, Mapping[str, object]] = field(default_factory=dict)
    left_out: Mapping[str, str] | None = None
    dead_letters: Mapping[str, int] | None = None


def differences(expect: Expect, state: State) -> list[str]:
    """Return a line for everything that is not as expected; none when all is well."""
    return [
        *_of_assignments(expect, state),
        *_of_access("sees", expect.sees, state.visible),
        *_of_access("edits", expect.edits, state.editable),
        *_unequal("admins", expect.admins, state.admins),
        *_of_attainments(expect, state),
        *_unequal("left_out", expect.left_out, state.left_out),
        *_unequal("dead_letters", expect.dead_letters, state.dead_letters),
    ]


def _of_assignments(expect: Expect, state: State) -> Iterator[str]:
    for word in ("links", "causes", "cut", "runners_up", "dropped"):
        for record, wanted in getattr(expect, word).items():
            standing = state.assignments.get(record)
            if standing is None:
                yield f"{word} of {record}: there is no assignment, expected {_shown(wanted)}"
            else:
                yield from _unequal(f"{word} of {record}", wanted, getattr(standing, word))
    for record in expect.gone:
        if record in state.assignments:
            yield f"gone {record}: found {state.assignments[record]}"
    for record, links in expect.why.items():
        standing = state.assignments.get(record)
        if standing is None:
            yield f"why of {record}: there is no assignment"
        elif standing.why is not None:
            yield from _of_why(record, links, standing.why)


def _of_why(record: str, links: Mapping[str, tuple[str, ...]], found: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for territory, texts in links.items():
        lines = found.get(territory, ())
        for text in texts:
            if not any(text in line for line in lines):
                yield f"why of {record} in {territory}: no line has {text!r}, found {list(lines)}"


def _of_access(
    word: str,
    wanted: Mapping[str, Mapping[str, frozenset[str]]],
    found: Mapping[tuple[str, str], Set[str]],
) -> Iterator[str]:
    for user, sets in wanted.items():
        for about, ids in sets.items():
            yield from _unequal(f"{word} {user} {about}", ids, found.get((user, about), frozenset()))


def _of_attainments(expect: Expect, state: State) -> Iterator[str]:
    for key, figures in expect.attainment.items():
        name = "/".join(filter(None, key))
        row = state.attainments.get(key)
        if figures is None or row is None:
            if (figures is None) is not (row is None):
                yield f"attainment {name}: found {row}, expected {figures}"
            continue
        for figure, wanted in figures.items():
            if not same_figure(wanted, row.get(figure)):
                yield f"attainment {name} {figure}: found {row.get(figure)!r}, expected {wanted!r}"


def _unequal(what: str, wanted: object, found: object) -> Iterator[str]:
    if wanted is not None and found is not None and wanted != found:
        yield f"{what}: found {_shown(found)}, expected {_shown(wanted)}"


def _shown(value: object) -> object:
    return sorted(value) if isinstance(value, Set) else value
