"""What the rules of a model cost and which make no sense, as people read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.lint.on_records import OnRecords
from territory_admin.lint.rule_lint import EvaluatedRule, RuleAnalysis
from territory_control.views.results import clipped, counted, named

ROWS_MAX = 10


def of_rules(analysis: RuleAnalysis) -> list[RenderableType]:
    """Return what rules cost by their structure, and a warning for each that makes no sense."""
    total, evaluated = sum(analysis.rules.values()), len(analysis.evaluated)
    if not total:
        return _of_sharing(analysis)
    by_kind = ", ".join(f"{count:,} for {kind}s" for kind, count in analysis.rules.items() if count)
    share = f"{evaluated:,} of {total:,} ({100 * evaluated / total:.1f} %)"
    says = f"{share} are evaluated for what the index can't rule out" if evaluated else "all are looked up in an index"
    parts: list[RenderableType] = [Text(f"rules: {by_kind}; {says}")]
    if evaluated:
        reasons = Counter(kind for rule in analysis.evaluated for kind in {_kind(reason) for reason in rule.reasons})
        rows = [(f"{count:,}", reason) for reason, count in reasons.most_common()]
        parts += _table("why they are evaluated", ("rules", "because of"), rows)
        parts += _table(
            "the most expensive, by their structure; nothing is measured",
            ("territory", "object", "comparisons", "for", "because of"),
            [_cost(rule) for rule in analysis.costliest],
        )
    if analysis.impossible:
        parts += _table(
            f"warning: {counted(len(analysis.impossible), 'territory', 'territories')} can never take a record by rule",
            ("territory", "object", "why", "nor, below it,"),
            [(rule.territory_id, rule.object, rule.why, named(rule.below, 3)) for rule in analysis.impossible],
        )
    if analysis.empty:
        parts += _table(
            f"warning: {counted(len(analysis.empty), 'rule asks', 'rules ask')} nothing",
            ("territory", "object", "holds"),
            [
                (rule.territory_id, rule.object, "always" if rule.alone else "whenever the rules above it do")
                for rule in analysis.empty
            ],
        )
    parts += _of_sharing(analysis)
    if analysis.unfinished:
        parts.append(
            Text(f"rules that ask too much to be looked at whole: {analysis.unfinished:,}; they may make no sense, too")
        )
    return parts


def _of_sharing(analysis: RuleAnalysis) -> list[RenderableType]:
    odd = counted(len(analysis.sharing), "sharing rule shares", "sharing rules share")
    return _table(
        f"warning: {odd} nothing or everything",
        ("sharing rule", "object", "because"),
        [(rule.rule_id, rule.object, rule.why or "it asks nothing") for rule in analysis.sharing],
    )


def of_records(found: OnRecords) -> list[RenderableType]:
    """Return how the records at hand fall on territories."""
    coverage = found.coverage
    if not any(coverage.records.values()):
        return [Text("no records at hand: nothing is said of them")]
    by_kind = ", ".join(counted(count, kind) for kind, count in coverage.records.items() if count)
    parts: list[RenderableType] = [Text(f"records at hand: {by_kind}")]
    parts += _table(
        "siblings whose branches take the same records" + (", among others" if coverage.pairs_left_out else ""),
        ("records", "object", "siblings", "below"),
        [
            (f"{overlap.records:,}", overlap.object, " and ".join(overlap.siblings), overlap.parent or "")
            for overlap in coverage.overlaps
        ],
    )
    parts += _table(
        f"{counted(len(coverage.unreached), 'territory', 'territories')} that no record at hand reaches by rule",
        ("territory", "object", "nor, below it,"),
        [(one.territory_id, one.object, named(one.below, 3)) for one in coverage.unreached],
    )
    parts += _table(
        "the most expensive rules, measured on records at hand",
        ("territory", "object", "µs an evaluation"),
        [(rule.territory_id, rule.object, f"{rule.microseconds:.2f}") for rule in found.measured],
    )
    return parts


def _kind(reason: str) -> str:
    return reason.partition(":")[0]


def _cost(rule: EvaluatedRule) -> Sequence[str]:
    let_through = f"what {', '.join(rule.narrowed_by)} let{'s' if len(rule.narrowed_by) == 1 else ''} through"
    return (
        rule.territory_id,
        rule.object,
        f"{rule.comparisons:,}",
        let_through if rule.narrowed_by else "every record that the rules above it let through",
        "; ".join(rule.reasons),
    )


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[RenderableType]:
    """Return a title and the first rows below it; nothing where there are none."""
    every = list(rows)
    if not every:
        return []
    table = Table(box=None, padding=(0, 2))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in every[:ROWS_MAX]:
        table.add_row(*(Text(clipped(cell)) for cell in row))
    more = len(every) - ROWS_MAX
    return [Text(f"\n{title}"), table, *([Text(f"  … {more:,} more (--json has all)")] if more > 0 else [])]
