"""What a command says: results on stdout, as data or for people; progress and notes on stderr."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from territory.wire.codec import encode

PIPE_COLUMNS = 140


class Bar:
    """A progress bar: how much there is to do, and how much of it is done."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def at(self, done: float, total: float | None = None, title: str | None = None) -> None:
        """Say how far the work is; a total or title that is left out stays."""
        self._progress.update(self._task, completed=done, total=total, description=title)


class Output:
    """Where one command writes to."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout = _console(sys.stdout)
        self._stderr = _console(sys.stderr)

    @property
    def columns(self) -> int:
        """How wide a line of a result may be."""
        return self._stdout.width

    @property
    def console(self) -> Console:
        """Where a result is shown that changes while it is looked at."""
        return self._stdout

    @property
    def is_live(self) -> bool:
        """Whether somebody looks on, who can be shown what changes."""
        return self._stdout.is_terminal and not self.as_json

    def result(self, data: object, *shown: RenderableType) -> None:
        """Write a result: the data as one line of JSON, or else what is shown of it to people."""
        if self.as_json:
            sys.stdout.write(encode(data).decode() + "\n")
            sys.stdout.flush()
            return
        for part in shown:
            # A sentence is folded by the terminal, if at all: it can be found and copied whole.
            self._stdout.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, Text))

    def csv(self, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
        """Write rows as CSV (RFC 4180, but for line ends that fit the terminal), with a heading; nothing for None."""
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        sys.stdout.flush()

    def note(self, *shown: RenderableType) -> None:
        """Say on stderr what is being done, or what to look at."""
        for part in shown:
            self._stderr.print(part, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self, title: str, total: float | None = None) -> Iterator[Bar]:
        """Show a progress bar on stderr while the block runs; nothing where stderr is no terminal."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        off = not self._stderr.is_terminal
        with Progress(*columns, console=self._stderr, transient=True, disable=off) as progress:
            yield Bar(progress, progress.add_task(title, total=total))


def _console(stream: TextIO) -> Console:
    """Return a console that does not fold the lines of a file or a pipe at 80 columns."""
    told = stream.isatty() or "COLUMNS" in os.environ
    return Console(file=stream, width=None if told else PIPE_COLUMNS)
