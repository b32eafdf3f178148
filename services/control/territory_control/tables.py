"""A result that is a table: text for people, JSON, CSV, or a spreadsheet in a file."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from territory_control.output import Output
from territory_control.output_files import write_bytes
from territory_control.spreadsheet import workbook

if TYPE_CHECKING:
    from rich.console import RenderableType

TableFormat = Annotated[
    Literal["table", "csv", "xlsx", "json"],
    typer.Option(
        "--format",
        help="csv: rows on stdout, the rest on stderr; xlsx: a spreadsheet for --output; json: the same as --json.",
    ),
]
TableFile = Annotated[
    Path | None, typer.Option("--output", dir_okay=False, help="Write the CSV or the spreadsheet to this file.")
]


@dataclass(frozen=True, slots=True)
class TableOutput:
    """Where and how the rows of a command are written."""

    output: Output
    format: str
    file: Path | None

    @property
    def is_text(self) -> bool:
        """True if people read the result in a terminal."""
        return self.format == "table"

    def write(
        self,
        data: object,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Mapping[str, object]],
        figures: Collection[str],
        *text: RenderableType,
    ) -> None:
        """Write a result in the format that was asked for.

        Args:
            data: The result for JSON.
            title: The name of the spreadsheet's sheet.
            columns: Of CSV and of the spreadsheet.
            rows: Of CSV and of the spreadsheet.
            figures: The columns with counts and amounts.
            text: The result for people.

        Raises: Refused for what the file or a sheet can't hold.
        """
        if self.format == "xlsx" and self.file is not None:
            write_bytes(self.file, workbook(title, columns, rows, figures))
        elif self.format == "csv" and self.file is not None:
            content = io.StringIO(newline="")
            Output.write_csv(content, columns, rows)
            write_bytes(self.file, content.getvalue().encode())
        elif self.format == "csv":
            self.output.csv(columns, rows)
        else:
            self.output.result(data, *text)


def table_output(format_: str, file: Path | None, *, as_json: bool) -> TableOutput:
    """Return the output that the options ask for. Raises: typer.BadParameter when they contradict each other."""
    if as_json and format_ in ("csv", "xlsx"):
        raise typer.BadParameter(f"expected either --json or --format {format_}")
    if format_ == "xlsx" and file is None:
        raise typer.BadParameter("expected --output FILE with --format xlsx")
    if file is not None and format_ not in ("csv", "xlsx"):
        raise typer.BadParameter("expected --output only with --format csv or xlsx")
    if as_json:
        format_ = "json"
    return TableOutput(Output(as_json=format_ == "json"), format_, file)
