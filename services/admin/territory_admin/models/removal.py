"""Removes an organisation with everything of it (A12).

1. One transaction on the model topic removes the pieces of its model, and publishes the removal in their place.
2. Every stage withdraws what it has published; this is waited for.
3. What has no owner among the stages is deleted from Redis.

Each run publishes the removal once more, so a run that was interrupted is repeated from its beginning.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from territory.model.compiled import digest_of
from territory.stage import Message
from territory.wire.events import ACTIVATION, ModelActivated
from territory.wire.keys import model_key
from territory.wire.topics import MODEL
from territory_admin.errors import NotFound, Refused
from territory_admin.log.kafka_session import KafkaSession, kafka_session
from territory_admin.models.apply import timestamp_of
from territory_admin.models.topic import ModelLog, ModelTopicReader
from territory_admin.models.transaction import commit, sole_writer
from territory_admin.records.wait import PIPELINE, Behind, Pipeline, wait_for_pipeline
from territory_runtime.settings import Settings

if TYPE_CHECKING:
    from territory_runtime.redis.nodes import Client

PAGE_KEYS = 1_000
GLOB_CHARACTERS = "*?[]^\\"


@dataclass(frozen=True, slots=True)
class Removed:
    """The outcome of a removal."""

    org_id: str
    revision: int
    """The revision that the removal has; a later apply continues from it."""
    done: bool
    """Whether nothing of the organisation is left; False: run the removal again."""
    keys: int = 0
    """Keys that were left in Redis and have been deleted."""
    absent: tuple[str, ...] = ()
    """Stages that no service runs: they withdraw nothing until one does."""
    behind: tuple[Behind, ...] = ()
    """The work that was left at the timeout."""


async def check_known(settings: Settings, org_id: str) -> None:
    """Raises: NotFound where no model of the organisation was ever applied, and before the services first ran;
    KafkaError."""
    async with kafka_session(settings) as kafka:
        await kafka.existing_partitions()
        topic = ModelTopicReader(kafka)
        await topic.read_on()
        require_known(topic.log, org_id)


async def remove(
    settings: Settings, org_id: str, timeout_seconds: float, report: Callable[[str, int, int], None]
) -> Removed:
    """Remove an organisation; its records first, so that nobody sees them any more. Harmless to repeat.

    Args:
        settings: The brokers, and Redis.
        org_id: The organisation.
        timeout_seconds: How long to wait for the stages.
        report: Called with a stage, how much of its work is done, and how much there is.

    Raises: NotFound where no model of the organisation was ever applied; Refused when a model is applied meanwhile;
        NotReached when another transaction on the model topic does not end; KafkaError, RedisError.
    """
    async with kafka_session(settings) as kafka:
        partitions, topic = await kafka.existing_partitions(), ModelTopicReader(kafka)
        await _publish(kafka, topic, org_id)
        await topic.read_whole()  # the broker may still be ending our transaction
        published = topic.log.removed_at(org_id)
        revision = topic.log.revision_of(org_id)
        stages = Pipeline(kafka, topic, partitions)
        absent = await stages.absent([stage.name for stage in PIPELINE])
        if absent:
            return Removed(org_id, revision, done=False, absent=absent)
        waited = await wait_for_pipeline(stages, timeout_seconds, report)
        if not waited.done:
            return Removed(org_id, revision, done=False, absent=waited.absent, behind=waited.behind)
        await topic.read_whole()
        if published is None or topic.log.removed_at(org_id) != published:
            raise Refused(
                f"a model of {org_id!r} was applied, or its removal run again, during this removal: what was there "
                "before is gone. To remove the organisation all the same, run this again"
            )
    return Removed(org_id, revision, done=True, keys=await _clean_redis(settings, org_id))


def require_known(log: ModelLog, org_id: str) -> None:
    """Raises: NotFound where no model of the organisation was ever applied."""
    if not log.revision_of(org_id):
        raise NotFound(
            f"organisation {org_id!r} is unknown: no model of it was ever applied, so nothing was removed; "
            "check the id, and that TERRITORY_KAFKA_BOOTSTRAP_SERVERS names the right brokers"
        )


def removal_messages(org_id: str, log: ModelLog, now: datetime) -> list[Message]:
    """Return the messages that remove an organisation: tombstones of its pieces, then the removal."""
    pieces = sorted(log.pieces_of(org_id))
    removal = ModelActivated(
        org_id=org_id,
        revision=log.revision_of(org_id) + 1,
        pieces=0,
        digest=digest_of({}),
        activated_at=timestamp_of(now),
        removed=True,
    )
    return [
        *(Message(MODEL.name, model_key(org_id, *piece), None, route=0) for piece in pieces),
        Message(MODEL.name, model_key(org_id, *ACTIVATION), removal, route=0),
    ]


async def _publish(kafka: KafkaSession, topic: ModelTopicReader, org_id: str) -> None:
    await topic.read_on()
    require_known(topic.log, org_id)
    async with sole_writer(kafka, topic, org_id) as producer:
        overtaken = f"an apply or another removal of {org_id!r} started meanwhile, so this one published nothing: "
        messages = removal_messages(org_id, topic.log, datetime.now(UTC))
        await commit(producer, messages, overtaken + "look at what is active, and run this again")


async def _clean_redis(settings: Settings, org_id: str) -> int:
    from territory_runtime.redis.connection import connect  # noqa: PLC0415 -- imported after all that may be refused

    client = connect(settings)
    try:
        return await clean_redis(client, org_id)
    finally:
        await client.aclose()


async def clean_redis(client: Client, org_id: str) -> int:
    """Delete every key of an organisation; return how many there were. Raises: RedisError, RedisClusterException."""
    deleted = 0
    async for key in _keys_of(client, org_id):
        deleted += int(await client.unlink(key))
    return deleted


async def _keys_of(client: Client, org_id: str) -> AsyncIterator[str]:
    """Yield the keys with the organisation's hash tag: `{org}` or `{org:…}`."""
    from territory_runtime.redis.nodes import Nodes, key_pages  # noqa: PLC0415 -- as above

    quoted = "".join(f"\\{each}" if each in GLOB_CHARACTERS else each for each in org_id)
    for end in ("}", ":"):
        async for keys in key_pages(Nodes(client), f"*:{{{quoted}{end}*", PAGE_KEYS):
            for key in keys:
                yield key
