"""Random organisations, what happens to their records, and when the services get to it.

Ids are few, so that things collide often. A strategy draws a list of small numbers, each the seed
of one thing that happens; nothing depends on the numbers beside it but versions, and 0 is nothing at
all: so a failure shrinks to the few things that it takes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pprint import pformat
from typing import Any, Literal, TypeVar

from hypothesis import strategies as st

from territory.wire.keys import partition_of, upstream_partition_of
from tests.support.memory import FIRST_DAY, dice
from tests.support.stepping import Dice

Change = dict[str, Any]
Document = dict[str, Any]
_Item = TypeVar("_Item")

ORG, OTHER_ORG = "acme", "beta"
TERRITORIES = ("world", "emea", "apac", "west", "east", "large", "small", "nook")
ROLES = ("ceo", "vp", "lead", "rep", "desk")
USERS = ("ann", "bob", "cleo", "dan", "eve")
GROUPS = ("queue", "crew")
"""Own records, also where the model does not have them (V10)."""
STRANGER = "zoe"
"""Owns records, but is no user of the model."""
MOON = "moon"
"""A territory that no model has."""
ACCOUNTS, CONTACTS, LEADS, DEALS = ("A1", "A2", "A3\ud800"), ("C1", "C2"), ("L1",), ("D1", "D2", "D3")
IDS = {"account": ACCOUNTS, "contact": CONTACTS, "lead": LEADS, "deal": DEALS}
KINDS = ("account", "account", "contact", "contact", "lead", "deal", "deal", "deal")
OPS = ("upsert", "upsert", "upsert", "upsert", "patch", "patch", "patch", "delete", "link", "link")
LINK_KINDS = ("assign", "assign", "exclude", "none")

CURRENCIES = ("USD", "EUR", "JPY")
PARTS_OF_PLACES = ({"lat": 5}, {"lat": None}, {"lon": 1, "lat": None}, {"more": {"lat": {"a": 1}}}, {"lat": {"lon": 1}})
"""What a patch says of a part of a place (C12)."""
DAYS = (
    *("2017-01-31", "2017-02-28", "2017-03-31", "2017-04-01", "2018-01-01T00:30:00+01:00"),
    *("2017-04-01T03:30:00Z", "2017-03-31T20:00:00Z", "2017-04-01T00:00:00-07:00"),
)
ZONES = ("UTC", "America/Los_Angeles", "Asia/Tokyo", "Europe/Berlin")
"""At noon in UTC all of them have the same day."""
NO_DAYS = (None, "soon", 20170101, "2017-02-29")
PERIODS = {
    "quarter": ("2017-Q1", "2017-Q2", "2017-Q4", "2018-Q1", "2018-Q4"),
    "month": ("2017-01", "2017-02", "2017-03", "2017-04", "2017-12", "2018-01", "2018-12"),
}
YEARS = ("2017", "2018")
AMOUNTS = ("100", 100, "0.1", 0.1, "0.000000000001", "1e3", "-5", 0, "999999999999999999999999999999")
NO_AMOUNTS = (None, "", "many", True, "1e30", "0.0000000000001")
STAGES = {
    "Prospecting": {"category": "pipeline", "probability": "0.1"},
    "Engaging": {"category": "best_case", "probability": "0.4"},
    "Signing": {"category": "committed", "probability": 0.9},
    "Won": {"category": "won"},
    "Lost": {"category": "omitted"},
}
CATEGORIES = ("pipeline", "best_case", "committed", "won", "omitted")
CATEGORY_NAMES = (
    *("won", "pipeline", "omitted", "Omitted", "Best Case", "BestCase", "MOST_LIKELY", "Commit", "forecast"),
    *("Closed", "CLOSED", "Up side", "odd", 3, True, "", None),
)
"""What CRMs write as a deal's forecast category (F1), and what is none."""
PROBABILITIES = ("0.5", 1, 2, 75, "75%", " 7.5 % ", "%", 7500, -1, "-5%", "x", True, "")
OWN_NAMES: tuple[dict[str, str], ...] = ({"Upside": "committed"}, {"3": "best_case", "Closed": "omitted"}, {})
"""What models say of forecast categories beside the CRMs' own names."""
FIELDS = {
    "account": {
        "country": "text",
        "revenue": "money",
        "since": "date",
        "vip": "boolean",
        "tags": "set",
        "spot": "geo",
    },
    "contact": {"country": "text", "since": "date"},
    "lead": {"country": "text", "score": "number"},
    "deal": {"product": "text", "amount": "money"},
}
TABLES = {"core": ["US", " de"], "some": ["FR", "U"], "none": []}
OTHER_TABLES = {**TABLES, "core": ["DE"], "none": ["us"]}
SHARINGS = ("s1", "s2", "s3")
HOUSE_DAYS = (date(2017, 3, 5), FIRST_DAY, date(2018, 1, 1))
"""What the clocks say in turn; FIRST_DAY is 131 days after one of the dates in records."""
OPERANDS: dict[str, tuple[Any, ...]] = {
    "text": ("US", "us ", "DE", "U"),
    "money": (0, "100", 1000),
    "number": (0, "100", 1000),
    "date": ("2017-01-01", "2017-06-30"),
    "boolean": (True, False),
    "set": ("a", " A", "b", "c"),
}
READABLE: dict[str, tuple[Any, ...]] = {
    "text": ("US", "US", "DE", " us", 7, "US\udfff"),
    "money": (100, "1e3", 99.5, 0),
    "number": (100, "1000", 99.5, 0),
    "date": ("2017-01-01", "2017-03-05", "2017-06-30T23:30:00.000+0000", "2017-01-01 00:30Z", 1483228800000),
    "boolean": (True, False, "true", "N", 0),
    "set": (["a"], ["b", "A "], ["a", "b", "c"], "a", "c; B"),
    "geo": ({"lat": 0, "lon": 0}, {"latitude": 5, "lng": "5"}, {"lat": 1, "lon": 180}),
}
UNREADABLE: dict[str, tuple[Any, ...]] = {
    "text": (True, ["US"]),
    "money": ("lots", "1,000"),
    "number": (True, "1,000"),
    "date": ("2017-13-01", "2017-03-05T10:00:00", 20170305),
    "boolean": ("on", 2),
    "set": (7, ["a", 1.5]),
    "geo": ({"lat": 91, "lon": 0}, [0, 0]),
}
MISSING: dict[str, tuple[Any, ...]] = {
    "text": ("", None), "money": (" ", None), "number": ("",), "date": (None,), "boolean": ("",),
    "set": ([""], [], ";", None), "geo": ({"latitude": None, "longitude": None}, None),
}  # fmt: skip
VALUES = {kind: READABLE[kind] + UNREADABLE[kind] + MISSING[kind] for kind in READABLE}
_ORDERED = ("lt", "le", "gt", "ge", "between", "not_between")
_EQUAL = ("eq", "in", "ne", "not_in", "is_empty", "is_not_empty")
_RELATIVE = ("within_last_days", "within_next_days", "older_than_days", "in_period")
_TEXTUAL = ("contains", "not_contains", "starts_with", "not_starts_with", "ends_with")
OPERATORS = {
    "text": (*_EQUAL, "eq", "in", "in_table", "postal_between", *_TEXTUAL),
    "money": (*_EQUAL, *_ORDERED),
    "number": (*_EQUAL, *_ORDERED),
    "date": (*_EQUAL, *_ORDERED, *_RELATIVE),
    "boolean": _EQUAL,
    "set": ("includes_any", "includes_all", "excludes_any", "excludes_all", "is_empty", "is_not_empty"),
    "geo": ("within_km", "in_polygon", "is_empty", "is_not_empty"),
}
PLACES: dict[str, tuple[Document, ...]] = {
    "within_km": ({"lat": 0, "lon": 1, "km": 112}, {"lat": 0, "lon": -179, "km": 250}),
    "in_polygon": (
        {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]},
        {"type": "MultiPolygon", "coordinates": [[[[-180, 0], [-170, 0], [-180, 5], [-180, 0]]]]},
    ),
}
"""What operators on places want."""
SPANS = (0, 130, 131, 200)
IN_PERIODS = ("this_month", "this_quarter", "this_year", "previous_quarter", "previous_year")


def one_in(count: int, random: Dice) -> bool:
    """Return true once in so many times."""
    return random.randrange(count) == 0


def _some(items: Sequence[_Item], random: Dice, most: int) -> list[_Item]:
    return random.sample(items, random.randint(0, min(most, len(items))))


# --- models -----------------------------------------------------------------------------------


def _leaf(kind: str, random: Dice) -> Document:
    """Return one comparison that fits the declared fields."""
    name, field_type = random.choice(list(FIELDS[kind].items()))
    operator = random.choice(OPERATORS[field_type])
    if operator in PLACES:
        return {"field": name, operator: random.choice(PLACES[operator])}
    operands = OPERANDS.get(field_type, (True,))
    operand: Any = random.choice(operands)
    if operator == "in_table":
        operand = random.choice(list(TABLES))
    elif operator in _RELATIVE:
        operand = random.choice(IN_PERIODS if operator == "in_period" else SPANS)
    elif operator == "postal_between":
        operand = ["DE", random.choice(("fr", "US"))]
    elif operator in ("is_empty", "is_not_empty"):
        operand = True
    elif operator in ("starts_with", "not_starts_with"):
        operand = random.choice((operand, random.choices((*operands, "USA", "d"), k=random.randint(1, 3))))
    elif operator in ("in", "not_in") or field_type == "set":
        operand = random.choices(operands, k=random.randint(1, 3))
    elif operator in ("between", "not_between"):
        low = random.randrange(len(operands))
        operand = [operands[low], operands[random.randrange(low, len(operands))]]
    return {"field": name, operator: operand}


def _criteria(kind: str, random: Dice) -> Document:
    """Return a small criteria tree over the fields of an object (C1)."""
    parts = [_leaf(kind, random) for _ in range(random.randint(1, 2))]
    return random.choice(
        (parts[0], parts[0], {"all": parts}, {"any": parts}, {"not": parts[0]}, {"not": {"any": parts}})
    )


def _territory(name: str, above: Sequence[str], random: Dice) -> Document:
    """Return one territory, mostly below one of those that are there."""
    node: Document = {"id": name}
    if above and not one_in(8, random):
        node["parent"] = random.choice(above)
    return node | _written(random)


def _written(random: Dice) -> Document:
    """Return what a territory has besides its place."""
    written: Document = {}
    if one_in(2, random):
        written["manager"] = random.choice(USERS)
    if one_in(2, random):
        written["users"] = _some(USERS, random, 2)
    if one_in(2, random):
        written["permission"] = _permission(random)
    if one_in(4, random):
        written["priority"] = random.randint(-1, 2)
    rarity = {"account": 1.4, "lead": 4.0, "deal": 4.0}
    rules = {kind: _criteria(kind, random) for kind, rare in rarity.items() if random.random() * rare < 1}
    if rules:
        written["rules"] = rules
    return written


def _permission(random: Dice) -> str | Document:
    """Return one permission for all objects, or one for each of some (V11)."""
    words = ("read_only", "read_write_delete")
    if one_in(2, random):
        return random.choice(words)
    return {kind: random.choice(words) for kind in _some(tuple(IDS), random, len(IDS))}


def _group(name: str, document: Document, random: Dice) -> Document:
    """Return a group of users and roles, perhaps of nobody (V10)."""
    roles = [role["id"] for role in document["roles"]]
    return {"id": name, "users": _some(USERS, random, 2), "roles": _some(roles, random, 1)}


def _role(name: str, above: Sequence[str], random: Dice) -> Document:
    return {"id": name} | ({"parent": random.choice(above)} if above and not one_in(8, random) else {})


def _user(name: str, roles: Sequence[str], random: Dice) -> Document:
    flags = {"active": False} if one_in(6, random) else {"admin": True} if one_in(6, random) else {}
    return {"id": name, "role": random.choice(roles), **flags}


def _settings(random: Dice) -> Document:
    return {
        "max_territories_per_record": random.choice((1, 2, 3, None)),
        "territory_access_rolls_up_roles": random.choice((False, False, True)),
        "time_zone": random.choice(ZONES),
        "probability": random.choice(("fraction", "percent")),
    }


def _sharing_rule(name: str, document: Document, random: Dice) -> Document:
    """Return a sharing rule for records of any object (V6)."""
    kind = random.choice(tuple(IDS))
    rule = {"id": name, "object": kind, "criteria": _criteria(kind, random), "to": _audience(document, random)}
    return rule | ({"level": random.choice(("read", "edit"))} if one_in(2, random) else {})


def _audience(document: Document, random: Dice) -> Document:
    ids = {
        "user": USERS,
        "group": [group["id"] for group in document["groups"]],
        "role": [role["id"] for role in document["roles"]],
        "territory": [node["id"] for node in document["territories"]],
    }
    to = random.choice(("user", "group", "role", "role_and_below", "territory", "territory_and_below"))
    if to == "group" and not ids["group"]:
        to = "user"
    return {to: random.choice(ids[to.removesuffix("_and_below")])}


def _targets(document: Document, random: Dice) -> list[Document]:
    """Return targets of territories and of users in them, each place once."""
    names = [node["id"] for node in document["territories"]]
    found: dict[tuple[str, str, str | None], Document] = {}
    for _ in range(random.randint(0, 5)):
        periods = (*PERIODS[document["period"]], *YEARS)
        place = (random.choice(names), random.choice(periods), random.choice((None, *USERS)))
        territory, period, user = place
        found[place] = {"territory": territory, "period": period, "amount": random.choice(("0", "100", "250.5", 1000))}
        found[place] |= {} if user is None else {"user": user}
    return list(found.values())


def _rates(document: Document, random: Dice) -> list[Document]:
    """Return what other currencies are worth in some periods."""
    others = [each for each in CURRENCIES if each != document["currency"]]
    places = [(currency, period) for currency in others for period in PERIODS[document["period"]]]
    return [
        {"from": currency, "period": period, "rate": random.choice(("1.08", "0.009", 2))}
        for currency, period in _some(places, random, 4)
    ]


@st.composite
def models(draw: st.DrawFn, org: str = ORG) -> Document:
    """Return a whole model that is valid."""
    seeds = draw(st.lists(st.integers(0, 999), min_size=1, max_size=len(TERRITORIES)))
    roles = ROLES[: draw(st.integers(1, len(ROLES)))]
    random = dice(draw(st.integers(0, 999)))
    document: Document = {
        "org": org,
        "currency": random.choice(CURRENCIES),
        "period": random.choice(("quarter", "quarter", "month")),
        "fiscal_year_start": random.choice((1, 1, 2, 4, 12)),
        "settings": _settings(random),
        "fields": FIELDS,
        "tables": TABLES,
        "stages": STAGES,
        "roles": [_role(name, roles[:index], random) for index, name in enumerate(roles)],
        "users": [_user(name, roles, random) for name in USERS],
        "territories": [
            _territory(TERRITORIES[index], TERRITORIES[:index], dice(seed)) for index, seed in enumerate(seeds)
        ],
    }
    document["targets"] = _targets(document, random)
    document["rates"] = _rates(document, random)
    document["groups"] = [_group(name, document, random) for name in _some(GROUPS, random, 2)]
    document["forecast_categories"] = random.choice(OWN_NAMES)
    document["sharing"] = [_sharing_rule(name, document, random) for name in _some(SHARINGS, random, 3)]
    return document


# --- edits of a model -------------------------------------------------------------------------


def _move(tree: list[Document], random: Dice) -> None:
    """Move an entry of a tree below one that is not below it, or make it a root."""
    entry = random.choice(tree)
    below = _below(entry["id"], tree)
    parent = random.choice([None, *(each["id"] for each in tree if each["id"] not in below)])
    entry.pop("parent", None)
    if parent is not None:
        entry["parent"] = parent


def _below(entry: str, tree: list[Document]) -> set[str]:
    """Return an entry of a tree and all that are below it."""
    found = {entry}
    for _ in tree:
        found |= {each["id"] for each in tree if each.get("parent") in found}
    return found


def _move_territory(document: Document, random: Dice) -> None:
    _move(document["territories"], random)


def _move_role(document: Document, random: Dice) -> None:
    _move(document["roles"], random)


def _remove_territory(document: Document, random: Dice) -> None:
    """Remove a territory, its children moved to its parent first (A11)."""
    if len(document["territories"]) == 1:
        return
    node = random.choice(document["territories"])
    for child in document["territories"]:
        if child.get("parent") == node["id"]:
            child.pop("parent")
            if "parent" in node:
                child["parent"] = node["parent"]
    document["territories"].remove(node)
    document["targets"] = [target for target in document["targets"] if target["territory"] != node["id"]]
    document["sharing"] = [rule for rule in document["sharing"] if node["id"] not in rule["to"].values()]


def _add_territory(document: Document, random: Dice) -> None:
    there = [each["id"] for each in document["territories"]]
    absent = [name for name in TERRITORIES if name not in there]
    if absent:
        document["territories"].append(_territory(random.choice(absent), there, random))


def _rewrite_territory(document: Document, random: Dice) -> None:
    """Write one thing of a territory anew, in its place: rules, people, permission or priority."""
    node = random.choice(document["territories"])
    written = _written(random)
    key = random.choice(("rules", "rules", "manager", "users", "permission", "priority"))
    node.pop(key, None)
    if key in written:
        node[key] = written[key]


def _edit_user(document: Document, random: Dice) -> None:
    index = random.randrange(len(document["users"]))
    roles = [role["id"] for role in document["roles"]]
    document["users"][index] = _user(document["users"][index]["id"], roles, random)


def _edit_groups(document: Document, random: Dice) -> None:
    """Add a group, write its members anew, or remove it with the sharing rules for it (V10)."""
    groups = document["groups"]
    name = random.choice(GROUPS)
    place = next((index for index, group in enumerate(groups) if group["id"] == name), None)
    if place is None:
        groups.append(_group(name, document, random))
    elif one_in(3, random):
        del groups[place]
        document["sharing"] = [rule for rule in document["sharing"] if rule["to"].get("group") != name]
    else:
        groups[place] = _group(name, document, random)


def _edit_targets(document: Document, random: Dice) -> None:
    document["targets"] = _targets(document, random)


def _edit_money(document: Document, random: Dice) -> None:
    document["currency"] = random.choice(CURRENCIES)
    document["rates"] = _rates(document, random)


def _edit_calendar(document: Document, random: Dice) -> None:
    document["period"] = random.choice(("quarter", "month"))
    document["fiscal_year_start"] = random.choice((1, 4))
    document["targets"], document["rates"] = _targets(document, random), _rates(document, random)


def _edit_stages(document: Document, random: Dice) -> None:
    stages = document["stages"]
    name = random.choice(list(STAGES))
    if name in stages and len(stages) > 1 and one_in(2, random):
        del stages[name]
    else:
        percent = document["settings"]["probability"] == "percent"
        probability = random.choice(("0", "0.25", 1, *((40, "7.5") if percent else ())))
        stages[name] = {"category": random.choice(CATEGORIES), "probability": probability}


def _edit_settings(document: Document, random: Dice) -> None:
    """Change the settings, and what probabilities and forecast categories mean."""
    document["settings"] = _settings(random)
    document["forecast_categories"] = random.choice(OWN_NAMES)
    if document["settings"]["probability"] == "fraction":
        for stage in document["stages"].values():
            if stage.get("probability") in (40, "7.5"):
                del stage["probability"]


def _edit_sharing(document: Document, random: Dice) -> None:
    """Add, remove or rewrite a sharing rule: its criteria, its target, its level, or several of them at once."""
    rules = document["sharing"]
    name = random.choice(SHARINGS)
    place = next((index for index, rule in enumerate(rules) if rule["id"] == name), None)
    fresh = _sharing_rule(name, document, random)
    if place is None:
        rules.append(fresh)
    elif one_in(4, random):
        del rules[place]
    else:
        keys = random.choice((("criteria", "object"), ("to",), ("level",), ("criteria", "object", "to", "level")))
        rules[place] = rules[place] | {key: fresh[key] for key in keys if key in fresh}


def _rewrite_sharing(document: Document, random: Dice) -> None:
    """Write every sharing rule anew: what a rule took is no more for whom it was, nor for whom it is now."""
    document["sharing"] = [_sharing_rule(rule["id"], document, random) for rule in document["sharing"]]


def _edit_meaning(document: Document, random: Dice) -> None:
    """Change what rules mean that stay as they are written: a table that they name, the type of a field."""
    if one_in(2, random):
        document["tables"] = random.choice((TABLES, OTHER_TABLES))
    else:
        kind = random.choice(("account", "contact"))
        document["fields"][kind]["since"] = random.choice(("date", "datetime"))


EDITS: tuple[Callable[[Document, Dice], None], ...] = (
    *(_move_territory, _remove_territory, _add_territory, _rewrite_territory, _rewrite_territory, _rewrite_territory),
    *(_move_role, _edit_user, _edit_user, _edit_targets, _edit_money, _edit_calendar, _edit_stages, _edit_settings),
    *(_edit_sharing, _edit_sharing, _edit_sharing, _edit_meaning, _edit_groups, _edit_groups),
)
SHARING_EDITS = (_rewrite_sharing, _edit_sharing, _edit_sharing, _edit_meaning, _edit_calendar, _edit_groups)
"""What changes which records are shared with whom, and nothing else where no territory has a rule."""


def edited(document: Document, random: Dice, edits: Sequence[Callable[[Document, Dice], None]] = EDITS) -> Document:
    """Return a model after one to three edits."""
    after = copy.deepcopy(document)
    for edit in random.choices(edits, k=random.randint(1, 3)):
        edit(after, random)
    return after


# --- changes of records -----------------------------------------------------------------------


def _fields(kind: str, random: Dice) -> Document:
    found = {
        name: random.choice(VALUES[field_type])
        for name, field_type in FIELDS.get(kind, {}).items()
        if not one_in(5, random)
    }
    if one_in(3, random):
        found["currency"] = random.choice((*CURRENCIES, "", None, "eur ", "Euro", 5))
    if kind == "deal":
        found["amount"] = random.choice(NO_AMOUNTS if one_in(10, random) else AMOUNTS)
        found["close_date"] = random.choice(NO_DAYS if one_in(10, random) else DAYS)
        found["stage"] = random.choice((None, "Sleeping", 1) if one_in(10, random) else (*STAGES, "Won", "Won"))
        if one_in(4, random):
            found["probability"] = random.choice(PROBABILITIES)
        if one_in(4, random):
            found["forecast_category"] = random.choice(CATEGORY_NAMES)
    return found


def _body(kind: str, op: str, random: Dice) -> Change:
    if op == "delete":
        return {}
    if op == "link":
        territory = MOON if one_in(8, random) else random.choice(TERRITORIES)
        return {"territory_id": territory, "kind": random.choice(LINK_KINDS)}
    references: dict[str, tuple[str | None, ...]] = {"owner_id": (*USERS, *GROUPS, STRANGER, None, "")}
    if kind in ("contact", "deal"):
        references["account_id"] = (*ACCOUNTS[:2], *ACCOUNTS[:2], *ACCOUNTS, None, " ")
    if kind == "deal":
        references["contact_id"] = (*CONTACTS, None, "")
    body: Change = {name: random.choice(ids) for name, ids in references.items() if op == "upsert" or one_in(2, random)}
    fields = _fields(kind, random)
    if op == "upsert":
        body["fields"] = fields
    elif not one_in(4, random):
        body["fields"] = dict(_some(list(fields.items()), random, 3))
        if "spot" in fields and one_in(2, random):
            body["fields"]["spot"] = random.choice(PARTS_OF_PLACES)
    return body


class Upstream:
    """A CRM that counts the versions of its records, and says some things twice or late."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str, str, bool], int] = {}
        self._said: list[Change] = []

    def change(self, random: Dice, orgs: Sequence[str] = (ORG,)) -> Change:
        """Return the next change, or one that was said before."""
        if self._said and one_in(12, random):
            return random.choice(self._said)
        org, kind, op = random.choice(orgs), random.choice(KINDS), random.choice(OPS)
        record_id = random.choice(IDS[kind])
        count = (org, kind, record_id, op == "link")
        last = self._versions.get(count, 0)
        version = max(1, last + random.choice((1, 1, 1, 1, 1, 2, 0, 0, -1)))
        self._versions[count] = max(last, version)
        change = {
            "event_id": f"e{len(self._said)}", "org_id": org, "object": kind, "id": record_id,
            "version": version, "op": op, "occurred_at": "2017-01-02T08:00:00Z", **_body(kind, op, random),
        }  # fmt: skip
        self._said.append(change)
        return change


# --- what happens, and when -------------------------------------------------------------------

Event = Literal["steps", "restart", "crash", "quiet", "compact", "lose_redis"]
EVENTS: tuple[Event, ...] = ("steps",) * 7 + ("restart", "restart", "crash", "crash", "crash", "quiet", "compact")


@dataclass(frozen=True)
class Publish:
    """An upstream publishes one change."""

    change: Change


@dataclass(frozen=True)
class Tombstone:
    """A compacting upstream writes a message without a value (A13)."""

    key: str


@dataclass(frozen=True)
class Apply:
    """An administrator applies a model."""

    model: Document


@dataclass(frozen=True)
class Work:
    """The services get some time, or something happens to them; the seed says to whom, and how far."""

    what: Event
    seed: int = 0


@dataclass(frozen=True)
class Dawn:
    """A day begins, or the clocks are set back; every worker looks at them in its own time."""

    day: date


Happening = Publish | Tombstone | Apply | Work | Dawn
Partitioner = Literal["murmur2", "crc32", "first"]
PARTITIONERS: Mapping[Partitioner, Callable[[str, int], int]] = {
    "murmur2": upstream_partition_of,
    "crc32": partition_of,
    "first": lambda key, partitions: 0,
}
"""How upstreams choose the partition of a change: as Java's clients, as librdkafka, or without a thought (A13)."""


@dataclass(frozen=True)
class Tale:
    """What happens to an organisation, from its first model or record on."""

    happenings: tuple[Happening, ...]
    partitioner: Partitioner = "murmur2"

    @property
    def history(self) -> list[Change]:
        """The changes, in the order of their arrival."""
        return [each.change for each in self.happenings if isinstance(each, Publish)]

    @property
    def models(self) -> Mapping[str, Document]:
        """The last model of every organisation that has one, with the last day as the oracle wants it."""
        today = next((each.day for each in reversed(self.happenings) if isinstance(each, Dawn)), FIRST_DAY)
        applied = [each.model for each in self.happenings if isinstance(each, Apply)]
        return {model["org"]: {**model, "today": today} for model in applied}

    def __repr__(self) -> str:
        return f"{self.partitioner} " + pformat(self.happenings, width=200, compact=True, sort_dicts=False)


MODELS_MAX = 4
WORDS = ("change",) * 12 + ("work",) * 7 + ("model", "day")
SEED_MAX = 2**24


@st.composite
def tales(draw: st.DrawFn, length: int = 50) -> Tale:
    """Return a random history of records and models, with time passing between."""
    first = draw(models())
    seeds = draw(st.lists(st.integers(0, SEED_MAX), min_size=length // 2, max_size=2 * length))
    has_others = draw(st.booleans()) and draw(st.booleans())
    upstream, orgs = Upstream(), (ORG, ORG, OTHER_ORG) if has_others else (ORG,)
    present, count = first, 0
    happenings: list[Happening] = [Apply(first)] if draw(st.booleans()) else []
    for seed in filter(None, seeds):
        random = dice(seed)
        word = random.choice(WORDS)
        if word == "change":
            happenings.append(Publish(upstream.change(random, orgs)))
            if one_in(20, random):
                happenings.append(Tombstone(random.choice((f"{ORG}/account/{ACCOUNTS[0]}", f"{ORG}/deal/{DEALS[0]}"))))
        elif word == "work":
            happenings.append(Work("lose_redis" if one_in(40, random) else random.choice(EVENTS), seed))
        elif word == "day":
            happenings.append(Dawn(random.choice(HOUSE_DAYS)))
        elif count < MODELS_MAX:
            org = random.choice(orgs)
            present, count = edited({**present, "org": org}, random), count + 1
            happenings.append(Apply(present))
    return Tale(tuple(happenings), draw(st.sampled_from(tuple(PARTITIONERS))))
