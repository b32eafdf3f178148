"""Following the model topic: pieces are gathered, and become the model when their activation comes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka import TopicPartition
from mode import Service

from territory.codec import JSON, reader_of
from territory.documents import PieceKey
from territory.errors import BadMessage, ModelRefused
from territory.events import ACTIVATION, ModelActivated, ModelPiece
from territory.model import Model, assemble, digest_of
from territory.topics import MODEL
from territory_runtime import kafka, metrics
from territory_runtime.health import Health
from territory_runtime.settings import Settings
from territory_runtime.waiting import KAFKA_AWAY, until_done

log = structlog.get_logger("territory")

NOTHING_ACTIVATED = -1


class Pieces:
    """The pieces of every organisation as the topic gives them, without any I/O."""

    def __init__(self) -> None:
        self._pieces: dict[str, dict[PieceKey, JSON]] = {}
        self._read_piece = reader_of(ModelPiece)
        self._read_activation = reader_of(ModelActivated)

    def take(self, key: str, value: bytes | None) -> ModelActivated | None:
        """Take one message; return the activation, if it is one. Raises: BadMessage."""
        parts = key.split("/", 2)
        if len(parts) != 3:
            raise BadMessage("wrong_key", f"found key {key[:60]!r}, expected <org>/<kind>/<id>")
        org_id, kind, name = parts
        if (kind, name) == ACTIVATION:
            return self._read_activation(value) if value is not None else None
        pieces = self._pieces.setdefault(org_id, {})
        if value is None:
            pieces.pop((kind, name), None)
        else:
            pieces[kind, name] = self._read_piece(value).value
        return None

    def of(self, org_id: str) -> dict[PieceKey, JSON]:
        """Return a copy of an organisation's pieces."""
        return dict(self._pieces.get(org_id, {}))


def activated_model(activation: ModelActivated, pieces: Mapping[PieceKey, JSON]) -> Model:
    """Return the model of an activation. Raises: ModelRefused, also when pieces are not those it speaks of."""
    if digest_of(pieces) != activation.digest:
        raise ModelRefused([])
    return assemble(activation.org_id, activation.revision, pieces)


class ModelWatcher(Service):
    """Keeps the active model of every organisation; all at once, on activation only."""

    def __init__(self, settings: Settings, health: Health) -> None:
        super().__init__()
        self._settings = settings
        self._health = health
        self._pieces = Pieces()
        self._caught_up = asyncio.Event()
        self._moved = asyncio.Condition()
        self.models: dict[str, Model] = {}
        self.activated_at: dict[str, int] = {}
        """By organisation, the offset of the activation of its present model."""
        self.position = NOTHING_ACTIVATED
        """The offset of the newest activation that is in effect or was refused."""

    async def caught_up(self) -> None:
        """Wait until everything that was on the topic at the start is in effect."""
        await self._caught_up.wait()

    async def reached(self, position: int) -> None:
        """Wait until everything up to a position of the topic is in effect.

        A worker that takes over what another has swept under a newer model must know it: with
        the older one it would take that back.
        """
        async with self._moved:
            await self._moved.wait_for(lambda: self.position >= position)

    @Service.task
    async def _follow(self) -> None:
        partition = TopicPartition(MODEL.name, 0)
        consumer = kafka.reader(self._settings, isolation_level="read_committed")
        await consumer.start()
        try:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end = (await consumer.end_offsets([partition]))[partition]
            while not self.should_stop:
                found = await until_done(
                    "model", self._health, KAFKA_AWAY, lambda: consumer.getmany(partition, timeout_ms=200)
                )
                for message in found.get(partition, ()):
                    await self._take(message.offset, message.key, message.value)
                self._health.beat("model")
                if not self._caught_up.is_set() and await consumer.position(partition) >= end:
                    self._caught_up.set()
        finally:
            await consumer.stop()

    async def _take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        try:
            activation = self._pieces.take((key or b"").decode(errors="replace"), value)
        except BadMessage as bad:
            metrics.MODELS_REFUSED.inc()
            log.error("model message refused", offset=offset, code=bad.code, reason=str(bad))  # noqa: TRY400 -- no traceback
            return
        if activation is None:
            return
        try:
            # In a thread: thousands of rules take seconds to read, and live records go on.
            model = await asyncio.to_thread(activated_model, activation, self._pieces.of(activation.org_id))
        except ModelRefused as refused:
            # `territory apply` checks before it sends and sends in one transaction: this is
            # another writer's doing. The model before stays in effect.
            metrics.MODELS_REFUSED.inc()
            faults = [str(fault) for fault in refused.faults[:20]]
            log.error("model refused", offset=offset, faults=faults)  # noqa: TRY400 -- no traceback
        else:
            self.models[activation.org_id] = model
            self.activated_at[activation.org_id] = offset
            metrics.MODEL_REVISION.set(max(model.revision for model in self.models.values()))
            metrics.RULES.labels(engine="plain").set(
                sum(len(node.rules) for model in self.models.values() for node in model.territories.values())
            )
            log.info("model activated", org_id=activation.org_id, revision=activation.revision)
        async with self._moved:
            self.position = offset
            self._moved.notify_all()
