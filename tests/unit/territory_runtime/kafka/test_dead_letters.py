"""What a dead letter has in it, and how many go into a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from territory.stage import ExpiredMessage
from territory.wire.rerouting import CHANGE, ORIGIN, REROUTED
from territory.wire.topics import DEAD_LETTERS, RECORDS, RELEASES
from territory_runtime.kafka.clients import LETTER_BYTES_MAX
from territory_runtime.kafka.dead_letters import (
    BATCH_BYTES_MAX,
    MESSAGE_CHARACTERS_MAX,
    PREFIX,
    DeadLetter,
    pack,
    shrink,
    size_of,
)
from territory_runtime.kafka.producer import BatchProducer
from tests.unit.territory_runtime.kafka.fakes import FakeProducer
from tests.unit.territory_runtime.loop.test_decoding import consumed

LETTER = DeadLetter("t", 3, 40, b"acme/account/A-1", b"\xff{", (), "assigner-intake", "not_json", "because")


def sent(*letters: DeadLetter, producer: FakeProducer | None = None) -> FakeProducer:
    used = producer or FakeProducer()
    asyncio.run(BatchProducer(used, 8).send_dead_letters(letters))
    return used


def counted() -> float:
    return REGISTRY.get_sample_value("territory_dead_letters_total", {"topic": "t", "code": "not_json"}) or 0.0


def test_the_bytes_as_they_came_with_the_reason() -> None:
    """Value, key and partition are kept; the reason is in headers, and counted (contracts: dead letters)."""
    before = counted()
    message = consumed(b"\xff{", headers=(("ce_id", b"9f"),))
    producer = sent(DeadLetter.of(message, "assigner-intake", code="not_json", reason="because"))
    [(topic, partition, [(key, value, headers)])] = producer.sent
    assert (topic, value, key, partition) == (DEAD_LETTERS.name, b"\xff{", b"acme/account/A-1", 3)
    assert headers == (
        ("ce_id", b"9f"), (f"{PREFIX}topic", b"t"), (f"{PREFIX}partition", b"3"), (f"{PREFIX}offset", b"40"),
        (f"{PREFIX}stage", b"assigner-intake"), (f"{PREFIX}code", b"not_json"), (f"{PREFIX}message", b"because"),
    )  # fmt: skip
    assert counted() == before + 1


def test_reasons_of_an_earlier_refusal_are_replaced() -> None:
    """A letter that was sent again and refused again names the last reason alone (contracts: dead letters)."""
    own = ((f"{PREFIX}code", b"no_record"), ("territory.errand", b"1"))
    names = [name for name, _ in replace(LETTER, headers=own).sent_headers()]
    assert names.count(f"{PREFIX}code") == 1
    assert "territory.errand" in names


def test_a_long_reason_is_cut() -> None:
    """A reason quotes what it found, which may be long (contracts: dead letters)."""
    headers = replace(LETTER, reason="é" * 2 * MESSAGE_CHARACTERS_MAX).sent_headers()
    assert dict(headers)[f"{PREFIX}message"] == ("é" * MESSAGE_CHARACTERS_MAX).encode()


def test_a_message_without_key_and_value() -> None:
    """A broker accepts one, a client sends none: its letter has an empty key (contracts: Refused)."""
    assert sent(replace(LETTER, key=None, value=None)).sent[0][2][0][:2] == (b"", None)
    assert sent(replace(LETTER, value=None)).sent[0][2][0][:2] == (LETTER.key, None)


def test_letters_that_cannot_be_written() -> None:
    """The error goes to the loop, which waits; nothing is counted (runtime: while something is away)."""
    before, producer = counted(), FakeProducer()
    producer.faults[0] = KafkaTimeoutError()
    with pytest.raises(KafkaTimeoutError):
        sent(LETTER, producer=producer)
    assert counted() == before


def test_thousands_of_refused_messages_are_a_few_batches() -> None:
    """One tenant's bad export must not hold up the others on its partition (B6)."""
    letters = [replace(LETTER, offset=offset, partition=offset % 4) for offset in range(10_000)]
    producer = sent(*letters)
    assert len(producer.sent) < 50
    for number in range(4):
        offsets = [
            int(dict(headers)[f"{PREFIX}offset"])
            for _, partition, entries in producer.sent
            if partition == number
            for _, _, headers in entries
        ]
        assert offsets == list(range(number, 10_000, 4))


def test_a_letter_that_no_topic_takes_is_an_error() -> None:
    """It is cut down to a thousand bytes; then the topic's limit is to blame, and the stream waits."""
    producer = FakeProducer(value_bytes_max=0)
    with pytest.raises(MessageSizeTooLargeError):
        sent(replace(LETTER, value=b"x" * 3_000), producer=producer)
    assert [len(value or b"") for value in producer.values] == [3_000, 1_500, 750]


def test_what_is_larger_than_any_letter_is_cut_before_it_is_sent() -> None:
    """And says from how many bytes, however often it was cut (contracts: Refused)."""
    value = b"x" * (5 * LETTER_BYTES_MAX)
    [(_, _, [(_, kept, headers)])] = sent(replace(LETTER, value=value)).sent
    assert kept is not None
    assert LETTER_BYTES_MAX / 2 < len(kept) < LETTER_BYTES_MAX
    assert dict(headers)[f"{PREFIX}cut_from"] == str(len(value)).encode()


SIZES = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 10, 9_000, 90_000, 300_000])), max_size=40)


@given(SIZES)
def test_groups_fit_into_a_batch(sizes: Sequence[tuple[int, int]]) -> None:
    """Of one partition each, in order, all letters once; only one that is larger than a batch exceeds it."""
    letters = [
        replace(LETTER, offset=offset, partition=partition, value=b"x" * size)
        for offset, (partition, size) in enumerate(sizes)
    ]
    groups = pack(letters)
    assert all(len({letter.partition for letter in group}) == 1 for group in groups)
    assert all(len(group) == 1 or sum(map(size_of, group)) <= BATCH_BYTES_MAX for group in groups)
    for number in range(4):
        found = [letter for group in groups for letter in group if letter.partition == number]
        assert found == [letter for letter in letters if letter.partition == number]


def test_a_refused_group_is_halved_and_a_single_letter_is_cut() -> None:
    """So that one large letter costs no other one its bytes; the first length stays in the letter."""
    a, b, c = (replace(LETTER, offset=offset) for offset in range(3))
    assert shrink([a, b, c]) == [(a,), (b, c)]
    once = replace(LETTER, value=b"x" * 4_000)
    [(half,)] = shrink([once])
    [(quarter,)] = shrink([half])
    assert (quarter.value, quarter.cut_from) == (b"x" * 1_000, 4_000)
    assert shrink([LETTER]) == shrink([replace(LETTER, value=None)]) == []


def test_change_on_its_way_home_is_named_by_its_first_place() -> None:
    """So that it can be sent again, and nobody reads internal headers (contracts: dead letters, A13)."""
    way = ((REROUTED, CHANGE.encode()), (ORIGIN, b"7 123 456"))
    message = replace(consumed(b"{", headers=(("ce_id", b"9f"), *way)), topic=RELEASES.name)
    letter = DeadLetter.of(message, "assigner-intake", code="not_json", reason="because")
    assert (letter.topic, letter.partition, letter.offset) == (RECORDS.name, 7, 123)
    assert letter.headers == (("ce_id", b"9f"),)
    elsewhere = DeadLetter.of(replace(message, topic="t"), "s", code="not_json", reason="because")
    assert (elsewhere.topic, elsewhere.partition, elsewhere.headers) == ("t", message.partition, message.headers)


def test_message_that_was_kept() -> None:
    """A message that a fold gives up later is named by the place and has the bytes that it had (A13)."""
    kept = ExpiredMessage(RECORDS.name, 7, 123, "acme/lead/é", b"{}", (("odd", b"\xff"),), "no_record", "because")
    letter = DeadLetter.of_expired(kept, "assigner-intake")
    assert letter == DeadLetter(
        RECORDS.name, 7, 123, "acme/lead/é".encode(), b"{}", (("odd", b"\xff"),),
        "assigner-intake", "no_record", "because",
    )  # fmt: skip
