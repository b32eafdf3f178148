"""Where a command writes: results to stdout, as data or as text; progress and notes to stderr.

Rich is imported when text is written for the first time: a command with `--json` does without.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from territory.wire.codec import encode
from territory_control.spreadsheet import without_formula

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

PIPE_COLUMNS = 140


class ProgressBar:
    """A progress bar on stderr; without a terminal it draws nothing."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None) -> None:
        self._progress = progress
        self._task = task

    def at(self, done: float, total: float | None = None, title: str | None = None) -> None:
        """Show how much is done; a total or title that is left out stays."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, description=title)


class Output:
    """The result, notes and progress of one command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @property
    def columns(self) -> int:
        """The width of a line of a result."""
        return self.console.width

    @cached_property
    def console(self) -> Console:
        """The console on stdout, for results that are redrawn while somebody watches."""
        return _console(sys.stdout)

    @cached_property
    def _stderr(self) -> Console:
        return _console(sys.stderr)

    @property
    def is_live(self) -> bool:
        """True if somebody watches the terminal and wants text."""
        return not self.as_json and self.console.is_terminal

    @property
    def can_ask(self) -> bool:
        """True if a person can read a question and answer it."""
        return not self.as_json and sys.stdin.isatty() and sys.stderr.isatty()

    def confirms(self, question: str) -> bool:
        """Ask a question on the terminal; only y and yes are a yes."""
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def asks_to_type(self, question: str, expected: str) -> bool:
        """Ask a question on the terminal; only the expected text, typed as it is, is a yes."""
        sys.stderr.write(f"{question} ")
        sys.stderr.flush()
        return sys.stdin.readline().strip() == expected

    def result(self, data: object, *text: RenderableType) -> None:
        """Write a result: the data as one line of JSON with `--json`, the text otherwise."""
        if self.as_json:
            sys.stdout.write(encode(data).decode() + "\n")
            sys.stdout.flush()
            return
        from rich.text import Text  # noqa: PLC0415 -- see the module's first lines

        for part in text:
            # A terminal folds a sentence by itself, so that people can search and copy it whole.
            self.console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, Text))

    def document(self, data: object, text: str) -> None:
        """Write a result whose text is a file's content: the same characters, whatever the terminal."""
        if self.as_json:
            self.result(data)
            return
        sys.stdout.write(text)
        sys.stdout.flush()

    def csv(self, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
        """Write rows to stdout as `write_csv` does."""
        self.write_csv(sys.stdout, columns, rows)
        sys.stdout.flush()

    @staticmethod
    def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
        """Write rows as CSV with a heading (RFC 4180, with the terminal's line ends); None is an empty cell.

        A text that a spreadsheet would run as a formula gets an apostrophe before it.
        """
        line = io.StringIO(newline="")
        writer = csv.writer(line)  # with these line ends it quotes a text that has either of their characters
        for cells in itertools.chain([columns], ([without_formula(row[name]) for name in columns] for row in rows)):
            writer.writerow(cells)
            file.write(line.getvalue().removesuffix("\r\n") + "\n")
            line.seek(0)
            line.truncate()

    def note(self, *text: RenderableType) -> None:
        """Write a note to stderr: what is being done, or what needs attention."""
        for part in text:
            self._stderr.print(part, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self, title: str, total: float | None = None) -> Iterator[ProgressBar]:
        """Show a progress bar on stderr while the block runs; nothing where stderr is no terminal."""
        if not sys.stderr.isatty():
            yield ProgressBar()
            return
        from rich.progress import (  # noqa: PLC0415 -- see the module's first lines
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._stderr, transient=True) as progress:
            yield ProgressBar(progress, progress.add_task(title, total=total))


def _console(stream: TextIO) -> Console:
    """Return a console that does not fold the lines of a file or a pipe at 80 columns."""
    from rich.console import Console  # noqa: PLC0415 -- see the module's first lines

    is_width_known = stream.isatty() or "COLUMNS" in os.environ
    return Console(file=stream, width=None if is_width_known else PIPE_COLUMNS)
