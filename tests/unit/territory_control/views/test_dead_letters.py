from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rich.console import Console, RenderableType

from territory_admin.dead_letters.list import LetterCount, Letters
from territory_admin.dead_letters.redrive import Redriven, Skipped
from territory_admin.dead_letters.show import shown_letter
from territory_control.views.dead_letters import TEXT_CHARACTERS_MAX, letter, letter_list, redriven
from tests.unit.territory_admin.dead_letters.examples import LETTER
from tests.unit.territory_runtime.loop.test_decoding import consumed


def text_of(parts: Iterable[RenderableType]) -> str:
    console = Console(file=io.StringIO(), width=200)
    for part in parts:
        console.print(part)
    written: Any = console.file
    return str(written.getvalue())


def test_a_list_is_shown() -> None:
    """The counts by code come first, then the newest letters; an empty list says so."""
    found = Letters(2, (LetterCount("no_record", 2, 1),), (replace(LETTER, sent_again=("2017-03-01T11:00:00.000Z",)),))
    text = text_of(letter_list(found, 200))
    assert "2 dead letters" in text
    assert "the newest 1" in text
    assert "3/17" in text
    assert "2017-03-01T11:00:00.000Z" in text
    assert text_of(letter_list(replace(found, letters=()), 200)).count("\n") == 3
    assert text_of(letter_list(Letters(0, (), ()), 200)) == "no dead letters\n"


def test_a_narrow_terminal_keeps_ids_and_keys_whole() -> None:
    """At 80 columns each letter has lines of its own, with its id, code and key in one piece."""
    found = Letters(1, (LetterCount("no_record", 1, 1),), (replace(LETTER, sent_again=("2017-03-01T11:00:00.000Z",)),))
    lines = text_of(letter_list(found, 80)).splitlines()
    assert any(line.startswith("  3/17  no_record  ") for line in lines)
    assert f"    key {LETTER.key}" in lines
    assert "    sent again 2017-03-01T11:00:00.000Z" in lines


def test_a_letter_is_shown() -> None:
    """Reason, origin, whether it can be sent again, and the message; of a long message the beginning."""
    text = text_of(letter(shown_letter(LETTER, consumed(b'{"a": 1}', headers=(("ce_id", b"9f"),))), b'{"a": 1}'))
    assert "no_record: patch of acme/account/A" in text
    assert "ce_id: 9f" in text
    assert "not sent again since" in text
    assert text.endswith('8 bytes\n{"a": 1}\n')
    cut = replace(LETTER, cut_from=5_000_000, sent_before=2)
    raw = b"\xff" + b"x" * TEXT_CHARACTERS_MAX
    text = text_of(letter(shown_letter(cut, consumed(raw)), raw))
    assert "can't be sent again: only 8 of its 5000000 bytes were kept" in text
    assert "sent again 2 times before it was refused here" in text
    assert "8 of 5,000,000 bytes, not JSON\n\\xffxxx" in text
    assert "4 more; --raw writes all" in text  # \\xff is four characters
    assert text_of(letter(shown_letter(LETTER, consumed(None)), None)).endswith("no value\n")


def test_a_redrive_is_shown() -> None:
    """The counts, and why letters were skipped; of very many the first."""
    assert text_of(redriven(Redriven((), ()))) == "0 messages sent again, 0 not\n"
    text = text_of(redriven(Redriven(("3/17",), tuple(Skipped(f"3/{number}", "why") for number in range(60)))))
    assert text.startswith("1 message sent again, 60 not\n  3/0: why\n")
    assert "… 10 more" in text
    assert "becomes a new letter" in text
