"""`territory top`: the workers' figures as a table, once or live."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from territory_admin.queries.worker_metrics import ClusterStatus, MetricsPage, fetch_pages, summarise
from territory_control.views.text import identifying

MEGABYTE = 1_000_000
VISIBLE_SECONDS_MAX = 1.0
"""The objective: 99 % of changes are in Redis within this."""


def workers(current: ClusterStatus) -> RenderableType:
    """Return the figures of all workers; red is what needs attention."""
    table = Table(box=None, pad_edge=False)
    identifying(table, "worker", (one.worker for one in current.workers))
    identifying(table, "stages", (stage for one in current.workers for stage in one.stages))
    table.add_column("state", overflow="fold")
    for name in ("events/s", "waiting", "oldest s", "partitions", "records", "to sweep", "MB"):
        table.add_column(name, overflow="fold", justify="right")
    for one in current.workers:
        if one.fault is not None:
            table.add_row(one.worker, "", Text(f"no answer: {one.fault}", style="red"))
            continue
        state = "ready" if one.ready else "not ready"
        if one.restoring:
            state += f", {one.restoring} restoring"
        table.add_row(
            one.worker,
            "\n".join(one.stages),
            Text(state, style="" if one.ready else "red"),
            "" if one.taken_per_second is None else f"{one.taken_per_second:,.0f}",
            f"{one.waiting:,}",
            f"{one.waited_seconds:.1f}",
            str(one.partitions),
            f"{one.records:,}",
            f"{one.to_sweep:,}",
            f"{one.memory_bytes / MEGABYTE:,.0f}",
        )
    return Group(*_summary(current), Text(), table)


def _summary(current: ClusterStatus) -> list[Text]:
    slow = current.visible_p99_seconds is not None and current.visible_p99_seconds > VISIBLE_SECONDS_MAX
    everywhere = "" if current.is_model_everywhere else ", not in effect everywhere yet"
    return [
        Text.assemble(
            f"from a change to Redis: p50 {_seconds(current.visible_p50_seconds)}, ",
            (f"p99 {_seconds(current.visible_p99_seconds)}", "red" if slow else ""),
            f"   revocations: p99 {_seconds(current.revocation_p99_seconds)}",
        ),
        Text.assemble(
            (f"refused messages: {current.refused:,}", "red" if current.refused else ""),
            "   ",
            (f"wrong index entries: {current.wrong_entries:,}", "red" if current.wrong_entries else ""),
            "   ",
            (f"wrong sums: {current.wrong_sums:,}", "red" if current.wrong_sums else ""),
            f"   model: revision {current.model_revision}",
            ("" if current.model_age_seconds is None else f", {_age(current.model_age_seconds)} old"),
            (everywhere, "red"),
        ),
    ]


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _age(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def follow(worker_addresses: Sequence[str], console: Console, every_seconds: float) -> None:
    """Show the figures again and again until interrupted. Raises: KeyboardInterrupt."""
    before: list[MetricsPage] = []
    with Live(console=console, auto_refresh=False) as live:
        while True:
            pages = fetch_pages(worker_addresses)
            live.update(workers(summarise(pages, before, time.time())), refresh=True)
            before = pages
            time.sleep(every_seconds)
