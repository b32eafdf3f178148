"""Who sees a record, and who may edit it (V1 to V3, V7)."""

from __future__ import annotations

from dataclasses import dataclass

from territory.model import Model

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
        self._known: dict[tuple[str | None, tuple[str, ...]], Viewers] = {}

    def viewers_of(self, owner_id: str | None, territories: tuple[str, ...]) -> Viewers:
        """Return who sees a record of an owner in some territories.

        Records with the same owner and territories share one answer, in memory too.
        """
        key = (owner_id, territories)
        viewers = self._known.get(key)
        if viewers is None:
            if len(self._known) >= CACHED_MAX:
                self._known.clear()
            viewers = self._known[key] = self._viewers_of(owner_id, territories)
        return viewers

    def _viewers_of(self, owner_id: str | None, territories: tuple[str, ...]) -> Viewers:
        editors: set[str] = set()
        owner = self.model.people.get(owner_id) if owner_id is not None else None
        if owner is not None:
            editors |= {owner.id}
            editors |= self.model.superiors[owner.role]
        readers = set(editors)
        for territory_id in territories:
            if territory_id in self.model.territories:  # else it was decided under a model that is gone
                held = self._viewers_of_territory(territory_id)
                readers |= held.readers
                editors |= held.editors
        seers = self.model.seers
        return Viewers(seers & readers, seers & editors)

    def _viewers_of_territory(self, territory_id: str) -> Viewers:
        """Return who sees what a territory holds: members of it and of those above it, at its level (V3)."""
        viewers = self._held.get(territory_id)
        if viewers is None:
            path = [self.model.territories[above] for above in self.model.tree.path_of(territory_id)]
            readers = frozenset(member for node in path for member in node.members)
            managers = frozenset(node.effective_manager for node in path if node.effective_manager is not None)
            writable = self.model.territories[territory_id].writable
            viewers = self._held[territory_id] = Viewers(readers, readers if writable else managers)
        return viewers


@dataclass(frozen=True, slots=True)
class Path:
    """One way in which a user comes to see a record (V9)."""

    how: str
    level: str

    def __str__(self) -> str:
        return f"{self.how} ({self.level})"


def paths_of(model: Model, user_id: str, owner_id: str | None, territories: tuple[str, ...]) -> list[Path]:
    """Return every path by which a user sees a record; none when there is none (V1, V3)."""
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
        holding = model.territories.get(territory_id)
        for above in model.tree.path_of(territory_id) if holding is not None else ():
            node = model.territories[above]
            if user_id not in node.members:
                continue
            effective = any(
                model.territories[step].effective_manager == user_id for step in model.tree.path_of(territory_id)
            )
            level = "edit" if effective or (holding is not None and holding.writable) else "read"
            place = "" if above == territory_id else f", which is above {territory_id}"
            paths.append(
                Path(f"{'manager' if node.manager == user_id else 'member'} of territory {above}{place}", level)
            )
    return paths
