"""The command `territory models show`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from territory_admin.models.show import show_model, yaml_of
from territory_control.commands.arguments import AsJson
from territory_control.output import Output
from territory_control.output_files import write_text
from territory_runtime.settings import read_settings

app = typer.Typer(
    name="models",
    help="Look at the model that is in effect.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def show(
    file: Annotated[
        Path | None,
        typer.Option("--output", dir_okay=False, help="Write it to this file, replacing what the file has."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the active model as YAML, such that validate accepts it and applying it changes nothing.

    Comments of the file that was applied are not kept. To change the model safely, write it to a file,
    change the file, and apply it with the revision that its first line names.

    Example: territory models show --output model.yaml
    """
    output = Output(as_json=as_json)
    found = asyncio.run(show_model(read_settings()))
    text = yaml_of(found)
    if file is None:
        output.document(found, text)
        return
    write_text(file, text)
    written = {"org_id": found.org_id, "revision": found.revision, "file": str(file)}
    output.result(written, Text(f"revision {found.revision} of {found.org_id} is written to {file}"))
