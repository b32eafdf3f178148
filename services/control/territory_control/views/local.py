"""The local stack: where everything listens, and what the demo found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.queries.redis_reader import LeftOutDeal
from territory_control.local.demo import DemoRun, DemoUser
from territory_control.local.stack import Addresses
from territory_control.views import access as access_view
from territory_control.views import record as record_view
from territory_control.views.attainment_tree import attainment_tree
from territory_control.views.text import counted, money


def addresses(where: Addresses) -> list[RenderableType]:
    """Return where everything listens, and the settings that reach it."""
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_row("Kafka", where.kafka)
    table.add_row("Redis", where.redis)
    for name, url in where.metrics.items():
        table.add_row(name, f"{url}/ready  {url}/metrics")
    table.add_row("logs", where.data_dir)
    exports = f"export TERRITORY_KAFKA_BOOTSTRAP_SERVERS={where.kafka} TERRITORY_REDIS_URL={where.redis}"
    return [table, Text(f"\nto use it from another terminal:\n  {exports}\n  territory top\n")]


def demo_result(run: DemoRun, columns: int) -> list[RenderableType]:
    """Return what the demo found: attainment, deals left out, who sees what, and why."""
    result = run.result
    return [
        _heading("Territories against their targets"),
        *attainment_tree(run.model, result.attainment, columns),
        _heading("Deals that are in no sum, and why"),
        *left_out_deals(run.deals_left_out),
        _heading("Who sees what"),
        *(_user(user) for user in result.users),
        _heading("Why one of them sees an account"),
        *access_view.paths_of_user(result.access),
        _heading("Why the account is in its territories, and not in another"),
        *record_view.assignment(result.assignment),
        *record_view.assignment(result.not_assigned)[1:],
        _heading("In total"),
        Text(
            f"{result.records:,} records: {result.accounts_assigned} accounts in territories, "
            f"{result.deals_won:,} deals won for {money(str(result.won_total))} {run.model.organisation.currency}, "
            f"{result.deals_unassigned:,} deals unassigned\n"
            f"in Redis {result.seconds:.1f} s after the first was sent: {result.events_per_second:,} events a second"
        ),
    ]


def left_out_deals(deals: Sequence[LeftOutDeal]) -> list[RenderableType]:
    """Return a table of how many deals are in no sum, by reason."""
    table = Table(box=None, padding=(0, 2), show_header=False)
    for (reason, detail), count in _reasons(deals).most_common():
        table.add_row(str(count), reason, detail)
    return [table]


def _reasons(deals: Sequence[LeftOutDeal]) -> Counter[tuple[str, str]]:
    """Count the deals by reason, and by detail where several deals share it."""
    found = Counter((deal.reason, deal.detail) for deal in deals)
    unique = {pair for pair, count in found.items() if count == 1}
    return Counter((deal.reason, "" if (deal.reason, deal.detail) in unique else deal.detail) for deal in deals)


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _user(user: DemoUser) -> Text:
    line = Text.assemble((user.name, "cyan"), f" ({user.role}): ")
    if user.reads is None:
        return line.append("sees and edits everything, as an administrator")
    edits = user.edits or {}
    parts = [f"{counted(count, kind)}, of which {edits.get(kind, 0):,} to edit" for kind, count in user.reads.items()]
    return line.append("sees " + ("; ".join(parts) or "nothing"))
