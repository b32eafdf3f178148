"""Reads the model topic with the rules by which the services read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.errors import BadMessage
from territory.model.compiled import Model, assemble, digest_of
from territory.model.document import PieceKey
from territory.wire.codec import JSON
from territory.wire.events import ModelActivated
from territory.wire.topics import MODEL
from territory_admin.errors import NotFound, NotReached
from territory_admin.log.kafka_session import KafkaSession, kafka_session
from territory_admin.log.topic_reader import read_on, started
from territory_runtime.kafka import clients
from territory_runtime.loop.model_pieces import Pieces
from territory_runtime.loop.model_snapshot import NOTHING_ACTIVATED
from territory_runtime.settings import Settings

MODEL_PARTITION = TopicPartition(MODEL.name, 0)
OPEN_TRANSACTION_SECONDS_MAX = 90.0


@dataclass(frozen=True, slots=True)
class Activated:
    """An active model as messages: its activation, the offset of that, and its pieces."""

    offset: int
    activation: ModelActivated
    pieces: dict[PieceKey, JSON]


class ModelLog:
    """The content of the model topic up to an offset; no I/O."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._revisions: dict[str, int] = {}
        self._newest: dict[str, ModelActivated] = {}
        self._activated: dict[str, Activated] = {}
        self._removed: dict[str, int] = {}
        """By removed organisation, the offset of its removal (A12)."""

    def take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Add one message; an unreadable one is ignored, as the services do."""
        try:
            activation = self._pieces.take((key or b"").decode(errors="replace"), value)
        except BadMessage:
            return
        if activation is None:
            return
        org_id = activation.org_id
        self._newest[org_id] = activation
        self._revisions[org_id] = max(activation.revision, self._revisions.get(org_id, 0))
        if activation.removed:
            self._activated.pop(org_id, None)
            self._removed[org_id] = offset
            return
        pieces = self._pieces.of(org_id)
        if digest_of(pieces) == activation.digest:  # else the services refuse it and keep the model before it
            self._activated[org_id] = Activated(offset, activation, pieces)
            self._removed.pop(org_id, None)

    @property
    def position(self) -> int:
        """The offset of the newest activation or removal of any organisation."""
        activated = (activated.offset for activated in self._activated.values())
        return max((*activated, *self._removed.values()), default=NOTHING_ACTIVATED)

    def pieces_of(self, org_id: str) -> dict[PieceKey, JSON]:
        """Return the pieces of an organisation that are on the topic, activated or not."""
        return self._pieces.of(org_id)

    def revision_of(self, org_id: str) -> int:
        """Return the highest revision that was ever activated; 0 if none was."""
        return self._revisions.get(org_id, 0)

    def removed_at(self, org_id: str) -> int | None:
        """Return the offset of an organisation's removal; None if it is not removed (A12)."""
        return self._removed.get(org_id)

    def newest(self, org_id: str) -> ModelActivated | None:
        """Return an organisation's newest activation, whether the services accept it or not."""
        return self._newest.get(org_id)

    def activated(self, org_id: str) -> Activated | None:
        """Return an organisation's active model; None if it has none."""
        return self._activated.get(org_id)

    def required(self, org_id: str) -> Activated:
        """Return an organisation's active model. Raises: NotFound if it has none."""
        activated = self._activated.get(org_id)
        if activated is None:
            known = ", ".join(sorted(self._activated)) or "none"
            raise NotFound(
                f"organisation {org_id!r} has no model (organisations with one: {known}); "
                "apply one, or set TERRITORY_ORG_ID"
            )
        return activated

    def model_of(self, org_id: str) -> Model:
        """Return an organisation's active model, compiled. Raises: NotFound, ModelRefused."""
        activated = self.required(org_id)
        return assemble(org_id, activated.activation.revision, activated.pieces)


class ModelTopicReader:
    """Reads the model topic from its beginning, and on from there whenever it is asked to."""

    def __init__(self, kafka: KafkaSession) -> None:
        self._kafka = kafka
        self._position = 0
        self.log = ModelLog()

    async def read_on(self) -> None:
        """Read up to the end of what is committed now. Raises: KafkaError."""
        consumer = await self._kafka.consumer()
        await self.read_to((await consumer.end_offsets([MODEL_PARTITION]))[MODEL_PARTITION])

    async def read_whole(self) -> None:
        """Read all that is on the topic now, waiting until open transactions end.

        A reader of committed messages does not see past the first open transaction, which may be another
        organisation's. So the end is looked up without regard to transactions.

        Raises: NotReached when a transaction stays open for `OPEN_TRANSACTION_SECONDS_MAX`; KafkaError.
        """
        async with started(clients.reader(self._kafka.settings, isolation_level="read_uncommitted")) as uncommitted:
            end = (await uncommitted.end_offsets([MODEL_PARTITION]))[MODEL_PARTITION]
        try:
            async with asyncio.timeout(OPEN_TRANSACTION_SECONDS_MAX):
                await self.read_to(end)
        except TimeoutError as timeout:
            raise NotReached(
                f"a transaction on {MODEL.name} has been open for {OPEN_TRANSACTION_SECONDS_MAX:.0f} s: "
                "another apply is running; try again when it has ended"
            ) from timeout

    async def read_to(self, end: int) -> None:
        """Read up to an offset; transactions that are open below it are waited for. Raises: KafkaError."""
        if self._position < end:
            await read_on(
                await self._kafka.consumer(), {MODEL_PARTITION: self._position}, self._take, {MODEL_PARTITION: end}
            )
            self._position = end

    def _take(self, message: ConsumerRecord) -> None:
        self.log.take(message.offset, message.key, message.value)


@asynccontextmanager
async def model_topic(settings: Settings) -> AsyncIterator[ModelTopicReader]:
    """Open the model topic over a connection of its own; the topic must exist. Raises: KafkaError."""
    async with kafka_session(settings) as kafka:
        yield ModelTopicReader(kafka)


async def read_active_model(kafka: KafkaSession, org_id: str) -> Model:
    """Return the active model of an organisation. Raises: NotFound, ModelRefused, KafkaError."""
    topic = ModelTopicReader(kafka)
    await topic.read_on()
    return topic.log.model_of(org_id)


async def active_model(settings: Settings, org_id: str) -> Model:
    """Return the same over a connection of its own. Raises: NotFound, ModelRefused, KafkaError."""
    async with kafka_session(settings) as kafka:
        return await read_active_model(kafka, org_id)
