"""The command `territory organisation remove`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from territory_admin.errors import Refused
from territory_admin.models.removal import Removed, check_known, remove
from territory_control.commands.arguments import WAIT_SECONDS, AsJson, TimeoutSeconds
from territory_control.failures import EXIT_REFUSED
from territory_control.output import Output
from territory_runtime.settings import read_settings

app = typer.Typer(
    name="organisation",
    help="Remove an organisation with everything of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def organisation() -> None:
    """Remove an organisation with everything of it."""


@app.command(name="remove")
def remove_organisation(
    org: Annotated[str, typer.Argument(metavar="ORG", help="The organisation's id.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
    timeout: TimeoutSeconds = WAIT_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Remove an organisation with everything of it: records, assignments, Redis keys, attainments and model.

    It can't be undone. Other organisations notice nothing. If it is interrupted or times out, run it again.
    Afterwards changes of its records are ignored, until a model of it is applied again.

    Example: territory organisation remove acme
    """
    output, settings = Output(as_json=as_json), read_settings()
    asyncio.run(check_known(settings, org))
    if not yes:
        if not output.can_ask:
            raise Refused(
                f"removing {org!r} deletes everything of it, and there is no terminal to confirm it on: "
                "nothing was changed; with --yes it does not ask"
            )
        question = f"This deletes everything of {org!r} and can't be undone. To confirm, type the organisation's id:"
        if not output.asks_to_type(question, org):
            raise Refused("not removed: what was typed is not the organisation's id; nothing was changed")
    with output.bar("removing") as bar:
        done = asyncio.run(remove(settings, org, timeout, lambda stage, done, total: bar.at(done, total, stage)))
    output.result(done, outcome_of(done))
    if not done.done:
        raise typer.Exit(EXIT_REFUSED)


def outcome_of(done: Removed) -> Text:
    """Return what a person reads about a removal."""
    if done.done:
        return Text(f"{done.org_id} is removed; nothing of it is left but the note of its removal on the model topic")
    if done.absent:
        return Text(
            f"{done.org_id} is not removed yet: no service runs {', '.join(done.absent)}; "
            "start the services, and run this again"
        )
    left = "; ".join(map(str, done.behind[:5]))
    return Text(f"{done.org_id} is not removed yet: {left}. Nobody has to act; run this again to see it to its end")
