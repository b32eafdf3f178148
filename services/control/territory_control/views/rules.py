"""The analysis of a model's rules: what they cost, and which can never match or always do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.lint.on_records import OnRecords
from territory_admin.lint.rule_lint import EvaluatedRule, RuleAnalysis
from territory_control.views.text import clipped, counted, identifying, named

ROWS_MAX = 10


def rule_analysis(analysis: RuleAnalysis) -> list[RenderableType]:
    """Return what the rules cost by their structure, and a warning for each that never or always matches."""
    total, evaluated = sum(analysis.rules.values()), len(analysis.evaluated)
    if not total:
        return _of_sharing(analysis)
    by_kind = ", ".join(f"{count:,} for {kind}s" for kind, count in analysis.rules.items() if count)
    share = f"{evaluated:,} of {total:,} ({100 * evaluated / total:.1f} %)"
    cost = (
        f"{share} {'is' if evaluated == 1 else 'are'} evaluated, because an index alone can't decide them"
        if evaluated
        else "an index decides all"
    )
    parts: list[RenderableType] = [Text(f"rules: {by_kind}; {cost}")]
    if evaluated:
        reasons = Counter(kind for rule in analysis.evaluated for kind in {_kind(reason) for reason in rule.reasons})
        rows = [(f"{count:,}", reason) for reason, count in reasons.most_common()]
        parts += _table("why they are evaluated", ("rules", "because of"), rows)
        parts += _table(
            "the most expensive rules, estimated by their structure",
            ("territory", "object", "comparisons", "for", "because of"),
            [_cost(rule) for rule in analysis.costliest],
        )
    if analysis.impossible:
        parts += _table(
            f"warning: {counted(len(analysis.impossible), 'territory', 'territories')} can never get a record by rule: "
            "the conditions exclude each other; change the rule or the one above, or move the territory",
            ("territory", "object", "why", "nor those below it:"),
            [(rule.territory_id, rule.object, rule.why, named(rule.below, 3)) for rule in analysis.impossible],
        )
    if analysis.empty:
        parts += _table(
            f"warning: {counted(len(analysis.empty), 'rule matches', 'rules match')} everything",
            ("territory", "object", "matches"),
            [
                (
                    rule.territory_id,
                    rule.object,
                    "every record" if rule.alone else "every record that the rules above it match",
                )
                for rule in analysis.empty
            ],
        )
    parts += _of_sharing(analysis)
    if analysis.unfinished:
        parts.append(Text(f"rules with too many conditions to be analysed in full: {analysis.unfinished:,}"))
    return parts


def _of_sharing(analysis: RuleAnalysis) -> list[RenderableType]:
    odd = counted(len(analysis.sharing), "sharing rule shares", "sharing rules share")
    return _table(
        f"warning: {odd} nothing or everything",
        ("sharing rule", "object", "because"),
        [(rule.rule_id, rule.object, rule.why or "it matches every record") for rule in analysis.sharing],
    )


def record_coverage(found: OnRecords) -> list[RenderableType]:
    """Return how the records on the log fall on the model's territories."""
    coverage = found.coverage
    if not any(coverage.records.values()):
        return [Text("no records on the log: their coverage is not analysed")]
    by_kind = ", ".join(counted(count, kind) for kind, count in coverage.records.items() if count)
    parts: list[RenderableType] = [Text(f"records on the log: {by_kind}")]
    parts += _table(
        "sibling territories whose branches match the same records"
        + (" (not all pairs)" if coverage.pairs_left_out else ""),
        ("records", "object", "siblings", "below"),
        [
            (f"{overlap.records:,}", overlap.object, " and ".join(overlap.siblings), overlap.parent or "")
            for overlap in coverage.overlaps
        ],
    )
    parts += _table(
        f"{counted(len(coverage.unreached), 'territory', 'territories')} that no record on the log reaches by rule",
        ("territory", "object", "nor those below it:"),
        [(one.territory_id, one.object, named(one.below, 3)) for one in coverage.unreached],
    )
    unknown = found.owners
    parts += _table(
        f"warning: {counted(unknown.records, 'record')} of {counted(unknown.unknown, 'owner')} unknown to the model, "
        "so nobody sees them as the owner",
        ("records", "owner"),
        [(f"{owner.records:,}", owner.owner_id) for owner in unknown.owners],
    )
    parts += _table(
        "the most expensive rules, measured on these records",
        ("territory", "object", "µs an evaluation"),
        [(rule.territory_id, rule.object, f"{rule.microseconds:.2f}") for rule in found.measured],
    )
    return parts


def _kind(reason: str) -> str:
    return reason.partition(":")[0]


def _cost(rule: EvaluatedRule) -> Sequence[str]:
    return (
        rule.territory_id,
        rule.object,
        f"{rule.comparisons:,}",
        f"records that match on {', '.join(rule.narrowed_by)}"
        if rule.narrowed_by
        else "every record that the rules above it match",
        "; ".join(rule.reasons),
    )


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[RenderableType]:
    """Return a title and the first rows; an empty list without rows."""
    every = list(rows)
    if not every:
        return []
    table = Table(box=None, padding=(0, 2))
    for number, heading in enumerate(headings):
        if heading in ("territory", "sharing rule", "group", "owner"):
            identifying(table, heading, (row[number] for row in every[:ROWS_MAX]))
        else:
            table.add_column(heading, overflow="fold")
    for row in every[:ROWS_MAX]:
        table.add_row(*(Text(clipped(cell)) for cell in row))
    more = len(every) - ROWS_MAX
    return [Text(f"\n{title}"), table, *([Text(f"  … {more:,} more (--json has all)")] if more > 0 else [])]
