"""What a dead letter says, with a producer that only writes down what it is given."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from prometheus_client import REGISTRY

from territory.wire.topics import DEAD_LETTERS
from territory_runtime.kafka.dead_letters import MESSAGE_CHARACTERS_MAX, PREFIX, bury
from tests.unit.territory_runtime.loop.test_decoding import consumed


class Written:
    """A producer that keeps what was sent, or fails."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self._fault = fault

    async def send_and_wait(self, topic: str, value: bytes | None, **other: Any) -> None:
        if self._fault is not None:
            raise self._fault
        self.sent.append({"topic": topic, "value": value, **other})


def counted() -> float:
    return REGISTRY.get_sample_value("territory_dead_letters_total", {"topic": "t", "code": "not_json"}) or 0.0


def buried(written: Written, reason: str = "because", **other: Any) -> None:
    message = consumed(b"\xff{", **other)
    asyncio.run(bury(written, message, "assigner-intake", code="not_json", reason=reason))


def test_bytes_as_they_came_with_the_reason() -> None:
    """Value, key and partition are kept; the reason is in headers, and counted (contracts: dead letters)."""
    written, before = Written(), counted()
    buried(written, headers=(("ce_id", b"9f"),))
    [sent] = written.sent
    assert (sent["topic"], sent["value"], sent["key"], sent["partition"]) == (
        DEAD_LETTERS.name, b"\xff{", b"acme/account/A-1", 3,
    )  # fmt: skip
    assert sent["headers"] == [
        ("ce_id", b"9f"), (f"{PREFIX}topic", b"t"), (f"{PREFIX}partition", b"3"), (f"{PREFIX}offset", b"40"),
        (f"{PREFIX}stage", b"assigner-intake"), (f"{PREFIX}code", b"not_json"), (f"{PREFIX}message", b"because"),
    ]  # fmt: skip
    assert counted() == before + 1


def test_reasons_of_an_earlier_refusal_are_replaced() -> None:
    """A letter that was sent again and refused again names the last reason alone (contracts: dead letters)."""
    written = Written()
    buried(written, headers=((f"{PREFIX}code", b"no_record"), ("territory.errand", b"1")))
    names = [name for name, _ in written.sent[0]["headers"]]
    assert names.count(f"{PREFIX}code") == 1
    assert "territory.errand" in names


def test_long_reason_is_cut() -> None:
    """A reason quotes what it found, which may be long (contracts: dead letters)."""
    written = Written()
    buried(written, reason="é" * 2 * MESSAGE_CHARACTERS_MAX)
    assert dict(written.sent[0]["headers"])[f"{PREFIX}message"] == ("é" * MESSAGE_CHARACTERS_MAX).encode()


def test_letter_that_cannot_be_written() -> None:
    """The error goes to the loop, which waits; nothing is counted (runtime: while something is away)."""
    before = counted()
    with pytest.raises(KafkaTimeoutError):
        buried(Written(KafkaTimeoutError()))
    assert counted() == before
