"""Dead letters listed, shown and sent again, on Apache Kafka and on the embedded broker; no service runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from territory.wire.topics import DEAD_LETTERS, FAMILIES, RECORDS
from territory_admin.dead_letters.letters import (
    REDRIVEN,
    Letter,
    LetterFilter,
    LetterId,
    find_letters,
    headers_of,
    letter_id,
)
from territory_admin.dead_letters.list import Letters, list_letters
from territory_admin.dead_letters.redrive import Redriven, redrive
from territory_admin.dead_letters.show import show_letter
from territory_admin.errors import NotFound
from territory_admin.log.kafka_session import existing_partitions, kafka_session, provisioned_partitions
from territory_control.local.child_process import until
from territory_runtime.kafka.dead_letters import PREFIX, DeadLetter
from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.settings import Settings
from tests.integration.examples import PARTITIONS, messages_of, producer

SECONDS_MAX = 20.0


def quietly(*_: float) -> None:
    """Ignore the progress."""


class Refusals:
    """An organisation whose messages are refused by hand."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.org = settings.org_id
        asyncio.run(provisioned_partitions(settings))
        assert until(self._topics_are_there, SECONDS_MAX)

    def _topics_are_there(self) -> bool:
        # The broker lists a new topic shortly after its creation.
        with suppress(NotFound):
            return asyncio.run(existing_partitions(self.settings)) > 0
        return False

    def refuse(
        self, values: Sequence[bytes | None], code: str = "no_record", record: str = "A", **changes: Any
    ) -> list[Letter]:
        """Publish messages as an upstream does, refuse them as a worker does, and return their letters."""
        key = f"{self.org}/account/{record}".encode()
        before = {letter.letter for letter in self.letters()}

        async def play() -> None:
            async with producer(self.settings) as client:
                for value in values:
                    at = await client.send_and_wait(
                        RECORDS.name, value, key=key, partition=1, headers=[("ce_id", b"9f")]
                    )
                    message = self._consumed(at, key, value, changes)
                    letter = DeadLetter.of(message, "s", code=code, reason="found it so")
                    await BatchProducer(client, 3).send_dead_letters([letter])

        asyncio.run(play())
        return [letter for letter in self.letters() if letter.letter not in before]

    def _consumed(self, at: Any, key: bytes, value: bytes | None, changes: dict[str, Any]) -> ConsumerRecord:
        message = ConsumerRecord(
            RECORDS.name, 1, at.offset, at.timestamp, 0, key, value, None, len(key), 0, (("ce_id", b"9f"),)
        )  # fmt: skip
        return replace(message, **changes)

    def write(self, headers: Mapping[str, str]) -> Any:
        """Write a message to the dead letters; return it as a letter, None if it is not one."""
        before = self.letters()

        async def play() -> None:
            async with producer(self.settings) as client:
                prefixed = [(f"{PREFIX}{name}", text.encode()) for name, text in headers.items()]
                key = f"{self.org}/account/A".encode()
                await client.send_and_wait(DEAD_LETTERS.name, b"{}", key=key, partition=0, headers=prefixed)

        asyncio.run(play())
        return next((letter for letter in self.letters() if letter not in before), None)

    def letters(self, **wanted: Any) -> list[Letter]:
        async def find() -> list[Letter]:
            async with kafka_session(self.settings) as kafka:
                return await find_letters(kafka, LetterFilter(key=f"{self.org}/", **wanted), quietly)

        return asyncio.run(find())

    def listed(self, limit: int = 50, *, unsent: bool = False, **wanted: Any) -> Letters:
        return asyncio.run(
            list_letters(self.settings, LetterFilter(key=f"{self.org}/", **wanted), limit, quietly, unsent=unsent)
        )  # fmt: skip

    def redrive(self, *letters: Letter, again: bool = False, **wanted: Any) -> Redriven:
        ids = frozenset(letter.id for letter in letters)
        key = None if ids else f"{self.org}/"
        return asyncio.run(redrive(self.settings, LetterFilter(ids, key=key, **wanted), quietly, again=again))

    def published(self) -> list[ConsumerRecord]:
        return messages_of(self.settings, RECORDS, PARTITIONS, self.org)


@pytest.fixture
def refusals(settings: Settings) -> Refusals:
    """Return an organisation of the test's own, on each of the two kinds of broker in turn."""
    return Refusals(settings)


def test_letters_are_listed_and_counted(refusals: Refusals) -> None:
    """Letters have origin, reason and size; all are counted, the newest are listed (contracts)."""
    refusals.refuse([b"{1", b"{2", b"{3"], code="not_json")
    [last] = refusals.refuse([None], code="wrong_key", record="B")
    found = refusals.listed()
    assert found.total == 4
    assert [(count.code, count.letters, count.sent_again) for count in found.codes] == [
        ("not_json", 3, 0), ("wrong_key", 1, 0),
    ]  # fmt: skip
    first = found.letters[0]
    assert (first.topic, first.partition, first.stage, first.reason) == (RECORDS.name, 1, "s", "found it so")
    assert (first.key, first.bytes, first.cut_from, first.sent_before) == (f"{refusals.org}/account/A", 2, None, 0)
    assert last.bytes is None
    short = refusals.listed(limit=1)
    assert (short.total, short.letters) == (4, (last,))
    assert refusals.listed(limit=0).letters == ()


def test_letters_are_filtered(refusals: Refusals) -> None:
    """Filters are code, topic, stage, time and the beginning of the key."""
    old = refusals.refuse([b"{1"], code="not_json")
    new = refusals.refuse([b"{2"], code="no_record", topic=FAMILIES.name)
    [at] = [datetime.fromisoformat(letter.at) for letter in new]
    assert refusals.letters(code="not_json") == old
    assert refusals.letters(topic=FAMILIES.name) == new
    assert refusals.letters(stage="s") == old + new
    assert refusals.letters(stage="t") == []
    assert new[0] in refusals.letters(since=at)
    assert refusals.letters(since=at + timedelta(milliseconds=1)) == []


def test_a_letter_is_shown(refusals: Refusals) -> None:
    """It has the message's own headers, the decoded value if it is JSON, and always the bytes."""
    [good, bad, none] = refusals.refuse([b'{"a": 1}', b"\xff{", None])
    shown, raw = asyncio.run(show_letter(refusals.settings, good.id))
    assert (shown.value, shown.not_json, shown.headers, raw) == ({"a": 1}, None, (("ce_id", "9f"),), b'{"a": 1}')
    shown, raw = asyncio.run(show_letter(refusals.settings, bad.id))
    assert (shown.value, shown.base64, raw) == (None, "/3s=", b"\xff{")
    assert "expected UTF-8 JSON" in str(shown.not_json)
    shown, raw = asyncio.run(show_letter(refusals.settings, none.id))
    assert (shown.not_json, shown.base64, raw) == ("the message has no value", None, None)


def test_an_unknown_letter_is_not_found(refusals: Refusals) -> None:
    """An id without a letter, or of a receipt, is named in the error, and nothing is sent."""
    letters = refusals.refuse([b"{1"])
    refusals.redrive(*letters)
    receipt = LetterId(letters[0].id.partition, letters[0].id.offset + 1)
    with pytest.raises(NotFound, match=f"there is no dead letter {receipt}"):
        asyncio.run(show_letter(refusals.settings, receipt))
    before = len(refusals.published())
    missing = replace(letters[0], letter="0/999999999")
    with pytest.raises(NotFound, match="0/999999999"):
        refusals.redrive(letters[0], missing, again=True)
    assert len(refusals.published()) == before


def test_a_message_is_sent_again_as_it_came(refusals: Refusals) -> None:
    """It goes to its topic and partition, with its key, bytes and headers, and headers that count the repeats."""
    [letter] = refusals.refuse([b"{1"])
    assert refusals.redrive(letter) == Redriven((letter.letter,), ())
    [first, again] = refusals.published()
    assert (again.value, again.key, again.partition) == (first.value, first.key, first.partition)
    assert headers_of(again) == {
        "ce_id": "9f", f"{REDRIVEN}times": "1", f"{REDRIVEN}offset": str(first.offset),
    }  # fmt: skip


def test_a_letter_is_sent_again_once(refusals: Refusals) -> None:
    """Its receipt is listed, and the letter is skipped from then on unless `again` is given."""
    [one, other] = refusals.refuse([b"{1", b"{2"])
    assert refusals.redrive(one).sent == (one.letter,)
    done = refusals.redrive()
    assert done.sent == (other.letter,)
    assert [(skipped.letter, skipped.why[:19]) for skipped in done.skipped] == [(one.letter, "was sent again at 2")]
    assert refusals.redrive().sent == ()
    assert len(refusals.published()) == 4
    assert refusals.listed().codes[0].sent_again == 2
    assert refusals.listed(unsent=True).total == 0
    assert refusals.redrive(one, again=True).sent == (one.letter,)
    assert [len(letter.sent_again) for letter in refusals.letters()] == [2, 1]


def test_messages_are_sent_in_the_order_in_which_they_came_first(refusals: Refusals) -> None:
    """A patch does not overtake an older patch that was refused more often (A9)."""
    [older] = refusals.refuse([b"{older"])
    [newer] = refusals.refuse([b"{newer"])
    refusals.redrive(older)
    first = next(message for message in refusals.published() if message.offset == older.offset)
    resent = refusals.published()[-1]

    async def refuse_again() -> None:
        async with producer(refusals.settings) as client:
            letter = DeadLetter.of(resent, "s", code="no_record", reason="still not there")
            await BatchProducer(client, 3).send_dead_letters([letter])

    asyncio.run(refuse_again())
    last = refusals.letters()[-1]
    assert (last.sent_before, last.first_offset, last.offset) == (1, first.offset, resent.offset)
    assert refusals.redrive().sent == (last.letter, newer.letter)
    assert [message.value for message in refusals.published()[-2:]] == [b"{older", b"{newer"]
    assert headers_of(refusals.published()[-2])[f"{REDRIVEN}times"] == "2"


def test_letters_that_can_never_be_sent_again(refusals: Refusals) -> None:
    """A cut message, a state of our own topics, and a missing partition are skipped with the reason.

    On a compacted topic an old state would replace newer ones.
    """
    [cut] = refusals.refuse([b"{1"], value=b"x" * 5_000_000)
    [ours] = refusals.refuse([b"{2"], topic=FAMILIES.name)
    gone = refusals.write(dict.fromkeys(("stage", "code", "message"), "x") | {
        "topic": RECORDS.name, "partition": str(PARTITIONS), "offset": "0",
    })  # fmt: skip
    before = len(refusals.published())
    done = {skipped.letter: skipped.why for skipped in refusals.redrive(cut, ours, gone, again=True).skipped}
    assert "of its 5000000 bytes were kept" in done[cut.letter]
    assert "is written by our own services" in done[ours.letter]
    assert f"has no partition {PARTITIONS} any more" in done[gone.letter]
    assert len(refusals.published()) == before
    assert refusals.listed(unsent=True).total == 3
    shown, _ = asyncio.run(show_letter(refusals.settings, cut.id))
    assert shown.blocked == done[cut.letter]


def test_messages_of_other_writers_are_ignored(refusals: Refusals) -> None:
    """A message without the error headers is no letter, and a repeat header that is no number is ignored."""
    for headers in ({}, {"offset": "x"}, {"offset": "1", "partition": "1", "topic": "t"}):
        assert refusals.write(headers) is None
    assert refusals.letters() == []
    [odd] = refusals.refuse([b"{}"], headers=((f"{REDRIVEN}times", "²".encode()), (f"{REDRIVEN}offset", b"-1")))
    assert (odd.sent_before, odd.first_offset) == (0, odd.offset)
    assert letter_id(odd.letter) == odd.id
    assert datetime.fromisoformat(odd.at) <= datetime.now(UTC) + timedelta(minutes=1)
