"""The commands `territory dead-letters list | show | redrive`."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from territory_admin.dead_letters.letters import LetterFilter, LetterId, letter_id, since_of
from territory_admin.dead_letters.list import list_letters
from territory_admin.dead_letters.redrive import redrive as send_again
from territory_admin.dead_letters.show import show_letter
from territory_control.commands.arguments import AsJson
from territory_control.failures import EXIT_REFUSED
from territory_control.output import Output
from territory_control.views import dead_letters as letters_view
from territory_runtime.settings import read_settings

LISTED = 50

app = typer.Typer(
    name="dead-letters",
    help="Look at refused messages, and send them again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _letter_id(text: str) -> LetterId:
    try:
        return letter_id(text)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from fault


def _since(text: str) -> datetime:
    try:
        return since_of(text, datetime.now(UTC))
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from fault


Code = Annotated[str | None, typer.Option(help="Only letters with this code, such as no_record.")]
OfTopic = Annotated[str | None, typer.Option("--topic", help="Only letters whose message came from this topic.")]
OfStage = Annotated[str | None, typer.Option(help="Only letters of this stage, such as assigner-intake.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=_since,
        metavar="WHEN",
        help="Only messages refused since then: 90s, 30m, 12h, 7d, or a time such as 2026-11-30T08:00:00Z.",
    ),
]
Key = Annotated[str | None, typer.Option(help="Only keys with this prefix, such as acme/ or acme/account/A-1.")]


@app.command("list")
def list_(
    *,
    code: Code = None,
    topic: OfTopic = None,
    stage: OfStage = None,
    since: Since = None,
    key: Key = None,
    unsent: Annotated[bool, typer.Option("--unsent", help="Only letters that were not sent again yet.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="List this many of the newest; the counts are of all.")] = LISTED,
    as_json: AsJson = False,
) -> None:
    """List the refused messages of all organisations, and count them by code.

    Example: territory dead-letters list --since 2h --unsent
    """
    output, settings = Output(as_json=as_json), read_settings()
    wanted = LetterFilter(code=code, topic=topic, stage=stage, since=since, key=key)
    with output.bar("reading dead letters") as bar:
        found = asyncio.run(list_letters(settings, wanted, limit, bar.at, unsent=unsent))
    output.result(found, *letters_view.letter_list(found, output.columns))


@app.command()
def show(
    letter: Annotated[
        LetterId,
        typer.Argument(metavar="PARTITION/OFFSET", parser=_letter_id, help="Its name in the list, such as 3/17."),
    ],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Write the message's bytes and nothing else.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one refused message: the reason, its origin, its headers and its value.

    Example: territory dead-letters show 3/17
    """
    output = Output(as_json=as_json)
    found, value = asyncio.run(show_letter(read_settings(), letter))
    if raw:
        sys.stdout.buffer.write(value or b"")
        sys.stdout.buffer.flush()
        return
    output.result(found, *letters_view.letter(found, value))


@app.command()
def redrive(
    letters: Annotated[
        list[LetterId] | None,
        typer.Argument(metavar="PARTITION/OFFSET", parser=_letter_id, help="Their names in the list, such as 3/17."),
    ] = None,
    *,
    code: Code = None,
    topic: OfTopic = None,
    stage: OfStage = None,
    since: Since = None,
    key: Key = None,
    everything: Annotated[bool, typer.Option("--all", help="All letters that were not sent again yet.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also letters that were sent again already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send refused messages again, unchanged; a message that is refused again becomes a new letter.

    Example: territory dead-letters redrive --code no_record
    """
    filters = (code, topic, stage, since, key)
    selections = (bool(letters), any(one is not None for one in filters), everything)
    if sum(selections) != 1:
        raise typer.BadParameter("expected either letters such as 3/17, or filters such as --code, or --all")
    output, settings = Output(as_json=as_json), read_settings()
    wanted = LetterFilter(frozenset(letters or ()), code=code, topic=topic, stage=stage, since=since, key=key)
    with output.bar("sending again") as bar:
        done = asyncio.run(send_again(settings, wanted, bar.at, again=again))
    output.result(done, *letters_view.redriven(done))
    if letters and done.skipped:
        raise typer.Exit(EXIT_REFUSED)
