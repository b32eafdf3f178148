"""The whole house in memory: the stages as they are deployed, run by the production task loop on ports in memory.

Topics are lists of encoded messages, Redis is a few dictionaries, and every call of a worker to the outside waits
until a test lets it through (`stepping.py`). So a worker can stop before any of them while others go on, and never
come back: that is a crash. Days pass when a test says so; each worker notices that, as a model, in its own time.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

from access_indexer import app as access_indexer
from assigner import app as assigner
from assigner.assignment.policy_cache import PolicyCache
from assigner.assignment.stage import AssignmentFold
from forecast_aggregator import app as forecast_aggregator
from forecast_aggregator.partials.targets import TargetCache
from territory.model.compiled import Model, compile_model, digest_of, pieces_of_model
from territory.model.document import PieceKey, document_of
from territory.model.removal import removed_model
from territory.stage import Fold
from territory.wire import topics
from territory.wire.codec import decode, encode, reader_of, text_of
from territory.wire.events import (
    ACTIVATION,
    Assignment,
    Attainment,
    ModelActivated,
    ModelPiece,
    read_assignment,
)
from territory.wire.keys import model_key, upstream_partition_of
from territory_admin.models.removal import removal_messages
from territory_admin.models.topic import ModelLog
from territory_runtime.health import Health
from territory_runtime.kafka.topic_admin import COMPACTION_LAG_MS
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import ModelSnapshot, SnapshotId
from territory_runtime.loop.ports import Committed, TopicPartition
from territory_runtime.loop.stage import Stage
from territory_runtime.loop.task_loop import Ports, TaskLoop
from territory_runtime.settings import read_settings
from tests.support.expectations import Standing, State
from tests.support.follower import Follower
from tests.support.memory_log import Cluster, Log, MemoryClock, MemoryOffsets, MemoryReader, MemoryWriter, Stored
from tests.support.memory_redis import MemoryRedis, MemorySink
from tests.support.oracle import Expected
from tests.support.stepping import Dice, Process

StageName = Literal["intake", "assigning", "indexing", "summing", "totals"]
Phase = Literal["poll", "send", "changelog", "sink", "commit"]
PHASES: tuple[Phase, ...] = get_args(Phase)
Place = tuple[StageName, int]
"""A stage and a partition: what one worker has."""


class StageOf(NamedTuple):
    """A stage in the words of tests, and its consumer group."""

    name: StageName
    group: str


STAGES = (
    StageOf("intake", assigner.INTAKE),
    StageOf("assigning", assigner.ASSIGNMENT),
    StageOf("indexing", access_indexer.STAGE),
    StageOf("summing", forecast_aggregator.PARTIAL_SUMS),
    StageOf("totals", forecast_aggregator.ATTAINMENT_TOTALS),
)
GROUPS = {stage.name: stage.group for stage in STAGES}

STEPS_MAX = 200_000
"""After how many steps without a pause something goes round in circles."""
FIRST_DAY = date(2017, 7, 14)
SETTINGS = read_settings({
    "TERRITORY_SWEEP_RECORDS_MAX": "2",
    "TERRITORY_BATCH_SECONDS_MAX": "0.001",
    "TERRITORY_BATCH_EFFECTS_MAX": "20",
    "TERRITORY_PARTIALS_INTERVAL_SECONDS": "0",
})  # fmt: skip
FOLLOWERS_AT_ONCE_MAX = (0, 1, 50)
IDLE = frozenset({"poll", "sleep"})
READING = frozenset({"ask"})
HOUSES_MAX = 6
"""So many houses are at work at once; older ones are closed."""
_OPEN: deque[MemoryHouse] = deque()

SUM_FIGURES = ("won", "pipeline", "best_case", "committed", "weighted", "won_by_others")
USER_FIGURES = ("target", "won", "deals_won", "attainment_pct", "star_performer")
ADJUSTED = ("target", *SUM_FIGURES, "deals_won")
ADJUSTED_OF_USER = ("target", "won", "deals_won")
TERRITORY_FIGURES = ("target", *SUM_FIGURES, "deals_won", "attainment_pct", "gap", "shortage", "coverage",
                     "target_mismatch", "star_performer")  # fmt: skip
COUNTS_AND_TEXTS = ("deals_won", "attainment_pct", "coverage", "star_performer", "frozen", "adjustment_deals_won")


def dice(seed: int) -> Dice:
    """Return repeatable dice."""
    return Dice(seed)  # a schedule, not a secret


def close_houses() -> None:
    """End the workers of all houses."""
    while _OPEN:
        _OPEN.popleft().close()


class Activation(NamedTuple):
    """A model that came into effect, and where on the model topic."""

    offset: int
    model: Model


class MemoryModels:
    """The models and the day as one worker knows them: the port `ModelSource`."""

    was_replaced = False

    def __init__(self, house: MemoryHouse) -> None:
        self._house = house
        self._known = 0
        """How many activations this worker has seen."""
        self._instant = house.instant
        """What its clock shows."""

    def hear(self, count: int | None = None) -> None:
        """See the next activations and then the day; None: all of them."""
        unknown = len(self._house.activations) - self._known
        if count is None or count > unknown:
            self._instant = self._house.instant
        self._known += unknown if count is None else min(count, unknown)

    @property
    def state(self) -> tuple[int, int]:
        """What this worker knows."""
        return self._known, self._instant

    @property
    def hears_all(self) -> bool:
        """Whether there is nothing new."""
        return self._known == len(self._house.activations) and self._instant == self._house.instant

    async def caught_up(self) -> None:
        pass

    def in_effect(self, *, follows_days: bool) -> ModelSnapshot:
        return self._house.in_effect(self._known, self._instant if follows_days else None)

    async def reached(self, metadata: CommitMetadata, beat: Callable[[], None]) -> CommitMetadata:
        while self.in_effect(follows_days=False).id.position < metadata.target.position:
            self.hear(1)  # a worker that knows less than what was swept would undo it
        return metadata

    async def snapshots_of(
        self, metadata: CommitMetadata, *, follows_days: bool
    ) -> tuple[ModelSnapshot, ModelSnapshot]:
        instants = (metadata.applied.instant, metadata.target.instant) if follows_days else (None, None)
        applied, target = (
            self._house.in_effect(self._known, self._instant if follows_days and instant is None else instant)
            for instant in instants
        )
        return applied, target


class Worker:
    """One worker of a stage, with one partition."""

    def __init__(self, house: MemoryHouse, stage: StageName, partition: int) -> None:
        self._house = house
        self.stage = stage
        self.partition = partition
        self.models = MemoryModels(house)
        self.process = Process()
        self.reader: MemoryReader
        self._start()

    def _start(self) -> None:
        cluster, process, group = self._house.cluster, self.process, GROUPS[self.stage]
        reader = self.reader = MemoryReader(cluster, process, group, f"{self.stage}-{self.partition}")
        reader.assigned = frozenset({self.partition})
        ports = Ports(
            reader=reader,
            offsets=MemoryOffsets(cluster, process, group, reader),
            make_writer=lambda lease, confirm: MemoryWriter(cluster, process, lease, confirm),
            clock=MemoryClock(cluster, process),
            lease_clock=lambda: self._house.lease_seconds,
        )
        self.loop = TaskLoop(
            self._house.stage(self.stage, process),
            SETTINGS,
            models=self.models,
            health=Health(lambda: 0.0),
            partitions=cluster.partitions,
            ports=ports,
        )
        self._idle_in: tuple[object, ...] | None = None
        """The surroundings in which it has found nothing to do."""
        self._main = process.start(self.loop.run())
        self._settle()

    def _settle(self) -> None:
        """Let it restore its partition. The loop, which sleeps meanwhile, wakes up when that waits for nothing."""
        for _ in range(STEPS_MAX):
            self._check()
            if self.partition in self.loop._tasks and any(
                gate.label in ("poll", "poll at once") for gate in self.process.gates
            ):
                self._idle_in = self._surroundings if self._is_idle else None
                return
            self.process.open(self.process.any_gate(self._house.cluster.dice, but="sleep"))
        raise AssertionError(f"{self.stage} {self.partition} is not restored")

    def restart(self) -> None:
        """End it, in the middle of a batch if it is in one, and start another in its place."""
        self.process.kill()
        self.process = Process()
        self._start()

    def _check(self) -> None:
        if self._main.done():
            self._main.result()
            raise AssertionError(f"{self.stage} {self.partition} has ended")

    @property
    def place(self) -> Place:
        return (self.stage, self.partition)

    @property
    def fold(self) -> Fold:
        """Its memory."""
        return self.loop._tasks[self.partition].fold

    @property
    def _has_input(self) -> bool:
        return self.reader.has_input

    @property
    def seems_busy(self) -> bool:
        """Whether it waits for more than something to come."""
        for gate in self.process.gates:
            if gate.label not in IDLE:
                return True
        return self._has_input

    @property
    def _surroundings(self) -> tuple[object, ...]:
        """Everything outside that an idle worker looks at."""
        upstream = self.loop._stage.follows
        commits = self._house.cluster.commits[upstream] if upstream is not None and self._awaits_upstream else 0
        return (*self.models.state, commits, self._has_input)

    @property
    def _awaits_upstream(self) -> bool:
        for task in self.loop._tasks.values():
            if task.awaits_upstream:
                return True
        return False

    @property
    def _is_idle(self) -> bool:
        """Whether it waits for messages after it has looked at everything else."""
        gates = self.process.gates
        return len(gates) == 1 and gates[0].label == "poll" and not self._has_input and not self._awaits_upstream

    def step(self) -> str | None:
        """Let one call to the outside through; return its label. None: there is nothing to do, as far as it knows."""
        if self._idle_in is not None and self._idle_in == self._surroundings:
            return None
        label = self._step()
        self._idle_in = self._surroundings if label is None or self._is_idle else None
        return label

    def _step(self) -> str | None:
        gate = self.process.any_gate(self._house.cluster.dice)
        was_busy = self.seems_busy
        self.process.open(gate)
        self._check()
        if was_busy:
            return gate.label
        for _ in range(STEPS_MAX):  # it has looked whether there is something new
            labels = {gate.label for gate in self.process.gates}
            if not labels <= IDLE | READING or self._has_input:
                return gate.label
            if labels <= {"poll"}:
                return None
            self.process.open(self.process.gates[0])
            self._check()
        raise AssertionError(f"{self.stage} {self.partition} looks for ever")

    def batch_until(self, before: Phase) -> bool:
        """Go on until it is about to do something, or its batch is over; return whether it came so far."""
        if before == "poll":
            return True
        for _ in range(STEPS_MAX):
            waiting = [gate for gate in self.process.gates if gate.label == before]
            if waiting:
                return True
            if self.step() is None:
                return False
        raise AssertionError(f"{self.stage} {self.partition} is never about to {before}")


class MemoryHouse:
    """All stages with all their partitions, and what they keep."""

    def __init__(self, partitions: int = 3) -> None:
        self.partitions = partitions
        self.cluster = Cluster(partitions, dice(0))
        self.cluster.on_append = self._appended
        self.partitioner: Callable[[str, int], int] = upstream_partition_of
        """What chooses the partition of a change, from its key and the number of partitions."""
        self.redis = MemoryRedis(partitions)
        self.follower = Follower()
        self.activations: list[Activation] = []
        self.day = FIRST_DAY
        """What the clocks show, everywhere; workers look at them now and then."""
        self.lease_seconds = 0.0
        self._pieces: dict[str, dict[PieceKey, Any]] = {}
        self._resolved: dict[tuple[int, date], Model] = {}
        self._snapshots: dict[tuple[int, int | None], ModelSnapshot] = {}
        self._policies = PolicyCache()
        self._workers = {
            (stage.name, partition): Worker(self, stage.name, partition)
            for stage in STAGES
            for partition in range(partitions)
        }
        self._ends_when_quiet: dict[tuple[str, int], int] = {}
        _OPEN.append(self)
        while len(_OPEN) > HOUSES_MAX:
            _OPEN.popleft().close()

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.process.kill()

    def stage(self, name: StageName, process: Process) -> Stage:
        """Return a stage as it is deployed, with sinks of one process."""

        def sink() -> MemorySink:
            return MemorySink(lambda: self.redis, process, GROUPS[name], lambda: self.cluster.dice)

        match name:
            case "intake" | "assigning":
                found = assigner.stages(self._policies, SETTINGS)[name == "assigning"]
                if name == "assigning":
                    found = replace(found, make=self._make_assignment_fold)
            case "indexing":
                found = access_indexer.stage_of(sink(), emit_changes=True)
            case "summing" | "totals":
                targets = TargetCache(self.partitions)
                both = forecast_aggregator.stages(sink(), sink(), targets=targets, settings=SETTINGS)
                found = both[name == "totals"]
        return replace(found, sweep_share=1, paced_by=None)

    def _make_assignment_fold(self, partition: int, partitions: int) -> Fold:
        """Return the fold of a partition: in one all families count as large, in one some, in one none."""
        at_once_max = FOLLOWERS_AT_ONCE_MAX[partition % len(FOLLOWERS_AT_ONCE_MAX)]
        return AssignmentFold(self._policies, partitions, followers_at_once_max=at_once_max, partition=partition)

    def fold(self, place: Place) -> Fold:
        """Return a worker's memory."""
        return self._workers[place].fold

    def log(self, topic: str, partition: int) -> Log:
        """Return one partition of a topic."""
        return self.cluster.log(topic, partition)

    @property
    def dead_letters(self) -> dict[tuple[str, int, int], str]:
        """Codes by topic, partition and offset."""
        return self.cluster.dead_letters

    def commit(self, stage: StageName, partition: int, offsets: Mapping[str, int], metadata: str) -> None:
        """Commit for a group, as an earlier version of it has, which may know fewer topics."""
        committed = {TopicPartition(topic, partition): Committed(offset, metadata) for topic, offset in offsets.items()}
        of_group = self.cluster.committed.setdefault(GROUPS[stage], {})
        for where in [where for where in of_group if where.partition == partition]:
            del of_group[where]
        of_group.update(committed)

    def _appended(self, topic: str, partition: int, stored: Stored) -> None:
        if topic == topics.ACCESS_CHANGES.name and stored.value is not None:
            self.follower.take(partition, stored.value)

    # --- what outsiders do ---

    def publish(
        self, change: Mapping[str, Any] | bytes | None, key: str | None = None, partition: int | None = None
    ) -> None:
        """Publish one RecordChange, or some bytes under a key; the upstream's partitioner or the caller decides where.

        Halves of surrogate pairs are written as escapes, as some upstreams do.
        """
        if isinstance(change, Mapping):
            key = key or f"{change['org_id']}/{change['object']}/{change['id']}"
            change = json.dumps(change).encode()
        if key is None:
            raise ValueError("bytes need a key")
        raw_key = key.encode(errors="surrogatepass")
        if partition is None:
            partition = self.partitioner(text_of(raw_key), self.partitions)
        self.cluster.append(topics.RECORDS.name, partition, raw_key, change)

    def apply_model(self, document: Mapping[str, Any]) -> int:
        """Publish a model as the pieces that changed and their activation; return its revision.

        Raises: ModelRefused, and nothing is published.
        """
        pieces = _pieces_of(encode(document))
        org = str(document["org"])
        before = self._pieces.setdefault(org, {})
        revision = 1 + max((model.revision for _, model in self.activations if model.org_id == org), default=0)
        for place in before.keys() - pieces.keys():
            self.cluster.append(topics.MODEL.name, 0, model_key(org, *place).encode(), None)
        for place, value in pieces.items():
            piece = encode(ModelPiece(org, *place, revision=revision, value=value))
            self.cluster.append(topics.MODEL.name, 0, model_key(org, *place).encode(), piece)
        now = ModelActivated(org, revision, len(pieces), digest_of(pieces), "2017-01-02T08:00:00Z")
        self.cluster.append(topics.MODEL.name, 0, model_key(org, *ACTIVATION).encode(), encode(now))
        self._activate()
        return revision

    def remove_organisation(self, org: str) -> None:
        """Publish what `territory organisation remove` publishes (A12)."""
        log = ModelLog()
        for offset, stored in self.log(topics.MODEL.name, 0).between(0, 10**9):
            log.take(offset, stored.key, stored.value)
        for message in removal_messages(org, log, datetime(2017, 7, 14, 12, tzinfo=UTC)):
            value = None if message.value is None else encode(message.value)
            self.cluster.append(topics.MODEL.name, 0, message.key.encode(), value)
        self._activate()

    def _activate(self) -> None:
        """Read the model topic up to its end, which is an activation."""
        log = self.log(topics.MODEL.name, 0)
        start = self.activations[-1].offset + 1 if self.activations else 0
        for offset, stored in log.between(start, len(log)):
            org, kind, name = stored.key.decode().split("/", 2)
            if (kind, name) == ACTIVATION and stored.value is not None:
                activation = reader_of(ModelActivated)(stored.value)
                if activation.removed:
                    self.activations.append(Activation(offset, removed_model(org, activation.revision)))
                    continue
                if digest_of(self._pieces[org]) != activation.digest:
                    raise AssertionError("the pieces of the model topic are not those that were published")
                document = encode(document_of(org, self._pieces[org]))
                self.activations.append(Activation(offset, _model_of(document, activation.revision)))
            elif stored.value is None:
                self._pieces[org].pop((kind, name), None)
            else:
                self._pieces[org][kind, name] = reader_of(ModelPiece)(stored.value).value

    def in_effect(self, activations: int, instant: int | None) -> ModelSnapshot:
        """Return the models of the first so many activations, of the days at an instant if one is given."""
        found = self._snapshots.get((activations, instant))
        if found is None:
            models: dict[str, Model] = {}
            activated_at: dict[str, int] = {}
            for offset, model in self.activations[:activations]:
                models[model.org_id] = model if instant is None else self._as_of(offset, model, instant)
                activated_at[model.org_id] = offset
            found = ModelSnapshot(models, activated_at, SnapshotId(max(activated_at.values(), default=-1), instant))
            self._snapshots[activations, instant] = found
        return found

    def _as_of(self, offset: int, model: Model, instant: int) -> Model:
        if not model.uses_relative_dates:
            return model
        day = model.day_of(datetime.fromtimestamp(instant, UTC))
        resolved = self._resolved.get((offset, day))
        if resolved is None:
            resolved = self._resolved[offset, day] = model.on(day)
        return resolved

    # --- what time does ---

    @property
    def instant(self) -> int:
        """Noon of the day, in seconds."""
        return int(datetime.combine(self.day, time(12), UTC).timestamp())

    @property
    def places(self) -> list[Place]:
        """All stages and partitions."""
        return list(self._workers)

    def run(self, random: Dice | None = None, only: Collection[Place] | None = None) -> None:
        """Let workers go on until nothing is left to do; some only, if these are named."""
        self.cluster.dice = random or dice(0)
        workers = [worker for place, worker in self._workers.items() if only is None or place in only]
        steps, is_busy = 0, True
        while is_busy:
            is_busy = False
            for worker in workers:
                if not worker.models.hears_all:
                    worker.models.hear()
                    is_busy = True
                while worker.step() is not None:
                    steps, is_busy = steps + 1, True
                    if steps > STEPS_MAX:
                        raise AssertionError(f"still busy after {steps} steps: {worker.place}")
        if only is None:
            self._ends_when_quiet = {place: len(log) for place, log in self.cluster.logs.items()}

    def step(self, random: Dice) -> bool:
        """Let some worker notice a model, or do its next step; return whether there was anything to do."""
        self.cluster.dice = random
        workers = list(self._workers.values())
        busy = [worker for worker in workers if worker.seems_busy or not worker.models.hears_all]
        random.shuffle(workers)
        for worker in [random.choice(busy)] if busy else workers:
            if not worker.models.hears_all and random.randint(0, 2) == 0:
                worker.models.hear(1)
                return True
            if worker.step() is not None or not worker.models.hears_all:
                return True
        return bool(busy)

    def advance(self, place: Place, steps: int, random: Dice) -> bool:
        """Let one worker, deaf to new models, take so many steps; return whether it had so much to do."""
        self.cluster.dice = random
        worker = self._workers[place]
        return all(worker.step() is not None for _ in range(steps))

    def hear(self, place: Place) -> None:
        """Let one worker notice all models."""
        self._workers[place].models.hear()

    def restart(self, stage: StageName, partition: int) -> None:
        """Kill a worker, in the middle of a batch if it is in one; another restores the partition from the logs."""
        self._workers[stage, partition].restart()

    def restart_all(self) -> None:
        """Kill everything and start it again."""
        for worker in self._workers.values():
            worker.models.hear()
            worker.restart()

    def crash(self, stage: StageName, partition: int, before: Phase, random: Dice | None = None) -> bool:
        """Process a batch, crash before the first call of a kind and restart; return whether the batch came so far."""
        self.cluster.dice = random or dice(0)
        worker = self._workers[stage, partition]
        came = worker.batch_until(before)
        worker.restart()
        return came

    def compact(self) -> None:
        """Compact what was there when all was quiet last, as the compaction lag sees to; trim what has been read."""
        for topic in topics.TOPICS:
            for partition in range(topic.partitions or self.partitions):
                stop = self._ends_when_quiet.get((topic.name, partition), 0)
                log = self.log(topic.name, partition)
                log.compact(stop) if topic.cleanup == "compact" else log.trim(stop)

    def compact_unread(self, stage: StageName, partition: int) -> None:
        """Compact what a stage reads and keeps, up to its end: as for a worker who has been away for days."""
        topic = self.stage(stage, Process()).state[0]
        log = self.log(topic.name, partition)
        self.cluster.now_ms += COMPACTION_LAG_MS
        log.compact(len(log))

    def lose_redis(self) -> None:
        """Lose all that is in Redis; whoever writes there restarts and finds out."""
        self.redis = MemoryRedis(self.partitions)
        for (stage, partition), worker in self._workers.items():
            if worker.loop._stage.store is not None:
                self.restart(stage, partition)

    # --- what is then true ---

    def last_values(self, topic: str) -> dict[str, bytes]:
        """Return the last value of every key that is there."""
        last: dict[str, bytes] = {}
        for partition in range(self.partitions):
            log = self.log(topic, partition)
            for _, stored in log.between(0, len(log)):
                key = stored.key.decode()
                last.pop(key, None)
                if stored.value is not None:
                    last[key] = stored.value
        return last

    def assignments(self) -> dict[str, Assignment]:
        """Return where every record stands."""
        return {key: read_assignment(value) for key, value in self.last_values(topics.ASSIGNMENTS.name).items()}

    def attainments(self) -> dict[str, Attainment]:
        """Return how every territory and user stands, by `<org>/<territory>/<period>[/<user>]`."""
        read = reader_of(Attainment)
        return {key: read(value) for key, value in self.last_values(topics.ATTAINMENTS.name).items()}

    def found(self) -> Expected:
        """Return the end state in the oracle's shape."""
        rows = self.attainments().values()
        return Expected(
            assignments={key: _row_of(assignment) for key, assignment in self.assignments().items()},
            visible=self.redis.visible,
            editable=self.redis.editable,
            admins=self.redis.admins,
            attainments={(row.org_id, row.territory_id, row.period, row.user_id): _figures_of(row) for row in rows},
            left_out=self.redis.left_out,
        )

    def state_of(self, org: str) -> State:
        """Return one organisation's end state in the words of stories."""
        found = self.found()
        codes: dict[str, int] = {}
        for code in self.dead_letters.values():
            codes[code] = codes.get(code, 0) + 1
        return State(
            assignments={
                key.split("/", 1)[1]: _standing_of(assignment)
                for key, assignment in self.assignments().items()
                if assignment.org_id == org
            },
            visible={(user, about): ids for (of, user, about), ids in found.visible.items() if of == org},
            editable={(user, about): ids for (of, user, about), ids in found.editable.items() if of == org},
            admins=found.admins.get(org, set()),
            attainments={tuple(key): row for (of, *key), row in found.attainments.items() if of == org},  # type: ignore[misc]  # three are left
            left_out={deal: reason for (of, deal), reason in found.left_out.items() if of == org},
            dead_letters=codes,
        )


@lru_cache(maxsize=50)
def _pieces_of(document: bytes) -> dict[PieceKey, Any]:
    return pieces_of_model(decode(document))


@lru_cache(maxsize=50)
def _model_of(document: bytes, revision: int) -> Model:
    return compile_model(decode(document), revision)


def _row_of(assignment: Assignment) -> dict[str, Any]:
    return {
        "version": assignment.version,
        "owner_id": assignment.owner_id,
        "territories": list(assignment.territories),
        "causes": {link.territory_id: sorted(link.causes) for link in assignment.links},
        "cut": list(assignment.cut),
        "runners_up": list(assignment.runners_up),
        "dropped": list(assignment.dropped),
    }


def _standing_of(assignment: Assignment) -> Standing:
    return Standing(
        links=assignment.territories,
        causes={link.territory_id: frozenset(link.causes) for link in assignment.links},
        cut=assignment.cut,
        runners_up=assignment.runners_up,
        dropped=assignment.dropped,
        why={link.territory_id: link.why for link in assignment.links},
    )


def _figures_of(row: Attainment) -> dict[str, Any]:
    names = USER_FIGURES if row.user_id is not None else TERRITORY_FIGURES
    figures: dict[str, Any] = {}
    if row.frozen:
        adjusted = ADJUSTED if row.user_id is None else ADJUSTED_OF_USER
        names = (*names, "frozen", *(f"adjustment_{name}" for name in adjusted))
    for name in names:
        value = getattr(row, name)
        figures[name] = value if value is None or name in COUNTS_AND_TEXTS else Decimal(value)
    return figures
