"""`territory plan`: the records on the log under the model in effect and under another, which nobody is told of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka.structs import ConsumerRecord

from assigner.core.linkers import Linkers
from territory.errors import BadMessage
from territory.events import read_record
from territory.fold import Incoming
from territory.model import Model
from territory.topics import FAMILIES
from territory_control.model_topic import model_topic
from territory_control.models import CheckedModel, PieceChanges, changes_between
from territory_control.planning.comparison import Comparison, Plan
from territory_control.planning.deciding import decided
from territory_control.topic_reading import existing_partitions, partitions_of, read_on, started
from territory_runtime import kafka
from territory_runtime.restoring import incoming_of
from territory_runtime.settings import Settings

REPORT_EVERY = 1_000

Report = Callable[[float, float], None]
"""Called with how many messages were read, and how many there are."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What applying a model would do."""

    org_id: str
    revision: int
    """The one in effect; 0: none is."""
    changes: PieceChanges
    plan: Plan


async def plan(settings: Settings, checked: CheckedModel, examples_max: int, report: Report) -> Planned:
    """Return what a model would change for the records that the assigner has now; nothing is written anywhere.

    Relative dates are meant on today (C7), under both. Memory: the records of one partition at a time.

    Raises: NotFound; AmountOutOfRange; KafkaError.
    """
    org_id = checked.org_id
    places = partitions_of(FAMILIES, await existing_partitions(settings))
    async with model_topic(settings) as topic:
        await topic.read_on()
        activated = topic.log.activated(org_id)
        present = None if activated is None else topic.log.model_of(org_id)
    before = None if present is None else _of_today(present)
    after = _of_today(checked.model)
    comparison = Comparison(before, after, examples_max)
    linkers = Linkers()
    async with started(kafka.reader(settings)) as consumer:
        ends = await consumer.end_offsets(places)
        total, read = sum(ends.values()), 0
        for where in places:
            last: dict[str, Incoming] = {}

            def take(message: ConsumerRecord, last: dict[str, Incoming] = last) -> None:
                nonlocal read
                read += 1
                if read % REPORT_EVERY == 0:
                    report(read, total)
                if message.key is None or not message.key.startswith(f"{org_id}/".encode()):
                    return
                try:
                    incoming = incoming_of(message, read_record)
                except BadMessage:
                    return  # the services pass it over as well
                last.pop(incoming.key, None)
                if incoming.event is not None:
                    last[incoming.key] = incoming

            if ends[where]:  # else the consumer would be given nothing to read
                await read_on(consumer, {where: 0}, take, {where: ends[where]})
            held, due = (decided(last.values(), model, linkers) for model in (before, after))
            for key in sorted(held.keys() | due.keys()):
                comparison.take(held.get(key), due.get(key))
    report(total, total)
    changes = changes_between({} if activated is None else activated.pieces, checked.pieces)
    return Planned(org_id, 0 if activated is None else activated.activation.revision, changes, comparison.plan())


def _of_today(model: Model) -> Model:
    return model.on(model.day_of(datetime.now(UTC)))
