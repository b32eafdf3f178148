"""Access rules of one model: who may read and edit a record, and by which paths (V1 to V4, V6, V7, V9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from territory.model.compiled import Model, Person, TerritoryNode
from territory.model.document import Level
from territory.model.sharing import Sharing

CACHED_MAX = 200_000
"""Answers that one policy caches; the cache is cleared when it is full."""


@dataclass(frozen=True, slots=True)
class Viewers:
    """The users who may read a record. Every editor is also a reader."""

    readers: frozenset[str]
    editors: frozenset[str]

    def __and__(self, other: Viewers) -> Viewers:
        """Return the users in both, each with the lower of the two levels."""
        return self if self is other else Viewers(self.readers & other.readers, self.editors & other.editors)

    def __or__(self, other: Viewers) -> Viewers:
        """Return the users in either, each with the higher of the two levels."""
        return self if self is other else Viewers(self.readers | other.readers, self.editors | other.editors)


NOBODY = Viewers(frozenset(), frozenset())


class AccessPolicy:
    """Who may see a record under one model.

    Administrators see everything; they are in a set of their own and in no answer here.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._by_territory: dict[str, Viewers] = {}
        self._by_mark: dict[str, Viewers] = {}
        self._answers: dict[tuple[str | None, tuple[str, ...], tuple[str, ...]], Viewers] = {}

    def viewers_of(self, owner_id: str | None, territories: tuple[str, ...], shared: tuple[str, ...]) -> Viewers:
        """Return the viewers of a record, given its owner, its territories and its sharing marks.

        Records with the same arguments get the same object.
        """
        key = (owner_id, territories, shared)
        viewers = self._answers.get(key)
        if viewers is None:
            if len(self._answers) >= CACHED_MAX:
                self._answers.clear()
            viewers = self._answers[key] = self._viewers_of(owner_id, territories, shared)
        return viewers

    def _viewers_of(self, owner_id: str | None, territories: tuple[str, ...], shared: tuple[str, ...]) -> Viewers:
        editors: set[str] = set()
        owner = self.model.people.get(owner_id) if owner_id is not None else None
        if owner is not None:
            editors |= {owner.id}
            editors |= self.model.superiors[owner.role]
        readers = set(editors)
        # A territory or mark of another model means nothing under this one.
        parts = [self._viewers_by_territory(each) for each in territories if each in self.model.territories]
        parts += [self._viewers_by_mark(mark) for mark in shared if mark in self.model.sharing]
        for viewers in parts:
            readers |= viewers.readers
            editors |= viewers.editors
        seers = self.model.seers
        return Viewers(seers & readers, seers & editors)

    def _viewers_by_territory(self, territory_id: str) -> Viewers:
        """Return the members of a territory and of its ancestors, with the level that the territory gives (V3).

        If the model rolls access up, their role superiors are included, each with the member's level (V4).
        """
        viewers = self._by_territory.get(territory_id)
        if viewers is None:
            path = [self.model.territories[above] for above in self.model.tree.path_of(territory_id)]
            readers = frozenset(member for node in path for member in node.members)
            managers = frozenset(node.effective_manager for node in path if node.effective_manager is not None)
            writable = self.model.territories[territory_id].writable
            editors = readers if writable else managers
            if self.model.territory_access_rolls_up_roles:
                readers, editors = self._with_superiors(readers), self._with_superiors(editors)
            viewers = self._by_territory[territory_id] = Viewers(readers, editors)
        return viewers

    def _with_superiors(self, members: frozenset[str]) -> frozenset[str]:
        """Return members and the role superiors of the active ones: a deactivated member sees nothing (V4, V7)."""
        people = self.model.people
        roles = {people[member].role for member in members if people[member].active}
        return members.union(*(self.model.superiors[role] for role in roles))

    def _viewers_by_mark(self, mark: str) -> Viewers:
        """Return the target users of a sharing rule, with the rule's level (V6)."""
        viewers = self._by_mark.get(mark)
        if viewers is None:
            rule = self.model.sharing[mark]
            people = self.model.people.values()
            users = frozenset(person.id for person in people if _is_target(self.model, rule, person))
            viewers = self._by_mark[mark] = Viewers(users, users if rule.level == "edit" else frozenset())
        return viewers


class AccessUnion:
    """The users who may see a record under at least one of several models.

    A user sees a record through its owner, one of its territories or one of its sharing marks. So the union over
    models is kept by owner, territory and mark. It grows with the distinct ids of the models, and not with the
    number of models; the models themselves are not kept. The answer is exact.
    """

    def __init__(self) -> None:
        self._by_owner: dict[str, Viewers] = {}
        self._by_territory: dict[str, Viewers] = {}
        self._by_mark: dict[str, Viewers] = {}

    def add(self, policy: AccessPolicy) -> None:
        """Add the access that one model gives. Takes time in proportion to the model, not to the records."""
        model = policy.model
        for owner_id in model.people:
            _extend(self._by_owner, owner_id, policy.viewers_of(owner_id, (), ()))
        for territory_id in model.territories:
            _extend(self._by_territory, territory_id, policy.viewers_of(None, (territory_id,), ()))
        for mark in model.sharing:
            _extend(self._by_mark, mark, policy.viewers_of(None, (), (mark,)))

    def viewers_of(self, owner_id: str | None, territories: tuple[str, ...], shared: tuple[str, ...]) -> Viewers:
        """Return the viewers of a record under any of the models, each with the highest level."""
        viewers = NOBODY if owner_id is None else self._by_owner.get(owner_id, NOBODY)
        for territory_id in territories:
            viewers = viewers | self._by_territory.get(territory_id, NOBODY)
        for mark in shared:
            viewers = viewers | self._by_mark.get(mark, NOBODY)
        return viewers


def _extend(viewers_by_id: dict[str, Viewers], id_: str, viewers: Viewers) -> None:
    known = viewers_by_id.get(id_)
    if known is None:
        viewers_by_id[id_] = viewers
    elif known != viewers:
        viewers_by_id[id_] = known | viewers


def _is_target(model: Model, rule: Sharing, person: Person) -> bool:
    """Whether a sharing rule gives its access to a user (V6)."""
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
    """One way by which a user sees a record (V9)."""

    how: str
    level: Level

    def __str__(self) -> str:
        return f"{self.how} ({self.level})"


def paths_of(
    model: Model, user_id: str, owner_id: str | None, territories: tuple[str, ...], shared: tuple[str, ...]
) -> list[Path]:
    """Return every path by which a user sees a record (V1, V3, V4, V6, V9); empty if the user does not see it."""
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
        if rule is not None and _is_target(model, rule, person):
            paths.append(Path(str(rule), rule.level))
    return paths


def _paths_by_territory(model: Model, person: Person, territory_id: str) -> Iterator[Path]:
    """Yield the paths through one territory of a record: by membership first, then rolled up from members (V4)."""
    assigned = model.territories[territory_id]
    path = [model.territories[above] for above in model.tree.path_of(territory_id)]
    managers = {node.effective_manager for node in path}
    levels: dict[bool, Level] = {True: "edit", False: "read"}
    for node in path:
        if person.id in node.members:
            yield Path(_membership_of(person.id, node, assigned), levels[assigned.writable or person.id in managers])
    if not model.territory_access_rolls_up_roles:
        return
    for node in path:
        for member_id in sorted(node.members):
            member = model.people[member_id]
            if member.active and person.id in model.superiors[member.role]:
                above = f"role {person.role} is above role {member.role} of {member_id}"
                membership = _membership_of(member_id, node, assigned)
                yield Path(f"{above}, {membership}", levels[assigned.writable or member_id in managers])


def _membership_of(user_id: str, node: TerritoryNode, assigned: TerritoryNode) -> str:
    """Return the text for membership of a record's territory, or of one above it."""
    above = "" if node.id == assigned.id else f", which is above {assigned.id}"
    return f"{'manager' if node.manager == user_id else 'member'} of territory {node.id}{above}"
