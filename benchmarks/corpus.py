"""The mixed corpus: a realistic model and records, the same for the same seed.

A territory holds a cell of the market: places, industries, sizes. Its children divide the cell along one of these,
with some overlap and some left over, and add conditions of their own. So a record goes down one branch, sometimes
two or three, and stays on the level where no child takes it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

ORG = "bench"
USERS = 1_000
LEVELS = 5
FAN_OUT_MIN, FAN_OUT_MAX = 3, 30
LEAVES_WEIGHTS = {1: 22, 2: 24, 3: 20, 4: 13, 5: 9, 6: 6, 7: 4, 8: 2}
WITHOUT_RULES_SHARE = 0.05
CONTAINS_SHARE = 0.03
RULES_PER_POSTAL_LIST = 50
POSTAL_CODES = 2_000
MISSING_SHARE = 0.1
OVERLAP_SHARE = 0.2

Change = dict[str, Any]
Criteria = dict[str, Any]
ObjectName = Literal["account", "contact", "deal", "lead"]

MIX: dict[ObjectName, float] = {"account": 0.3, "contact": 0.2, "deal": 0.4, "lead": 0.1}
"""Share of each kind among new records."""
ID_PREFIX: dict[ObjectName, str] = {"account": "001", "contact": "003", "deal": "006", "lead": "00Q"}

_Drawn = TypeVar("_Drawn")


class Skewed(Generic[_Drawn]):
    """Draws values by Zipf's law; the first is the most frequent."""

    def __init__(self, rng: random.Random, values: Sequence[_Drawn], exponent: float = 1.0) -> None:
        self._rng = rng
        self._values = values
        self._weights = list(itertools.accumulate(1 / rank**exponent for rank in range(1, len(values) + 1)))
        self._drawn: list[_Drawn] = []

    def draw(self) -> _Drawn:
        """Return the next value."""
        if not self._drawn:
            self._drawn = self._rng.choices(self._values, cum_weights=self._weights, k=1_000)
        return self._drawn.pop()


# --- the market -------------------------------------------------------------------------------

REGIONS = ("North America", "Western Europe", "Asia Pacific", "Latin America", "Eastern Europe", "Middle East")
COUNTRIES_PER_REGION, STATES_PER_COUNTRY, PREFIXES_PER_STATE = 8, 5, 4
CODES_PER_PREFIX = 100
GEOGRAPHY = ("region", "country", "state", "postal_code")
INDUSTRIES = (
    "Software", "Retail", "Banking", "Healthcare", "Manufacturing", "Energy", "Telecom", "Insurance", "Education",
    "Logistics", "Construction", "Hospitality", "Media", "Pharma", "Automotive", "Aerospace", "Agriculture", "Mining",
    "Chemicals", "Utilities", "Government", "Non-profit", "Real Estate", "Consulting",
)  # fmt: skip
SEGMENTS = ("SMB", "Mid-Market", "Enterprise", "Strategic", "Public Sector")
RATINGS = ("Warm", "Cold", "Hot")
SOURCES = ("Web", "Referral", "Partner", "Trade Show", "Cold Call", "Campaign", "Advertisement", "Import")
PRODUCTS = ("GTX Basic", "GTX Pro", "MG Special", "GTX Plus Basic", "MG Advanced", "GTX Plus Pro", "GTK 500")
WORDS = ("Acme", "North", "Global", "United", "Blue", "Prime", "First", "Delta", "Summit", "Pacific", "Iron", "Nova")
KINDS = ("Group", "Inc", "Holdings", "Partners", "Systems", "Labs", "GmbH", "Ltd", "Trading", "Works")
DOMAINS = (".com", ".net", ".io", ".org", ".de")
CURRENCIES = ("USD", "EUR", "GBP", "JPY")
STAGES: dict[str, dict[str, str]] = {
    "Prospecting": {"category": "pipeline", "probability": "0.1"},
    "Won": {"category": "won"},
    "Qualification": {"category": "pipeline", "probability": "0.2"},
    "Lost": {"category": "omitted"},
    "Proposal": {"category": "best_case", "probability": "0.4"},
    "Negotiation": {"category": "best_case", "probability": "0.6"},
    "Signing": {"category": "committed", "probability": "0.9"},
}
PERIODS = tuple(f"{year}-Q{quarter}" for year in (2025, 2026) for quarter in (1, 2, 3, 4))
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = 729


@dataclass(frozen=True, slots=True)
class Place:
    """The smallest part of the map: all postal codes with one prefix."""

    region: str
    country: str
    state: str
    prefix: str


def _places() -> tuple[Place, ...]:
    """Return all places, regions taking turns: the first are the most frequent."""
    found: list[Place] = []
    for place in range(PREFIXES_PER_STATE):
        for state in range(STATES_PER_COUNTRY):
            for country in range(COUNTRIES_PER_REGION):
                for region, name in enumerate(REGIONS):
                    land = f"{name[0]}{chr(ord('A') + country)}"
                    number = ((region * COUNTRIES_PER_REGION + country) * STATES_PER_COUNTRY + state) * 4 + place
                    found.append(Place(name, land, f"{land}-{state + 1}", f"{number:03d}"))
    return tuple(found)


PLACES = _places()


def revenue_at(share: float) -> int:
    """Return the yearly revenue that this share of companies stays below: many small, few large."""
    return _round(10 ** (4.5 + 5.5 * share**1.6))


def employees_at(share: float) -> int:
    """Return the number of employees that this share of companies stays below."""
    return _round(10 ** (0.3 + 4.9 * share**1.5))


def _round(number: float) -> int:
    """Round to three significant digits: nobody writes a rule at 1 234 567."""
    unit: int = 10 ** max(0, len(str(int(number))) - 3)
    return int(number) // unit * unit


# --- the model --------------------------------------------------------------------------------

RULED_FIELDS = {
    "region": "text",
    "country": "text",
    "state": "text",
    "postal_code": "text",
    "industry": "text",
    "segment": "text",
    "rating": "text",
    "source": "text",
    "website": "text",
    "revenue": "money",
    "employees": "number",
    "founded": "date",
    "is_partner": "boolean",
}
DEAL_FIELDS = {"product": "text", "amount": "money", "probability": "number"}


@dataclass(frozen=True, slots=True)
class _Cell:
    """The part of the market that a territory holds."""

    places: tuple[Place, ...]
    level: int = 0
    """The level of GEOGRAPHY that separates its places from those of its siblings."""
    industries: tuple[str, ...] = INDUSTRIES
    segments: tuple[str, ...] = SEGMENTS
    revenue: tuple[float, float] = (0.0, 1.0)
    employees: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class _Node:
    id: str
    parent: str | None
    depth: int
    cell: _Cell
    primary: tuple[Criteria, ...]
    """The leaves that divide its parent's cell; none for a root."""


def model_document(territories: int, seed: int, users: int = USERS) -> dict[str, Any]:
    """Return a model document that compiles (`territory.model.compile_model`).

    Args:
        territories: How many there are, in five levels.
        seed: The same seed gives the same document.
        users: How many people there are; there are about a fifth as many roles.
    """
    rng = random.Random(f"model/{seed}")
    nodes = _tree(territories, rng)
    roles = _roles(max(1, users // 5))
    return {
        "org": ORG,
        "currency": "USD",
        "fields": {"account": RULED_FIELDS, "lead": RULED_FIELDS, "deal": DEAL_FIELDS},
        "stages": STAGES,
        "rates": [
            {"from": name, "period": period, "rate": rate}
            for name, rate in (("EUR", "1.08"), ("GBP", "1.27"), ("JPY", "0.0067"))
            for period in PERIODS
        ],
        "roles": roles,
        "users": _users(users, [role["id"] for role in roles], rng),
        "territories": _territories(nodes, users, rng),
        "targets": _targets(nodes, rng),
    }


def user_id(number: int) -> str:
    """Return the id of one of the users."""
    return f"005{number:015d}"


def _roles(count: int) -> list[Criteria]:
    """Return a tree in which every role has at most five below it."""
    return [{"id": f"role-{n}"} | ({"parent": f"role-{(n - 1) // 5}"} if n else {}) for n in range(count)]


def _users(count: int, roles: Sequence[str], rng: random.Random) -> list[Criteria]:
    """Return users: one in each role that has others below it, the rest in the lowest roles."""
    lowest = roles[(len(roles) - 1) // 5 :]
    return [
        {
            "id": user_id(number),
            "role": roles[number] if number < len(roles) else rng.choice(lowest),
            "active": number < 10 or rng.random() > 0.03,
            "admin": number in (7, 8),
        }
        for number in range(count)
    ]


def _territories(nodes: Sequence[_Node], users: int, rng: random.Random) -> list[Criteria]:
    counter = itertools.count(1)
    written: list[Criteria] = []
    for node in nodes:
        people = rng.sample(range(users), min(users, rng.choice((1, 2, 3) if node.depth == LEVELS - 1 else (0, 0, 1))))
        territory: Criteria = {
            "id": node.id,
            "users": [user_id(number) for number in people],
            "permission": rng.choice(("read_only", "read_write_delete")),
            "priority": 0 if rng.random() < 0.8 else rng.randrange(1, 10),
            "rules": _rules(node, counter, rng),
        }
        if node.parent is not None:
            territory["parent"] = node.parent
        if node.parent is None or rng.random() < 0.8:
            territory["manager"] = user_id(rng.randrange(users))
        written.append(territory)
    return written


def _targets(nodes: Sequence[_Node], rng: random.Random) -> list[Criteria]:
    """Return targets for the territories of the upper levels, by quarter."""
    return [
        {"territory": node.id, "period": period, "amount": str(rng.randrange(100, 10_000) * 1_000)}
        for node in nodes
        if node.depth <= 2
        for period in PERIODS[:4]
    ]


# --- the tree ---------------------------------------------------------------------------------


def _tree(count: int, rng: random.Random) -> list[_Node]:
    """Return the territories of five levels, each level larger than the one above it by the same factor.

    A parent has no children or 3 to 30; the last one of a level may have fewer.
    """
    nodes = [_Node("t0", None, 0, _Cell(PLACES), ())]
    level = nodes[:]
    for depth, size in enumerate(_level_sizes(count), start=1):
        parents = level[:]
        rng.shuffle(parents)
        level = []
        mean = max(FAN_OUT_MIN, min(FAN_OUT_MAX, 1.3 * size / len(parents)))
        for index, parent in enumerate(parents):
            wanted = round(min(FAN_OUT_MAX, max(FAN_OUT_MIN, rng.expovariate(1) * mean)))
            left, others = size - len(level), len(parents) - index - 1
            fan_out = min(left, max(wanted, left - others * FAN_OUT_MAX))
            if fan_out:
                level += _children(parent, depth, fan_out, len(nodes) + len(level), rng)
        nodes += level
    return nodes


def _level_sizes(count: int) -> list[int]:
    """Return how many territories are below the root, level by level."""
    factor = 1.0
    while sum(factor**depth for depth in range(LEVELS)) < count:
        factor += 0.01
    sizes = [max(1, round(factor**depth)) for depth in range(1, LEVELS - 1)]
    return [*sizes, max(0, count - 1 - sum(sizes))]


def _children(parent: _Node, depth: int, count: int, first: int, rng: random.Random) -> list[_Node]:
    divided = _divider(depth, parent.cell, rng)(parent.cell, count, rng)
    while len(divided) < count:  # too few names: divide each part again, by size
        each = -(-count // len(divided))
        divided = [(inner, (*outer, *own)) for cell, outer in divided for inner, own in _by_employees(cell, each, rng)]
    return [
        _Node(f"t{first + index}", parent.id, depth, cell, leaves)
        for index, (cell, leaves) in enumerate(rng.sample(divided, count))
    ]


_Divided = list[tuple[_Cell, tuple[Criteria, ...]]]
_Divider = Callable[[_Cell, int, random.Random], _Divided]


def _divider(depth: int, cell: _Cell, rng: random.Random) -> _Divider:
    """Return the dimensions that divide a cell: the map first, then industries and sizes, then the map again."""
    if depth == 1:
        return _by_place
    options: list[_Divider] = [_by_place, _by_place]
    if len(cell.industries) > 1:
        options.append(_by_industry)
    if depth > 2:
        options += [_by_revenue, _by_employees]
        if len(cell.segments) > 1:
            options.append(_by_segment)
    return rng.choice(options)


def _groups(names: Sequence[_Drawn], count: int, rng: random.Random) -> list[tuple[_Drawn, ...]]:
    """Return groups of one to ten names, some of which overlap; at most as many as there are names."""
    count = min(count, len(names))
    cuts = [round(index * len(names) / count) for index in range(count + 1)]
    groups: list[tuple[_Drawn, ...]] = []
    for low, high in itertools.pairwise(cuts):
        end = min(high, low + 10)
        if rng.random() < OVERLAP_SHARE:
            end = min(len(names), end + 1, low + 10)
        groups.append(tuple(names[low:end]))
    return groups


def _by_place(cell: _Cell, count: int, rng: random.Random) -> _Divided:
    level = cell.level
    names = _names_at(cell, level)
    while len(names) < count and level < len(GEOGRAPHY) - 1:
        level += 1
        names = _names_at(cell, level)
    field = GEOGRAPHY[level]
    divided: _Divided = []
    for group in _groups(names, count, rng):
        inside = tuple(place for place in cell.places if _name_at(place, level) in group)
        leaf = _prefixes(group[:3]) if field == "postal_code" else _one_of(field, group)
        divided.append((replace(cell, places=inside, level=level), (leaf,)))
    return divided


def _names_at(cell: _Cell, level: int) -> list[str]:
    return list(dict.fromkeys(_name_at(place, level) for place in cell.places))


def _name_at(place: Place, level: int) -> str:
    return (place.region, place.country, place.state, place.prefix)[level]


def _prefixes(prefixes: Sequence[str]) -> Criteria:
    leaves = [{"field": "postal_code", "starts_with": prefix} for prefix in prefixes]
    return leaves[0] if len(leaves) == 1 else {"any": leaves}


def _one_of(field: str, names: Sequence[str]) -> Criteria:
    return {"field": field, "eq": names[0]} if len(names) == 1 else {"field": field, "in": list(names)}


def _by_industry(cell: _Cell, count: int, rng: random.Random) -> _Divided:
    return [
        (replace(cell, industries=group), (_one_of("industry", group),))
        for group in _groups(cell.industries, count, rng)
    ]


def _by_segment(cell: _Cell, count: int, rng: random.Random) -> _Divided:
    return [
        (replace(cell, segments=group), (_one_of("segment", group),)) for group in _groups(cell.segments, count, rng)
    ]


def _by_revenue(cell: _Cell, count: int, rng: random.Random) -> _Divided:
    return [
        (replace(cell, revenue=part), _range("revenue", part, revenue_at, rng))
        for part in _slices(cell.revenue, count, rng)
    ]


def _by_employees(cell: _Cell, count: int, rng: random.Random) -> _Divided:
    return [
        (replace(cell, employees=part), _range("employees", part, employees_at, rng))
        for part in _slices(cell.employees, count, rng)
    ]


def _slices(whole: tuple[float, float], count: int, rng: random.Random) -> list[tuple[float, float]]:
    low, high = whole
    width = (high - low) / count
    return [
        (low + index * width, min(high, low + (index + (1.5 if rng.random() < OVERLAP_SHARE else 1)) * width))
        for index in range(count)
    ]


def _range(
    field: str, part: tuple[float, float], number_at: Callable[[float], int], rng: random.Random
) -> tuple[Criteria, ...]:
    low, high = number_at(part[0]), number_at(part[1])
    if part[0] <= 0:
        return ({"field": field, "lt": high},)
    if part[1] >= 1:
        return ({"field": field, "ge": low},)
    if rng.random() < 0.5:
        return ({"field": field, "between": [low, high]},)
    return ({"field": field, "ge": low}, {"field": field, "lt": high})


# --- rules ------------------------------------------------------------------------------------


def _rules(node: _Node, counter: Iterator[int], rng: random.Random) -> dict[str, Criteria]:
    """Return a territory's rules: for accounts nearly always, for leads on the upper levels, for deals seldom."""
    if not node.primary or rng.random() < WITHOUT_RULES_SHARE:
        return {}
    rules = {"account": _rule(node, next(counter), rng)}
    if node.depth <= 2:
        rules["lead"] = _rule(node, next(counter), rng)
    if rng.random() < 0.05:
        rules["deal"] = rng.choice(
            (
                {"field": "product", "starts_with": rng.choice(("GTX", "MG"))},
                {"field": "product", "not_in": rng.sample(PRODUCTS, 2)},
                {"any": [{"field": "amount", "ge": 5_000}, {"field": "probability", "ge": "0.5"}]},
            )
        )
    return rules


def _rule(node: _Node, number: int, rng: random.Random) -> Criteria:
    """Return one rule of one to eight leaves; every fiftieth has 2 000 postal codes as well."""
    primary: list[Criteria] = list(node.primary)
    if number % RULES_PER_POSTAL_LIST == 0:
        codes = {"field": "postal_code", "in": _codes(node.cell, rng)}
        narrow = GEOGRAPHY[node.cell.level] in ("state", "postal_code")
        primary = [codes] if narrow else [{"any": [{"all": primary} if len(primary) > 1 else primary[0], codes]}]
    wanted = rng.choices(list(LEAVES_WEIGHTS), weights=list(LEAVES_WEIGHTS.values()))[0]
    extra: list[Criteria] = []
    if rng.random() < CONTAINS_SHARE:
        extra.append({"field": "website", "contains": rng.choice((".com", "a", "o", "www"))})
    while (room := wanted - sum(map(leaves_of, primary + extra))) > 0:
        condition = _condition(node.cell, rng)
        if leaves_of(condition) <= room:
            extra.append(condition)
    if len(extra) > 1 and rng.random() < 0.4:
        extra = [{"any": extra[:2]}, *extra[2:]]
        if len(extra) > 2 and rng.random() < 0.3:
            extra = [{"all": extra[:2]}, *extra[2:]]
    parts = primary + extra
    rng.shuffle(parts)
    return parts[0] if len(parts) == 1 else {"all": parts}


def leaves_of(criteria: Criteria) -> int:
    """Return how many leaves a criteria tree has."""
    for word in ("all", "any"):
        if word in criteria:
            return sum(leaves_of(part) for part in criteria[word])
    return leaves_of(criteria["not"]) if "not" in criteria else 1


def _codes(cell: _Cell, rng: random.Random) -> list[str]:
    """Return 2 000 postal codes: those of a cell, and others if it has fewer."""
    others = rng.sample(PLACES, POSTAL_CODES // CODES_PER_PREFIX)
    places = itertools.islice(dict.fromkeys([*cell.places, *others]), POSTAL_CODES // CODES_PER_PREFIX)
    return [f"{place.prefix}{number:02d}" for place in places for number in range(CODES_PER_PREFIX)]


def _condition(cell: _Cell, rng: random.Random) -> Criteria:
    """Return a condition that most records of a cell meet."""
    low, high = cell.revenue
    small, large = cell.employees
    rare = [name for name in INDUSTRIES[8:] if name not in cell.industries] or list(INDUSTRIES[-3:])
    options: tuple[Criteria, ...] = (
        {"not": {"field": "industry", "eq": rng.choice(rare)}},
        {"field": "industry", "not_in": rng.sample(INDUSTRIES[10:], rng.randrange(2, 6))},
        {"field": "source", "ne": rng.choice(SOURCES[3:])},
        {"field": "source", "not_in": rng.sample(SOURCES[4:], 2)},
        {"field": "revenue", "ge": revenue_at(low + (high - low) * 0.1 * rng.random())},
        {"field": "revenue", "lt": revenue_at(high - (high - low) * 0.1 * rng.random())},
        {"field": "employees", "ge": employees_at(small + (large - small) * 0.1 * rng.random())},
        {"field": "employees", "not_between": [employees_at(0.98), employees_at(0.99)]},
        {"field": "rating", "in": ["Warm", "Hot", "Cold"][: rng.randrange(2, 4)]},
        {"field": "segment", "ne": rng.choice(SEGMENTS[2:])},
        {"field": "founded", "ge": f"{rng.randrange(1950, 1985)}-01-01"},
        {"field": "postal_code", "not_starts_with": rng.choice(PLACES[-200:]).prefix},
        {"not": {"all": [{"field": "is_partner", "eq": True}, {"field": "source", "eq": rng.choice(SOURCES[2:])}]}},
        {"field": "website", "is_not_empty": True},
    )
    return rng.choice(options)


# --- records ----------------------------------------------------------------------------------


def record_changes(
    count: int, seed: int, *, users: int = USERS, updates: float = 0.1, deletes: float = 0.005
) -> Iterator[Change]:
    """Yield record changes (RecordChange, as a dictionary), most of them new records.

    Args:
        count: How many changes; about a tenth fewer records.
        seed: The same seed gives the same changes.
        users: How many users own records: as many as the model has.
        updates: Share of changes that patch an existing record.
        deletes: Share of changes that delete one.
    """
    return _Upstream(seed, users).changes(count, updates, deletes)


class _Upstream:
    """Simulates a CRM: remembers its records, so that contacts and deals name existing accounts."""

    def __init__(self, seed: int, users: int) -> None:
        self._rng = rng = random.Random(f"records/{seed}")
        self._owners = Skewed(rng, [user_id(number) for number in rng.sample(range(users), users)], 0.6)
        self._places = Skewed(rng, PLACES, 0.7)
        self._industries = Skewed(rng, INDUSTRIES)
        self._segments = Skewed(rng, SEGMENTS)
        self._ratings = Skewed(rng, RATINGS)
        self._sources = Skewed(rng, SOURCES)
        self._words = Skewed(rng, WORDS)
        self._suffixes = Skewed(rng, KINDS)
        self._domains = Skewed(rng, DOMAINS)
        self._currencies = Skewed(rng, CURRENCIES, 2.0)
        self._stages = Skewed(rng, tuple(STAGES), 0.8)
        self._products = Skewed(rng, PRODUCTS)
        self._made: dict[ObjectName, list[str]] = {name: [] for name in MIX}
        self._versions: dict[str, int] = {}
        self._contacts_of: dict[str, list[str]] = {}
        self._gone: set[str] = set()

    def changes(self, count: int, updates: float, deletes: float) -> Iterator[Change]:
        rng = self._rng
        kinds = rng.choices(list(MIX), weights=list(MIX.values()), k=count)
        for number, name in enumerate(kinds):
            chance = rng.random()
            made = self._made[name]
            earlier = made[rng.randrange(len(made))] if made and chance < updates + deletes else None
            if earlier is None or earlier in self._gone:
                change = self._new(name)
            elif chance < updates:
                change = self._patch(name, earlier)
            else:
                self._gone.add(earlier)
                change = {"id": earlier, "op": "delete"}
            version = self._versions[change["id"]] = self._versions.get(change["id"], 0) + 1
            happened = FIRST_DAY + timedelta(seconds=number)
            yield {
                "event_id": f"e-{number:010d}",
                "org_id": ORG,
                "object": name,
                "version": version,
                "occurred_at": happened.strftime("%Y-%m-%dT%H:%M:%SZ"),
                **change,
            }

    def _new(self, name: ObjectName) -> Change:
        made = self._made[name]
        made.append(f"{ID_PREFIX[name]}{len(made) + 1:015d}")
        change: Change = {"id": made[-1], "op": "upsert", "owner_id": self._owners.draw()}
        if name in ("contact", "deal"):
            account = change["account_id"] = self._earlier_account() if self._rng.random() > 0.03 else None
            contacts = self._contacts_of.setdefault(account or "", [])
            if name == "contact":
                contacts.append(made[-1])
            elif contacts and self._rng.random() < 0.5:
                change["contact_id"] = self._rng.choice(contacts)
        fields = self._deal() if name == "deal" else self._company() if name in ("account", "lead") else self._person()
        change["fields"] = {key: value for key, value in fields.items() if self._rng.random() >= MISSING_SHARE}
        return change

    def _patch(self, name: ObjectName, record_id: str) -> Change:
        """Return a change of two or three fields, and sometimes of the owner."""
        fields = self._deal() if name == "deal" else self._company() if name in ("account", "lead") else self._person()
        change: Change = {"id": record_id, "op": "patch"}
        change["fields"] = dict(self._rng.sample(sorted(fields.items()), self._rng.randrange(2, 4)))
        if self._rng.random() < 0.2:
            change["owner_id"] = self._owners.draw()
        return change

    def _earlier_account(self) -> str | None:
        """Return an existing account; old ones are named more often than new ones."""
        made = self._made["account"]
        return made[int(len(made) * self._rng.random() ** 2)] if made else None

    def _company(self) -> dict[str, Any]:
        rng, place = self._rng, self._places.draw()
        word, size = self._words.draw(), rng.random()
        return {
            "name": f"{word} {self._suffixes.draw()} {rng.randrange(10_000)}",
            "region": place.region,
            "country": place.country,
            "state": place.state,
            "city": f"{place.state} City {place.prefix}",
            "postal_code": f"{place.prefix}{rng.randrange(CODES_PER_PREFIX):02d}",
            "street": f"{rng.randrange(1, 999)} Main Street",
            "industry": self._industries.draw(),
            "segment": self._segments.draw(),
            "rating": self._ratings.draw(),
            "source": self._sources.draw(),
            "website": f"www.{word.lower()}{rng.randrange(1_000)}{self._domains.draw()}",
            "phone": f"+1 555 {rng.randrange(10_000_000):07d}",
            "revenue": revenue_at(min(1.0, max(0.0, size + rng.gauss(0, 0.1)))) + rng.randrange(1_000),
            "employees": employees_at(size),
            "founded": f"{2024 - int(60 * rng.random() ** 2)}-{rng.randrange(1, 13):02d}-01",
            "is_partner": rng.random() < 0.1,
            "currency": self._currencies.draw(),
            "score": rng.randrange(100),
            "description": f"{self._words.draw()} {self._suffixes.draw()} in {place.country}, found by {word}",
        }

    def _person(self) -> dict[str, Any]:
        rng, place = self._rng, self._places.draw()
        first, last = self._words.draw(), self._suffixes.draw()
        return {
            "first_name": first,
            "last_name": last,
            "email": f"{first.lower()}.{last.lower()}{rng.randrange(10_000)}@example.com",
            "phone": f"+1 555 {rng.randrange(10_000_000):07d}",
            "mobile": f"+1 556 {rng.randrange(10_000_000):07d}",
            "title": f"Head of {self._industries.draw()}",
            "department": self._industries.draw(),
            "region": place.region,
            "country": place.country,
            "state": place.state,
            "city": f"{place.state} City {place.prefix}",
            "postal_code": f"{place.prefix}{rng.randrange(CODES_PER_PREFIX):02d}",
            "street": f"{rng.randrange(1, 999)} Main Street",
            "source": self._sources.draw(),
            "rating": self._ratings.draw(),
            "language": place.country[:1].lower(),
            "birthday": f"{rng.randrange(1955, 2003)}-{rng.randrange(1, 13):02d}-01",
            "opted_out": rng.random() < 0.1,
            "score": rng.randrange(100),
            "description": f"{self._words.draw()} {self._suffixes.draw()} in {place.country}",
        }

    def _deal(self) -> dict[str, Any]:
        rng, product = self._rng, self._products.draw()
        created = FIRST_DAY + timedelta(days=rng.randrange(DAYS - 120))
        return {
            "name": f"{self._words.draw()} - {product}",
            "amount": f"{10 ** (2.5 + 3 * rng.random()):.2f}",
            "currency": self._currencies.draw(),
            "stage": self._stages.draw(),
            "close_date": (created + timedelta(days=rng.randrange(1, 120))).strftime("%Y-%m-%d"),
            "created_at": created.strftime("%Y-%m-%d"),
            "probability": rng.randrange(100) / 100,
            "product": product,
            "quantity": rng.randrange(1, 50),
            "discount": f"0.{rng.randrange(30):02d}",
            "source": self._sources.draw(),
            "rating": self._ratings.draw(),
            "competitor": self._words.draw(),
            "next_step": f"{self._ratings.draw()} call with {self._words.draw()}",
            "campaign": f"Campaign {rng.randrange(40)}",
            "order_number": f"O-{rng.randrange(10_000_000):07d}",
            "delivery": self._sources.draw(),
            "terms": f"net {rng.choice((15, 30, 60, 90))}",
            "is_renewal": rng.random() < 0.3,
            "description": f"{product} for {self._words.draw()} {self._suffixes.draw()}",
        }
