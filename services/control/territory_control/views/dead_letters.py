"""Dead letters: a list with counts, one in full, and what a redrive did."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.dead_letters.letters import Letter
from territory_admin.dead_letters.list import Letters
from territory_admin.dead_letters.redrive import Redriven
from territory_admin.dead_letters.show import ShownLetter
from territory_control.views.text import clipped, counted, identifying

SKIPPED_LISTED_MAX = 50
TEXT_CHARACTERS_MAX = 2_000
TABLE_COLUMNS_MIN = 160
"""With fewer, seven columns would fold into unreadable pieces."""


def letter_list(found: Letters, columns: int) -> Iterator[RenderableType]:
    """Yield how many letters there are of each code, and those that were asked for: as a table where it has room."""
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
    title = f"the newest {len(found.letters):,}" if len(found.letters) < found.total else None
    if columns < TABLE_COLUMNS_MIN:
        yield Text(f"\n{title}" if title else "")
        for letter in found.letters:
            yield Text(f"  {letter.letter}  {letter.code}  {letter.stage}  {letter.at}")
            yield Text(f"    key {letter.key}")
            yield Text(f"    {clipped(letter.reason)}")
            if letter.sent_again:
                yield Text(f"    sent again {letter.sent_again[-1]}")
        return
    table = Table(box=None, padding=(0, 2), title=title, title_justify="left")
    identifying(table, "letter", (letter.letter for letter in found.letters))
    for heading in ("refused at", "code", "stage", "key", "why", "sent again"):
        table.add_column(heading, overflow="fold")
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


def letter(found: ShownLetter, value: bytes | None) -> Iterator[RenderableType]:
    """Yield everything about one letter, and the beginning of a long message."""
    shown = found.letter
    yield Text.assemble((f"{shown.code}: ", "bold"), shown.reason)
    yield Text(f"refused by {shown.stage} at {shown.at}")
    yield Text(f"from {shown.topic}, partition {shown.partition}, offset {shown.offset}, key {shown.key!r}")
    yield Text(_redrives(shown))
    if found.blocked is not None:
        yield Text(f"can't be sent again: {found.blocked}", style="yellow")
    for name, text in found.headers:
        yield Text(f"  {name}: {text}")
    if value is None:
        yield Text("no value")
        return
    size = f"{shown.bytes:,} bytes" if shown.cut_from is None else f"{shown.bytes:,} of {shown.cut_from:,} bytes"
    yield Text(size if found.not_json is None else f"{size}, not JSON")
    text = value.decode(errors="backslashreplace")
    more = len(text) - TEXT_CHARACTERS_MAX
    yield Text(text[:TEXT_CHARACTERS_MAX] + (f" … {more:,} more; --raw writes all" if more > 0 else ""))


def _redrives(letter: Letter) -> str:
    before = (
        f"sent again {counted(letter.sent_before, 'time')} before it was refused here; " if letter.sent_before else ""
    )
    since = f"sent again at {', '.join(letter.sent_again)}" if letter.sent_again else "not sent again since"
    return before + since


def redriven(done: Redriven) -> Iterator[RenderableType]:
    """Yield how many messages were sent again, and why the others were not."""
    yield Text(f"{counted(len(done.sent), 'message')} sent again, {len(done.skipped):,} not")
    for skipped in done.skipped[:SKIPPED_LISTED_MAX]:
        yield Text(f"  {skipped.letter}: {skipped.why}")
    if len(done.skipped) > SKIPPED_LISTED_MAX:
        yield Text(f"  … {len(done.skipped) - SKIPPED_LISTED_MAX:,} more")
    if done.sent:
        yield Text(
            "a message that is refused again becomes a new letter: territory wait, then territory dead-letters list"
        )
