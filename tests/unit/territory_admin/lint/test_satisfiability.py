from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assigner.matching.operators import RELATIVE
from territory.criteria import All, AnyOf, Leaf, Not, leaves_of, parse
from territory_admin.lint.satisfiability import TRUE, AnalysisBudget, Conditions, alternatives_of, settled
from tests.contracts.rules import TYPES, criterion_of, dice_of, document, raw_values, record, typed


def moving(operator: str = "in_period") -> Leaf:
    """Return a leaf with a relative date; it can't be evaluated, as no day is set (C7)."""

    operand = "this_year" if operator == "in_period" else 3
    criterion, _ = parse({"field": "founded", operator: operand}, TYPES, "rule")
    assert isinstance(criterion, Leaf)
    return criterion


def of(**condition: Any) -> Any:
    return criterion_of(condition)


FIELDS = list(TYPES)
seeds = st.integers(0, 2**64)


@settings(max_examples=300)
@given(seeds)
def test_a_settled_rule_means_the_same(seed: int) -> None:
    """Moving negations to the leaves, and splitting into alternatives, does not change a rule (C2).

    With a relative date, the settled rule holds at least wherever the rule does (C7).
    """
    dice = dice_of(seed)
    criterion = criterion_of(document(FIELDS, dice))
    moves = any(leaf.operator in RELATIVE for leaf in leaves_of(criterion))
    for _ in range(5):
        values = typed(record(dice))
        for negated in (False, True):
            same = settled(criterion, negated=negated)
            holds = criterion.fails(values) if negated else criterion.holds(values)
            assert same.holds(values) is holds or (moves and not holds)
            alternatives = alternatives_of(same)
            assert alternatives is not None
            assert any(all(literal.holds(values) for literal in each) for each in alternatives) is same.holds(values)


def test_clashing_rules_hold_for_no_record() -> None:
    """Rules that are reported to clash hold together for no record (A1)."""
    clashing = 0

    @settings(max_examples=5 * settings().max_examples)
    @given(seeds)
    def holds_for_none(seed: int) -> None:
        nonlocal clashing
        dice = dice_of(seed)
        field = [dice.choice(FIELDS)]  # on one field, so that they often clash
        rules = [criterion_of(document(field, dice, leaves=3)) for _ in range(3)]
        conditions, budget = Conditions(), AnalysisBudget(10**9)
        for position, rule in enumerate(rules):
            joined, clashes = conditions.joined_with(settled(rule), budget)
            if joined is None:
                clashing += 1
                assert clashes
                for values in (typed({field[0]: raw}) for raw in raw_values(field[0])):
                    assert not all(each.holds(values) for each in rules[: position + 1])
                    assert all(not all(literal.holds(values) for literal in clash) for clash in clashes)
                return
            conditions = joined

    holds_for_none()
    assert clashing > settings().max_examples / 2  # else it proves nothing


@pytest.mark.parametrize("operator", sorted(RELATIVE))
def test_relative_dates_never_clash(operator: str) -> None:
    """Their day may come, so only the presence of the field is known, and of a negation nothing (C7, C2)."""
    long_ago = of(field="founded", lt="1900-01-01")
    budget = AnalysisBudget(10**9)
    assert Conditions().joined_with(settled(All((moving(operator), long_ago))), budget)[0] is not None
    assert Conditions().joined_with(settled(All((Not(moving(operator)), long_ago))), budget)[0] is not None
    missing = of(field="founded", is_empty=True)
    assert Conditions().joined_with(settled(All((moving(operator), missing))), budget)[0] is None
    assert Conditions().joined_with(settled(All((Not(moving(operator)), missing))), budget)[0] is not None
    assert settled(Not(moving(operator))) == TRUE


def test_a_choice_with_one_alternative_left_is_a_condition() -> None:
    """The last possible alternative of a choice is a condition itself, and may clash with another choice."""
    first = AnyOf((of(field="country", eq="US"), of(field="revenue", eq=1)))
    second = AnyOf((of(field="zip", eq="x"), of(field="revenue", eq=2)))
    not_us, not_x = of(field="country", eq="CA"), of(field="zip", eq="y")
    budget = AnalysisBudget(10**9)
    joined, _ = Conditions().joined_with(All((first, second)), budget)
    assert joined is not None
    joined, _ = joined.joined_with(not_us, budget)
    assert joined is not None
    assert joined.joined_with(not_x, budget)[0] is None
    assert joined.joined_with(of(field="zip", eq="x"), budget)[0] is not None


def test_a_long_list_is_compared_value_by_value_while_there_is_budget() -> None:
    """One value that all conditions accept prevents a clash; without budget no clash is found, and that is counted."""
    listed = {"field": "zip", "in": [f"c{n}" for n in range(500)]}
    none = of(all=[listed, {"field": "zip", "starts_with": "d"}])
    some = of(all=[listed, {"field": "zip", "ends_with": "499"}])
    assert Conditions().joined_with(settled(none), AnalysisBudget(10**4))[0] is None
    assert Conditions().joined_with(settled(some), AnalysisBudget(10**4))[0] is not None
    poor = AnalysisBudget(10)
    assert Conditions().joined_with(settled(none), poor)[0] is not None
    assert poor.overdrawn == 1
