"""The text of an analysis: all of it for few rules, the first rows and a count for many."""

from __future__ import annotations

from territory_admin.lint.on_records import MeasuredRule, OnRecords
from territory_admin.lint.owners import OwnerCoverage, UnknownOwner
from territory_admin.lint.rule_coverage import Overlap, RecordCoverage, Unreached
from territory_admin.lint.rule_lint import EmptyRule, EvaluatedRule, ImpossibleRule, OddSharing, RuleAnalysis
from territory_control.views.rules import record_coverage, rule_analysis
from tests.unit.territory_control.views.rendering import lines_of

SOUND = RuleAnalysis({"account": 2, "lead": 0, "deal": 1}, (), (), (), (), 0)
NO_RECORDS = RecordCoverage({"account": 0, "lead": 0, "deal": 0}, (), (), pairs_left_out=False)


def test_a_sound_model_needs_one_line() -> None:
    """A sound model has one line and no table; a model without rules has nothing."""
    assert lines_of(rule_analysis(SOUND)) == ["rules: 2 for accounts, 1 for deals; an index decides all"]
    assert rule_analysis(RuleAnalysis({"account": 0, "lead": 0, "deal": 0}, (), (), (), (), 0)) == []


def test_costs_and_warnings() -> None:
    """The text has the evaluated share and why, the most expensive rules, warnings, and what was not analysed."""
    first = EvaluatedRule("account", "a", ("contains", "several conditions on one field: x"), 3, ())
    second = EvaluatedRule("account", "b", ("contains",), 2, ("x", "y"))
    analysis = RuleAnalysis(
        {"account": 8, "lead": 0, "deal": 0}, (first, second), (first, second),
        (ImpossibleRule("account", "c", "x eq 1 and x eq 2 can't both hold", ("d", "e")),),
        (EmptyRule("account", "f", alone=True), EmptyRule("account", "g", alone=False)), 1,
    )  # fmt: skip
    assert lines_of(rule_analysis(analysis)) == [
        "rules: 8 for accounts; 2 of 8 (25.0 %) are evaluated, because an index alone can't decide them",
        "why they are evaluated",
        "rules because of",
        "2 contains",
        "1 several conditions on one field",
        "the most expensive rules, estimated by their structure",
        "territory object comparisons for because of",
        "a account 3 every record that the rules above it match contains; several conditions on one field: x",
        "b account 2 records that match on x, y contains",
        "warning: 1 territory can never get a record by rule: the conditions exclude each other; "
        "change the rule or the one above, or move the territory",
        "territory object why nor those below it:",
        "c account x eq 1 and x eq 2 can't both hold d, e",
        "warning: 2 rules match everything",
        "territory object matches",
        "f account every record",
        "g account every record that the rules above it match",
        "rules with too many conditions to be analysed in full: 1",
    ]


def test_sharing_rules_that_share_nothing_or_everything() -> None:
    """Each has its object and the reason, also in a model without other rules (V6)."""
    odd = (OddSharing("s1", "contact", "x lt 1 and x gt 2 can't both hold"), OddSharing("s2", "deal", None))
    analysis = RuleAnalysis({"account": 0, "lead": 0, "deal": 0}, (), (), (), (), 0, odd)
    assert lines_of(rule_analysis(analysis)) == [
        "warning: 2 sharing rules share nothing or everything",
        "sharing rule object because",
        "s1 contact x lt 1 and x gt 2 can't both hold",
        "s2 deal it matches every record",
    ]


def test_coverage_of_the_records_on_the_log() -> None:
    """The text has overlapping siblings, territories without records, measured rules; of many rows the first."""
    owners = OwnerCoverage(1, 4, (UnknownOwner("00G1", 4),))
    overlaps = tuple(Overlap("account", "top", (f"a{n}", "b"), 1_000 - n) for n in range(12))
    coverage = RecordCoverage(
        {"account": 5_000, "lead": 1, "deal": 0}, overlaps, (Unreached("lead", "z", ()),), pairs_left_out=True
    )
    lines = lines_of(record_coverage(OnRecords(coverage, (MeasuredRule("account", "a", 1.5),), owners)))
    assert lines[:4] == [
        "records on the log: 5,000 accounts, 1 lead",
        "sibling territories whose branches match the same records (not all pairs)",
        "records object siblings below",
        "1,000 account a0 and b top",
    ]
    assert lines[13:] == [
        "… 2 more (--json has all)",
        "1 territory that no record on the log reaches by rule",
        "territory object nor those below it:",
        "z lead",
        "warning: 4 records of 1 owner unknown to the model, so nobody sees them as the owner",
        "records owner",
        "4 00G1",
        "the most expensive rules, measured on these records",
        "territory object µs an evaluation",
        "a account 1.50",
    ]


def test_without_records_there_is_no_coverage() -> None:
    """Without records it is no news that no territory is reached."""
    assert lines_of(record_coverage(OnRecords(NO_RECORDS, (), OwnerCoverage(0, 0, ())))) == [
        "no records on the log: their coverage is not analysed"
    ]
