"""What an analysis says to people: all of it for few rules, the first rows and a count for many."""

from __future__ import annotations

from territory_admin.lint.on_records import MeasuredRule, OnRecords
from territory_admin.lint.rule_coverage import Overlap, RecordCoverage, Unreached
from territory_admin.lint.rule_lint import EmptyRule, EvaluatedRule, ImpossibleRule, OddSharing, RuleAnalysis
from territory_control.views import rules as rule_tables
from tests.unit.territory_control.views.test_results import text

SOUND = RuleAnalysis({"account": 2, "lead": 0, "deal": 1}, (), (), (), (), 0)
NO_RECORDS = RecordCoverage({"account": 0, "lead": 0, "deal": 0}, (), (), pairs_left_out=False)


def lines_of(parts: object) -> list[str]:
    """Return the lines without the spaces that align them."""
    return [" ".join(line.split()) for line in text(parts).splitlines() if line.strip()]  # type: ignore[arg-type]  # as rendered


def test_a_sound_model_needs_one_line() -> None:
    """No table where there is nothing to say."""
    assert lines_of(rule_tables.of_rules(SOUND)) == [
        "rules: 2 for accounts, 1 for deals; all are looked up in an index"
    ]
    assert rule_tables.of_rules(RuleAnalysis({"account": 0, "lead": 0, "deal": 0}, (), (), (), (), 0)) == []


def test_costs_and_warnings() -> None:
    """The share that is evaluated and why, the most expensive rules, those that make no sense, what was left out."""
    first = EvaluatedRule("account", "a", ("contains", "several conditions on one field: x"), 3, ())
    second = EvaluatedRule("account", "b", ("contains",), 2, ("x", "y"))
    analysis = RuleAnalysis(
        {"account": 8, "lead": 0, "deal": 0}, (first, second), (first, second),
        (ImpossibleRule("account", "c", "x eq 1 and x eq 2 can't both hold", ("d", "e")),),
        (EmptyRule("account", "f", alone=True), EmptyRule("account", "g", alone=False)), 1,
    )  # fmt: skip
    assert lines_of(rule_tables.of_rules(analysis)) == [
        "rules: 8 for accounts; 2 of 8 (25.0 %) are evaluated for what the index can't rule out",
        "why they are evaluated",
        "rules because of",
        "2 contains",
        "1 several conditions on one field",
        "the most expensive, by their structure; nothing is measured",
        "territory object comparisons for because of",
        "a account 3 every record that the rules above it let through contains; several conditions on one field: x",
        "b account 2 what x, y let through contains",
        "warning: 1 territory can never take a record by rule",
        "territory object why nor, below it,",
        "c account x eq 1 and x eq 2 can't both hold d, e",
        "warning: 2 rules ask nothing",
        "territory object holds",
        "f account always",
        "g account whenever the rules above it do",
        "rules that ask too much to be looked at whole: 1; they may make no sense, too",
    ]


def test_sharing_rules_that_make_no_sense() -> None:
    """Each with its object and the reason, also in a model without other rules (V6)."""
    odd = (OddSharing("s1", "contact", "x lt 1 and x gt 2 can't both hold"), OddSharing("s2", "deal", None))
    analysis = RuleAnalysis({"account": 0, "lead": 0, "deal": 0}, (), (), (), (), 0, odd)
    assert lines_of(rule_tables.of_rules(analysis)) == [
        "warning: 2 sharing rules share nothing or everything",
        "sharing rule object because",
        "s1 contact x lt 1 and x gt 2 can't both hold",
        "s2 deal it asks nothing",
    ]


def test_what_records_at_hand_say() -> None:
    """Overlapping siblings, territories that nothing reaches, measured rules; of many rows the first."""
    overlaps = tuple(Overlap("account", "top", (f"a{n}", "b"), 1_000 - n) for n in range(12))
    coverage = RecordCoverage(
        {"account": 5_000, "lead": 1, "deal": 0}, overlaps, (Unreached("lead", "z", ()),), pairs_left_out=True
    )
    said = lines_of(rule_tables.of_records(OnRecords(coverage, (MeasuredRule("account", "a", 1.5),))))
    assert said[:4] == [
        "records at hand: 5,000 accounts, 1 lead",
        "siblings whose branches take the same records, among others",
        "records object siblings below",
        "1,000 account a0 and b top",
    ]
    assert said[13:] == [
        "… 2 more (--json has all)",
        "1 territory that no record at hand reaches by rule",
        "territory object nor, below it,",
        "z lead",
        "the most expensive rules, measured on records at hand",
        "territory object µs an evaluation",
        "a account 1.50",
    ]


def test_no_records_say_nothing() -> None:
    """Where no record is at hand, that no territory is reached is no news."""
    assert lines_of(rule_tables.of_records(OnRecords(NO_RECORDS, ()))) == [
        "no records at hand: nothing is said of them"
    ]
