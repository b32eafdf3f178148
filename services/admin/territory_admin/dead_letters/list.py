"""Lists dead letters, and counts them by their code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from territory_admin.dead_letters.letters import Letter, LetterFilter, OnLettersRead, find_letters
from territory_admin.log.kafka_session import kafka_session
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class LetterCount:
    """The number of letters with one code."""

    code: str
    letters: int
    sent_again: int


@dataclass(frozen=True, slots=True)
class Letters:
    """The counts of all letters that a filter includes, and the newest letters."""

    total: int
    codes: tuple[LetterCount, ...]
    """The most frequent first."""
    letters: tuple[Letter, ...]
    """The newest, up to the limit; the oldest of them first."""


async def list_letters(
    settings: Settings, wanted: LetterFilter, limit: int, report: OnLettersRead, *, unsent: bool
) -> Letters:
    """Return the newest letters of all organisations, and the number of letters by code.

    Args:
        settings: The brokers.
        wanted: The letters to include.
        limit: The most letters to list; all are counted.
        report: Called with how many messages were read, and how many there are.
        unsent: Whether to include only letters whose message was not sent again.

    Raises: NotFound before the services first ran; KafkaError.
    """
    async with kafka_session(settings) as kafka:
        found = [letter for letter in await find_letters(kafka, wanted, report) if not (unsent and letter.sent_again)]
    total = Counter(letter.code for letter in found)
    sent_again = Counter(letter.code for letter in found if letter.sent_again)
    codes = tuple(LetterCount(code, count, sent_again[code]) for code, count in total.most_common())
    return Letters(len(found), codes, tuple(found[max(0, len(found) - limit) :]))
