"""Compiles sharing rules, and computes the marks that assignments carry for them (V6)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from territory.criteria import Criterion, leaves_of
from territory.model.document import Document
from territory.model.pieces import Level, ObjectType, SharingRule
from territory.wire.codec import encode

AudienceKind = Literal["user", "group", "role", "role_and_below", "territory", "territory_and_below"]

UTC = "UTC"
_INSTANTS = frozenset({"date", "datetime"})
MARK_DIGITS = 12
"""Hexadecimal digits of the digest: two criteria of one rule share a mark with a probability of 10⁻¹⁴."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """One compiled sharing rule."""

    id: str
    object: ObjectType
    criterion: Criterion
    kind: AudienceKind
    target: str
    """The id of the user, group, role or territory that `kind` names."""
    level: Level

    def __str__(self) -> str:
        return f"sharing rule {self.id} for {self.kind.replace('_', ' ')} {self.target}"


def compile_sharing(document: Document, criteria: Mapping[str, Criterion]) -> dict[str, Sharing]:
    """Return the sharing rules of a document without faults by their marks, sorted."""
    tables = {name: hashlib.sha256(encode(values)).hexdigest() for name, values in _named(document, criteria).items()}
    found = {
        _mark_of(rule, criteria[rule.id], document, tables): _sharing(rule, criteria[rule.id])
        for rule in document.sharing
    }
    return dict(sorted(found.items()))


def _named(document: Document, criteria: Mapping[str, Criterion]) -> dict[str, Sequence[str]]:
    """Return the tables that the criteria use, each once: a table may have 50 000 values and many users."""
    names = {name for criterion in criteria.values() for name in _tables_of(criterion)}
    return {name: document.tables[name] for name in names}


def _tables_of(criterion: Criterion) -> set[str]:
    return {str(leaf.operand) for leaf in leaves_of(criterion) if leaf.operator == "in_table"}


def _sharing(rule: SharingRule, criterion: Criterion) -> Sharing:
    ((kind, target),) = ((kind, value) for kind, value in rule.to if value is not None)
    return Sharing(rule.id, rule.object, criterion, kind, target, rule.level)  # type: ignore[arg-type]  # an attribute of Audience


def _mark_of(rule: SharingRule, criterion: Criterion, document: Document, tables: Mapping[str, str]) -> str:
    """Return a rule's mark: its id and a digest of everything that its criteria depend on.

    A mark names the criteria that held. A reader ignores a mark that its own model does not have. So when
    a rule's criteria and its audience change together, the new audience never gets records that only the
    old criteria matched (V6). The audience and the level are left out: changing them alone redecides no
    record. The day is left out: it changes without a new model.
    """
    declared = document.fields.get(rule.object, {})
    inputs: list[object] = [
        rule.object,
        rule.criteria,
        [[name, tables[name]] for name in sorted(_tables_of(criterion))],
        [[name, declared[name]] for name in sorted({leaf.field for leaf in leaves_of(criterion)})],
    ]
    types = {declared[leaf.field] for leaf in leaves_of(criterion)}
    organisation = document.organisation
    if criterion.is_relative:
        inputs += [organisation.fiscal_year_start, organisation.settings.time_zone]
    elif organisation.settings.time_zone != UTC and not _INSTANTS.isdisjoint(types):
        inputs.append(organisation.settings.time_zone)  # it decides on which day an instant is (C8)
    return f"{rule.id}#{hashlib.sha256(encode(inputs)).hexdigest()[:MARK_DIGITS]}"
