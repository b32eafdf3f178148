"""The durable engine: the rules as durable_rules has them, where it can say them exactly.

A rule becomes alternatives, each a conjunction of comparisons of one attribute with one value, and
each alternative a rule of durable_rules. A record becomes one fact. Every attribute of a fact is
always there and always of the same type, for durable_rules compares across types by texts:

- A text is the hexadecimal digits of its UTF-8 bytes, which order and begin as its characters do.
  A missing one is empty, which no text is (C3).
- A number, day, instant or truth value is a whole number. It stands in two attributes, which differ
  where it is missing: there it is below all numbers in the one and above all in the other. What
  asks for a value looks where a missing one fails, a negation where it holds (C2).

What that cannot carry is refused by name; nothing is approximated.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from itertools import count
from typing import Any, NamedTuple

from assigner.matching.operators import EQUAL, RELATIVE, values_of
from assigner.matching.port import EngineMissing, RulesRefused
from assigner.matching.rule_book import RuleBook
from territory.criteria import AnyOf, Criterion, Fields, Leaf, Not, leaves_of
from territory.criteria.values import Value

ALTERNATIVES_MAX = 1_000
"""The most of one rule; every value of a list is one."""
ALTERNATIVES_IN_ALL_MAX = 20_000
"""The most of a rule book: 4 000 rules of five. Each costs 10 to 25 kB and up to a microsecond a record."""
TEXT_LENGTH_MAX = 1_000
"""A longer text in a rule is refused; of a record's texts no more is looked at than rules ask for."""
ATTRIBUTES_MAX = 250
"""durable_rules takes 255, of which some are its own."""

_LIMIT = 2**62
"""Beyond every whole number in a rule; durable_rules has 64 bits."""
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_EXACT = Context(prec=80)

_names = count()


class DurableMatcher:
    """Asks durable_rules which rules hold, and walks the tree with the answer.

    Raises: RulesRefused; EngineMissing.
    """

    def __init__(self, book: RuleBook) -> None:
        _library()  # its absence is told first
        self._book = book
        self._attributes = _Attributes(book)
        refused: list[tuple[str, str]] = []
        numbered: list[tuple[int, Alternative]] = []
        for place, rule in enumerate(book.rules):
            try:
                numbered += [(place, found) for found in _alternatives(rule.criterion, self._attributes, negated=False)]
            except _Unfit as unfit:
                refused.append((rule.territory_id, f"{unfit}; {_ADVICE}"))
        if not refused and len(numbered) > ALTERNATIVES_IN_ALL_MAX:
            why = f"the rules have {len(numbered)} alternatives in all, at most {ALTERNATIVES_IN_ALL_MAX} are carried"
            refused = [(rule.territory_id, f"{why}; {_ADVICE}") for rule in book.rules]
        if refused:
            raise RulesRefused(refused)
        self._holding: set[int] = set()
        self._rule_sets = [_RuleSet(part, self._holding) for part in _parts(numbered)]

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""
        self._holding.clear()
        fact = self._attributes.fact(fields)
        for rule_set in self._rule_sets:
            rule_set.ask(fact)
        return self._book.deepest(sorted(self._holding))


_ADVICE = "change the rule, or use the index engine (TERRITORY_ASSIGNER_ENGINE=index)"


class _Unfit(Exception):
    """Raised where durable_rules cannot say exactly what a rule means."""


# --- records as facts ------------------------------------------------------------------------


class Attribute(NamedTuple):
    """A field as one kind of comparison sees it."""

    field: str
    kind: str
    """`there`, `low` and `high` (a number, below or above all where it is missing), `text`, or `code`."""


class Comparison(NamedTuple):
    """An attribute, compared with a value."""

    name: str
    operator: str
    value: int | str

    def document(self) -> dict[str, Any]:
        """Return it as durable_rules reads it."""
        compared = {self.name: self.value}
        return compared if self.operator == "eq" else {f"${self.operator}": compared}


class _Attributes:
    """The attributes that the rules of a book compare, by the names that they have in facts."""

    def __init__(self, book: RuleBook) -> None:
        self._decimals: dict[str, int] = {}
        for leaf in (leaf for rule in book.rules for leaf in leaves_of(rule.criterion)):
            for value in _operands(leaf):
                if isinstance(value, Decimal):
                    places = -int(value.normalize(_EXACT).as_tuple().exponent)
                    self._decimals[leaf.field] = max(self._decimals.get(leaf.field, 0), places)
        self._names: dict[Attribute, str] = {}

    def comparison(self, field: str, kind: str, operator: str, wanted: Any) -> Comparison:
        """Return the comparison of an attribute, which every fact has from now on. Raises: _Unfit."""
        value: int | str
        if kind == "there":
            value = wanted
        elif kind in ("text", "code"):
            if len(wanted) > TEXT_LENGTH_MAX:
                raise _Unfit(
                    f"{field} is compared with {len(wanted)} characters, at most {TEXT_LENGTH_MAX} are carried"
                )
            value = _text(wanted, kind)
        else:
            value = self._whole(field, wanted)
            if not -_LIMIT < value - 1 < value + 1 < _LIMIT:
                raise _Unfit(
                    f"{field} is compared with {wanted}, and somewhere with {self._decimals.get(field, 0)} decimals: "
                    "together they need more than 18 digits, the most that are carried exactly"
                )
        return Comparison(self._name(Attribute(field, kind)), operator, value)

    def _name(self, attribute: Attribute) -> str:
        found = self._names.get(attribute)
        if found is None:
            if len(self._names) == ATTRIBUTES_MAX:
                raise _Unfit(f"the rules compare more than {ATTRIBUTES_MAX} fields")
            found = self._names[attribute] = f"a{len(self._names)}"
        return found

    def fact(self, fields: Fields) -> dict[str, int | str]:
        """Return a record as durable_rules is told of it."""
        fact: dict[str, int | str] = {"id": "1"}
        for (field, kind), name in self._names.items():
            fact[name] = self._seen(field, kind, fields.get(field))
        return fact

    def _seen(self, field: str, kind: str, value: Value | None) -> int | str:
        if kind == "there":
            return int(value is not None)
        if kind in ("low", "high"):
            if value is None:
                return -_LIMIT if kind == "low" else _LIMIT
            return min(max(self._whole(field, value), 1 - _LIMIT), _LIMIT - 1)
        if value is None:
            return ""
        return _text(value[: TEXT_LENGTH_MAX + 1], kind)  # type: ignore[index, arg-type]  # a text

    def _whole(self, field: str, value: Any) -> int:
        """Return a number, day, instant or truth value as a whole number that orders as it does.

        A rule's are even. A record's number that lies between two that a rule could name is odd.
        """
        if isinstance(value, datetime):
            return (value - _EPOCH) // _MICROSECOND
        if isinstance(value, date):
            return value.toordinal()
        if isinstance(value, bool):
            return int(value)
        decimals = self._decimals.get(field, 0)
        if isinstance(value, int):
            scale: int = 10**decimals
            return 2 * value * scale
        scaled: Decimal = value.scaleb(decimals, _EXACT)
        below = scaled.to_integral_value(ROUND_FLOOR)
        return 2 * int(below) + (below != scaled)


def _text(text: str, kind: str) -> str:
    digits = text.encode("utf-8", "surrogatepass").hex()
    return f"{len(text):04x}{digits}" if kind == "code" else digits


# --- rules as alternatives -------------------------------------------------------------------

Alternative = tuple[Comparison, ...]

_OPPOSITE = {"eq": "neq", "neq": "eq", "lt": "gte", "gte": "lt", "gt": "lte", "lte": "gt"}
_BOUND = {"lt": ("high", "lt"), "le": ("high", "lte"), "gt": ("low", "gt"), "ge": ("low", "gte")}
"""Where an operator looks so that it fails, and its opposite holds, for a missing value."""
_RANGES = {"between", "not_between", *RELATIVE}


def _alternatives(criterion: Criterion, attributes: _Attributes, *, negated: bool) -> list[Alternative]:
    """Return conjunctions of which one holds exactly where the rule does, or its negation. Raises: _Unfit."""
    if isinstance(criterion, Not):
        return _alternatives(criterion.part, attributes, negated=not negated)
    if isinstance(criterion, Leaf):
        return _of_leaf(criterion, attributes, negated=criterion.negated is not negated)
    parts = [_alternatives(part, attributes, negated=negated) for part in criterion.parts]
    if isinstance(criterion, AnyOf) is not negated:
        return _bounded(alternative for part in parts for alternative in part)
    product: list[Alternative] = [()]
    for part in parts:
        product = _bounded(left + right for left in product for right in part)
    return product


def _bounded(alternatives: Iterable[Alternative]) -> list[Alternative]:
    found: list[Alternative] = []
    for alternative in alternatives:
        found.append(alternative)
        if len(found) > ALTERNATIVES_MAX:
            raise _Unfit(f"it has more than {ALTERNATIVES_MAX} alternatives, every value of a list counted")
    return found


def _of_leaf(leaf: Leaf, attributes: _Attributes, *, negated: bool) -> list[Alternative]:
    """Return the alternatives of a leaf's positive test, or of its negation, which a missing value satisfies (C2)."""
    if leaf.operator in EQUAL:
        values = values_of(leaf)
        if len(values) > ALTERNATIVES_MAX:
            raise _Unfit(
                f"{leaf.field} {leaf.operator} has {len(values)} values, at most {ALTERNATIVES_MAX} are carried"
            )
        kind = "text" if isinstance(next(iter(values), None), str) else "low"
        either = [attributes.comparison(leaf.field, kind, "eq", value) for value in values]
        if not negated:
            return [(one,) for one in either]
        # An empty table is one that no value is in: all texts are there, or are not.
        return [tuple(map(_opposite, either)) or (attributes.comparison(leaf.field, "there", "gte", 0),)]
    both = _both(leaf, attributes)
    return [(_opposite(one),) for one in both] if negated else [tuple(both)]


def _both(leaf: Leaf, attributes: _Attributes) -> list[Comparison]:
    """Return what must hold, one or two comparisons, where a leaf's positive test does."""
    field, wanted = leaf.field, leaf.wanted
    if leaf.operator in ("is_empty", "is_not_empty"):
        return [attributes.comparison(field, "there", "eq", 1)]
    if leaf.operator in ("starts_with", "not_starts_with"):
        least = attributes.comparison(field, "text", "gte", wanted)
        return [least, least._replace(operator="lt", value=f"{least.value}g")]  # g is after all hexadecimal digits
    if leaf.operator == "postal_between":
        low, high = wanted
        return [attributes.comparison(field, "code", "gte", low), attributes.comparison(field, "code", "lte", high)]
    if leaf.operator in _RANGES:
        bounds = zip(("low", "high"), ("gte", "lte"), wanted, strict=True)
        return [attributes.comparison(field, kind, word, bound) for kind, word, bound in bounds if bound is not None]
    if leaf.operator in _BOUND:
        return [attributes.comparison(field, *_BOUND[leaf.operator], wanted)]
    raise _Unfit(f"{field} {leaf.operator} has no equal in durable_rules")


def _opposite(comparison: Comparison) -> Comparison:
    return comparison._replace(operator=_OPPOSITE[comparison.operator])


def _operands(leaf: Leaf) -> tuple[Any, ...]:
    if isinstance(leaf.wanted, frozenset | tuple):
        return tuple(leaf.wanted)
    return (leaf.wanted,)


# --- rule sets -------------------------------------------------------------------------------

_PENDING_MAX = 64
"""durable_rules fails on a record that has more comparisons waiting to be followed up."""
_BRANCHES_MAX = 500
"""durable_rules takes 511 comparisons that follow the same ones."""
_ENDS_MAX = 250
"""durable_rules takes 256 rules with the same comparisons; with more it overwrites its own memory."""
_ACTIONS_MAX = 4_000
"""durable_rules takes 4 096 rules in a set."""


class _Branch:
    """Alternatives that begin alike, counted as durable_rules will lay them out."""

    def __init__(self) -> None:
        self.pending = 1
        """The most comparisons of it that can wait at once: of equalities of one attribute one holds at most."""
        self._below: dict[Comparison, _Branch] = {}
        self._equal: dict[str, int] = {}
        """By attribute, the most that wait behind one of its equalities."""
        self._others = 0
        self._ends = 0

    def add(self, alternative: Alternative, at: int = 0) -> bool:
        """Count an alternative in; whether all limits of durable_rules are kept."""
        if at == len(alternative):
            self._ends += 1
            return self._ends <= _ENDS_MAX
        comparison = alternative[at]
        below = self._below.get(comparison)
        before = 0 if below is None else below.pending
        if below is None:
            below = self._below[comparison] = _Branch()
        fits = below.add(alternative, at + 1)
        if comparison.operator == "eq":
            self._equal[comparison.name] = max(self._equal.get(comparison.name, 0), below.pending)
        else:
            self._others += below.pending - before
        self.pending = max(1, sum(self._equal.values()) + self._others)
        return fits and self.pending <= _PENDING_MAX and len(self._below) <= _BRANCHES_MAX


def _parts(numbered: list[tuple[int, Alternative]]) -> Iterator[list[tuple[int, Alternative]]]:
    """Yield as many alternatives at a time as durable_rules takes in one rule set."""
    usage = Counter(comparison for _, alternative in numbered for comparison in alternative)

    def order(comparison: Comparison) -> tuple[bool, int, Comparison]:
        return comparison.operator != "eq", -usage[comparison], comparison

    part: list[tuple[int, Alternative]] = []
    root = _Branch()
    for place, unordered in numbered:
        alternative = tuple(sorted(set(unordered), key=order))
        if not root.add(alternative) or len(part) == _ACTIONS_MAX:
            yield part
            part, root = [], _Branch()
            root.add(alternative)
        part.append((place, alternative))
    if part:
        yield part


class _Library(NamedTuple):
    """What is used of durable_rules: its module, and the function that frees a rule set by its handle."""

    engine: Any
    free: Callable[[object], object]


def _library() -> _Library:
    """Return durable_rules, an extra that is needed only where this engine is chosen. Raises: EngineMissing."""
    try:
        import durable_rules_engine  # noqa: PLC0415 -- see above
        from durable import engine  # noqa: PLC0415 -- see above
    except ImportError as missing:
        raise EngineMissing(
            "the engine durable needs durable_rules, which is not installed; install territory[durable], "
            "for which a C compiler must be there, or set TERRITORY_ASSIGNER_ENGINE=index"
        ) from missing
    return _Library(engine, durable_rules_engine.delete_ruleset)


class _RuleSet:
    """One rule set of durable_rules, freed with this object.

    It has no host: a host's timers would take results away from the call that waits for them, and
    it keeps every rule set for ever. durable_rules itself frees the rules, but not what it keeps of
    the one session that records are asserted in: about 12 kB a rule stay.
    """

    def __init__(self, alternatives: list[tuple[int, Alternative]], holding: set[int]) -> None:
        library = _library()
        definition = {
            f"r{number}": {
                "all": [{"m": {"$and": [comparison.document() for comparison in alternative]}}],
                "run": _noting(place, holding),
            }
            for number, (place, alternative) in enumerate(alternatives)
        }
        self._rules = library.engine.Ruleset(f"territory-{next(_names)}", None, definition)
        self._nothing_holds: type[Exception] = library.engine.MessageNotHandledException
        weakref.finalize(self, library.free, self._rules._handle)  # noqa: SLF001 -- it has no other name

    def ask(self, fact: dict[str, int | str]) -> None:
        """Note the places of the rules that hold for a fact."""
        try:
            state = self._rules.assert_fact(fact)
        except self._nothing_holds:
            return
        self._rules.do_actions(state, _ended)
        self._rules.retract_fact(fact)


def _noting(place: int, holding: set[int]) -> Callable[[object], None]:
    def note(_: object) -> None:  # durable_rules calls back with one argument, and looks that there is one
        holding.add(place)

    return note


def _ended(error: BaseException | None, _: object) -> None:
    if error is not None:
        raise error
