"""The durable engine: translates rules to durable_rules, where it can express them exactly.

A rule becomes alternatives, each a conjunction of comparisons of one attribute with one value. Each
alternative becomes a rule of durable_rules, and a record becomes one fact. All facts have all attributes,
always with the same type, since durable_rules compares values of different types as texts:

- A text becomes the hexadecimal digits of its UTF-8 bytes, which keep its order and its prefixes.
  A missing text is empty; a text of a record never is (C3).
- A number, day, instant or boolean becomes an integer, in two attributes. A missing value is below all
  numbers in one, and above all in the other. A comparison uses the attribute in which a missing value
  fails; its negation uses the one in which it holds (C2).
- An unreadable value becomes the same as a missing one. A negated comparison also asks that the value is
  readable, so neither holds for it (C2).

A rule that cannot be expressed so is refused with its territory and the reason. Nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any, NamedTuple

from assigner.matching.clauses import Literal, Span, spans_of
from assigner.matching.durable_rule_sets import Alternative, Comparison, RuleSet, in_rule_sets, require_durable_rules
from assigner.matching.operators import EQUAL, PREFIX, RELATIVE, TABLE, values_of
from assigner.matching.port import RulesRefused
from assigner.matching.rule_book import RuleBook
from territory.criteria import AnyOf, Criterion, Fields, Leaf, Not, leaves_of
from territory.criteria.postal import first_of_length, is_code, table_keys, without_blanks
from territory.criteria.values import Unreadable, Value
from territory.criteria.windows import Windows

ALTERNATIVES_MAX = 1_000
"""Of one rule; every value of a list is an alternative."""
ALTERNATIVES_IN_ALL_MAX = 20_000
"""Of a rule book. Each takes 10 to 25 kB, and up to a microsecond for every record."""
TEXT_LENGTH_MAX = 1_000
"""A longer text in a rule is refused. Of a longer text in a record, only the beginning is compared."""
ATTRIBUTES_MAX = 250
"""durable_rules has at most 255, some of them its own."""

_LIMIT = 2**62
"""Beyond every whole number in a rule; durable_rules has 64 bits."""
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_EXACT = Context(prec=80)


class DurableMatcher:
    """Asks durable_rules which rules hold, and keeps the deepest of them in the tree.

    Raises: RulesRefused; EngineMissing.
    """

    def __init__(self, book: RuleBook) -> None:
        require_durable_rules()  # first: a missing library is the plainest fault
        self._book = book
        self._attributes = _Attributes(book)
        refused: list[tuple[str, str]] = []
        numbered: list[tuple[int, Alternative]] = []
        for place, rule in enumerate(book.rules):
            try:
                numbered += [(place, found) for found in _alternatives(rule.criterion, self._attributes, negated=False)]
            except _NotExpressible as unfit:
                refused.append((rule.territory_id, f"{unfit}; {_ADVICE}"))
        if not refused and len(numbered) > ALTERNATIVES_IN_ALL_MAX:
            why = f"the rules have {len(numbered)} alternatives in all, at most {ALTERNATIVES_IN_ALL_MAX} are supported"
            refused = [(rule.territory_id, f"{why}; {_ADVICE}") for rule in book.rules]
        if refused:
            raise RulesRefused(refused)
        self._holding: set[int] = set()
        self._rule_sets = [RuleSet(part, self._holding) for part in in_rule_sets(numbered)]

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""
        self._holding.clear()
        fact = self._attributes.fact(fields)
        for rule_set in self._rule_sets:
            rule_set.evaluate(fact)
        return self._book.deepest(sorted(self._holding))


_ADVICE = "change the rule, or use the index engine (TERRITORY_ASSIGNER_ENGINE=index)"


class _NotExpressible(Exception):
    """Raised where durable_rules cannot express a rule exactly."""


# --- records as facts ------------------------------------------------------------------------


class Attribute(NamedTuple):
    """A field in the form that one kind of comparison needs."""

    field: str
    kind: str
    """`there`, `readable`, `low` or `high` (an integer; a missing value is below or above all), or one of `_TEXTS`."""
    length: int = 0
    """Of `postal`."""


_TEXTS = ("text", "postal", "key", "part", "code", "beginning")
"""The text itself, and what of it is compared as a postal code (C10), empty if there is no such: its first characters,
its first and second key in tables, the code without blanks; the same or else the text itself."""


class _Attributes:
    """The attributes that the rules of a book compare, with their names in facts."""

    def __init__(self, book: RuleBook) -> None:
        self._decimals: dict[str, int] = {}
        for leaf in (leaf for rule in book.rules for leaf in leaves_of(rule.criterion)):
            for value in _operands(leaf):
                if isinstance(value, Decimal):
                    places = -int(value.normalize(_EXACT).as_tuple().exponent)
                    self._decimals[leaf.field] = max(self._decimals.get(leaf.field, 0), places)
        self._names: dict[Attribute, str] = {}

    def comparison(self, field: str, kind: str, operator: str, wanted: Any, length: int = 0) -> Comparison:
        """Return a comparison, and add its attribute to all facts. Raises: _NotExpressible."""
        value: int | str
        if kind in ("there", "readable"):
            value = wanted
        elif kind in _TEXTS:
            if len(wanted) > TEXT_LENGTH_MAX:
                raise _NotExpressible(
                    f"{field} is compared with {len(wanted)} characters, at most {TEXT_LENGTH_MAX} are supported"
                )
            value = _hexadecimal(wanted)
        else:
            value = self._whole(field, wanted)
            if not -_LIMIT < value - 1 < value + 1 < _LIMIT:
                raise _NotExpressible(
                    f"{field} is compared with {wanted}, and somewhere with {self._decimals.get(field, 0)} decimals: "
                    "together they need more than 18 digits, the most that are exact"
                )
        return Comparison(self._name(Attribute(field, kind, length)), operator, value)

    def _name(self, attribute: Attribute) -> str:
        found = self._names.get(attribute)
        if found is None:
            if len(self._names) == ATTRIBUTES_MAX:
                raise _NotExpressible(f"the rules compare more than {ATTRIBUTES_MAX} fields")
            found = self._names[attribute] = f"a{len(self._names)}"
        return found

    def fact(self, fields: Fields) -> dict[str, int | str]:
        """Return the fact of a record."""
        fact: dict[str, int | str] = {"id": "1"}
        for (field, kind, length), name in self._names.items():
            fact[name] = self._value(field, kind, length, fields.get(field))
        return fact

    def _value(self, field: str, kind: str, length: int, value: Value | Unreadable | None) -> int | str:
        if kind == "there":
            return int(value is not None)
        if isinstance(value, Unreadable):
            value = None
            if kind == "readable":
                return 0
        if kind == "readable":
            return 1
        if kind in ("low", "high"):
            if value is None:
                return -_LIMIT if kind == "low" else _LIMIT
            return min(max(self._whole(field, value), 1 - _LIMIT), _LIMIT - 1)
        if value is None:
            return ""
        text = _compared(kind, length, value)  # type: ignore[arg-type]  # a text
        return _hexadecimal(text[: TEXT_LENGTH_MAX + 1])

    def _whole(self, field: str, value: Any) -> int:
        """Return a number, day, instant or boolean as an integer of the same order.

        Numbers of rules are even. A number of a record between two that a rule could have is odd.
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


def _compared(kind: str, length: int, value: str) -> str:
    """Return what of a text an attribute has."""
    if kind == "postal":
        return first_of_length(value, length) or ""
    if kind in ("key", "part"):
        keys = table_keys(value)
        return keys[0] if kind == "key" else keys[-1] if len(keys) > 1 else ""
    if kind in ("code", "beginning") and is_code(value):
        return without_blanks(value)
    return "" if kind == "code" else value


def _hexadecimal(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").hex()


# --- rules as alternatives -------------------------------------------------------------------

_OPPOSITE = {"eq": "neq", "neq": "eq", "lt": "gte", "gte": "lt", "gt": "lte", "lte": "gt"}
_BOUND = {"lt": ("high", "lt"), "le": ("high", "lte"), "gt": ("low", "gt"), "ge": ("low", "gte")}
"""The attribute in which an operator fails, and its opposite holds, for a missing value."""
_EMPTINESS = {"is_empty", "is_not_empty"}
_RANGES = {"between", "not_between", *RELATIVE}


def _alternatives(criterion: Criterion, attributes: _Attributes, *, negated: bool) -> list[Alternative]:
    """Return conjunctions of which one holds exactly where the rule, or its negation, does. Raises: _NotExpressible."""
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
            raise _NotExpressible(f"it has more than {ALTERNATIVES_MAX} alternatives, every value of a list counted")
    return found


def _of_leaf(leaf: Leaf, attributes: _Attributes, *, negated: bool) -> list[Alternative]:
    """Return the alternatives of a leaf's positive test, or of its negation, which holds for a missing value (C2)."""
    if leaf.operator in _EMPTINESS:
        there = attributes.comparison(leaf.field, "there", "eq", 1)
        return [(_opposite(there),)] if negated else [(there,)]
    if not negated:
        return _positive(leaf, attributes)
    readable = attributes.comparison(leaf.field, "readable", "eq", 1)
    return [(readable, *alternative) for alternative in _negative(leaf, attributes)]


def _positive(leaf: Leaf, attributes: _Attributes) -> list[Alternative]:
    if leaf.operator in EQUAL or leaf.operator in TABLE:
        return [(one,) for one in _equalities(leaf, attributes)]
    if isinstance(leaf.wanted, Windows):
        return [_within(leaf.field, span, attributes) for span in _bounded_spans(Literal(leaf, negated=False))]
    if leaf.operator in PREFIX:
        return _of_prefixes(leaf, attributes, negated=False)
    return [tuple(_both(leaf, attributes))]


def _negative(leaf: Leaf, attributes: _Attributes) -> list[Alternative]:
    """Return the alternatives of a leaf's negation, for a missing or a readable value."""
    if leaf.operator in EQUAL or leaf.operator in TABLE:
        return [tuple(map(_opposite, _equalities(leaf, attributes)))]
    if isinstance(leaf.wanted, Windows):
        return [_within(leaf.field, span, attributes) for span in _bounded_spans(Literal(leaf, negated=True))]
    if leaf.operator in PREFIX:
        return _of_prefixes(leaf, attributes, negated=True)
    return [(_opposite(one),) for one in _both(leaf, attributes)]


def _equalities(leaf: Leaf, attributes: _Attributes) -> list[Comparison]:
    values = values_of(leaf)
    if len(values) > ALTERNATIVES_MAX:
        raise _NotExpressible(
            f"{leaf.field} {leaf.operator} has {len(values)} values, at most {ALTERNATIVES_MAX} are supported"
        )
    if leaf.operator in TABLE:
        kinds = ("key", "part")
        return [attributes.comparison(leaf.field, kind, "eq", value) for value in values for kind in kinds]
    kind = "text" if isinstance(next(iter(values), None), str) else "low"
    return [attributes.comparison(leaf.field, kind, "eq", value) for value in values]


def _bounded_spans(literal: Literal) -> list[Span]:
    spans = spans_of(literal)
    if len(spans) > ALTERNATIVES_MAX:
        raise _NotExpressible(
            f"{literal.leaf.field} has {len(spans)} stretches of days, at most {ALTERNATIVES_MAX} are supported"
        )
    return spans


def _within(field: str, span: Span, attributes: _Attributes) -> Alternative:
    """Return the comparisons for a span of a literal; for a missing value, those of an open beginning hold."""
    found: list[Comparison] = []
    if span.low is not None:
        found.append(attributes.comparison(field, "low", "gte" if span.low_included else "gt", span.low))
    if span.high is not None:
        kind = "high" if found else "low"
        found.append(attributes.comparison(field, kind, "lte" if span.high_included else "lt", span.high))
    return tuple(found)


def _of_prefixes(leaf: Leaf, attributes: _Attributes, *, negated: bool) -> list[Alternative]:
    """Return the alternatives of beginnings. With blanks in them, those of a text and of a code differ (C10)."""
    values: frozenset[Any] = values_of(leaf)
    codes = frozenset(map(without_blanks, values))
    if codes == values:
        return _ranges(leaf, attributes, "beginning", values, negated=negated)
    texts = _ranges(leaf, attributes, "text", values, negated=negated)
    others = _ranges(leaf, attributes, "code", codes, negated=negated)
    return _bounded(left + right for left in texts for right in others) if negated else _bounded(texts + others)


def _ranges(
    leaf: Leaf, attributes: _Attributes, kind: str, values: frozenset[Any], *, negated: bool
) -> list[Alternative]:
    """Return an alternative for each beginning; negated, one for each gap between them."""
    shortest = [one for one in values if not any(one[:length] in values for length in range(1, len(one)))]
    if len(shortest) > ALTERNATIVES_MAX:
        raise _NotExpressible(
            f"{leaf.field} {leaf.operator} has {len(shortest)} values, at most {ALTERNATIVES_MAX} are supported"
        )
    least = sorted(attributes.comparison(leaf.field, kind, "gte", one) for one in shortest)
    beyond = [one._replace(operator="lt", value=f"{one.value}g") for one in least]  # g sorts after hexadecimal digits
    if not negated:
        return list(zip(least, beyond, strict=True))
    gaps = zip([None, *beyond], [*least, None], strict=True)
    return [tuple(_opposite(end) for end in gap if end is not None) for gap in gaps]


def _both(leaf: Leaf, attributes: _Attributes) -> list[Comparison]:
    """Return the one or two comparisons that are equivalent to a leaf's positive test."""
    field, wanted = leaf.field, leaf.wanted
    if leaf.operator == "postal_between":
        bounds = zip(("gte", "lte"), wanted, strict=True)
        return [attributes.comparison(field, "postal", word, bound, len(bound)) for word, bound in bounds]
    if leaf.operator in _RANGES:
        ends = zip(("low", "high"), ("gte", "lte"), wanted, strict=True)
        return [attributes.comparison(field, kind, word, bound) for kind, word, bound in ends if bound is not None]
    if leaf.operator in _BOUND:
        return [attributes.comparison(field, *_BOUND[leaf.operator], wanted)]
    raise _NotExpressible(f"{field} {leaf.operator} has no equal in durable_rules")


def _opposite(comparison: Comparison) -> Comparison:
    return comparison._replace(operator=_OPPOSITE[comparison.operator])


def _operands(leaf: Leaf) -> tuple[Any, ...]:
    if isinstance(leaf.wanted, frozenset | tuple):
        return tuple(leaf.wanted)
    if isinstance(leaf.wanted, Windows):
        return ()  # instants have no decimals
    return (leaf.wanted,)
