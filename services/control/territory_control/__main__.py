"""The command `territory`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import typer

from territory_control.commands.registry import LazyGroup
from territory_control.failures import exit_code_of, loaded_failures, sentence_of

app = typer.Typer(
    name="territory",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: importing Rich takes longer than all else of it
    pretty_exceptions_enable=False,
)


@app.callback()
def territory() -> None:
    """Decide, live, which territory every CRM record belongs to, who may see it, and how territories perform.

    Settings come from environment variables such as TERRITORY_KAFKA_BOOTSTRAP_SERVERS.
    Try: territory demo
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command, by default that of the process; an expected failure ends in one line on stderr.

    Raises: SystemExit with the exit code.
    """
    for library in ("aiokafka", "kafka", "asyncio"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # what they log is raised as well
    try:
        app(arguments)
    except loaded_failures() as failure:  # evaluated only now: it must not import the libraries
        sys.stderr.write(f"territory: {sentence_of(failure)}\n")
        sys.exit(exit_code_of(failure))


if __name__ == "__main__":
    main()
