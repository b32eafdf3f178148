"""Finds territories that a model would empty, and why their rules no longer match; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from territory.model.compiled import Model
from territory_admin.lint.rule_lint import RuleAnalysis, analyse_rules


@dataclass(frozen=True, slots=True)
class EmptiedTerritory:
    """A territory of the new model that loses all records, or whose rule can no longer match any.

    Records that come into territories below it are not lost.
    """

    territory_id: str
    records_before: int
    records_after: int
    """More than 0 where records reach it by other rules, or by hand."""
    why: str | None
    """Which conditions of its rule and of those above it exclude each other; None if the analysis found none."""
    moved_from: str | None
    """Its parent before, if it has another one now; an empty text if it was a root."""


def emptied_territories(
    before: Model | None, after: Model, records_before: Mapping[str, int], records_after: Mapping[str, int]
) -> tuple[EmptiedTerritory, ...]:
    """Return the territories that a model would empty, those with the most records first.

    Args:
        before: The active model; without one nothing is emptied.
        after: The model to apply.
        records_before: By territory, its records now.
        records_after: By territory, its records under the model to apply.
    """
    if before is None:
        return ()
    impossible = _impossible(analyse_rules(after))
    broken = impossible.keys() - _impossible(analyse_rules(before)).keys()
    branches = _with_branches(after, records_after)
    emptied = {name for name, count in records_before.items() if count and not branches.get(name)}
    found = [
        EmptiedTerritory(
            territory_id,
            records_before.get(territory_id, 0),
            records_after.get(territory_id, 0),
            impossible.get(territory_id),
            _moved_from(territory_id, before, after),
        )
        for territory_id in (emptied | broken) & after.territories.keys() & before.territories.keys()
    ]
    return tuple(sorted(found, key=lambda each: (-each.records_before, each.territory_id)))


def _with_branches(model: Model, records: Mapping[str, int]) -> dict[str, int]:
    """Return the records of each territory and of all below it: a territory that its children divide is not empty."""
    found = {territory_id: records.get(territory_id, 0) for territory_id in model.tree}
    for territory_id in reversed(list(model.tree)):  # parents come first
        parent = model.tree.parent_of(territory_id)
        if parent is not None:
            found[parent] += found[territory_id]
    return found


def _impossible(analysis: RuleAnalysis) -> dict[str, str]:
    """Return why rules can't match, by territory; those below such a rule share its reason."""
    found: dict[str, str] = {}
    for rule in analysis.impossible:
        for territory_id in (rule.territory_id, *rule.below):
            found.setdefault(territory_id, rule.why)
    return found


def _moved_from(territory_id: str, before: Model, after: Model) -> str | None:
    parent = before.tree.parent_of(territory_id)
    return None if parent == after.tree.parent_of(territory_id) else parent or ""
