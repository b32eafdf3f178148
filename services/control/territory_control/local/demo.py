"""The demo: the example organisation played through everything, and what comes of it.

What it tells is asked with the functions that the commands ask with.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from rich.console import RenderableType
from rich.text import Text

from territory.model.compiled import Model
from territory.model.document import OBJECTS, Level, ObjectType
from territory.money import ZERO, add
from territory.wire.codec import decode
from territory_admin.arguments import RecordName
from territory_admin.errors import NotReached
from territory_admin.models.apply import apply
from territory_admin.models.validate import check_model
from territory_admin.queries.attainment import attainment
from territory_admin.queries.explain_access import ExplainedAccess, explain_access
from territory_admin.queries.explain_assignment import ExplainedAssignment, explain_assignment
from territory_admin.queries.redis_reader import AttainmentRow, LeftOutDeal, open_index
from territory_admin.queries.visible import visible
from territory_admin.records.publish import publish
from territory_admin.records.wait import wait
from territory_control.local.example import example_folder, example_lines, example_model
from territory_control.output import Bar
from territory_control.views import results as rendering
from territory_control.views.attainment_tree import money, tree_of
from territory_runtime.settings import Settings

WAIT_SECONDS_MAX = 300.0

USERS = ("crm-admin", "summer-sewald", "carl-lin")
"""An administrator, a manager of a large territory, and one of her agents."""
ACCOUNT = RecordName("account", "kan-code")
"""In two branches of the tree at once."""
VIEWER = "darcel-schlecht"
"""Sees that account by several paths."""
NOT_IN = "us-small-business"
"""A territory that the account is not in."""


@dataclass(frozen=True, slots=True)
class SeenBy:
    """How many records of each object a user reads and edits; None for everything."""

    user_id: str
    name: str
    role: str
    reads: dict[ObjectType, int] | None
    edits: dict[ObjectType, int] | None


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo came to."""

    records: int
    accounts_assigned: int
    deals_won: int
    won_total: int | str
    """A number when it is whole, else its exact text."""
    deals_unassigned: int
    left_out: dict[str, int]
    """Deals that are in no sum, by reason."""
    seconds: float
    """From the first record sent until all were in Redis."""
    events_per_second: int
    model_revision: int
    attainment: list[AttainmentRow]
    users: list[SeenBy]
    access: ExplainedAccess
    assignment: ExplainedAssignment
    not_assigned: ExplainedAssignment


@dataclass(frozen=True, slots=True)
class Played:
    """The demo's result, with what people are shown beside it."""

    result: DemoResult
    model: Model
    deals_left_out: list[LeftOutDeal]


async def play(settings: Settings, note: Callable[[str], None], bar: Bar) -> Played:
    """Apply the example's model, publish its records, wait until they are in Redis, and ask.

    Raises: NotFound, NotReached, KafkaError, RedisError.
    """
    folder = example_folder()
    checked = check_model(example_model(folder))
    settings = settings.model_copy(update={"org_id": checked.org_id})
    note(f"applying {folder / 'model.yaml'}: {rendering.model_size(checked.model)}")
    revision = (await apply(settings, checked)).revision
    lines = example_lines(folder)
    note(f"publishing {len(lines)} records")
    bar.at(0, len(lines), "publishing")
    began = time.monotonic()
    published = await publish(settings, lines, as_is=False, report=lambda line, _: bar.at(line))
    done = await wait(settings, WAIT_SECONDS_MAX, lambda stage, taken, total: bar.at(taken, total, stage))
    seconds = time.monotonic() - began
    if not done.done:
        raise NotReached("\n".join(str(item) for item in ("not everything has come through:", *done.behind)))
    note(f"all in Redis after {seconds:.1f} s")
    model, rows = await attainment(settings, None, None, users=False)
    roots = [row for row in rows if row.territory_id in model.tree.children_of(None)]
    won = ZERO
    for row in roots:
        won = add(won, Decimal(row.won or 0))
    accounts = [document["id"] for document in map(decode, lines) if document["object"] == "account"]
    async with open_index(settings) as stored:
        standing = await stored.records("account", accounts)
        left_out = await stored.left_out()
    reasons = Counter(deal.reason for deal in left_out)
    result = DemoResult(
        records=published.published,
        accounts_assigned=sum(1 for record in standing.values() if record.territories),
        deals_won=sum(row.deals_won for row in roots),
        won_total=int(won) if won == won.to_integral_value() else str(won),
        deals_unassigned=reasons["unassigned"],
        left_out=dict(sorted(reasons.items())),
        seconds=round(seconds, 3),
        events_per_second=int(published.published / seconds),
        model_revision=revision,
        attainment=rows,
        users=[await _seen_by(settings, model, user_id) for user_id in USERS],
        access=await explain_access(settings, VIEWER, ACCOUNT),
        assignment=await explain_assignment(settings, ACCOUNT, None),
        not_assigned=await explain_assignment(settings, ACCOUNT, NOT_IN),
    )
    return Played(result, model, left_out)


async def _seen_by(settings: Settings, model: Model, user_id: str) -> SeenBy:
    person = model.people[user_id]
    counts: dict[Level, dict[ObjectType, int] | None] = {}
    levels: tuple[Level, ...] = ("read", "edit")
    for level in levels:
        seen = await visible(settings, user_id, OBJECTS, level)
        counts[level] = None if seen.admin else {kind: len(ids) for kind, ids in seen.records.items() if ids}
    return SeenBy(user_id, person.name, person.role, counts["read"], counts["edit"])


def shown(played: Played, columns: int) -> list[RenderableType]:
    """Return the demo's result as people read it."""
    result = played.result
    return [
        _heading("How the territories stand against their targets"),
        tree_of(played.model, result.attainment, columns),
        _heading("Deals that are in no sum, and why"),
        *rendering.left_out(played.deals_left_out),
        _heading("Who sees what"),
        *(_seen(user) for user in result.users),
        _heading("Why one of them sees an account"),
        *rendering.explained_access(result.access),
        _heading("Why the account is in its territories, and not in another"),
        *rendering.explained_assignment(result.assignment),
        *rendering.explained_assignment(result.not_assigned)[1:],
        _heading("In all"),
        Text(
            f"{result.records:,} records: {result.accounts_assigned} accounts in territories, "
            f"{result.deals_won:,} deals won for {money(str(result.won_total))} {played.model.organisation.currency}, "
            f"{result.deals_unassigned:,} deals unassigned\n"
            f"in Redis {result.seconds:.1f} s after the first was sent: {result.events_per_second:,} events a second"
        ),
    ]


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _seen(user: SeenBy) -> Text:
    who = Text.assemble((user.name, "cyan"), f" ({user.role}): ")
    if user.reads is None:
        return who.append("sees and edits everything, as an administrator")
    edits = user.edits or {}
    parts = [
        f"{rendering.counted(count, kind)}, of which {edits.get(kind, 0):,} to edit"
        for kind, count in user.reads.items()
    ]
    return who.append("sees " + ("; ".join(parts) or "nothing"))
