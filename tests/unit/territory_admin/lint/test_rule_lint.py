"""What is said of rules before any record is there: what they cost, and which make no sense."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assigner.matching.indexed import IndexedMatcher
from assigner.matching.operators import RELATIVE
from assigner.matching.plain import PlainMatcher
from assigner.matching.rule_book import RuleBook, rule_book
from territory.criteria import leaves_of
from territory.criteria.values import Unreadable
from territory.model.compiled import Model, compile_model
from territory_admin.lint.rule_lint import EvaluatedRule, OddSharing, RuleAnalysis, analyse_rules
from tests.contracts.rules import TABLES, TODAY, TYPES, dice_of, document, record, typed

ACCOUNT: Any = "account"
TABLES_OF_A_MODEL = {name: values for name, values in TABLES.items() if values}


def model_of(*territories: dict[str, Any]) -> Model:
    """Return a model of territories, each with `id`, `parent` and a rule for accounts."""
    whole: Any = {
        "org": "acme",
        "tables": TABLES_OF_A_MODEL,
        "fields": dict.fromkeys(("account", "lead", "deal"), TYPES),
        "territories": list(territories),
    }
    return compile_model(whole, 1, TODAY)


def node(name: str, rule: Any, parent: str | None = None, kind: str = "account") -> dict[str, Any]:
    return {"id": name, "rules": {kind: rule}} | ({} if parent is None else {"parent": parent})


def of_rule(rule: Any) -> RuleAnalysis:
    return analyse_rules(model_of(node("t", rule)))


def in_quotes(rule: Any) -> Any:
    """Return a rule with its large numbers as text, as models have them (C6)."""
    if isinstance(rule, dict):
        return {word: in_quotes(inner) for word, inner in rule.items()}
    if isinstance(rule, list):
        return [in_quotes(inner) for inner in rule]
    return str(rule) if isinstance(rule, int) and abs(rule) >= 2**63 else rule


def tree_of(dice: Random) -> Model:
    """Return territories in a tree of any shape; most have a rule, half of them all on few fields."""
    territories: list[dict[str, Any]] = []
    fields = list(TYPES) if dice.random() < 0.5 else dice.sample(list(TYPES), 2)
    for place in range(dice.randint(1, 8)):
        rule = in_quotes(document(fields, dice, leaves=4))
        territory = {
            "id": f"t{place}",
            "rules": {} if dice.random() < 0.1 or "none" in str(rule) else {"account": rule},
        }
        if place and dice.random() < 0.8:
            territory["parent"] = f"t{dice.randrange(place)}"
        territories.append(territory)
    return model_of(*territories)


def qualifying(book: RuleBook, fields: Any) -> set[str]:
    """Return all territories with a rule that qualify, not only the deepest (A1)."""
    found: set[str] = set()
    for rule in book.rules:
        above = book.rules[rule.parent].territory_id if rule.parent >= 0 else None
        if (above is None or above in found) and rule.criterion.holds(fields):
            found.add(rule.territory_id)
    return found


def test_impossible_and_empty_rules_are_so() -> None:
    """No record reaches an impossible rule; an empty rule holds wherever those above it hold (A1, C2).

    Unless a value cannot be read: then no rule on that field holds, an empty one neither.
    """
    impossible = empty = 0

    @settings(max_examples=5 * settings().max_examples)
    @given(st.integers(0, 2**64))
    def is_so(seed: int) -> None:
        nonlocal impossible, empty
        dice = dice_of(seed)
        model = tree_of(dice)
        book, found = rule_book(model, ACCOUNT), analyse_rules(model)
        never = {name for rule in found.impossible for name in (rule.territory_id, *rule.below)}
        by_id = {rule.territory_id: rule for rule in book.rules}
        impossible, empty = impossible + len(never), empty + len(found.empty)
        for _ in range(10):
            values = typed(record(dice))
            reached = qualifying(book, values)
            assert not never & reached
            assert not never.intersection(PlainMatcher(book).matching(values))
            if any(isinstance(value, Unreadable) for value in values.values()):
                continue
            for rule in found.empty:
                above = by_id[rule.territory_id].parent
                if rule.alone or above < 0 or book.rules[above].territory_id in reached:
                    assert by_id[rule.territory_id].criterion.holds(values)

    is_so()
    assert impossible > settings().max_examples / 10  # else it proves nothing
    assert empty


@settings(max_examples=200)
@given(st.integers(0, 2**64))
def test_evaluated_rules_are_those_off_the_index(seed: int) -> None:
    """The rules reported as evaluated are those that the engine keeps off its index, and each has a reason.

    Rules with several conditions on a field with a relative date are an exception.
    """
    model = tree_of(dice_of(seed))
    book = rule_book(model, ACCOUNT)
    still = {
        rule.territory_id
        for rule in book.rules
        if all(leaf.operator not in RELATIVE for leaf in leaves_of(rule.criterion))
    }
    evaluated = analyse_rules(model).evaluated
    assert {rule.territory_id for rule in evaluated} & still == set(IndexedMatcher(book).off_index) & still
    assert all(rule.reasons for rule in evaluated)


NEVER: list[tuple[Any, str]] = [
    ({"all": [{"field": "revenue", "lt": 5}, {"field": "revenue", "gt": 9}]}, "lt 5 and revenue gt 9 can't both"),
    ({"all": [{"field": "country", "eq": "US"}, {"field": "country", "starts_with": "C"}]}, "starts_with C can't both"),
    ({"all": [{"field": "country", "eq": "US"}, {"field": "country", "is_empty": True}]}, "is_empty true can't both"),
    ({"not": {"any": [{"field": "country", "is_empty": True}, {"field": "country", "is_not_empty": True}]}}, "not"),
    (
        {"all": [{"any": [{"field": "country", "eq": "US"}, {"field": "country", "eq": "CA"}]},
                 {"field": "country", "eq": "FR"}]},
        "country eq FR and country eq US can't both hold; country eq FR and country eq CA can't both hold",
    ),
    (
        {"all": [{"field": "revenue", "in": [1, 2]}, {"field": "revenue", "ne": 1}, {"field": "revenue", "ne": 2}]},
        "revenue in [1, 2] and revenue ne 1 and revenue ne 2 can't all hold",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "why"), NEVER)
def test_a_rule_that_contradicts_itself(rule: Any, why: str) -> None:
    """The contradiction is named, with two conditions if two suffice."""
    (found,) = of_rule(rule).impossible
    assert why in found.why


def test_a_rule_that_contradicts_its_ancestors() -> None:
    """The first impossible rule of a branch is named with the clash, and with the rules below it (A1)."""
    found = analyse_rules(
        model_of(
            node("us", {"field": "country", "eq": "US"}),
            {"id": "coast", "parent": "us"},
            node("paris", {"all": [{"field": "country", "eq": "FR"}, {"field": "zip", "eq": "Paris"}]}, "coast"),
            node("large", {"field": "revenue", "gt": 5}, "paris"),
            node("bay", {"field": "country", "in": ["CA", "US"]}, "coast"),
        )
    )
    (never,) = found.impossible
    assert (never.territory_id, never.why) == ("paris", "country eq US (of us) and country eq FR can't both hold")
    assert list(never.below) == ["large"]
    assert [(empty.territory_id, empty.alone) for empty in found.empty] == [("bay", False)]


def test_an_empty_rule() -> None:
    """Missing values count: "less, or not less" misses them, "empty, or not empty" covers everything (C2)."""
    empty = {"any": [{"field": "country", "is_empty": True}, {"field": "country", "is_not_empty": True}]}
    assert [rule.alone for rule in of_rule(empty).empty] == [True]
    assert of_rule({"any": [{"field": "revenue", "lt": 5}, {"field": "revenue", "ge": 5}]}).empty == ()
    assert of_rule({"any": [{"field": "revenue", "ne": 5}, {"field": "revenue", "eq": 5}]}).empty


def test_deal_rules_do_not_depend_on_ancestors() -> None:
    """A deal rule that contradicts an ancestor's deal rule is not impossible (A6)."""
    found = analyse_rules(
        model_of(
            node("us", {"field": "country", "eq": "US"}, kind="deal"),
            node("fr", {"field": "country", "eq": "FR"}, "us", kind="deal"),
            node("none", NEVER[0][0], "us", kind="deal"),
        )
    )
    assert [(rule.object, rule.territory_id) for rule in found.impossible] == [("deal", "none")]
    assert found.rules == {"account": 0, "lead": 0, "deal": 3}


@pytest.mark.parametrize(
    ("rule", "reasons", "narrowed_by"),
    [
        ({"field": "zip", "contains": "x"}, ("contains",), ()),
        (
            {"all": [{"field": "zip", "contains": "x"}, {"field": "country", "ne": "US"},
                     {"field": "revenue", "gt": 5}]},
            ("contains",),
            ("revenue",),
        ),
        ({"field": "zip", "not_starts_with": "x"}, ("negated starts_with",), ()),
        ({"not": {"field": "zip", "starts_with": "x"}}, ("negated starts_with",), ()),
        (
            {"all": [{"field": "zip", "starts_with": "x"}, {"field": "zip", "ne": "xy"}]},
            ("several conditions on one field: zip (starts_with, negated eq)",),
            ("zip",),
        ),
        (
            {"all": [{"any": [{"field": "revenue", "eq": 2 * n}, {"field": "founded", "eq": "2017-01-01"}]}
                     for n in range(8)]},
            ("more than 32 alternatives",),
            ("founded",),
        ),
    ],
)  # fmt: skip
def test_why_a_rule_is_evaluated(rule: Any, reasons: tuple[str, ...], narrowed_by: tuple[str, ...]) -> None:
    """The reasons are named, and the fields by which the index narrows the records first."""
    (found,) = of_rule(rule).evaluated
    assert (found.reasons, found.narrowed_by) == (reasons, narrowed_by)


def test_the_costliest_rules_come_first() -> None:
    """Rules that every record meets come first, then those with the most comparisons, up to the limit."""
    contains = [{"field": "zip", "contains": str(n)} for n in range(5)]
    narrow = {"all": [{"field": "country", "eq": "US"}, *contains]}
    territories = [node(f"t{n}", narrow if n else {"field": "zip", "not_contains": "x"}) for n in range(15)]
    found = analyse_rules(model_of(*territories, node("indexed", {"field": "country", "eq": "US"})))
    assert len(found.evaluated) == 15
    assert [(rule.territory_id, rule.comparisons) for rule in found.costliest[:2]] == [
        ("t0", 1),
        ("t1", 6),
    ]  # t0 meets every record
    assert len(found.costliest) == 10
    assert isinstance(found.costliest[0], EvaluatedRule)


def test_rules_beyond_the_budget_are_counted() -> None:
    """A choice with too many alternatives is skipped and counted; other conditions still clash."""
    wide = {"any": [{"all": [{"field": "revenue", "eq": n}, {"field": "zip", "eq": "x"}]} for n in range(40)]}
    found = analyse_rules(model_of(node("a", wide), node("b", {"field": "zip", "eq": "y"}, "a")))
    assert (found.impossible, found.unfinished) == ((), 1)
    clash = analyse_rules(model_of(node("a", {"all": [wide, *NEVER[0][0]["all"]]})))
    assert [rule.territory_id for rule in clash.impossible] == ["a"]


def test_a_choice_is_analysed_with_the_rules_above() -> None:
    """A choice whose alternatives all contradict a rule above is impossible (A1)."""
    choice = {"any": [{"field": "country", "eq": "US"}, {"field": "country", "eq": "CA"}]}
    found = analyse_rules(model_of(node("fr", {"field": "country", "eq": "FR"}), node("west", choice, "fr")))
    assert [rule.territory_id for rule in found.impossible] == ["west"]


def test_a_rule_with_one_part_that_matters_is_not_empty() -> None:
    """A rule is empty only if the rules above imply all of its parts (A1)."""
    part = {"all": [{"field": "country", "in": ["US", "CA"]}, {"field": "zip", "eq": "x"}]}
    found = analyse_rules(model_of(node("us", {"field": "country", "eq": "US"}), node("x", part, "us")))
    assert (found.empty, found.impossible) == ((), ())


def test_a_relative_date_is_named_as_written() -> None:
    """A relative date implies that its field has a value, which clashes with the field being empty (C7, C2)."""
    found = analyse_rules(
        model_of(
            node("new", {"field": "founded", "in_period": "this_year"}),
            node("empty", {"field": "founded", "is_empty": True}, "new"),
            node("old", {"field": "founded", "lt": "1900-01-01"}, "new"),
        )
    )
    assert [(rule.territory_id, rule.why) for rule in found.impossible] == [
        ("empty", "founded in_period this_year (of new) and founded is_empty true can't both hold")
    ]


def test_impossible_and_empty_sharing_rules() -> None:
    """Sharing rules of every object are analysed, each alone (V6)."""
    never = {"all": [{"field": "revenue", "lt": 1}, {"field": "revenue", "gt": 2}]}
    always = {"any": [{"field": "country", "is_empty": True}, {"field": "country", "is_not_empty": True}]}
    some = {"field": "country", "eq": "x"}
    document: Any = {
        "org": "acme",
        "fields": dict.fromkeys(("account", "contact"), TYPES),
        "territories": [{"id": "world"}],
        "sharing": [
            {"id": name, "object": kind, "criteria": criteria, "to": {"territory": "world"}}
            for name, kind, criteria in (
                ("s1", "contact", never), ("s2", "account", always), ("s3", "account", some), ("s4", "contact", some),
            )
        ],
    }  # fmt: skip
    assert analyse_rules(compile_model(document, 1)).sharing == (
        OddSharing("s2", "account", None),
        OddSharing("s1", "contact", "revenue lt 1 and revenue gt 2 can't both hold"),
    )
