"""Plans a model: compares all records under it with the records under the active model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from assigner.assignment.policy_cache import PolicyCache
from territory.wire.events import Record, read_record, read_subscribed
from territory.wire.topics import FAMILIES, SUBSCRIPTIONS
from territory_admin.log.kafka_session import KafkaSession, kafka_session
from territory_admin.log.organisation_reader import OnRead, OrganisationReader, ReadEvent
from territory_admin.log.topic_reader import partitions_of
from territory_admin.models.changes import PieceChanges, changes_between
from territory_admin.models.today import of_today
from territory_admin.models.topic import ModelLog, ModelTopicReader
from territory_admin.models.validate import CheckedModel
from territory_admin.planning.assignments import Subscribed, assignments_under
from territory_admin.planning.model_comparison import ModelComparison, Plan
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Planned:
    """The effects of applying a model."""

    org_id: str
    revision: int
    """The active revision; 0 if there is none."""
    changes: PieceChanges
    plan: Plan


async def plan(settings: Settings, checked: CheckedModel, examples_max: int, report: OnRead) -> Planned:
    """Return what a model would change for the records that the assigner has now; nothing is published.

    Relative dates are resolved for today (C7), under both models. Memory: the records of one partition at a time.

    Args:
        settings: The brokers. The organisation is the model's own.
        checked: The model.
        examples_max: The most moved records to list.
        report: Called with how many messages were read, and how many there are.

    Raises: NotFound before the services first ran; AmountOutOfRange; KafkaError.
    """
    async with kafka_session(settings) as kafka:
        await kafka.existing_partitions()
        topic = ModelTopicReader(kafka)
        await topic.read_on()
        return await plan_on(kafka, topic.log, checked, examples_max, report)


async def plan_on(
    kafka: KafkaSession, log: ModelLog, checked: CheckedModel, examples_max: int, report: OnRead
) -> Planned:
    """Do the same in a session that has read the model topic. Raises: as `plan`."""
    org_id = checked.org_id
    activated = log.activated(org_id)
    before = None if activated is None else of_today(log.model_of(org_id))
    after = of_today(checked.model)
    comparison = ModelComparison(before, after, examples_max)
    policies = PolicyCache()
    async for records, subscribed in records_by_partition(kafka, org_id, report):
        now, then = (assignments_under(records, model, policies, subscribed) for model in (before, after))
        for key in sorted(now.keys() | then.keys()):
            comparison.take(now.get(key), then.get(key))
    changes = changes_between({} if activated is None else activated.pieces, checked.pieces)
    return Planned(org_id, 0 if activated is None else activated.activation.revision, changes, comparison.plan())


async def records_by_partition(
    kafka: KafkaSession, org_id: str, report: OnRead
) -> AsyncIterator[tuple[Mapping[str, Record], Mapping[str, Subscribed]]]:
    """Yield an organisation's records by key, a partition at a time; a family is in one. Raises: KafkaError.

    Beside them, by key, what the partition has of contacts in other families.
    """
    reader = OrganisationReader(await kafka.consumer(), org_id, report)
    count = await kafka.existing_partitions()
    partitions = partitions_of(FAMILIES, count)
    await reader.mark([*partitions, *partitions_of(SUBSCRIPTIONS, count)])
    for where in partitions:
        records = await _last_events(reader, where, read_record)
        yield records, await _last_events(reader, where._replace(topic=SUBSCRIPTIONS.name), read_subscribed)


async def _last_events(reader: OrganisationReader, where: TopicPartition, read: ReadEvent) -> dict[str, Any]:
    """Return the last event of every key in a partition, except of those that are gone. Raises: KafkaError."""
    last: dict[str, Any] = {}

    def take(key: str, event: Any) -> None:
        last.pop(key, None)
        if event is not None:
            last[key] = event

    await reader.read(where, read, take)
    return last
