"""Results as people read them; `--json` prints the same results as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory.errors import Fault
from territory.model.compiled import Model
from territory.wire.events import Link
from territory_admin.consistency.comparing import Verified
from territory_admin.consistency.rebuild import Rebuilt
from territory_admin.models.apply import Applied
from territory_admin.models.changes import removed_territories
from territory_admin.models.refusal import Refusal
from territory_admin.queries.explain_access import ExplainedAccess
from territory_admin.queries.explain_assignment import ExplainedAssignment
from territory_admin.queries.explainer import NearTerritory, Reason
from territory_admin.queries.redis_reader import LeftOutDeal
from territory_admin.queries.show import ShownRecord
from territory_admin.queries.viewers import RecordViewers
from territory_admin.queries.visible import VisibleRecords
from territory_admin.records.publish import Published
from territory_admin.records.wait import Waited
from territory_control.local.stack import Addresses

NAMED_MAX = 10
LINE_CHARACTERS_MAX = 300

_SAYS = {
    "linked": "is in",
    "cut": "would be in, but is cut from",
    "runner_up": "could be in",
    "excluded": "is excluded from",
    "dropped": "was assigned to",
}


def named(ids: Sequence[str], most: int = NAMED_MAX) -> str:
    """Return the first few of some ids, and how many more there are."""
    more = len(ids) - most
    return ", ".join(ids[:most]) + (f", … {more} more" if more > 0 else "")


def counted(count: int, kind: str, many: str | None = None) -> str:
    """Return how many there are of a kind; `many` where its plural is not by an s."""
    return f"{count:,} {kind if count == 1 else many or f'{kind}s'}"


def faults(found: Iterable[Fault]) -> list[RenderableType]:
    """Return a line for every fault of a model."""
    return [Text(f"{fault.path}: {fault.message}") for fault in found]


def model_size(model: Model) -> str:
    """Return what a model has, in a sentence."""
    rules = sum(len(node.rules) for node in model.territories.values())
    return (
        f"{len(model.territories)} territories with {rules} rules, {len(model.people)} users, "
        f"{len(model.roles)} roles, {len(model.targets)} targets"
    )


def applied(done: Applied) -> list[RenderableType]:
    """Return what was applied, and what goes with the territories that are gone."""
    if not done.activated:
        return [Text(f"nothing changed: revision {done.revision} of {done.org_id} stays in effect")]
    lines = [f"revision {done.revision} of {done.org_id} is activated"]
    for word, keys in (("added", done.changes.added), ("changed", done.changes.changed)):
        kinds = Counter(kind for kind, _ in keys)
        if kinds:
            lines.append(f"  {word}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    if done.changes.removed:
        lines.append("  removed: " + named(["/".join(key) for key in done.changes.removed]))
    gone = removed_territories(done.changes)
    if gone:
        lines.append(
            f"  gone: {named(gone)}; links by rule vanish, and a link by hand is dropped: "
            "the record's assignment names it, and it is back when the territory is"
        )
    return [Text(line) for line in lines]


def published(done: Published) -> list[RenderableType]:
    """Return how many lines were sent, and which were not."""
    lines = [f"{done.published} published, {done.refused} refused, in {done.seconds:.1f} s"]
    lines += [f"  line {refusal.line}: {refusal.code}: {refusal.reason}" for refusal in done.refusals]
    if done.refused > len(done.refusals):
        lines.append(f"  … {done.refused - len(done.refusals)} more")
    return [Text(line) for line in lines]


def waited(done: Waited, refused: Refusal | None) -> list[RenderableType]:
    """Return whether everything has come through, else what has not; and that it is not under the newest model."""
    if done.done:
        lines = [f"everything is in Redis, after {done.seconds:.1f} s"]
    else:
        lines = [f"not everything has come through after {done.seconds:.0f} s"]
        lines += [f"  {item}" for item in done.behind]
    if done.absent:
        lines.append(f"  no service is running for {', '.join(done.absent)}: start it")
    if refused is not None:
        lines.append(f"revision {refused.revision} was refused, the model before it stays in effect:")
        lines += [f"  {fault}" for fault in refused.faults[:NAMED_MAX]]
    return [Text(line) for line in lines]


def verified(done: Verified) -> list[RenderableType]:
    """Return what differs, by kind, with the first of it; or that nothing does."""
    total = sum(done.drift.values())
    lines = []
    if done.not_compared is not None:
        lines.append(f"not comparable now: {done.not_compared}")
    looked = f"{counted(done.looked_at, 'entry', 'entries')} looked at in {done.seconds:.1f} s"
    if total:
        lines.append(f"{counted(total, 'entry differs', 'entries differ')} from what the log implies; {looked}")
        lines += [f"  {kind}: {count:,}" for kind, count in sorted(done.drift.items())]
        lines += [f"    {drift.kind}: {drift.where}: {drift.why}" for drift in done.named]
        if total > len(done.named):
            lines.append(f"    … {total - len(done.named):,} more")
        lines.append(f"mended: {done.mended:,}" if done.mended else "nothing was mended (--repair mends)")
    elif done.not_compared is None:
        lines.append(f"Redis holds what the log implies under revision {done.model_revision}: {looked}")
    if done.unsettled:
        lines.append(f"{counted(done.unsettled, 'entry', 'entries')} changed at every look: not compared")
    return [Text(line) for line in lines]


def rebuilt(done: Rebuilt) -> list[RenderableType]:
    """Return what an index has now, and for how long others had to wait."""
    return [
        Text(
            f"the index of {done.org_id} is new: {counted(done.records, 'record')} under revision "
            f"{done.model_revision}, {counted(done.keys, 'key')} exchanged, in {done.seconds:.1f} s"
        ),
        Text(f"nobody could write for {done.held_seconds:.2f} s, nor read for {done.switch_seconds:.2f} s of them"),
    ]


def addresses(where: Addresses) -> list[RenderableType]:
    """Return where everything listens, and what to set to reach it."""
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_row("Kafka", where.kafka)
    table.add_row("Redis", where.redis)
    for name, url in where.metrics.items():
        table.add_row(name, f"{url}/ready  {url}/metrics")
    table.add_row("logs", where.data_dir)
    exports = f"export TERRITORY_KAFKA_BOOTSTRAP_SERVERS={where.kafka} TERRITORY_REDIS_URL={where.redis}"
    return [table, Text(f"\nto use it from another terminal:\n  {exports}\n")]


def shown(record: ShownRecord) -> list[RenderableType]:
    """Return where a record stands."""
    lines = [
        Text.assemble((record.record, "bold"), f"  version {record.version}, owned by {record.owner_id or 'nobody'}"),
        *(_link(link) for link in record.links),
        *_beside(record),
        Text(f"seen by {counted(record.viewers, 'user')}"),
    ]
    if record.index_is_behind:
        lines.append(Text("the index has yet to take what was decided last (territory wait)", style="yellow"))
    return list(lines)


def explained_assignment(explained: ExplainedAssignment) -> list[RenderableType]:
    """Return why a record is in its territories, or all about the one that was asked for."""
    head = f"  version {explained.version}, under revision {explained.model_revision} of the model"
    lines: list[Text] = [Text.assemble((explained.record, "bold"), head)]
    if explained.asked is not None:
        lines.append(_reason(explained.asked))
    else:
        lines += [_reason(reason) for reason in explained.links]
        lines += _beside(explained)
        lines += [_near(near) for near in explained.near_misses]
    if explained.log_is_behind:
        lines.append(Text("what was said last differs: the change has yet to come through", style="yellow"))
    return list(lines)


def _link(link: Link) -> Text:
    return _reason(Reason(link.territory_id, "linked", link.why, link.causes))


def _reason(reason: Reason) -> Text:
    by = f" ({' and '.join(reason.causes)})" if reason.causes else ""
    text = Text.assemble(f"{_SAYS.get(reason.outcome, 'is not in')} ", (reason.territory_id, "cyan"), by)
    for line in reason.why:
        text.append(f"\n    {clipped(line)}")
    return text


def _near(near: NearTerritory) -> Text:
    text = Text.assemble("nearly in ", (near.territory_id, "cyan"), ": one condition fails")
    return text.append(f"\n    {clipped(f'{near.failing_territory}: {near.why}')}")


def clipped(line: str) -> str:
    """Return a line as people can read it: of a very long one, such as with a text of the record, both ends."""
    if len(line) <= LINE_CHARACTERS_MAX:
        return line
    half = LINE_CHARACTERS_MAX // 2
    return f"{line[:half]} … {line[-half:]}"


def _beside(record: ShownRecord | ExplainedAssignment) -> list[Text]:
    """Return what an assignment names beside its links."""
    lines: list[Text] = []
    if not record.links:
        lines.append(Text(f"is in no territory{f': {record.unassigned}' if record.unassigned else ''}"))
    for says, ids in (
        ("cut, because a record has only so many territories", record.cut),
        ("runners-up", record.runners_up),
        ("assigned by hand to territories that are not in the model", record.dropped),
    ):
        if ids:
            lines.append(Text(f"{says}: {named(ids)}"))
    return lines


def explained_access(explained: ExplainedAccess) -> list[RenderableType]:
    """Return every path by which a user sees a record, or that there is none."""
    who = Text.assemble((explained.user_id, "bold"), " and ", (explained.record, "bold"))
    lines = [who]
    lines += [Text(f"    {path}") for path in explained.paths]
    if not explained.sees:
        where = named(explained.territories) or "no territory"
        why = "is deactivated and sees nothing" if not explained.active else (
            f"there is no path: it is owned by {explained.owner_id or 'nobody'} and in {where}"
        )  # fmt: skip
        lines.append(Text(f"    {why}"))
    held = explained.index
    says = "an administrator" if held.admin else "may edit" if held.editable else "may read" if held.visible else "no"
    lines.append(Text(f"the index says: {says}"))
    if explained.index_is_behind:
        lines.append(Text("the index has yet to take the last change (territory wait)", style="yellow"))
    return list(lines)


def visible(found: VisibleRecords) -> list[RenderableType]:
    """Return what a user sees: how much of each object, and which."""
    if found.admin:
        return [Text(f"{found.user_id} is an administrator and sees and edits everything")]
    may = "may edit" if found.level == "edit" else "sees"
    lines: list[RenderableType] = []
    for kind, ids in found.records.items():
        lines.append(Text.assemble((found.user_id, "bold"), f" {may} ", (counted(len(ids), kind), "bold")))
        lines += [Text(f"    {kind}/{record_id}") for record_id in ids]
    return lines


def viewers(found: RecordViewers) -> list[RenderableType]:
    """Return who sees a record, as a table, with every path of each (V9)."""
    table = Table(
        box=None, padding=(0, 2), title=f"{found.record}: {counted(len(found.viewers), 'user')}", title_justify="left"
    )
    for heading in ("user", "name", "level", "by"):
        table.add_column(heading, overflow="fold")
    for viewer in found.viewers:
        by = Text("\n".join(map(str, viewer.paths)))
        table.add_row(Text(viewer.user_id), Text(viewer.name), viewer.level, by)
    return [table]


def left_out(deals: Sequence[LeftOutDeal]) -> list[RenderableType]:
    """Return how many deals are in no sum, by reason."""
    table = Table(box=None, padding=(0, 2), show_header=False)
    for (reason, detail), count in _reasons(deals).most_common():
        table.add_row(str(count), reason, detail)
    return [table]


def _reasons(deals: Sequence[LeftOutDeal]) -> Counter[tuple[str, str]]:
    """Return how often each reason occurs, with its detail where that is the same for many deals."""
    found = Counter((deal.reason, deal.detail) for deal in deals)
    alone = {place for place, count in found.items() if count == 1}
    return Counter((deal.reason, "" if (deal.reason, deal.detail) in alone else deal.detail) for deal in deals)
