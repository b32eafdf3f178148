"""Access rules of one model: who may read and edit a record, and by which paths (V1 to V4, V6, V7, V9 to V11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from territory.model.compiled import Model, Person, TerritoryNode
from territory.model.document import OBJECTS, Level
from territory.model.sharing import Sharing

CACHED_MAX = 200_000
"""Answers that one policy caches; the cache is cleared when it is full."""
MEMBERS_NAMED_MAX = 5
"""Members of an owning group that one path names; the path is one for all members with a role."""


class AccessAttributes(NamedTuple):
    """The part of an assignment that decides who sees its record."""

    object: str
    owner_id: str | None
    """A user or a group."""
    territories: tuple[str, ...]
    shared: tuple[str, ...]
    """Marks of the sharing rules that hold for the record (V6)."""


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


_Key = TypeVar("_Key", str, tuple[str, str])

NOBODY = Viewers(frozenset(), frozenset())


class AccessPolicy:
    """Who may see a record under one model.

    Administrators see everything; they are in a set of their own and in no answer here.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._by_owner: dict[str, frozenset[str]] = {}
        self._by_territory: dict[tuple[str, bool], Viewers] = {}
        self._by_mark: dict[str, Viewers] = {}
        self._answers: dict[tuple[object, ...], Viewers] = {}
        kinds = len(OBJECTS)
        self._differs_by_object = any(0 < len(node.writable) < kinds for node in model.territories.values())

    def viewers_of(self, record: AccessAttributes) -> Viewers:
        """Return the viewers of a record. Records with the same attributes get the same object."""
        key = record if self._differs_by_object else record[1:]
        viewers = self._answers.get(key)
        if viewers is None:
            if len(self._answers) >= CACHED_MAX:
                self._answers.clear()
            viewers = self._answers[key] = self._viewers_of(record)
        return viewers

    def _viewers_of(self, record: AccessAttributes) -> Viewers:
        editors = set[str]() if record.owner_id is None else set(self._owners_and_superiors(record.owner_id))
        readers = set(editors)
        # A territory or mark of another model means nothing under this one.
        known = self.model.territories
        parts = [self._viewers_by_territory(each, record.object) for each in record.territories if each in known]
        parts += [self._viewers_by_mark(mark) for mark in record.shared if mark in self.model.sharing]
        for viewers in parts:
            readers |= viewers.readers
            editors |= viewers.editors
        seers = self.model.seers
        return Viewers(seers & readers, seers & editors)

    def _owners_and_superiors(self, owner_id: str) -> frozenset[str]:
        """Return the owner, or the active members of an owning group, and the role superiors of each (V1, V10)."""
        users = self._by_owner.get(owner_id)
        if users is None:
            owners = self.model.owners_of(owner_id)
            roles = {self.model.people[each].role for each in owners}
            users = owners.union(*(self.model.superiors[role] for role in roles))
            self._by_owner[owner_id] = users
        return users

    def _viewers_by_territory(self, territory_id: str, object_type: str) -> Viewers:
        """Return the members of a territory and of its ancestors, with the level that the territory gives (V3).

        The level may differ by object (V11). If the model rolls access up, their role superiors are included, each
        with the member's level (V4).
        """
        writable = object_type in self.model.territories[territory_id].writable
        viewers = self._by_territory.get((territory_id, writable))
        if viewers is None:
            path = [self.model.territories[above] for above in self.model.tree.path_of(territory_id)]
            readers = frozenset(member for node in path for member in node.members)
            managers = frozenset(node.effective_manager for node in path if node.effective_manager is not None)
            editors = readers if writable else managers
            if self.model.territory_access_rolls_up_roles:
                readers, editors = self._with_superiors(readers), self._with_superiors(editors)
            viewers = self._by_territory[territory_id, writable] = Viewers(readers, editors)
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
    models is kept by owner, by object and territory, and by mark. It grows with the distinct ids of the models, and
    not with the number of models; the models themselves are not kept. The answer is exact.
    """

    def __init__(self) -> None:
        self._by_owner: dict[str, Viewers] = {}
        self._by_territory: dict[tuple[str, str], Viewers] = {}
        self._by_mark: dict[str, Viewers] = {}

    def add(self, policy: AccessPolicy) -> None:
        """Add the access that one model gives. Takes time in proportion to the model, not to the records."""
        model = policy.model
        any_object = OBJECTS[0]  # only access by territory differs by object (V11)
        for owner_id in (*model.people, *model.groups):
            _extend(self._by_owner, owner_id, policy.viewers_of(AccessAttributes(any_object, owner_id, (), ())))
        for territory_id in model.territories:
            for object_type in OBJECTS:
                viewers = policy.viewers_of(AccessAttributes(object_type, None, (territory_id,), ()))
                _extend(self._by_territory, (object_type, territory_id), viewers)
        for mark in model.sharing:
            _extend(self._by_mark, mark, policy.viewers_of(AccessAttributes(any_object, None, (), (mark,))))

    def viewers_of(self, record: AccessAttributes) -> Viewers:
        """Return the viewers of a record under any of the models, each with the highest level."""
        viewers = NOBODY if record.owner_id is None else self._by_owner.get(record.owner_id, NOBODY)
        for territory_id in record.territories:
            viewers = viewers | self._by_territory.get((record.object, territory_id), NOBODY)
        for mark in record.shared:
            viewers = viewers | self._by_mark.get(mark, NOBODY)
        return viewers


def _extend(viewers_by_id: dict[_Key, Viewers], id_: _Key, viewers: Viewers) -> None:
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
        case "group":
            return person.id in model.groups[rule.target].members
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


def paths_of(model: Model, user_id: str, record: AccessAttributes) -> list[Path]:
    """Return every path by which a user sees a record (V9); empty if the user does not see it."""
    person = model.people.get(user_id)
    if person is None or not person.active:
        return []
    paths: list[Path] = []
    if person.admin:
        paths.append(Path("administrator", "edit"))
    if record.owner_id == user_id:
        paths.append(Path("owner", "edit"))
    paths += _paths_by_owner(model, person, record.owner_id)
    for territory_id in record.territories:
        if territory_id in model.territories:
            paths += _paths_by_territory(model, person, record.object, territory_id)
    for mark in record.shared:
        rule = model.sharing.get(mark)
        if rule is not None and _is_target(model, rule, person):
            paths.append(Path(str(rule), rule.level))
    return paths


def _paths_by_owner(model: Model, person: Person, owner_id: str | None) -> Iterator[Path]:
    """Yield the paths through an owning group, and through owners whose roles are below the user's (V1, V10)."""
    if owner_id in model.people:
        role = model.people[owner_id].role
        if person.id in model.superiors[role]:
            yield Path(f"role {person.role} is above role {role} of the owner {owner_id}", "edit")
    if owner_id not in model.groups:
        return
    group = model.groups[owner_id]
    if person.id in group.members:
        by_role = f" by role {person.role}" if person.role in group.roles else ""
        yield Path(f"member{by_role} of the owning group {group.id}", "edit")
    for role, members in sorted(group.by_role.items()):
        if person.id in model.superiors[role]:
            more = len(members) - MEMBERS_NAMED_MAX
            named = ", ".join(members[:MEMBERS_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
            above = f"role {person.role} is above role {role} of {named}"
            yield Path(f"{above}, in the owning group {group.id}", "edit")


def _paths_by_territory(model: Model, person: Person, object_type: str, territory_id: str) -> Iterator[Path]:
    """Yield the paths through one territory of a record: by membership first, then rolled up from members (V4)."""
    assigned = model.territories[territory_id]
    path = [model.territories[above] for above in model.tree.path_of(territory_id)]
    managers = {node.effective_manager for node in path}
    writable = object_type in assigned.writable
    levels: dict[bool, Level] = {True: "edit", False: "read"}
    for node in path:
        if person.id in node.members:
            yield Path(_membership_of(person.id, node, assigned), levels[writable or person.id in managers])
    if not model.territory_access_rolls_up_roles:
        return
    for node in path:
        for member_id in sorted(node.members):
            member = model.people[member_id]
            if member.active and person.id in model.superiors[member.role]:
                above = f"role {person.role} is above role {member.role} of {member_id}"
                membership = _membership_of(member_id, node, assigned)
                yield Path(f"{above}, {membership}", levels[writable or member_id in managers])


def _membership_of(user_id: str, node: TerritoryNode, assigned: TerritoryNode) -> str:
    """Return the text for membership of a record's territory, or of one above it."""
    above = "" if node.id == assigned.id else f", which is above {assigned.id}"
    return f"{'manager' if node.manager == user_id else 'member'} of territory {node.id}{above}"
