"""Dead letters on a real broker: the bytes of the refused message, and the reason in headers."""

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
    """Return the settings of a worker on the Kafka of this test run."""
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


def test_a_letter_has_the_bytes_of_its_message(settings: Settings, org: str) -> None:
    """Bytes, key and partition are those of the refused message, readable or not (contracts: dead letters)."""
    message, letter = buried(settings, org, NOT_JSON)
    assert (letter.value, letter.key, letter.partition) == (NOT_JSON, message.key, message.partition)


def test_the_reason_is_in_headers(settings: Settings, org: str) -> None:
    """Topic, partition, offset, stage, code and message follow the original headers (contracts: dead letters)."""
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


def test_a_second_refusal_replaces_the_reason(settings: Settings, org: str) -> None:
    """Every error header is there once, with the newest reason (contracts: dead letters)."""
    _, letter = buried(settings, org, NOT_JSON, [(f"{PREFIX}code", b"no_record"), (f"{PREFIX}more", b"1")])
    assert [value for name, value in letter.headers if name == f"{PREFIX}code"] == [b"not_json"]
    assert f"{PREFIX}more" not in dict(letter.headers)


def test_a_tombstone_has_a_letter_without_bytes(settings: Settings, org: str) -> None:
    """A refused tombstone has no bytes (contracts: dead letters)."""
    assert buried(settings, org, None)[1].value is None


def test_a_long_reason_is_cut(settings: Settings, org: str) -> None:
    """A reason may quote a long value; the header is limited (contracts: dead letters)."""
    _, letter = buried(settings, org, NOT_JSON, reason="é" * 2 * MESSAGE_CHARACTERS_MAX)
    assert dict(letter.headers)[f"{PREFIX}message"] == ("é" * MESSAGE_CHARACTERS_MAX).encode()


def test_a_large_message_fits_into_its_letter(settings: Settings, org: str) -> None:
    """Any message that our topics accept fits, also with a long reason (contracts: Refused)."""
    value = b"x" * 1_023_000
    assert buried(settings, org, value, reason="r" * MESSAGE_CHARACTERS_MAX)[1].value == value


def test_a_message_that_is_too_large_for_a_letter_is_cut(settings: Settings, org: str) -> None:
    """The letter has the beginning of the message, and says how large it was (contracts: Refused)."""
    message, _ = buried(settings, org, NOT_JSON)
    value = b"x" * 5_000_000
    partitions = provisioned(settings)
    send(
        settings, partitions, DeadLetter.of(replace(message, value=value), "s", code="too_large", reason="found a lot")
    )
    letter = messages_of(settings, DEAD_LETTERS, partitions, org)[-1]
    assert value.startswith(letter.value)
    assert dict(letter.headers)[f"{PREFIX}cut_from"] == b"5000000"


def test_a_message_without_key_and_value_has_a_letter(settings: Settings, org: str) -> None:
    """Brokers accept such a message, so an upstream may send one: it is refused as wrong_key (contracts: Refused)."""
    message, _ = buried(settings, org, NOT_JSON)
    nothing = replace(message, key=None, value=None)
    letter = DeadLetter.of(nothing, "assigner-intake", code="wrong_key", reason="found nothing")
    send(settings, provisioned(settings), letter)


def test_a_message_refused_for_its_size_is_kept_whole(settings: Settings, org: str) -> None:
    """A message above 900 KB is in its letter with all its bytes (contracts: Refused)."""
    value = b"x" * 1_000_000
    assert buried(settings, org, value)[1].value == value
