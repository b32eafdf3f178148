"""Words about dead letters, and what people read of them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from territory.wire.topics import RECORDS
from territory_admin.dead_letters.letters import Letter, LetterCount, Letters, Place, place_of, shown_letter, since_of
from territory_admin.dead_letters.redrive import Redriven, Skipped
from territory_control.views.dead_letters import TEXT_CHARACTERS_MAX, letter_list, redriven
from territory_control.views.dead_letters import letter as letter_text
from tests.unit.territory_runtime.loop.test_restore import consumed

NOW = datetime(2017, 3, 1, 12, tzinfo=UTC)
LETTER = Letter(
    letter="3/17", at="2017-03-01T10:00:00.000Z", topic=RECORDS.name, partition=3, offset=40, stage="assigner-intake",
    code="no_record", reason="patch of acme/account/A", key="acme/account/A", bytes=8, cut_from=None, sent_before=0,
    first_offset=40,
)  # fmt: skip


def text_of(parts: Iterable[RenderableType]) -> str:
    console = Console(file=io.StringIO(), width=200)
    for part in parts:
        console.print(part)
    written: Any = console.file
    return str(written.getvalue())


def test_a_place() -> None:
    """A letter is named by its place, as `list` prints it."""
    assert place_of("3/17") == Place(3, 17)
    assert str(place_of("3/17")) == "3/17"
    for word in ("3", "3/", "/17", "a/17", "3/17/1", "-3/17", "3/1e3"):
        with pytest.raises(ValueError, match="expected PARTITION/OFFSET"):
            place_of(word)


@pytest.mark.parametrize(
    ("word", "instant"),
    [
        ("90s", datetime(2017, 3, 1, 11, 58, 30, tzinfo=UTC)),
        ("30m", datetime(2017, 3, 1, 11, 30, tzinfo=UTC)),
        ("12h", datetime(2017, 3, 1, tzinfo=UTC)),
        ("7d", datetime(2017, 2, 22, 12, tzinfo=UTC)),
        ("2017-02-03", datetime(2017, 2, 3, tzinfo=UTC)),
        ("2017-02-03T01:00:00+01:00", datetime(2017, 2, 3, tzinfo=UTC)),
    ],
)
def test_since(word: str, instant: datetime) -> None:
    """An age, a day or an instant."""
    assert since_of(word, NOW) == instant


@pytest.mark.parametrize("word", ["", "yesterday", "7w", "-7d", "999999d", "2017-13-01"])
def test_since_when_nobody_knows(word: str) -> None:
    """What is none of these is refused, also what is before all time."""
    with pytest.raises(ValueError, match="expected an age"):
        since_of(word, NOW)


def test_a_list_is_read() -> None:
    """The counts by code, then the newest; nothing is nothing."""
    found = Letters(2, (LetterCount("no_record", 2, 1),), (replace(LETTER, sent_again=("2017-03-01T11:00:00.000Z",)),))
    text = text_of(letter_list(found))
    assert "2 dead letters" in text
    assert "the newest 1" in text
    assert "3/17" in text
    assert "2017-03-01T11:00:00.000Z" in text
    assert text_of(letter_list(replace(found, letters=()))).count("\n") == 3
    assert text_of(letter_list(Letters(0, (), ()))) == "no dead letters\n"


def test_a_letter_is_read() -> None:
    """Why, where from, whether it can be sent again, and what it says; of a long one the beginning."""
    text = text_of(letter_text(shown_letter(LETTER, consumed(b'{"a": 1}', headers=(("ce_id", b"9f"),))), b'{"a": 1}'))
    assert "no_record: patch of acme/account/A" in text
    assert "ce_id: 9f" in text
    assert "not sent again since" in text
    assert text.endswith('8 bytes\n{"a": 1}\n')
    cut = replace(LETTER, cut_from=5_000_000, sent_before=2)
    raw = b"\xff" + b"x" * TEXT_CHARACTERS_MAX
    text = text_of(letter_text(shown_letter(cut, consumed(raw)), raw))
    assert "can't be sent again: only 8 of its 5000000 bytes were kept" in text
    assert "sent again 2 times before it was refused here" in text
    assert "8 of 5,000,000 bytes, not JSON\n\\xffxxx" in text
    assert "4 more; --raw writes all" in text  # \\xff is four characters
    assert text_of(letter_text(shown_letter(LETTER, consumed(None)), None)).endswith("no value\n")


def test_what_was_sent_is_read() -> None:
    """How many, and why not the others; of very many the first."""
    assert text_of(redriven(Redriven((), ()))) == "0 messages sent again, 0 not\n"
    text = text_of(redriven(Redriven(("3/17",), tuple(Skipped(f"3/{number}", "why") for number in range(60)))))
    assert text.startswith("1 message sent again, 60 not\n  3/0: why\n")
    assert "… 10 more" in text
    assert "becomes a new letter" in text
