"""A model: everything that an organisation decides, checked as a whole and ready to ask.

A model is a value with a revision. It is accepted whole or refused whole, with every fault
listed by its path.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo

from territory.criteria import Criterion, Lists, parse
from territory.criteria.values import FieldType
from territory.errors import Fault, ModelRefused
from territory.model.document import (
    Document,
    ObjectType,
    Organisation,
    PieceKey,
    RuledObject,
    Stage,
    document_of,
    oversized,
    pieces_of,
    read_document,
)
from territory.model.periods import FiscalCalendar
from territory.model.sharing import Sharing, compiled
from territory.model.trees import Tree, cycles_of, first_below
from territory.wire.codec import JSON, encode


@dataclass(frozen=True, slots=True)
class TerritoryNode:
    """One territory, with what is asked of it often already worked out."""

    id: str
    name: str
    depth: int
    priority: int
    manager: str | None
    effective_manager: str | None
    """The territory's manager, else the nearest ancestor's that has one."""
    members: frozenset[str]
    """Its users and its manager."""
    writable: bool
    """Whether its permission is read_write_delete."""
    rules: Mapping[RuledObject, Criterion]

    @property
    def rank(self) -> tuple[int, int, str]:
        """The order in which links stay and are chosen: priority, depth, id (A3)."""
        return (-self.priority, -self.depth, self.id)


@dataclass(frozen=True, slots=True)
class Person:
    """One user of the organisation."""

    id: str
    name: str
    role: str
    active: bool
    admin: bool


TREE_LEVELS_MAX = 100
"""Of both trees: every node's path to its root is kept, and every rule of it told in assignments."""

TargetKey = tuple[str, str, str | None]
"""Territory, period and, for a person's target, the user."""


class Model:
    """One revision of an organisation's model. Immutable by convention; build with `compile_model`.

    Rules that depend on the day raise DayNotSet until the model is asked as it is `on` a day (C7).
    """

    def __init__(
        self,
        document: Document,
        revision: int,
        rules: Mapping[tuple[str, RuledObject], Criterion],
        shared: Mapping[str, Criterion],
        closed_since: Mapping[str, int],
    ) -> None:
        """Take the criteria of the document's rules, by territory and object, and of its sharing rules by id.

        `closed_since` has the revision since which a period is closed, as far as that is known.
        """
        self.org_id = document.org
        self.revision = revision
        self.organisation: Organisation = document.organisation
        self.calendar = _calendar_of(document)
        self.field_types: dict[ObjectType, dict[str, FieldType]] = document.fields
        self.stages: dict[str, Stage] = document.stages
        self.rates: dict[tuple[str, str], Decimal] = {(rate.source, rate.period): rate.rate for rate in document.rates}
        self.people = {
            user.id: Person(user.id, user.name or user.id, user.role, user.active, user.admin)
            for user in document.users
        }
        self.roles = Tree({role.id: role.parent for role in document.roles})
        self.tree = Tree({territory.id: territory.parent for territory in document.territories})
        self.territories = self._nodes(document, rules)
        self.today: date | None = None
        """The day that its rules are meant on; None where it was not set."""
        self._relative_rules = {
            node.id: node.rules
            for node in self.territories.values()
            if any(rule.is_relative for rule in node.rules.values())
        }
        self.relative_territories = frozenset(self._relative_rules)
        """Those with a rule that depends on the day (C7)."""
        self.sharing: Mapping[str, Sharing] = compiled(document, shared)
        """The sharing rules by their marks: what assignments say of them (V6)."""
        self._relative_sharing = {mark: rule for mark, rule in self.sharing.items() if rule.criterion.is_relative}
        self.targets: dict[TargetKey, Decimal] = {
            (target.territory, target.period, target.user): target.amount for target in document.targets
        }
        self.frozen_periods = frozenset(document.frozen_periods)
        """Closed ones: what they came to stays, and what changes since is shown beside it (F12)."""
        self.closed_since = {period: closed_since.get(period, 0) for period in document.frozen_periods}
        """By closed period, the revision since which it is closed without a break; 0: not known."""
        self._decided_by = _decided_by(document)

    def _nodes(
        self, document: Document, rules: Mapping[tuple[str, RuledObject], Criterion]
    ) -> dict[str, TerritoryNode]:
        written = {territory.id: territory for territory in document.territories}
        nodes: dict[str, TerritoryNode] = {}
        for territory_id in self.tree:  # parents first
            territory = written[territory_id]
            parent = nodes.get(territory.parent) if territory.parent is not None else None
            inherited = parent.effective_manager if parent is not None else None
            people = territory.users if territory.manager is None else [*territory.users, territory.manager]
            nodes[territory_id] = TerritoryNode(
                id=territory_id,
                name=territory.name or territory_id,
                depth=self.tree.depth_of(territory_id),
                priority=territory.priority,
                manager=territory.manager,
                effective_manager=territory.manager or inherited,
                members=frozenset(people),
                writable=territory.permission == "read_write_delete",
                rules={kind: rules[territory_id, kind] for kind in territory.rules},
            )
        return nodes

    @cached_property
    def admins(self) -> frozenset[str]:
        """Active administrators: they see and edit everything and have no sets of their own."""
        return frozenset(person.id for person in self.people.values() if person.admin and person.active)

    @cached_property
    def seers(self) -> frozenset[str]:
        """Users who have sets: active and no administrators (V7)."""
        return frozenset(person.id for person in self.people.values() if person.active) - self.admins

    @cached_property
    def superiors(self) -> dict[str, frozenset[str]]:
        """By role, the users of all roles strictly above it (V1)."""
        holders: dict[str, set[str]] = {}
        for person in self.people.values():
            holders.setdefault(person.role, set()).add(person.id)
        return {
            role: frozenset(user for above in self.roles.ancestors_of(role) for user in holders.get(above, ()))
            for role in self.roles
        }

    @cached_property
    def deciding(self) -> bytes:
        """What assignments follow from, in short: models that have it in common decide alike, on the same day."""
        return hashlib.sha256(encode(self._decided_by)).digest()

    @cached_property
    def places(self) -> dict[str, frozenset[str]]:
        """By user, the territories that the user is a member of."""
        places: dict[str, set[str]] = {user: set() for user in self.people}
        for node in self.territories.values():
            for user in node.members:
                places[user].add(node.id)
        return {user: frozenset(territories) for user, territories in places.items()}

    @property
    def uses_relative_dates(self) -> bool:
        """Whether a rule depends on the day, a sharing rule too (C7)."""
        return bool(self.relative_territories or self._relative_sharing)

    def on(self, today: date) -> Model:
        """Return the model as it is meant on a day of the organisation, all else shared; itself where that is so."""
        if today == self.today or not self.uses_relative_dates:
            return self
        model = copy.copy(self)
        model.today = today
        model.territories = self.territories | {
            territory_id: replace(
                self.territories[territory_id],
                rules={kind: rule.on(today, self.calendar) for kind, rule in rules.items()},
            )
            for territory_id, rules in self._relative_rules.items()
        }
        model.sharing = {
            **self.sharing,
            **{
                mark: replace(rule, criterion=rule.criterion.on(today, self.calendar))
                for mark, rule in self._relative_sharing.items()
            },
        }
        return model

    def day_of(self, instant: datetime) -> date:
        """Return the day that an instant is in, in the organisation's time zone."""
        return self.calendar.day_of(instant)

    @property
    def max_territories_per_record(self) -> int | None:
        """The most links of an account, contact or lead; None for no limit (A3)."""
        return self.organisation.settings.max_territories_per_record

    @property
    def territory_access_rolls_up_roles(self) -> bool:
        """Whether role superiors of a territory's members see what these see by it (V4)."""
        return self.organisation.settings.territory_access_rolls_up_roles


def compile_model(
    raw: JSON, revision: int, today: date | None = None, closed_since: Mapping[str, int] | None = None
) -> Model:
    """Return the model that a document describes, on a day of the organisation if one is given.

    A document does not say since which revision a period is closed: the pieces' messages do.

    Raises: ModelRefused with every fault, in the order of their paths.
    """
    document, faults = read_document(raw)
    rules: dict[tuple[str, RuledObject], Criterion] = {}
    shared: dict[str, Criterion] = {}
    faults += [*_organisation_faults(document), *_sharing_faults(document)]
    faults += [*_tree_faults(document), *_forecast_faults(document), *_rule_faults(document, rules, shared)]
    faults = faults or list(oversized(raw))  # type: ignore[arg-type]  # without faults it is a mapping
    if faults:
        raise ModelRefused(sorted(faults))
    model = Model(document, revision, rules, shared, closed_since or {})
    return model if today is None else model.on(today)


def assemble(
    org_id: str,
    revision: int,
    pieces: Mapping[PieceKey, JSON],
    today: date | None = None,
    closed_since: Mapping[str, int] | None = None,
) -> Model:
    """Return the model that pieces from the model topic add up to. Raises: ModelRefused."""
    return compile_model(document_of(org_id, pieces), revision, today, closed_since)


def digest_of(pieces: Mapping[PieceKey, JSON]) -> str:
    """Return what an activation says of its pieces: equal exactly when all of them are there."""
    digest = hashlib.sha256()
    for key in sorted(pieces):
        digest.update(encode([*key, pieces[key]]))
    return digest.hexdigest()


def pieces_of_model(raw: JSON) -> dict[PieceKey, JSON]:
    """Return the pieces of a document that is valid. Raises: ModelRefused."""
    compile_model(raw, 1)
    return pieces_of(raw)  # type: ignore[arg-type]  # a valid document is a mapping


def _decided_by(document: Document) -> list[object]:
    """Return what assignments follow from: all but who people are, what is wanted of them and what deals come to.

    Sharing rules are left out: their marks say themselves what a record was decided by.
    """
    organisation = document.organisation
    places = sorted((each.id, each.parent, each.priority, each.rules) for each in document.territories)
    limit = organisation.settings.max_territories_per_record
    calendar = [organisation.settings.time_zone, organisation.fiscal_year_start]
    return [limit, calendar, document.fields, document.tables, places]


def _calendar_of(document: Document) -> FiscalCalendar:
    organisation = document.organisation
    zone = ZoneInfo(organisation.settings.time_zone)
    return FiscalCalendar(organisation.period, organisation.fiscal_year_start, zone)


# --- what the pieces mean together -----------------------------------------------------------


def _repeated(ids: Iterable[object]) -> list[object]:
    return [item for item, count in Counter(ids).items() if count > 1]


def _missing(path: str, kind: str, found: str, known: Iterable[str]) -> Fault:
    near = ", ".join(sorted(known)[:5]) or "none"
    return Fault(path, f"unknown {kind} {found!r}; add it or correct the name (there are {near}, …)")


def _organisation_faults(document: Document) -> Iterable[Fault]:
    roles = document.known_ids.get("roles", set())
    for name, pieces in (("roles", document.roles), ("users", document.users)):
        for twice in _repeated(piece.id for piece in pieces):
            yield Fault(f"{name}[{twice}]", "the id is used twice; ids are unique")
    for role in document.roles:
        if role.parent is not None and role.parent not in roles:
            yield _missing(f"roles[{role.id}].parent", "role", role.parent, roles)
    for cycle in cycles_of({role.id: role.parent for role in document.roles}):
        yield Fault(f"roles[{cycle[0]}].parent", f"the role tree has a cycle: {' -> '.join([*cycle, cycle[0]])}")
    yield from _depth_faults("roles", {role.id: role.parent for role in document.roles})
    for user in document.users:
        if user.role not in roles:
            yield _missing(f"users[{user.id}].role", "role", user.role, roles)


def _sharing_faults(document: Document) -> Iterable[Fault]:
    known_ids = document.known_ids
    for rule in document.sharing:
        named = {kind: value for kind, value in rule.to if value is not None}
        if len(named) != 1:
            yield Fault(
                f"sharing[{rule.id}].to",
                f"found {', '.join(named) or 'nothing'}, expected exactly one of user, role, role_and_below, "
                "territory, territory_and_below",
            )
        for kind, value in named.items():
            word = kind.split("_", 1)[0]
            known = known_ids[{"user": "users", "role": "roles", "territory": "territories"}[word]]
            if value not in known:
                yield _missing(f"sharing[{rule.id}].to.{kind}", word, value, known)
    for twice in _repeated(rule.id for rule in document.sharing):
        yield Fault(f"sharing[{twice}]", "the id is used twice; ids are unique")


def _tree_faults(document: Document) -> Iterable[Fault]:
    users, territories = document.known_ids.get("users", set()), document.known_ids.get("territories", set())
    for twice in _repeated(territory.id for territory in document.territories):
        yield Fault(f"territories[{twice}]", "the id is used twice; ids are unique")
    for territory in document.territories:
        path = f"territories[{territory.id}]"
        if territory.parent is not None and territory.parent not in territories:
            yield _missing(f"{path}.parent", "territory", territory.parent, territories)
        if territory.manager is not None and territory.manager not in users:
            yield _missing(f"{path}.manager", "user", territory.manager, users)
        for user in territory.users:
            if user not in users:
                yield _missing(f"{path}.users", "user", user, users)
        for twice in _repeated(territory.users):
            yield Fault(f"{path}.users", f"names {twice!r} twice")
    for cycle in cycles_of({territory.id: territory.parent for territory in document.territories}):
        yield Fault(
            f"territories[{cycle[0]}].parent", f"the territory tree has a cycle: {' -> '.join([*cycle, cycle[0]])}"
        )
    yield from _depth_faults("territories", {territory.id: territory.parent for territory in document.territories})


def _depth_faults(section: str, parents: Mapping[str, str | None]) -> Iterable[Fault]:
    for node in first_below(parents, TREE_LEVELS_MAX):
        yield Fault(f"{section}[{node}].parent", f"the tree has more than {TREE_LEVELS_MAX} levels; flatten it")


def _rule_faults(
    document: Document, rules: dict[tuple[str, RuledObject], Criterion], shared: dict[str, Criterion]
) -> Iterable[Fault]:
    lists = Lists({name: document.tables.get(name, []) for name in document.known_ids.get("tables", ())})
    for territory in document.territories:
        for kind, criteria in territory.rules.items():
            path = f"territories[{territory.id}].rules.{kind}"
            criterion, faults = parse(criteria, document.fields.get(kind, {}), path, lists)
            yield from faults
            if criterion is not None:
                rules[territory.id, kind] = criterion
    for rule in document.sharing:
        path = f"sharing[{rule.id}].criteria"
        criterion, faults = parse(rule.criteria, document.fields.get(rule.object, {}), path, lists)
        yield from faults
        if criterion is not None:
            shared[rule.id] = criterion


def _forecast_faults(document: Document) -> Iterable[Fault]:
    calendar = _calendar_of(document)
    users, territories = document.known_ids.get("users", set()), document.known_ids.get("territories", set())

    def period_faults(path: str, period: str) -> Iterable[Fault]:
        if not calendar.is_period(period):
            yield Fault(path, f"found {period!r}, expected a {calendar.kind} such as {calendar.example}")

    for index, rate in enumerate(document.rates):
        yield from period_faults(f"rates[{index}].period", rate.period)
        if rate.source == document.organisation.currency:
            yield Fault(f"rates[{index}].from", f"{rate.source} is the organisation's own currency; remove the rate")
    for twice in _repeated((rate.source, rate.period) for rate in document.rates):
        yield Fault("rates", f"{twice} has two rates; keep one")
    for index, target in enumerate(document.targets):
        path = f"targets[{index}]"
        yield from period_faults(f"{path}.period", target.period)
        if target.territory not in territories:
            yield _missing(f"{path}.territory", "territory", target.territory, territories)
        if target.user is not None and target.user not in users:
            yield _missing(f"{path}.user", "user", target.user, users)
    for twice in _repeated((target.territory, target.period, target.user) for target in document.targets):
        yield Fault("targets", f"{twice} is set twice; a (territory, user, period) has one target")
    for index, period in enumerate(document.frozen_periods):
        yield from period_faults(f"frozen_periods[{index}]", period)
    for twice in _repeated(document.frozen_periods):
        yield Fault("frozen_periods", f"names {twice!r} twice")
