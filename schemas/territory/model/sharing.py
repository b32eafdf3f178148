"""Sharing rules: records that are shared beyond owners, roles and territories (V6)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from territory.criteria import Criterion, leaves_of
from territory.model.document import Document, Level, ObjectType, SharingRule
from territory.wire.codec import encode

AudienceKind = Literal["user", "role", "role_and_below", "territory", "territory_and_below"]

MARK_DIGITS = 12
"""Hexadecimal digits of a digest: of two criteria that one rule has in turn, one in 10¹⁴ would share a mark."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """One sharing rule, ready to ask for whom and for what it is."""

    id: str
    object: ObjectType
    criterion: Criterion
    kind: AudienceKind
    target: str
    """The user, role or territory that `kind` speaks of."""
    level: Level

    def __str__(self) -> str:
        return f"sharing rule {self.id} for {self.kind.replace('_', ' ')} {self.target}"


def compiled(document: Document, criteria: Mapping[str, Criterion]) -> dict[str, Sharing]:
    """Return the sharing rules of a document without faults, by their marks, in the order of these."""
    tables = {name: hashlib.sha256(encode(values)).hexdigest() for name, values in _named(document, criteria).items()}
    found = {
        _mark_of(rule, criteria[rule.id], document, tables): _sharing(rule, criteria[rule.id])
        for rule in document.sharing
    }
    return dict(sorted(found.items()))


def _named(document: Document, criteria: Mapping[str, Criterion]) -> dict[str, Sequence[str]]:
    """Return the tables that sharing rules name; each may have 50 000 values and be named by many."""
    names = {name for criterion in criteria.values() for name in _tables_of(criterion)}
    return {name: document.tables[name] for name in names}


def _tables_of(criterion: Criterion) -> set[str]:
    return {str(leaf.operand) for leaf in leaves_of(criterion) if leaf.operator == "in_table"}


def _sharing(rule: SharingRule, criterion: Criterion) -> Sharing:
    ((kind, target),) = ((kind, value) for kind, value in rule.to if value is not None)
    return Sharing(rule.id, rule.object, criterion, kind, target, rule.level)  # type: ignore[arg-type]  # an attribute of Audience


def _mark_of(rule: SharingRule, criterion: Criterion, document: Document, tables: Mapping[str, str]) -> str:
    """Return what an assignment says instead of a rule's id: the id and a digest of all that its criteria mean.

    So who reads a mark knows which criteria held, and passes over one that its own model does not have:
    with a rule's criteria and its target changed at once, nobody is given by the new target what only the
    old criteria took (V6). The target and the level are no part of it: a change of these alone leaves
    every record with its mark, and the day is not: it passes without a change of what is meant.
    """
    declared = document.fields.get(rule.object, {})
    meant: list[object] = [
        rule.object,
        rule.criteria,
        [[name, tables[name]] for name in sorted(_tables_of(criterion))],
        [[name, declared[name]] for name in sorted({leaf.field for leaf in leaves_of(criterion)})],
    ]
    if criterion.is_relative:
        organisation = document.organisation
        meant += [organisation.fiscal_year_start, organisation.settings.time_zone]
    return f"{rule.id}#{hashlib.sha256(encode(meant)).hexdigest()[:MARK_DIGITS]}"
