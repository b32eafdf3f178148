"""How much of an organisation changes hands with a model: its records and its memberships; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from territory.model.compiled import Model

ASKED_ABOVE = 10
"""A person is asked when more than one in so many changes hands."""

Membership = tuple[str, str, str]
"""Kind of the place (`territory`, `manager`, `role`, `group` or `administrators`), its id, and the user."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some things change hands."""

    changing: int
    of: int

    @property
    def is_large(self) -> bool:
        """Whether more than a tenth changes hands; exactly a tenth is not."""
        return self.changing * ASKED_ABOVE > self.of


def memberships_of(model: Model) -> frozenset[Membership]:
    """Return the places of all active users: what each may see depends on them (V1, V7, V10)."""
    return frozenset(_memberships(model))


def membership_share(before: Model, after: Model) -> Share:
    """Return how many memberships change between two models.

    A user who goes from one place to another counts once. Without memberships before, none changes hands.
    """
    now, then = memberships_of(before), memberships_of(after)
    if not now:
        return Share(0, 0)
    return Share(max(len(now - then), len(then - now)), max(len(now), len(then)))


def empties_tree(before: Model, after: Model) -> bool:
    """Whether a model without territories replaces one that has some."""
    return bool(before.territories) and not after.territories


def moves_no_record(before: Model, after: Model) -> bool:
    """Whether every record stays in its territories for certain, so that no record has to be read.

    False does not say that one moves.
    """
    return before.deciding == after.deciding and before.today == after.today


def _memberships(model: Model) -> Iterator[Membership]:
    for person in model.people.values():
        if person.active:
            yield "role", person.role, person.id
            if person.admin:
                yield "administrators", "", person.id
    for node in model.territories.values():
        for user_id in node.members:
            if model.people[user_id].active:
                yield "territory", node.id, user_id
        if node.manager is not None and model.people[node.manager].active:
            yield "manager", node.id, node.manager
    for group in model.groups.values():
        for user_id in group.members:  # the active ones, of its roles too
            yield "group", group.id, user_id
