"""A compiled model: everything that one organisation decides, validated and ready for look-ups.

A model is accepted whole or refused whole, with every fault listed by its path.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property

from territory.criteria import Criterion, leaves_of
from territory.criteria.values import FieldType
from territory.errors import ModelRefused
from territory.model.categories import category_names
from territory.model.checks import TREE_LEVELS_MAX, RuleCriteria, calendar_of, check_pieces
from territory.model.document import Document, read_document
from territory.model.keyed_pieces import digest_of, document_of, oversized, pieces_of
from territory.model.pieces import (
    OBJECTS,
    DealStage,
    ObjectType,
    Organisation,
    PieceKey,
    RuledObject,
    Territory,
)
from territory.model.rates import Rates
from territory.model.sharing import Sharing, compile_sharing
from territory.model.trees import Tree
from territory.money import text_of, times
from territory.wire.codec import JSON, encode

__all__ = [
    "TREE_LEVELS_MAX",
    "Model",
    "Person",
    "TargetKey",
    "TerritoryNode",
    "UserGroup",
    "assemble",
    "compile_model",
    "digest_of",
    "pieces_of_model",
]

TargetKey = tuple[str, str, str | None]
"""Territory, period or fiscal year and, for a user's target, the user."""

ONE, HUNDREDTH = Decimal(1), Decimal("0.01")


@dataclass(frozen=True, slots=True)
class TerritoryNode:
    """One territory with derived values, computed once."""

    id: str
    name: str
    depth: int
    priority: int
    manager: str | None
    effective_manager: str | None
    """The territory's manager, else that of the nearest ancestor with one."""
    members: frozenset[str]
    """Its users and its manager."""
    writable: frozenset[ObjectType]
    """The objects for which its permission is read_write_delete (V11)."""
    rules: Mapping[RuledObject, Criterion]

    @property
    def rank(self) -> tuple[int, int, str]:
        """Sort key of links: higher priority first, then deeper, then smaller id (A3)."""
        return (-self.priority, -self.depth, self.id)


@dataclass(frozen=True, slots=True)
class Person:
    """One user of the organisation."""

    id: str
    name: str
    role: str
    active: bool
    admin: bool


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A named set of users that may own records and receive shares (V6, V10)."""

    id: str
    name: str
    roles: frozenset[str]
    members: frozenset[str]
    """Its active users, and the active users with one of its roles."""
    by_role: Mapping[str, tuple[str, ...]]
    """The members by the role that each of them has, sorted."""


class Model:
    """One revision of an organisation's model; build it with `compile_model` and never change it.

    Rules with relative dates raise DayNotSet unless the model was made absolute with `on` (C7).
    """

    is_removed = False
    """Whether the organisation is removed (A12); see `removal.py`."""

    def __init__(
        self,
        document: Document,
        revision: int,
        rules: RuleCriteria,
        sharing: Mapping[str, Criterion],
        closed_since: Mapping[str, int],
    ) -> None:
        """Compile a document without faults.

        Args:
            document: The pieces.
            revision: The model's revision.
            rules: The criteria of its territory rules.
            sharing: The criteria of its sharing rules, by their ids.
            closed_since: By closed period, the revision that closed it, where known.
        """
        self.org_id = document.org
        self.revision = revision
        self.organisation: Organisation = document.organisation
        self.calendar = calendar_of(document)
        self.field_types: dict[ObjectType, dict[str, FieldType]] = document.fields
        self.stages: dict[str, DealStage] = _stages_of(document)
        """The stages, with probabilities from 0 to 1."""
        self.category_names = category_names(document.organisation.forecast_categories)
        """What the names of forecast categories mean, in the form in which they are compared (F1)."""
        self.rates: dict[tuple[str, str], Decimal] = {(rate.source, rate.period): rate.rate for rate in document.rates}
        self._rates = Rates(self.rates)
        self.current_rates = self._rates.newest()
        """The rates that hold today, by currency; before `on` the last ones that are given (C9)."""
        self.people = {
            user.id: Person(user.id, user.name or user.id, user.role, user.active, user.admin)
            for user in document.users
        }
        self.groups = _groups(document)
        self.roles = Tree({role.id: role.parent for role in document.roles})
        self.tree = Tree({territory.id: territory.parent for territory in document.territories})
        self.territories = self._nodes(document, rules)
        self.today: date | None = None
        """The day for which relative dates were made absolute; None before `on`."""
        self._relative_rules = {
            node.id: node.rules
            for node in self.territories.values()
            if any(rule.is_relative for rule in node.rules.values())
        }
        self.relative_territories = frozenset(self._relative_rules)
        """Territories with a rule that uses relative dates (C7)."""
        self.sharing: Mapping[str, Sharing] = compile_sharing(document, sharing)
        """The sharing rules by the marks that assignments carry (V6)."""
        self._relative_sharing = {mark: rule for mark, rule in self.sharing.items() if rule.criterion.is_relative}
        self.targets: dict[TargetKey, Decimal] = {
            (target.territory, target.period, target.user): target.amount for target in document.targets
        }
        self.frozen_periods = frozenset(document.frozen_periods)
        """Closed periods: their figures stay, and later changes are shown as adjustments (F12)."""
        self.closed_since = {period: closed_since.get(period, 0) for period in document.frozen_periods}
        """By closed period, the revision that closed it for the last time; 0: not known."""
        self.money_objects = self._money_objects()
        """Objects with a rule or a sharing rule that compares money: it depends on rates and the currency (C9)."""
        self._decision_inputs = _decision_inputs(document)
        if self.money_objects:
            self._decision_inputs.append(self.money_meaning)

    def _money_objects(self) -> frozenset[ObjectType]:
        of_territories = [(kind, rule) for node in self.territories.values() for kind, rule in node.rules.items()]
        of_sharing = [(rule.object, rule.criterion) for rule in self.sharing.values()]
        return frozenset(
            kind
            for kind, criterion in (*of_territories, *of_sharing)
            if any(self.field_types[kind][leaf.field] == "money" for leaf in leaves_of(criterion))
        )

    @property
    def money_meaning(self) -> list[object]:
        """What a deal's money depends on besides the deal: the currency, the kind of period and all rates (C9)."""
        rates = [[*place, text_of(rate)] for place, rate in sorted(self.rates.items())]
        return [self.organisation.currency, self.calendar.kind, self.calendar.fiscal_year_start, rates]

    def _nodes(self, document: Document, rules: RuleCriteria) -> dict[str, TerritoryNode]:
        written = {territory.id: territory for territory in document.territories}
        nodes: dict[str, TerritoryNode] = {}
        for territory_id in self.tree:  # parents come first
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
                writable=_writable(territory),
                rules={kind: rules[territory_id, kind] for kind in territory.rules},
            )
        return nodes

    @cached_property
    def admins(self) -> frozenset[str]:
        """Active administrators: they see and edit everything, without sets in Redis."""
        return frozenset(person.id for person in self.people.values() if person.admin and person.active)

    @cached_property
    def seers(self) -> frozenset[str]:
        """Users with sets in Redis: active users who are not administrators (V7)."""
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

    def owners_of(self, owner_id: str | None) -> frozenset[str]:
        """Return the users who own a record of an owner: one user, or the active members of a group (V1, V10).

        Nobody, if the owner is neither a user nor a group of the model.
        """
        if owner_id is None:
            return frozenset()
        group = self.groups.get(owner_id)
        if group is not None:
            return group.members
        return frozenset((owner_id,)) if owner_id in self.people else frozenset()

    @cached_property
    def deciding(self) -> bytes:
        """A digest of everything that assignments depend on: models with the same digest decide alike on one day."""
        return hashlib.sha256(encode(self._decision_inputs)).digest()

    @cached_property
    def places(self) -> dict[str, frozenset[str]]:
        """By user, the territories that the user is a member of."""
        found: dict[str, set[str]] = {user: set() for user in self.people}
        for node in self.territories.values():
            for user in node.members:
                found[user].add(node.id)
        return {user: frozenset(territories) for user, territories in found.items()}

    @property
    def uses_relative_dates(self) -> bool:
        """Whether any territory rule or sharing rule uses relative dates, or money at today's rate (C7, C9)."""
        return bool(self.relative_territories or self._relative_sharing or self._uses_current_rates)

    @property
    def _uses_current_rates(self) -> bool:
        return bool(self.rates) and not self.money_objects <= {"deal"}

    def on(self, today: date) -> Model:
        """Return the model with relative dates made absolute for a day, and its rates (C9); everything else is shared.

        Returns the same object if nothing depends on the day, or the day is already set.
        """
        if today == self.today or not self.uses_relative_dates:
            return self
        model = copy.copy(self)
        model.today = today
        model.current_rates = self._rates.in_period(self.calendar.period_of(today))
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

    def rate_of(self, currency: str, period: str) -> Decimal | None:
        """Return the rate to the organisation's currency that holds in a period; None: there is none yet (F10)."""
        if currency == self.organisation.currency:
            return ONE
        return self._rates.rate_of(currency, period)

    def current_rate_of(self, currency: str) -> Decimal | None:
        """Return the rate to the organisation's currency that holds today; None: there is none yet (C9)."""
        return ONE if currency == self.organisation.currency else self.current_rates.get(currency)

    def first_rate_period(self, currency: str) -> str | None:
        """Return the period from which a foreign currency has a rate."""
        return self._rates.first_period_of(currency)

    def day_of(self, instant: datetime) -> date:
        """Return the day of an instant in the organisation's time zone."""
        return self.calendar.day_of(instant)

    @property
    def max_territories_per_record(self) -> int | None:
        """The most links of an account, contact or lead; None for no limit (A3)."""
        return self.organisation.settings.max_territories_per_record

    @property
    def territory_access_rolls_up_roles(self) -> bool:
        """Whether the role superiors of a territory's members see what those members see by it (V4)."""
        return self.organisation.settings.territory_access_rolls_up_roles


def compile_model(
    raw: JSON, revision: int, today: date | None = None, closed_since: Mapping[str, int] | None = None
) -> Model:
    """Validate a document and return its model.

    Args:
        raw: The document as JSON values.
        revision: The model's revision.
        today: If given, relative dates are made absolute for this day of the organisation.
        closed_since: By closed period, the revision that closed it. Only the messages on the model topic have it.

    Raises: ModelRefused with every fault, in the order of their paths.
    """
    document, faults = read_document(raw)
    rules: RuleCriteria = {}
    sharing: dict[str, Criterion] = {}
    faults += check_pieces(document, rules, sharing)
    faults = faults or list(oversized(raw))  # type: ignore[arg-type]  # without faults it is a mapping
    if faults:
        raise ModelRefused(sorted(faults))
    model = Model(document, revision, rules, sharing, closed_since or {})
    return model if today is None else model.on(today)


def assemble(
    org_id: str,
    revision: int,
    pieces: Mapping[PieceKey, JSON],
    today: date | None = None,
    closed_since: Mapping[str, int] | None = None,
) -> Model:
    """Return the model made of pieces from the model topic. Raises: ModelRefused."""
    return compile_model(document_of(org_id, pieces), revision, today, closed_since)


def pieces_of_model(raw: JSON) -> dict[PieceKey, JSON]:
    """Validate a document and split it into pieces. Raises: ModelRefused."""
    compile_model(raw, 1)
    return pieces_of(raw)  # type: ignore[arg-type]  # a valid document is a mapping


def _groups(document: Document) -> dict[str, UserGroup]:
    active = [user for user in document.users if user.active]
    role_of = {user.id: user.role for user in active}
    holders: dict[str, set[str]] = {}
    for user in active:
        holders.setdefault(user.role, set()).add(user.id)
    groups: dict[str, UserGroup] = {}
    for group in document.groups:
        members = role_of.keys() & group.users
        members = members.union(*(holders.get(role, ()) for role in group.roles))
        by_role: dict[str, list[str]] = {}
        for member in sorted(members):
            by_role.setdefault(role_of[member], []).append(member)
        named = {role: tuple(its_members) for role, its_members in by_role.items()}
        groups[group.id] = UserGroup(
            group.id, group.name or group.id, frozenset(group.roles), frozenset(members), named
        )
    return groups


def _writable(territory: Territory) -> frozenset[ObjectType]:
    permission = territory.permission
    return frozenset(
        kind
        for kind in OBJECTS
        if (permission if isinstance(permission, str) else permission.get(kind)) == "read_write_delete"
    )


def _stages_of(document: Document) -> dict[str, DealStage]:
    """Return the stages with probabilities from 0 to 1."""
    if document.organisation.settings.probability == "fraction":
        return document.stages
    return {
        name: stage.model_copy(update={"probability": times(stage.probability, HUNDREDTH)})
        for name, stage in document.stages.items()
    }


def _decision_inputs(document: Document) -> list[object]:
    """Return the parts of a document that assignments depend on: no people, groups, targets or stages.

    Sharing rules are left out, because a mark in an assignment has its own digest of the rule's criteria. Rates are
    added where rules compare money.
    """
    organisation = document.organisation
    territories = sorted((each.id, each.parent, each.priority, each.rules) for each in document.territories)
    limit = organisation.settings.max_territories_per_record
    calendar = [organisation.settings.time_zone, organisation.fiscal_year_start]
    return [limit, calendar, document.fields, document.tables, territories]
