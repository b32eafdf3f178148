"""Checks across the pieces of a model: references, cycles, depths, periods, and the criteria of all rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from territory.criteria import Criterion, Lists, parse
from territory.criteria.faults import there_are
from territory.errors import Fault
from territory.model.categories import comparable_name
from territory.model.document import Document
from territory.model.periods import FiscalCalendar
from territory.model.pieces import RuledObject
from territory.model.trees import cycles_of, first_below

TREE_LEVELS_MAX = 100
"""Of both trees. A model keeps every node's path to its root, and assignments explain the rules along it."""

_SECTIONS = {"user": "users", "group": "groups", "role": "roles", "territory": "territories"}

RuleCriteria = dict[tuple[str, RuledObject], Criterion]
"""Criteria of territory rules, by territory and object."""


def calendar_of(document: Document) -> FiscalCalendar:
    """Return the organisation's fiscal calendar in its time zone."""
    organisation = document.organisation
    zone = ZoneInfo(organisation.settings.time_zone)
    return FiscalCalendar(organisation.period, organisation.fiscal_year_start, zone)


def check_pieces(document: Document, rules: RuleCriteria, sharing: dict[str, Criterion]) -> Iterable[Fault]:
    """Yield every fault across pieces, and collect the criteria of all rules without faults.

    Args:
        document: The well-formed pieces.
        rules: Receives the parsed criteria of territory rules.
        sharing: Receives the parsed criteria of sharing rules, by their ids.
    """
    for faults in (
        _organisation_faults(document),
        _group_faults(document),
        _sharing_faults(document),
        _tree_faults(document),
        _forecast_faults(document),
        _rule_faults(document, rules, sharing),
    ):
        yield from (fault for fault in faults if not document.is_malformed(fault.path))


def _repeated(ids: Iterable[object]) -> list[object]:
    return [item for item, count in Counter(ids).items() if count > 1]


def _again(placed: Iterable[tuple[str, Any]], key_of: Callable[[Any], object]) -> Iterable[tuple[str, str, Any]]:
    """Yield the path of each piece whose key another has before it, the path of the first of them, and the piece."""
    first: dict[object, str] = {}
    for path, piece in placed:
        known = first.setdefault(key_of(piece), path)
        if known != path:
            yield path, known, piece


def _placed(document: Document, name: str, *parts: str) -> Iterable[tuple[str, Any]]:
    """Yield the pieces of a list section whose named parts are well-formed, each with its path."""
    for path, piece in document.placed(name):
        if not any(document.is_malformed(f"{path}.{part}") for part in parts):
            yield path, piece


def _missing(path: str, kind: str, found: str, known: Iterable[str]) -> Fault:
    return Fault(path, f"unknown {kind} {found!r}; add it or correct the name ({there_are(known)})")


def _member_faults(path: str, noun: str, named: Iterable[str], known: Iterable[str]) -> Iterable[Fault]:
    """Yield the unknown and the repeated members of a list of ids."""
    members = [(f"{path}[{index}]", member) for index, member in enumerate(named)]
    for where, member in members:
        if member not in known:
            yield _missing(where, noun, member, known)
    for where, first, member in _again(members, lambda member: member):
        yield Fault(where, f"names {member!r} twice, also at {first}; keep one")


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


def _group_faults(document: Document) -> Iterable[Fault]:
    users, roles = document.known_ids.get("users", set()), document.known_ids.get("roles", set())
    for group in document.groups:
        path = f"groups[{group.id}]"
        if group.id in users:
            yield Fault(path, "the id is a user's, too; records name both as owner, so give the group another id")
        for section, noun, named, known in (
            ("users", "user", group.users, users),
            ("roles", "role", group.roles, roles),
        ):
            yield from _member_faults(f"{path}.{section}", noun, named, known)
    for twice in _repeated(group.id for group in document.groups):
        yield Fault(f"groups[{twice}]", "the id is used twice; ids are unique")


def _sharing_faults(document: Document) -> Iterable[Fault]:
    known_ids = document.known_ids
    for rule in document.sharing:
        named = {kind: value for kind, value in rule.to if value is not None}
        if len(named) != 1:
            yield Fault(
                f"sharing[{rule.id}].to",
                f"found {', '.join(named) or 'nothing'}, expected exactly one of user, group, role, role_and_below, "
                "territory, territory_and_below",
            )
        for kind, value in named.items():
            noun = kind.split("_", 1)[0]
            known = known_ids[_SECTIONS[noun]]
            if value not in known:
                yield _missing(f"sharing[{rule.id}].to.{kind}", noun, value, known)
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
        yield from _member_faults(f"{path}.users", "user", territory.users, users)
    for cycle in cycles_of({territory.id: territory.parent for territory in document.territories}):
        yield Fault(
            f"territories[{cycle[0]}].parent", f"the territory tree has a cycle: {' -> '.join([*cycle, cycle[0]])}"
        )
    yield from _depth_faults("territories", {territory.id: territory.parent for territory in document.territories})


def _depth_faults(section: str, parents: Mapping[str, str | None]) -> Iterable[Fault]:
    for node in first_below(parents, TREE_LEVELS_MAX):
        yield Fault(f"{section}[{node}].parent", f"the tree has more than {TREE_LEVELS_MAX} levels; flatten it")


def _rule_faults(document: Document, rules: RuleCriteria, sharing: dict[str, Criterion]) -> Iterable[Fault]:
    zone = ZoneInfo(document.organisation.settings.time_zone)
    lists = Lists({name: document.tables.get(name, []) for name in document.known_ids.get("tables", ())})
    for territory in document.territories:
        for kind, criteria in territory.rules.items():
            path = f"territories[{territory.id}].rules.{kind}"
            criterion, faults = parse(criteria, document.fields.get(kind, {}), path, lists, zone)
            yield from _about_declared(document, kind, faults)
            if criterion is not None:
                rules[territory.id, kind] = criterion
    for rule in document.sharing:
        if document.is_malformed(f"sharing[{rule.id}].object"):
            continue  # its fields are not known
        path = f"sharing[{rule.id}].criteria"
        criterion, faults = parse(rule.criteria, document.fields.get(rule.object, {}), path, lists, zone)
        yield from _about_declared(document, rule.object, faults)
        if criterion is not None:
            sharing[rule.id] = criterion


def _about_declared(document: Document, kind: str, faults: list[Fault]) -> Iterable[Fault]:
    """Yield the faults of a rule that do not follow from a malformed declaration of a field."""
    declaration = f"fields[{kind}]"
    unclear = tuple(
        f"unknown field {path.removeprefix(f'{declaration}[').removesuffix('].type')!r};"
        for path in document.malformed
        if path.startswith(f"{declaration}[")
    )
    if document.is_malformed(declaration):
        unclear = ("unknown field ",)
    return (fault for fault in faults if not (fault.path.endswith(".field") and fault.message.startswith(unclear)))


def _forecast_faults(document: Document) -> Iterable[Fault]:
    calendar = calendar_of(document)
    expected = f"expected a {calendar.kind} such as {calendar.example}"
    knows_period = not document.is_malformed("period")
    yield from _category_faults(document)
    for path, rate in document.placed("rates"):
        if knows_period and not calendar.is_period(rate.period):
            yield Fault(f"{path}.period", f"found {rate.period!r}, {expected}")
        if rate.source == document.organisation.currency and not document.is_malformed("currency"):
            yield Fault(f"{path}.from", f"{rate.source} is the organisation's own currency; remove the rate")
    for path, first, rate in _again(
        _placed(document, "rates", "from", "period"), lambda rate: (rate.source, rate.period)
    ):
        yield Fault(path, f"{rate.source} has a rate for {rate.period} already, at {first}; keep one")
    yield from _target_faults(document, calendar)
    for path, period in document.placed("frozen_periods"):
        if calendar.is_year(period):
            names = calendar.periods_of(period)
            way_out = f"list its {calendar.kind}s {names[0]} to {names[-1]}: the year's sums follow them"
            yield Fault(path, f"found the year {period!r}, {expected}; {way_out}")
        elif knows_period and not calendar.is_period(period):
            yield Fault(path, f"found {period!r}, {expected}")
    for path, first, period in _again(document.placed("frozen_periods"), lambda period: period):
        yield Fault(path, f"{period} is closed already, at {first}; keep one")


def _target_faults(document: Document, calendar: FiscalCalendar) -> Iterable[Fault]:
    users, territories = document.known_ids.get("users", set()), document.known_ids.get("territories", set())
    knows_period = not document.is_malformed("period")
    for path, target in document.placed("targets"):
        if knows_period and not (calendar.is_period(target.period) or calendar.is_year(target.period)):
            expected = f"expected a {calendar.kind} such as {calendar.example}, or a fiscal year such as 2017"
            yield Fault(f"{path}.period", f"found {target.period!r}, {expected}")
        if target.territory not in territories:
            yield _missing(f"{path}.territory", "territory", target.territory, territories)
        if target.user is not None and target.user not in users:
            yield _missing(f"{path}.user", "user", target.user, users)
    for path, first, target in _again(
        _placed(document, "targets", "territory", "period", "user"),
        lambda each: (each.territory, each.period, each.user),
    ):
        whose = target.territory if target.user is None else f"{target.user} in {target.territory}"
        yield Fault(path, f"{whose} has a target for {target.period} already, at {first}; keep one")


def _category_faults(document: Document) -> Iterable[Fault]:
    unit_path = "settings.probability"
    if document.organisation.settings.probability == "fraction" and not document.is_malformed(unit_path):
        for name, stage in document.stages.items():
            if stage.probability > 1:
                found = f"found {stage.probability}, expected a fraction from 0 to 1"
                way_out = f"divide it by 100, or set {unit_path} to percent"
                yield Fault(f"stages[{name}].probability", f"{found}; {way_out}")
    names = document.organisation.forecast_categories
    for name in names:
        if not comparable_name(name):
            yield Fault(f"forecast_categories[{name}]", f"found the name {name!r}, expected a text; remove it")
    for twice in _repeated(map(comparable_name, names)):
        same = ", ".join(sorted(name for name in names if comparable_name(name) == twice))
        yield Fault("forecast_categories", f"{same} are one name in different spellings; keep one")
