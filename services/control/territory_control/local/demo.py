"""The demo: the example organisation sent through the whole pipeline, and questions about the result.

It applies, publishes, waits and asks with the same use cases as the commands.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from territory.model.compiled import Model
from territory.model.document import OBJECTS, Level, ObjectType
from territory.model.periods import FiscalCalendar
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
from territory_control.output import ProgressBar
from territory_control.views.model import model_size
from territory_runtime.settings import Settings

WAIT_SECONDS_MAX = 300.0

USERS = ("crm-admin", "summer-sewald", "carl-lin")
"""An administrator, a manager of a large territory, and one of her agents."""
ACCOUNT = RecordName("account", "kan-code")
"""It is in two branches of the tree at once."""
VIEWER = "darcel-schlecht"
"""A user who sees that account by several paths."""
NOT_IN = "us-small-business"
"""A territory that the account is not in."""


@dataclass(frozen=True, slots=True)
class DemoUser:
    """How many records of each object a user can read and edit; None for an administrator, who sees everything."""

    user_id: str
    name: str
    role: str
    reads: dict[ObjectType, int] | None
    edits: dict[ObjectType, int] | None


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The figures and answers of the demo, as `--json` prints them."""

    records: int
    accounts_assigned: int
    deals_won: int
    won_total: int | str
    """A number if it is whole, otherwise its exact text."""
    deals_unassigned: int
    left_out: dict[str, int]
    """Deals that are in no sum, by reason."""
    seconds: float
    """From the first record sent until all are in Redis."""
    events_per_second: int
    model_revision: int
    attainment: list[AttainmentRow]
    users: list[DemoUser]
    access: ExplainedAccess
    assignment: ExplainedAssignment
    not_assigned: ExplainedAssignment


@dataclass(frozen=True, slots=True)
class DemoRun:
    """The demo's result, with the model and the deals that its text needs."""

    result: DemoResult
    model: Model
    deals_left_out: list[LeftOutDeal]


async def run_demo(settings: Settings, note: Callable[[str], None], bar: ProgressBar) -> DemoRun:
    """Apply the example's model, publish its records, wait until they are in Redis, and ask about them.

    Raises: NotFound, NotReached, KafkaError, RedisError.
    """
    folder = example_folder()
    checked = check_model(example_model(folder))
    settings = settings.model_copy(update={"org_id": checked.org_id})
    note(f"applying {folder / 'model.yaml'}: {model_size(checked.model)}")
    revision = (await apply(settings, checked)).revision
    lines = example_lines(folder)
    note(f"publishing {len(lines):,} records")
    bar.at(0, len(lines), "publishing")
    began = time.monotonic()
    published = await publish(settings, lines, as_is=False, report=lambda line, _: bar.at(line))
    done = await wait(settings, WAIT_SECONDS_MAX, lambda stage, done, total: bar.at(done, total, stage))
    seconds = time.monotonic() - began
    if not done.done:
        raise NotReached("\n".join(map(str, ("not everything is in Redis; these stages are behind:", *done.behind))))
    note(f"all in Redis after {seconds:.1f} s")
    model, every = await attainment(settings, None, None, users=False)
    rows = [row for row in every if not FiscalCalendar.is_year(row.period)]  # a year adds up its quarters
    roots = [row for row in rows if row.territory_id in model.tree.children_of(None)]
    won = ZERO
    for row in roots:
        won = add(won, Decimal(row.won or 0))
    accounts = [document["id"] for document in map(decode, lines) if document["object"] == "account"]
    async with open_index(settings) as stored:
        indexed = await stored.records("account", accounts)
        left_out = await stored.left_out()
    reasons = Counter(deal.reason for deal in left_out)
    result = DemoResult(
        records=published.published,
        accounts_assigned=sum(1 for record in indexed.values() if record.territories),
        deals_won=sum(row.deals_won for row in roots),
        won_total=int(won) if won == won.to_integral_value() else str(won),
        deals_unassigned=reasons["unassigned"],
        left_out=dict(sorted(reasons.items())),
        seconds=round(seconds, 3),
        events_per_second=int(published.published / seconds),
        model_revision=revision,
        attainment=rows,
        users=[await _demo_user(settings, model, user_id) for user_id in USERS],
        access=await explain_access(settings, VIEWER, ACCOUNT),
        assignment=await explain_assignment(settings, ACCOUNT, None),
        not_assigned=await explain_assignment(settings, ACCOUNT, NOT_IN),
    )
    return DemoRun(result, model, left_out)


async def _demo_user(settings: Settings, model: Model, user_id: str) -> DemoUser:
    person = model.people[user_id]
    counts: dict[Level, dict[ObjectType, int] | None] = {}
    levels: tuple[Level, ...] = ("read", "edit")
    for level in levels:
        seen = await visible(settings, user_id, OBJECTS, level)
        counts[level] = None if seen.admin else {kind: len(ids) for kind, ids in seen.records.items() if ids}
    return DemoUser(user_id, person.name, person.role, counts["read"], counts["edit"])
