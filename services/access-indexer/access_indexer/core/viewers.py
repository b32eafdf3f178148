"""Who sees a record, who may edit it, and by which paths (V1 to V4, V6, V7, V9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from territory.model.compiled import Model, Person, TerritoryNode
from territory.model.document import Level
from territory.model.sharing import Sharing

CACHED_MAX = 200_000


@dataclass(frozen=True, slots=True)
class Viewers:
    """The users whose sets hold a record; `editors` are among `readers`."""

    readers: frozenset[str]
    editors: frozenset[str]

    def __and__(self, other: Viewers) -> Viewers:
        """Return those who are among both, each at the lower of the two levels."""
        return self if self is other else Viewers(self.readers & other.readers, self.editors & other.editors)

    def __or__(self, other: Viewers) -> Viewers:
        """Return those who are among either, each at the higher of the two levels."""
        return self if self is other else Viewers(self.readers | other.readers, self.editors | other.editors)


NOBODY = Viewers(frozenset(), frozenset())


class Access:
    """Answers who sees a record, under one model. Administrators see everything and are left out."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._held: dict[str, Viewers] = {}
        self._audiences: dict[str, Viewers] = {}
        self._known: dict[tuple[str | None, tuple[str, ...], tuple[str, ...]], Viewers] = {}

    def viewers_of(self, owner_id: str | None, territories: tuple[str, ...], shared: tuple[str, ...]) -> Viewers:
        """Return who sees a record of an owner, in some territories, with the marks of some sharing rules.

        Records with the same owner, territories and marks share one answer, in memory too.
        """
        key = (owner_id, territories, shared)
        viewers = self._known.get(key)
        if viewers is None:
            if len(self._known) >= CACHED_MAX:
                self._known.clear()
            viewers = self._known[key] = self._viewers_of(owner_id, territories, shared)
        return viewers

    def _viewers_of(self, owner_id: str | None, territories: tuple[str, ...], shared: tuple[str, ...]) -> Viewers:
        editors: set[str] = set()
        owner = self.model.people.get(owner_id) if owner_id is not None else None
        if owner is not None:
            editors |= {owner.id}
            editors |= self.model.superiors[owner.role]
        readers = set(editors)
        # What the model does not have was decided under another one, and means nothing under this.
        held = [self._viewers_of_territory(each) for each in territories if each in self.model.territories]
        held += [self._audience_of(mark) for mark in shared if mark in self.model.sharing]
        for viewers in held:
            readers |= viewers.readers
            editors |= viewers.editors
        seers = self.model.seers
        return Viewers(seers & readers, seers & editors)

    def _viewers_of_territory(self, territory_id: str) -> Viewers:
        """Return who sees what a territory holds: members of it and of those above it, at its level (V3).

        With the setting, their role superiors too, each at the member's level (V4).
        """
        viewers = self._held.get(territory_id)
        if viewers is None:
            path = [self.model.territories[above] for above in self.model.tree.path_of(territory_id)]
            readers = frozenset(member for node in path for member in node.members)
            managers = frozenset(node.effective_manager for node in path if node.effective_manager is not None)
            writable = self.model.territories[territory_id].writable
            editors = readers if writable else managers
            if self.model.territory_access_rolls_up_roles:
                readers, editors = self._with_superiors(readers), self._with_superiors(editors)
            viewers = self._held[territory_id] = Viewers(readers, editors)
        return viewers

    def _with_superiors(self, members: frozenset[str]) -> frozenset[str]:
        """Return members and the role superiors of those who are active: another one sees nothing (V4, V7)."""
        people = self.model.people
        roles = {people[member].role for member in members if people[member].active}
        return members.union(*(self.model.superiors[role] for role in roles))

    def _audience_of(self, mark: str) -> Viewers:
        """Return whom a sharing rule gives what it takes (V6)."""
        viewers = self._audiences.get(mark)
        if viewers is None:
            rule = self.model.sharing[mark]
            users = frozenset(person.id for person in self.model.people.values() if _is_for(self.model, rule, person))
            viewers = self._audiences[mark] = Viewers(users, users if rule.level == "edit" else frozenset())
        return viewers


def _is_for(model: Model, rule: Sharing, person: Person) -> bool:
    """Whether a sharing rule is for a user (V6)."""
    match rule.kind:
        case "user":
            return person.id == rule.target
        case "role":
            return person.role == rule.target
        case "role_and_below":
            return rule.target in model.roles.path_of(person.role)
        case "territory":
            return rule.target in model.places[person.id]
        case "territory_and_below":
            return any(rule.target in model.tree.path_of(place) for place in model.places[person.id])


@dataclass(frozen=True, slots=True)
class Path:
    """One way in which a user comes to see a record (V9)."""

    how: str
    level: Level

    def __str__(self) -> str:
        return f"{self.how} ({self.level})"


def paths_of(
    model: Model, user_id: str, owner_id: str | None, territories: tuple[str, ...], shared: tuple[str, ...]
) -> list[Path]:
    """Return every path by which a user sees a record; none when there is none (V1, V3, V4, V6, V9)."""
    person = model.people.get(user_id)
    if person is None or not person.active:
        return []
    paths: list[Path] = []
    if person.admin:
        paths.append(Path("administrator", "edit"))
    if owner_id == user_id:
        paths.append(Path("owner", "edit"))
    owner = model.people.get(owner_id) if owner_id is not None else None
    if owner is not None and user_id in model.superiors[owner.role]:
        paths.append(Path(f"role {person.role} is above role {owner.role} of the owner {owner.id}", "edit"))
    for territory_id in territories:
        if territory_id in model.territories:
            paths += _paths_by_territory(model, person, territory_id)
    for mark in shared:
        rule = model.sharing.get(mark)
        if rule is not None and _is_for(model, rule, person):
            paths.append(Path(str(rule), rule.level))
    return paths


def _paths_by_territory(model: Model, person: Person, holding_id: str) -> Iterator[Path]:
    """Yield the paths by a territory that holds a record: of the user's own places, then of those rolled up (V4)."""
    holding = model.territories[holding_id]
    path = [model.territories[above] for above in model.tree.path_of(holding_id)]
    managers = {node.effective_manager for node in path}
    levels: dict[bool, Level] = {True: "edit", False: "read"}
    for node in path:
        if person.id in node.members:
            yield Path(_place_of(person.id, node, holding), levels[holding.writable or person.id in managers])
    if not model.territory_access_rolls_up_roles:
        return
    for node in path:
        for member_id in sorted(node.members):
            member = model.people[member_id]
            if member.active and person.id in model.superiors[member.role]:
                above = f"role {person.role} is above role {member.role} of {member_id}"
                place = _place_of(member_id, node, holding)
                yield Path(f"{above}, {place}", levels[holding.writable or member_id in managers])


def _place_of(user_id: str, node: TerritoryNode, holding: TerritoryNode) -> str:
    """Return what a member is of a territory that holds a record, or of one above it."""
    place = "" if node.id == holding.id else f", which is above {holding.id}"
    return f"{'manager' if node.manager == user_id else 'member'} of territory {node.id}{place}"
