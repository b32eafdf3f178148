"""Follows the model topic and puts models into effect.

Models whose rules use dates relative to today are resolved for their organisation's present day, and again when it
passes (C7). Slow work runs in a thread before a model is in effect: live records go on under the model before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from weakref import WeakValueDictionary

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from mode import Service

from territory.errors import BadMessage, ModelRefused
from territory.model.compiled import Model, assemble, digest_of
from territory.model.document import PieceKey
from territory.model.removal import removed_model
from territory.wire.codec import JSON
from territory.wire.events import ModelActivated
from territory.wire.topics import MODEL
from territory_runtime import metrics
from territory_runtime.health import Health
from territory_runtime.kafka import clients
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_pieces import Pieces
from territory_runtime.loop.model_snapshot import NO_SNAPSHOT, NOTHING_ACTIVATED, ModelSnapshot, SnapshotId
from territory_runtime.retry import KAFKA_AWAY, retry_while_unavailable
from territory_runtime.settings import Settings

log = structlog.get_logger("territory")

DAYS_BACK_MAX = 7
"""How many earlier days are tried when the model of a day is refused."""

Prepare = Callable[[Model], None]
"""Derives what a stage needs of a model. Raises ModelRefused when it can't."""


def activated_model(
    activation: ModelActivated, pieces: Mapping[PieceKey, JSON], closed_since: Mapping[str, int]
) -> Model:
    """Return the model of an activation. Raises: ModelRefused, also when the pieces are not those of its digest.

    A removal needs no pieces (A12).
    """
    if activation.removed:
        return removed_model(activation.org_id, activation.revision)
    if digest_of(pieces) != activation.digest:
        raise ModelRefused([])
    return assemble(activation.org_id, activation.revision, pieces, closed_since=closed_since)


class ModelWatcher(Service):
    """Keeps the active model of every organisation. A model changes as a whole, on activation only."""

    beat_seconds = 10.0
    """How often a wait for a model reports that it is alive."""

    def __init__(self, settings: Settings, health: Health, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._settings = settings
        self._health = health
        self._clock = clock
        self._pieces = Pieces()
        self._prepares: list[tuple[Prepare, bool]] = []
        self._caught_up = asyncio.Event()
        self._changed = asyncio.Condition()
        self._activating = asyncio.Lock()
        self._resolved: WeakValueDictionary[tuple[str, int, date], Model] = WeakValueDictionary()
        """Models of a day by organisation, activation and day, while they are in use."""
        self._checked_at = int(clock())
        self._consumer: AIOKafkaConsumer
        self.was_replaced = False
        """Whether output was produced under models of a deleted topic; also of organisations not activated yet."""
        self.activated = NO_SNAPSHOT
        """The models as they were activated: for stages that do not depend on the day."""
        self.today = ModelSnapshot({}, {}, SnapshotId(instant=self._checked_at))
        """The models of each organisation's present day."""

    def prepare_with(self, prepare: Prepare, *, follows_days: bool) -> None:
        """Call a function with every model before it is in effect; with every day's, too, where days are followed."""
        self._prepares.append((prepare, follows_days))

    def in_effect(self, *, follows_days: bool) -> ModelSnapshot:
        """Return the newest snapshot, of the present day if that matters."""
        return self.today if follows_days else self.activated

    async def as_of(self, instant: int | None, *, follows_days: bool) -> ModelSnapshot:
        """Return the newest models, resolved for the days at an instant if that matters and one is given."""
        async with self._activating:
            newest = self.in_effect(follows_days=follows_days)
            if instant is None or not follows_days:
                return newest
            return await self._resolve(self.activated, instant)

    async def snapshots_of(
        self, metadata: CommitMetadata, *, follows_days: bool
    ) -> tuple[ModelSnapshot, ModelSnapshot]:
        """Return the snapshots that a commit names: the one applied to all records, and the target of its sweep."""
        while True:
            applied, target = [
                await self.as_of(snapshot.instant, follows_days=follows_days)
                for snapshot in (metadata.applied, metadata.target)
            ]
            if applied.id.position == target.id.position:  # else a model was activated in between
                return applied, target

    async def caught_up(self) -> None:
        """Wait until everything that was on the topic at the start is in effect."""
        await self._caught_up.wait()

    async def reached(self, metadata: CommitMetadata, beat: Callable[[], None]) -> CommitMetadata:
        """Wait until the models that a commit names are in effect here; return the metadata.

        A worker that restores what a predecessor swept under a newer model must know that model: with the older one
        it would undo the sweep.

        If the topic ends before that model, it was created anew, or has lost its end. Then nothing is known of the
        output so far, which the returned metadata states. The worker waits until some model is applied again, and
        calls `beat` meanwhile: it is alive, however long that takes.

        Raises: KafkaError.
        """
        position = metadata.target.position
        if self.activated.id.position >= position:
            return metadata
        end = await self._end_of_topic()
        is_replaced = end <= position
        if is_replaced and self.activated.id.position == NOTHING_ACTIVATED:
            why = f"{MODEL.name} ends at {end}, and models up to {position} were in effect: apply every model again"
            if "model" not in self._health.hindrances:
                log.warning("the model topic was replaced", why=why)
            self._health.hinder("model", why)
        least = 0 if is_replaced else position
        while self.activated.id.position < least:
            beat()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.beat_seconds), self._changed:
                    await self._changed.wait_for(lambda: self.activated.id.position >= least)
        if not is_replaced:
            return metadata
        self.was_replaced = True
        self._health.clear("model")
        return metadata._replace(applied=SnapshotId(), target=SnapshotId(), remaining=0, total=0)

    async def _end_of_topic(self) -> int:
        partition = TopicPartition(MODEL.name, 0)
        return int((await self._consumer.end_offsets([partition]))[partition])

    @Service.task
    async def _follow(self) -> None:
        partition = TopicPartition(MODEL.name, 0)
        consumer = self._consumer = clients.reader(self._settings)
        await consumer.start()
        try:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end = (await consumer.end_offsets([partition]))[partition]
            while not self.should_stop:
                found = await retry_while_unavailable(
                    "model", self._health, KAFKA_AWAY, lambda: consumer.getmany(partition, timeout_ms=200)
                )
                for message in found.get(partition, ()):
                    await self.take(message.offset, message.key, message.value, message.timestamp)
                self._health.beat("model")
                if not self._caught_up.is_set() and await consumer.position(partition) >= end:
                    self._caught_up.set()
        finally:
            await consumer.stop()

    # --- activations -------------------------------------------------------------------------

    async def take(self, offset: int, key: bytes | None, value: bytes | None, sent_ms: int = 0) -> None:
        """Take one message of the model topic; an activation puts its model into effect, or is refused.

        Args:
            offset: Its offset.
            key: The key of the piece or activation.
            value: The piece; None removes it.
            sent_ms: Its timestamp in milliseconds of Unix time.
        """
        try:
            activation = self._pieces.take((key or b"").decode(errors="replace"), value)
        except BadMessage as bad:
            metrics.MODELS_REFUSED.inc()
            log.error("model message refused", offset=offset, code=bad.code, reason=str(bad))  # noqa: TRY400 -- no traceback
            return
        if activation is None:
            return
        async with self._activating:
            try:
                await self._activate(offset, activation)
                metrics.MODEL_ACTIVATED.set(sent_ms / 1000)
            except ModelRefused as refused:
                # `territory apply` validates before it sends, and sends in one transaction: some other program has
                # written this. The model before stays in effect.
                metrics.MODELS_REFUSED.inc()
                faults = [str(fault) for fault in refused.faults[:20]]
                log.error("model refused", offset=offset, faults=faults)  # noqa: TRY400 -- no traceback
                self.activated = _at_position(offset, self.activated)
                self.today = _at_position(offset, self.today)
        metrics.MODEL_POSITION.set(self.activated.id.position)
        async with self._changed:
            self._changed.notify_all()

    async def _activate(self, offset: int, activation: ModelActivated) -> None:
        """Put a model into effect once everything derived from it is ready. Raises: ModelRefused."""
        org_id, pieces = activation.org_id, self._pieces.of(activation.org_id)
        model = await asyncio.to_thread(self._make, activation, pieces, self._pieces.closed_since(org_id))
        activated_at = {**self.activated.activated_at, org_id: offset}
        activated = ModelSnapshot({**self.activated.models, org_id: model}, activated_at, SnapshotId(offset))
        self.today = await self._resolve(activated, self._checked_at, org_id)
        self.activated = activated
        metrics.MODEL_REVISION.set(max(model.revision for model in activated.models.values()))
        metrics.RULES.labels(engine=self._settings.assigner_engine).set(
            sum(len(node.rules) for model in activated.models.values() for node in model.territories.values())
        )
        log.info("model activated", org_id=org_id, revision=activation.revision)

    def _make(
        self, activation: ModelActivated, pieces: Mapping[PieceKey, JSON], closed_since: Mapping[str, int]
    ) -> Model:
        # In a thread: thousands of rules take seconds to read and to index.
        model = activated_model(activation, pieces, closed_since)
        for prepare, follows_days in self._prepares:
            if not (follows_days and model.uses_relative_dates):
                prepare(model)
        return model

    # --- days (C7) ---------------------------------------------------------------------------

    async def check_day(self) -> None:
        """Put the models of the present day into effect where it has changed since the last check."""
        async with self._activating:
            now = int(self._clock())
            today = await self._resolve(self.activated, now)
            self._checked_at = now
            passed = [org for org, model in today.models.items() if model is not self.today.models[org]]
            if passed:
                self.today = today
                log.info("a day has passed", org_ids=passed[:10], organisations=len(passed))

    async def _resolve(self, activated: ModelSnapshot, instant: int, activating: str | None = None) -> ModelSnapshot:
        """Return models resolved for the days at an instant.

        Raises: ModelRefused where that of the organisation that is being activated is refused.
        """
        when = datetime.fromtimestamp(instant, UTC)
        models = dict(activated.models)
        for org_id, model in activated.models.items():
            if model.uses_relative_dates:
                activated_at, day = activated.activated_at[org_id], model.day_of(when)
                if org_id == activating:
                    models[org_id] = await self._of_day(model, activated_at, day)
                else:
                    models[org_id] = await self._of_last_day(model, activated_at, day)
        return ModelSnapshot(models, activated.activated_at, SnapshotId(activated.id.position, instant))

    async def _of_last_day(self, model: Model, activated_at: int, day: date) -> Model:
        """Return a model of a day or, where that is refused, of the last earlier day whose model is not.

        So one organisation's refused day holds back no other's, and a successor finds the same model as its
        predecessor. After `DAYS_BACK_MAX` days it is the model that is in effect here.
        """
        for days in range(DAYS_BACK_MAX + 1):
            earlier = day - timedelta(days)
            try:
                return await self._of_day(model, activated_at, earlier)
            except ModelRefused as refused:
                metrics.MODELS_REFUSED.inc()
                faults = [str(fault) for fault in refused.faults[:20]]
                log.error(  # noqa: TRY400 -- no traceback
                    "the day's model refused", org_id=model.org_id, day=str(earlier), faults=faults
                )
        return self.today.models[model.org_id]

    async def _of_day(self, model: Model, activated_at: int, day: date) -> Model:
        """Return a model resolved and prepared for a day. Raises: ModelRefused."""
        place = (model.org_id, activated_at, day)
        resolved = self._resolved.get(place)
        if resolved is None:
            resolved = self._resolved[place] = await asyncio.to_thread(self._make_for, model, day)
        return resolved

    def _make_for(self, model: Model, day: date) -> Model:
        resolved = model.on(day)
        for prepare, follows_days in self._prepares:
            if follows_days:
                prepare(resolved)
        return resolved


def _at_position(position: int, before: ModelSnapshot) -> ModelSnapshot:
    """Return the same models at a later offset of the topic: its activation was refused."""
    return ModelSnapshot(before.models, before.activated_at, SnapshotId(position, before.id.instant))
