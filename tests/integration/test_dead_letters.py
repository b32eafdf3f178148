"""Refused messages, on a real broker: their bytes as they came, with the reason in headers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from aiokafka.structs import ConsumerRecord

from territory.wire.topics import DEAD_LETTERS, RECORDS
from territory_runtime.kafka.dead_letters import MESSAGE_CHARACTERS_MAX, PREFIX, DeadLetter
from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.settings import Settings
from tests.integration.examples import messages_of, producer, provisioned, settings_for
from tests.support.servers import Kafka

pytestmark = pytest.mark.kafka

NOT_JSON = b'\xff\x00 {"half": '


@pytest.fixture
def settings(kafka: Kafka) -> Settings:
    """Give the settings of a worker on the Kafka of this test run."""
    return settings_for(kafka.bootstrap_servers)


def send(settings: Settings, partitions: int, *letters: DeadLetter) -> None:
    """Send letters as a worker does."""

    async def play() -> None:
        async with producer(settings) as client:
            await BatchProducer(client, partitions).send_dead_letters(letters)

    asyncio.run(play())


def buried(
    settings: Settings,
    org: str,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]] = (),
    reason: str = "found half of it",
) -> tuple[ConsumerRecord, ConsumerRecord]:
    """Return a message as a worker read it from the upstream's topic, and its dead letter."""
    partitions, key = provisioned(settings), f"{org}/account/é:{{/".encode()

    async def publish() -> None:
        async with producer(settings) as client:
            await client.send_and_wait(RECORDS.name, value, key=key, partition=partitions - 1, headers=list(headers))

    asyncio.run(publish())
    [message] = messages_of(settings, RECORDS, partitions, org)
    send(settings, partitions, DeadLetter.of(message, "assigner-intake", code="not_json", reason=reason))
    [letter] = messages_of(settings, DEAD_LETTERS, partitions, org)
    return message, letter


def test_as_it_came(settings: Settings, org: str) -> None:
    """Bytes, key and partition are those of the refused message, readable or not (contracts: dead letters)."""
    message, letter = buried(settings, org, NOT_JSON)
    assert (letter.value, letter.key, letter.partition) == (NOT_JSON, message.key, message.partition)


def test_reason_is_in_headers(settings: Settings, org: str) -> None:
    """Topic, partition, offset, stage, code and message, behind the original's own (contracts: dead letters)."""
    own = [("ce_id", b"9f"), ("ce_id", b"twice"), ("bytes", b"\xff\x00")]
    message, letter = buried(settings, org, NOT_JSON, own)
    assert list(letter.headers) == [
        *own,
        (f"{PREFIX}topic", RECORDS.name.encode()),
        (f"{PREFIX}partition", str(message.partition).encode()),
        (f"{PREFIX}offset", str(message.offset).encode()),
        (f"{PREFIX}stage", b"assigner-intake"),
        (f"{PREFIX}code", b"not_json"),
        (f"{PREFIX}message", b"found half of it"),
    ]


def test_letter_that_is_refused_again(settings: Settings, org: str) -> None:
    """The reasons of the first time are replaced: each is there once (contracts: dead letters)."""
    _, letter = buried(settings, org, NOT_JSON, [(f"{PREFIX}code", b"no_record"), (f"{PREFIX}more", b"1")])
    assert [value for name, value in letter.headers if name == f"{PREFIX}code"] == [b"not_json"]
    assert f"{PREFIX}more" not in dict(letter.headers)


def test_null_stays_null(settings: Settings, org: str) -> None:
    """A refused tombstone has no bytes (contracts: dead letters)."""
    assert buried(settings, org, None)[1].value is None


def test_long_reason_is_cut(settings: Settings, org: str) -> None:
    """A reason quotes what it found: no header grows by that (contracts: dead letters)."""
    _, letter = buried(settings, org, NOT_JSON, reason="é" * 2 * MESSAGE_CHARACTERS_MAX)
    assert dict(letter.headers)[f"{PREFIX}message"] == ("é" * MESSAGE_CHARACTERS_MAX).encode()


def test_message_that_outgrows_its_letter(settings: Settings, org: str) -> None:
    """A message that our topics take, refused with a long reason; the stream goes on (contracts: Refused)."""
    value = b"x" * 1_023_000
    assert buried(settings, org, value, reason="r" * MESSAGE_CHARACTERS_MAX)[1].value == value


def test_message_that_no_letter_can_hold(settings: Settings, org: str) -> None:
    """What is larger than a letter may be is cut, and the letter says so; the stream goes on (contracts: Refused)."""
    message, _ = buried(settings, org, NOT_JSON)
    value = b"x" * 5_000_000
    partitions = provisioned(settings)
    send(
        settings, partitions, DeadLetter.of(replace(message, value=value), "s", code="too_large", reason="found a lot")
    )
    letter = messages_of(settings, DEAD_LETTERS, partitions, org)[-1]
    assert value.startswith(letter.value)
    assert dict(letter.headers)[f"{PREFIX}cut_from"] == b"5000000"


def test_message_without_key_and_value(settings: Settings, org: str) -> None:
    """A broker takes it, so an upstream may send it: wrong_key, and the stream goes on (contracts: Refused)."""
    message, _ = buried(settings, org, NOT_JSON)
    nothing = replace(message, key=None, value=None)
    letter = DeadLetter.of(nothing, "assigner-intake", code="wrong_key", reason="found nothing")
    send(settings, provisioned(settings), letter)


def test_largest_message_that_is_refused_for_its_size(settings: Settings, org: str) -> None:
    """What is over 900 KB has a dead letter, too, whole (contracts: Refused)."""
    value = b"x" * 1_000_000
    assert buried(settings, org, value)[1].value == value
