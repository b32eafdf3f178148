"""The model topic as the command line reads it: the same messages, in the same way, as the services do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from territory.errors import BadMessage
from territory.model.compiled import Model, assemble, digest_of
from territory.model.document import PieceKey
from territory.wire.codec import JSON
from territory.wire.events import ModelActivated
from territory.wire.topics import MODEL
from territory_admin.errors import NotFound, NotReached
from territory_admin.log.topic_reader import started
from territory_runtime.kafka import clients
from territory_runtime.loop.model_snapshot import NOTHING_ACTIVATED
from territory_runtime.loop.model_pieces import Pieces
from territory_runtime.settings import Settings

WHERE = TopicPartition(MODEL.name, 0)
OPEN_TRANSACTION_SECONDS_MAX = 90.0


@dataclass(frozen=True, slots=True)
class Activated:
    """A model in effect: its activation, where that stands on the topic, and its pieces."""

    offset: int
    activation: ModelActivated
    pieces: dict[PieceKey, JSON]


class ModelLog:
    """What the model topic has said so far, without any I/O."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._revisions: dict[str, int] = {}
        self._newest: dict[str, ModelActivated] = {}
        self._activated: dict[str, Activated] = {}

    def take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take one message; what can't be read is passed over, as the services do."""
        try:
            activation = self._pieces.take((key or b"").decode(errors="replace"), value)
        except BadMessage:
            return
        if activation is None:
            return
        org_id = activation.org_id
        self._newest[org_id] = activation
        self._revisions[org_id] = max(activation.revision, self._revisions.get(org_id, 0))
        pieces = self._pieces.of(org_id)
        if digest_of(pieces) == activation.digest:  # else the services refuse it, and the one before stays
            self._activated[org_id] = Activated(offset, activation, pieces)

    @property
    def position(self) -> int:
        """The offset of the newest activation, of any organisation."""
        return max((activated.offset for activated in self._activated.values()), default=NOTHING_ACTIVATED)

    def pieces_of(self, org_id: str) -> dict[PieceKey, JSON]:
        """Return the pieces of an organisation as they are on the topic, activated or not."""
        return self._pieces.of(org_id)

    def revision_of(self, org_id: str) -> int:
        """Return the highest revision that was ever activated; 0 for none."""
        return self._revisions.get(org_id, 0)

    def newest(self, org_id: str) -> ModelActivated | None:
        """Return the activation of an organisation that came last, in effect or not."""
        return self._newest.get(org_id)

    def activated(self, org_id: str) -> Activated | None:
        """Return what is in effect for an organisation."""
        return self._activated.get(org_id)

    def required(self, org_id: str) -> Activated:
        """Return what is in effect for an organisation. Raises: NotFound when nothing is."""
        activated = self._activated.get(org_id)
        if activated is None:
            known = ", ".join(sorted(self._activated)) or "none"
            raise NotFound(
                f"organisation {org_id!r} has no model (organisations with one: {known}); "
                "apply one, or set TERRITORY_ORG_ID"
            )
        return activated

    def model_of(self, org_id: str) -> Model:
        """Return the active model. Raises: NotFound when there is none; ModelRefused."""
        activated = self.required(org_id)
        return assemble(org_id, activated.activation.revision, activated.pieces)


class ModelTopicReader:
    """A place on the model topic, and what was said up to there."""

    def __init__(self, consumer: AIOKafkaConsumer, settings: Settings) -> None:
        self._consumer = consumer
        self._settings = settings
        self.log = ModelLog()

    async def read_on(self) -> None:
        """Read up to what is committed now."""
        await self._read_to((await self._consumer.end_offsets([WHERE]))[WHERE])

    async def read_whole(self) -> None:
        """Read everything that is there now, waiting for transactions that are still open.

        Raises: NotReached when one stays open for longer than any writer keeps it.
        """
        async with started(clients.reader(self._settings)) as uncommitted:
            end = (await uncommitted.end_offsets([WHERE]))[WHERE]
        try:
            async with asyncio.timeout(OPEN_TRANSACTION_SECONDS_MAX):
                await self._read_to(end)
        except TimeoutError as timeout:
            raise NotReached(
                f"a transaction on {MODEL.name} has been open for {OPEN_TRANSACTION_SECONDS_MAX:.0f} s; "
                "somebody else is applying a model: try again when it has ended"
            ) from timeout

    async def _read_to(self, end: int) -> None:
        while await self._consumer.position(WHERE) < end:
            found = await self._consumer.getmany(WHERE, timeout_ms=200)
            for message in found.get(WHERE, ()):
                self.log.take(message.offset, message.key, message.value)


@asynccontextmanager
async def model_topic(settings: Settings) -> AsyncIterator[ModelTopicReader]:
    """Open the model topic at its beginning; it must exist. Raises: KafkaError."""
    async with started(clients.reader(settings, isolation_level="read_committed")) as consumer:
        consumer.assign([WHERE])
        await consumer.seek_to_beginning(WHERE)
        yield ModelTopicReader(consumer, settings)


async def active_model(settings: Settings, org_id: str) -> Model:
    """Return the active model of an organisation. Raises: NotFound, ModelRefused, KafkaError."""
    async with model_topic(settings) as topic:
        await topic.read_on()
        return topic.log.model_of(org_id)
