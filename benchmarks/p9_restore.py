"""P9: a partition is restored from its compacted topic, as after a restart or a rebalance."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from access_indexer.core.stage import AccessFold
from assigner.assignment.policy_cache import PolicyCache
from assigner.assignment.stage import AssignmentFold
from assigner.intake.stage import IntakeFold
from benchmarks.corpus import model_document
from benchmarks.p6_sweep import corpus_records
from benchmarks.results import Figure, Report, figure, say
from benchmarks.stack import PARTITIONS, running_stack
from forecast_aggregator.partials.stage import PartialSumsFold
from territory.model.compiled import Model, compile_model
from territory.stage import Effects, Fold, InputMessage, Message, Models, WithoutFanOut
from territory.wire.events import read_assignment, read_record
from territory.wire.topics import ASSIGNMENTS, FAMILIES, RECORD_STATES, Topic
from territory_admin.log.topic_reader import started
from territory_runtime.gc_tuning import tune_gc
from territory_runtime.kafka import clients
from territory_runtime.kafka.log_reader import KafkaLogReader
from territory_runtime.kafka.ports import SystemClock
from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.loop.restore import restore_topic
from territory_runtime.loop.stage import Reader
from territory_runtime.settings import Settings

RATIO_MIN = 0.5
SENT_AT_ONCE = 20_000
NOTHING: frozenset[str] = frozenset()


class Decoded(WithoutFanOut):
    """A stage that keeps nothing: what remains is fetching and decoding."""

    def __init__(self) -> None:
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def restore(self, message: InputMessage) -> None:
        """Count it."""
        self._count += 1

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Keep nothing of it."""

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Do nothing: this stage is only restored."""

    def flush(self, models: Models, effects: Effects) -> None:
        """Do nothing: this stage is only restored."""

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Sweep nothing."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Restored:
    """A stage that is restored: from which topic, and into what."""

    name: str
    topic: Topic
    read: Reader
    make: Any


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Write the records of one partition, restore every stage from them, and count them there."""
    model = compile_model(model_document(territories, seed), 1)
    linkers = PolicyCache()
    linkers.prepare(model)
    stages = (
        Restored("assigner-intake", RECORD_STATES, read_record, lambda: IntakeFold(0)),
        Restored("assigner-assignment", FAMILIES, read_record, lambda: AssignmentFold(linkers)),
        Restored("access-indexer", ASSIGNMENTS, read_assignment, lambda: AccessFold(0, 1)),
        Restored("forecast-aggregator", ASSIGNMENTS, read_assignment, lambda: PartialSumsFold(0, 1)),
    )
    with running_stack(embedded=embedded) as stack:
        stack.provision({"org": model.org_id}, ())
        deals = asyncio.run(_write(stack.settings, model, linkers, records, seed))
        figures: list[Figure] = []
        faults: list[str] = []
        expected = {"forecast-aggregator": deals}
        for stage in stages:
            speeds = []
            for _ in range(runs):
                seconds, count = asyncio.run(_read(stack.settings, stage, stage.make(), model))
                decoding, _ = asyncio.run(_read(stack.settings, stage, Decoded(), model))
                speeds.append((records / seconds, records / decoding))
                if count != expected.get(stage.name, records):
                    faults.append(f"{stage.name} remembers {count} of {records} records")
            say(f"p9: {stage.name} is measured")
            figures.append(figure(f"restore, {stage.name}", "records/s", speeds, ratio_min=RATIO_MIN))
            figures.append(figure(f"restore, {stage.name}, whole", "s", [(records / one, None) for one, _ in speeds]))
        return Report(
            name="p9",
            title="a partition's memory read back from its topic, beside reading and decoding it",
            parameters={"records": records, "territories": territories, "partitions": 1, "of": PARTITIONS},
            surroundings={"broker": stack.broker},
            figures=tuple(figures),
            faults=tuple(faults),
            checked={"records": records},
        )


async def _write(settings: Settings, model: Model, linkers: PolicyCache, records: int, seed: int) -> int:
    """Write every record and its assignment to the first partition; return how many deals are among them."""
    fold, models, deals = AssignmentFold(linkers), {model.org_id: model}, 0
    async with started(clients.producer(settings)) as producer:
        sender, source = BatchProducer(producer, 1), corpus_records(records, seed)
        while some := list(islice(source, SENT_AT_ONCE)):
            effects = Effects()
            for record in some:
                deals += record.object == "deal"
                fold.apply(InputMessage(FAMILIES.name, record.key, record, {}), models, effects)
            said = {message.key: message for message in effects.messages}
            await sender.send(
                [
                    *(Message(RECORD_STATES.name, record.key, record, 0) for record in some),
                    *(Message(FAMILIES.name, record.key, record, 0) for record in some),
                    *(said[record.key]._replace(route=0) for record in some),
                ]
            )
    return deals


async def _read(settings: Settings, stage: Restored, fold: Fold, model: Model) -> tuple[float, int]:
    """Return how many seconds the restore of a stage takes, and how many records it has."""
    gc.collect()
    tune_gc()  # as the services do
    began = time.perf_counter()
    where = TopicPartition(stage.topic.name, 0)
    reader = KafkaLogReader(settings, "p9")
    await restore_topic(reader, fold, where, stage.read, up_to=None, clock=SystemClock(), beat=lambda: None)
    fold.restored({model.org_id: model}, NOTHING)
    seconds = time.perf_counter() - began
    return seconds, len(fold)
