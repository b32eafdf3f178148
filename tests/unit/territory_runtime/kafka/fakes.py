"""Stand-ins for aiokafka's clients: what they were asked is recorded, when they answer a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, OutOfOrderSequenceNumber
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

Entry = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


class FakeBatch:
    """Like aiokafka's BatchBuilder: full at a number of bytes, but for its first message."""

    def __init__(self, bytes_max: int) -> None:
        self.entries: list[Entry] = []
        self._bytes_left = bytes_max

    def append(self, *, key: bytes | None, value: bytes | None, timestamp: None, headers: Iterable[Any]) -> Any:
        size = len(key or b"") + len(value or b"")
        if self.entries and size > self._bytes_left:
            return None
        self._bytes_left -= size
        self.entries.append((key, value, tuple(headers)))
        return object()

    def record_count(self) -> int:
        return len(self.entries)


class FakeClient:
    """Records requests that would be written to a connection."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    async def send(self, node_id: int, request: Any, **options: Any) -> str:
        self.written.append((node_id, request, options))
        return "answered"


class FakeProducer:
    """A producer whose batches are answered by `answer`, at once unless a test holds them back."""

    def __init__(self, *, batch_bytes_max: int = 256 * 1024, value_bytes_max: int | None = None) -> None:
        self.client = FakeClient()
        self.sent: list[tuple[str, int, list[Entry]]] = []
        self.in_flight: list[asyncio.Future[None]] = []
        self.holds_back = False
        self.faults: dict[int, Exception] = {}
        """By the place of a batch in `sent`, what its acknowledgement raises."""
        self.refused: dict[int, Exception] = {}
        """By the place that it would have in `sent`, what handing over a batch raises."""
        self.is_started = False
        self._batch_bytes_max = batch_bytes_max
        self._value_bytes_max = value_bytes_max

    async def start(self) -> None:
        self.is_started = True

    async def stop(self) -> None:
        self.is_started = False

    def create_batch(self) -> FakeBatch:
        return FakeBatch(self._batch_bytes_max)

    async def send_batch(self, batch: FakeBatch, topic: str, *, partition: int) -> asyncio.Future[None]:
        place = len(self.sent)
        if place in self.refused:
            raise self.refused[place]
        request = ProduceRequest(transactional_id=None, required_acks=-1, timeout=1, topics=[])
        await self.client.send(0, request)
        self.sent.append((topic, partition, batch.entries))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.in_flight.append(done)
        if not self.holds_back:
            self.answer(place)
        return done

    def answer(self, place: int) -> None:
        """Acknowledge one batch, or fail it as the test said."""
        fault = self.faults.get(place) or self._after_a_gap(place) or self._too_large(place)
        if fault is None:
            self.in_flight[place].set_result(None)
        else:
            self.in_flight[place].set_exception(fault)

    def _after_a_gap(self, place: int) -> Exception | None:
        """A broker that knows a producer's numbers on a partition accepts none after one that it refused."""
        partition = self.sent[place][:2]
        earlier = [
            one.exception()
            for (topic, number, _), one in zip(self.sent[:place], self.in_flight, strict=False)
            if (topic, number) == partition
        ]
        has_gap = None in earlier and any(earlier[earlier.index(None) :])
        return OutOfOrderSequenceNumber() if has_gap else None

    def _too_large(self, place: int) -> Exception | None:
        size = sum(len(value or b"") for _, value, _ in self.sent[place][2])
        too_large = self._value_bytes_max is not None and size > self._value_bytes_max
        return MessageSizeTooLargeError() if too_large else None

    @property
    def values(self) -> list[bytes | None]:
        return [value for _, _, entries in self.sent for _, value, _ in entries]


class FakeAdmin:
    """An admin client of a broker with some topics; records its metadata requests."""

    def __init__(self, partitions: dict[str, int]) -> None:
        self.partitions = partitions
        self.requests: list[MetadataRequest] = []
        self.fault: Exception | None = None
        self.is_open = False
        self._client = self

    async def start(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    def get_random_node(self) -> int:
        return 1

    async def send(self, node_id: int, request: MetadataRequest) -> Any:
        if self.fault is not None:
            raise self.fault
        self.requests.append(request)
        return self

    def to_object(self) -> dict[str, Any]:
        asked = self.requests[-1]._topics or []
        return {
            "topics": [
                {"topic": name, "error_code": 0, "partitions": [{}] * self.partitions[name]}
                if name in self.partitions
                else {"topic": name, "error_code": 3, "partitions": []}
                for name in asked
            ]
        }
