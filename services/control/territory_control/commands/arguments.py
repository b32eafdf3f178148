"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from territory_admin.arguments import RecordName, record_name


def parse_record(text: str) -> RecordName:
    """Return the record that an argument names. Raises: typer.BadParameter."""
    try:
        return record_name(text)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from fault


AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
RecordArgument = Annotated[
    RecordName, typer.Argument(metavar="OBJECT/ID", parser=parse_record, help="Such as account/A-1.")
]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The user's id in the model.")]
TimeoutSeconds = Annotated[float, typer.Option("--timeout", min=0, help="Give up after this many seconds.")]

WAIT_SECONDS = 300.0
