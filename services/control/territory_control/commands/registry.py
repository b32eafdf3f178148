"""The table of commands, and the group that imports a command's module only when the command runs.

`territory --help` needs the table alone. Importing every command takes three seconds of processor time.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

MODELS = "Models"
RECORDS = "Records"
QUESTIONS = "Questions"
OPERATION = "Operation"
LOCAL = "On this machine"


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One line of `territory --help`, and the module of this package that has the command."""

    module: str
    section: str
    help: str
    """The first line of the command's own help; a test compares the two."""


COMMANDS: dict[str, CommandEntry] = {
    "demo": CommandEntry("local", LOCAL, "Run the example organisation with its 8 800 real deals through everything."),
    "up": CommandEntry("local", LOCAL, "Run all services on this machine until Ctrl-C."),
    "validate": CommandEntry(
        "model", MODELS, "Check a model file and list every fault with its line, column and path."
    ),
    "plan": CommandEntry("model", MODELS, "Show what a model would change; nothing is written and nobody is affected."),
    "apply": CommandEntry("model", MODELS, "Activate a model for its organisation, in all services at once."),
    "models": CommandEntry("models", MODELS, "Look at the model that is in effect."),
    "organisation": CommandEntry("organisation", MODELS, "Remove an organisation with everything of it."),
    "publish": CommandEntry("records", RECORDS, "Publish record changes to Kafka, one JSON object a line."),
    "wait": CommandEntry("records", RECORDS, "Wait until everything published so far is in Redis."),
    "link": CommandEntry("records", RECORDS, "Pin a record to a territory, or keep it out."),
    "show": CommandEntry(
        "show", QUESTIONS, "Show a record's owner, its territories and why, and how many users see it."
    ),
    "explain": CommandEntry("explain", QUESTIONS, "Explain why a record is in a territory, or why a user sees it."),
    "visible": CommandEntry("access", QUESTIONS, "List the records that a user sees."),
    "viewers": CommandEntry("access", QUESTIONS, "List the users who see a record."),
    "records": CommandEntry(
        "lists", QUESTIONS, "List records by territory, by owner, without a territory, or left out of the sums."
    ),
    "unreadable": CommandEntry(
        "unreadable", QUESTIONS, "List the values of records that can't be read as their fields' types."
    ),
    "attainment": CommandEntry(
        "attainment", QUESTIONS, "Show each territory against its target, everything below it included."
    ),
    "report": CommandEntry("reports", QUESTIONS, "Report on the deals: who is ahead, what was won, what is open."),
    "dead-letters": CommandEntry("dead_letters", OPERATION, "Look at refused messages, and send them again."),
    "verify": CommandEntry(
        "operate", OPERATION, "Compare Redis with what the Kafka topics imply; exit 1 when anything differs."
    ),
    "rebuild": CommandEntry(
        "operate", OPERATION, "Rebuild an organisation's index of who sees what, and switch to it in one step."
    ),
    "top": CommandEntry("operate", OPERATION, "Watch the workers live: state, throughput, freshness."),
}
"""In the order of the help."""


class LazyGroup(TyperGroup):
    """The commands of the table; the module of a command is imported when the command is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=entry.help) for name, entry in COMMANDS.items()}

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # Typer's own context class
        """Write the commands in the sections of the table."""
        longest = max(map(len, COMMANDS))
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            lines = [(name.ljust(longest), entry.help) for name, entry in COMMANDS.items() if entry.section == section]
            with formatter.section(section):
                formatter.write_dl(lines)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # as above
        """Return a command of the table, imported; None for any other name."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None


def load_command(name: str) -> Any:
    """Import a command's module and return the command. Raises: KeyError when there is none of that name."""
    gc.disable()  # imported objects stay: looking for garbage among them costs a tenth of the import
    try:
        app: typer.Typer = import_module(f"territory_control.commands.{COMMANDS[name].module}").app
    finally:
        gc.freeze()
        gc.enable()
    group = get_group(app)
    return group if app.info.name == name else group.commands[name]
