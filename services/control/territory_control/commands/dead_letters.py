"""The commands `territory dead-letters list | show | redrive`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.dead_letters.letters import Letter, LetterFilter, LetterId, letter_id, since_of
from territory_admin.dead_letters.list import Letters, list_letters
from territory_admin.dead_letters.redrive import Redriven, redrive
from territory_admin.dead_letters.show import ShownLetter, show_letter
from territory_control.options import AsJson
from territory_control.output import Output
from territory_control.views.results import clipped, counted
from territory_runtime.settings import read_settings

EXIT_REFUSED = 1
LISTED = 50
TEXT_CHARACTERS_MAX = 2_000

app = typer.Typer(help="Look at refused messages, and send them again.", no_args_is_help=True)


def _place(text: str) -> LetterId:
    try:
        return letter_id(text)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from fault


def _since(text: str) -> datetime:
    try:
        return since_of(text, datetime.now(UTC))
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from fault


Code = Annotated[str | None, typer.Option(help="Only those of this reason, such as no_record.")]
OfTopic = Annotated[str | None, typer.Option("--topic", help="Only those that came from this topic.")]
Stage = Annotated[str | None, typer.Option(help="Only those that this stage refused, such as assigner-intake.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=_since, metavar="WHEN", help="Only those refused since: 90s, 30m, 12h, 7d, or an instant."),
]
Key = Annotated[str | None, typer.Option(help="Only those whose key begins so: acme/ or acme/account/A-1.")]


@app.command("list")
def list_(
    *,
    code: Code = None,
    topic: OfTopic = None,
    stage: Stage = None,
    since: Since = None,
    key: Key = None,
    unsent: Annotated[bool, typer.Option("--unsent", help="Only those that were not sent again.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="List the newest so many; all are counted.")] = LISTED,
    as_json: AsJson = False,
) -> None:
    """List refused messages of all organisations, and count them by their reason."""
    output, settings = Output(as_json=as_json), read_settings()
    wanted = LetterFilter(code=code, topic=topic, stage=stage, since=since, key=key)
    with output.bar("reading dead letters") as bar:
        found = asyncio.run(list_letters(settings, wanted, limit, bar.at, unsent=unsent))
    output.result(found, *listed(found))


@app.command()
def show(
    letter: Annotated[LetterId, typer.Argument(metavar="PARTITION/OFFSET", parser=_place, help="As `list` has it.")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Write the message's bytes, and nothing else.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one refused message: why, where it came from, its headers and what it says."""
    output = Output(as_json=as_json)
    found, value = asyncio.run(show_letter(read_settings(), letter))
    if raw:
        sys.stdout.buffer.write(value or b"")
        sys.stdout.buffer.flush()
        return
    output.result(found, *shown(found, value))


@app.command("redrive")
def redrive_(
    letters: Annotated[
        list[LetterId] | None, typer.Argument(metavar="PARTITION/OFFSET", parser=_place, help="As `list` has them.")
    ] = None,
    *,
    code: Code = None,
    topic: OfTopic = None,
    stage: Stage = None,
    since: Since = None,
    key: Key = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were not sent again yet.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also those that were sent again already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send refused messages again, as they came; what is still refused becomes a new letter."""
    filters = (code, topic, stage, since, key)
    ways = (bool(letters), any(one is not None for one in filters), everything)
    if sum(ways) != 1:
        raise typer.BadParameter("expected either letters such as 3/17, or filters such as --code, or --all")
    output, settings = Output(as_json=as_json), read_settings()
    wanted = LetterFilter(frozenset(letters or ()), code=code, topic=topic, stage=stage, since=since, key=key)
    with output.bar("sending again") as bar:
        done = asyncio.run(redrive(settings, wanted, bar.at, again=again))
    output.result(done, *redriven(done))
    if letters and done.skipped:
        raise typer.Exit(EXIT_REFUSED)


# --- what people read ------------------------------------------------------------------------


def listed(found: Letters) -> Iterable[RenderableType]:
    """Return how many letters there are by code, and those that were asked for."""
    if not found.total:
        yield Text("no dead letters")
        return
    counts = Table(box=None, padding=(0, 2), title=counted(found.total, "dead letter"), title_justify="left")
    for heading in ("code", "letters", "sent again"):
        counts.add_column(heading)
    for count in found.codes:
        counts.add_row(count.code, f"{count.letters:,}", f"{count.sent_again:,}")
    yield counts
    if not found.letters:
        return
    newest = f"the newest {len(found.letters):,}" if len(found.letters) < found.total else None
    table = Table(box=None, padding=(0, 2), title=newest, title_justify="left")
    for heading in ("letter", "refused at", "code", "stage", "key", "why", "sent again"):
        table.add_column(heading)
    for letter in found.letters:
        table.add_row(
            Text(letter.letter),
            letter.at,
            letter.code,
            letter.stage,
            Text(letter.key),
            Text(clipped(letter.reason)),
            letter.sent_again[-1] if letter.sent_again else "",
        )
    yield table


def shown(found: ShownLetter, value: bytes | None) -> Iterable[RenderableType]:
    """Return all about one letter; of a long message the beginning."""
    letter = found.letter
    yield Text.assemble((f"{letter.code}: ", "bold"), letter.reason)
    yield Text(f"refused by {letter.stage} at {letter.at}")
    yield Text(f"from {letter.topic}, partition {letter.partition}, offset {letter.offset}, key {letter.key!r}")
    yield Text(_times(letter))
    if found.blocked is not None:
        yield Text(f"can't be sent again: {found.blocked}", style="yellow")
    for name, text in found.headers:
        yield Text(f"  {name}: {text}")
    if value is None:
        yield Text("no value")
        return
    kept = f"{letter.bytes:,} bytes" if letter.cut_from is None else f"{letter.bytes:,} of {letter.cut_from:,} bytes"
    yield Text(kept if found.not_json is None else f"{kept}, not JSON")
    text = value.decode(errors="backslashreplace")
    more = len(text) - TEXT_CHARACTERS_MAX
    yield Text(text[:TEXT_CHARACTERS_MAX] + (f" … {more:,} more (--raw has all)" if more > 0 else ""))


def _times(letter: Letter) -> str:
    before = f"had been sent again {counted(letter.sent_before, 'time')} before; " if letter.sent_before else ""
    since = f"sent again at {', '.join(letter.sent_again)}" if letter.sent_again else "not sent again since"
    return before + since


def redriven(done: Redriven) -> Iterable[RenderableType]:
    """Return what was sent, and why the rest was not."""
    yield Text(f"{counted(len(done.sent), 'message')} sent again, {len(done.skipped):,} not")
    for skipped in done.skipped[:LISTED]:
        yield Text(f"  {skipped.letter}: {skipped.why}")
    if len(done.skipped) > LISTED:
        yield Text(f"  … {len(done.skipped) - LISTED:,} more")
    if done.sent:
        yield Text("what is refused again becomes a new letter (territory wait, then territory dead-letters list)")
