"""The whole house in memory: the four folds and the totals over lists, with time in the test's hand.

Topics are lists of encoded messages, Redis is a few dictionaries, and a worker takes its turns as the
partition loop does: messages before state, the store meanwhile, commit last. A turn can stop between any
two of these, while others go on, and never come back: that is a crash. Days pass when a test says so;
each worker hears of that, as of a model, in its own time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, get_args

from access_indexer.core.changes import AdminsState, RecordState, Revoked, SetChange, SetKind
from access_indexer.core.stage import AccessFold
from assigner.assignment.stage import AssignmentFold
from assigner.intake.stage import IntakeFold
from forecast_aggregator.partials.closed_periods import DealAdjusted
from forecast_aggregator.partials.stage import DealLeftOut, PartialSumsFold, is_deal
from forecast_aggregator.totals.stage import AttainmentFold, AttainmentState
from forecast_aggregator.totals.stage import Place as AttainmentPlace
from territory.errors import BadMessage
from territory.model.compiled import Model, compile_model, digest_of, pieces_of_model
from territory.model.document import PieceKey, document_of
from territory.stage import Effects, Fold, InputMessage, Message, Models, collapse
from territory.wire import topics
from territory.wire.codec import decode, encode, reader_of
from territory.wire.events import (
    ACTIVATION,
    Assignment,
    Attainment,
    Counted,
    ModelActivated,
    ModelPiece,
    Released,
    read_assignment,
    read_frozen,
    read_partial,
    read_record,
    read_record_change,
)
from territory.wire.keys import attainment_key, model_key, org_of, parse_record_key, partition_of
from territory_runtime.loop.model_snapshot import CommitMetadata, ModelSnapshot, SnapshotId, unknown_under
from territory_runtime.loop.partition_task import PartitionTask
from tests.support.expectations import Standing, State
from tests.support.follower import Follower
from tests.support.oracle import Expected

StageName = Literal["intake", "assigning", "indexing", "summing", "totals"]
Phase = Literal["begun", "messages", "state", "store", "commit"]
PHASES: tuple[Phase, ...] = get_args(Phase)
Reader = Callable[[bytes], Any]
Place = tuple[StageName, int]
"""A stage and a partition: what one worker has."""

TURNS_MAX = 20_000
"""After how many turns without a pause something goes round in circles."""
SWEEP_RECORDS_MAX = 2
PROCEED_RECORDS_MAX = 2
FOLLOWERS_AT_ONCE_MAX = (0, 1, 50)
"""By partition: all families count as large, some, and none."""
BATCH_RECORDS_MAX = 6
FIRST_MS = 1_500_000_000_000
FIRST_DAY = date(2017, 7, 14)

SUM_FIGURES = ("won", "pipeline", "best_case", "committed", "weighted", "won_by_others")
USER_FIGURES = ("target", "won", "deals_won", "attainment_pct", "star_performer")
ADJUSTED = ("target", *SUM_FIGURES, "deals_won")
ADJUSTED_OF_USER = ("target", "won", "deals_won")
TERRITORY_FIGURES = ("target", *SUM_FIGURES, "deals_won", "attainment_pct", "gap", "shortage", "coverage",
                     "target_mismatch", "star_performer")  # fmt: skip
COUNTS_AND_TEXTS = ("deals_won", "attainment_pct", "coverage", "star_performer", "frozen", "adjustment_deals_won")


Dice = random.Random


def dice(seed: int) -> Dice:
    """Return repeatable dice."""
    return random.Random(seed)  # noqa: S311 -- a schedule, not a secret


# --- Kafka ------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """One message of a log, as bytes."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


class Log:
    """One partition of a topic. Offsets stay when messages go."""

    def __init__(self) -> None:
        self._messages: list[Stored | None] = []
        self._gaps: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._messages)

    def append(self, message: Stored) -> None:
        self._messages.append(message)

    def between(self, start: int, stop: int) -> Iterator[tuple[int, Stored]]:
        """Iterate over what is there of some offsets."""
        for offset in range(start, min(stop, len(self))):
            message = self._messages[offset]
            if message is not None:
                yield offset, message

    def trim(self, stop: int) -> None:
        """Drop everything before an offset, as retention does."""
        for offset in range(min(stop, len(self))):
            self._messages[offset] = None

    def compact(self, stop: int) -> None:
        """Of the messages before an offset keep the last of every key."""
        last: dict[bytes, int] = {}
        for offset, message in reversed(list(self.between(0, stop))):
            later = last.setdefault(message.key, offset)
            if later != offset:
                self._messages[offset] = None
                self._gaps.append((offset, later))

    def lacks_before(self, stop: int) -> bool:
        """Whether something before an offset was dropped for something that comes after it."""
        return any(gone < stop <= later for gone, later in self._gaps)


# --- Redis ------------------------------------------------------------------------------------


Access = dict[tuple[str, str, str], set[str]]
"""Record ids by organisation, user and object."""


@dataclass(slots=True)
class MemoryRedis:
    """What the stages keep besides Kafka, in the shape of the oracle's end state."""

    partitions: int
    visible: Access = field(default_factory=dict)
    editable: Access = field(default_factory=dict)
    admins: dict[str, set[str]] = field(default_factory=dict)
    records: dict[str, RecordState] = field(default_factory=dict)
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)
    adjustments: dict[tuple[str, str, str], tuple[Counted | None, Counted | None]] = field(default_factory=dict)
    """By organisation, period and deal what it counted for, and what it counts for now."""
    attainments: dict[AttainmentPlace, Attainment] = field(default_factory=dict)
    progress: dict[Place, dict[str, int]] = field(default_factory=dict)

    def _change_sets(self, change: SetChange) -> None:
        sets = self.visible if change.kind == "visible" else self.editable
        key = (change.org_id, change.user_id, change.object)
        ids = sets.setdefault(key, set())
        (ids.update if change.present else ids.difference_update)(change.record_ids)
        if not ids:
            del sets[key]

    def make(self, change: object) -> None:
        """Make one change. Harmless to repeat."""
        if isinstance(change, SetChange):
            self._change_sets(change)
        elif isinstance(change, RecordState):
            key_of_record = f"{change.org_id}/{change.object}/{change.record_id}"
            if change.version is None:
                self.records.pop(key_of_record, None)
            else:
                self.records[key_of_record] = change
        elif isinstance(change, AdminsState):
            self.admins[change.org_id] = set(change.users)
            if not change.users:
                del self.admins[change.org_id]
        elif isinstance(change, DealLeftOut | DealAdjusted):
            self._list(change)
        elif isinstance(change, AttainmentState):
            self.attainments.pop(change.place, None)
            if change.attainment is not None:
                self.attainments[change.place] = change.attainment
        elif not isinstance(change, Revoked):
            raise TypeError(f"found a {type(change).__name__}, expected a change of the store")

    def _list(self, change: DealLeftOut | DealAdjusted) -> None:
        """Put a deal on one of the two lists, or take it off."""
        if isinstance(change, DealLeftOut):
            self.left_out.pop((change.org_id, change.deal_id), None)
            if change.why is not None:
                self.left_out[change.org_id, change.deal_id] = change.why.reason
        else:
            at = (change.org_id, change.period, change.deal_id)
            self.adjustments.pop(at, None)
            if change.adjustment is not None:
                self.adjustments[at] = (change.adjustment.frozen, change.adjustment.now)

    def reconcile(self, place: Place, fold: Fold, models: Models, unknown: frozenset[str]) -> frozenset[str]:
        """Return the unknown organisations and those of whose partition nothing is here; drop what is astray."""
        unknown |= models.keys() - self.progress.get(place, {}).keys()
        match fold:
            case AccessFold():
                self._drop_access(fold, models, unknown)
            case PartialSumsFold():
                astray = [at for at in self.left_out if at[0] in unknown and fold.is_stray(*at)]
                for deal in astray:
                    del self.left_out[deal]
                for at in [at for at in self.adjustments if at[0] in unknown and fold.is_stray_adjustment(*at)]:
                    del self.adjustments[at]
            case AttainmentFold():
                for row in [row for row in self.attainments if row[0] in unknown and fold.is_stray(row)]:
                    if partition_of(attainment_key(*row), self.partitions) == place[1]:
                        del self.attainments[row]
        return unknown

    def _drop_access(self, fold: AccessFold, models: Models, unknown: frozenset[str]) -> None:
        kinds: tuple[tuple[SetKind, Access], ...] = (("visible", self.visible), ("editable", self.editable))
        for kind, sets in kinds:
            for (org, user, about), ids in list(sets.items()):
                if org in unknown:
                    strays = fold.strays(org, kind, user, about, record_ids=sorted(ids), models=models)
                    self.make(SetChange(org, kind, user, about, strays, present=False))
        for key in [key for key in self.records if org_of(key) in unknown]:
            if fold.is_stray(*parse_record_key(key)):
                del self.records[key]


# --- the stages -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stage:
    """A fold's place between the topics; the first input is the one that its offset counts."""

    name: StageName
    inputs: Mapping[str, Reader]
    state: tuple[str, Reader]
    make: Callable[[int, int], Fold]
    has_store: bool = False
    wants: Callable[[str], bool] = lambda key: True
    follows_days: bool = False
    follows: StageName | None = None
    keeps: tuple[str, Reader] | None = None

    @property
    def restores_from_input(self) -> bool:
        return self.state[0] in self.inputs


STAGES = (
    Stage(
        "intake",
        {topics.RECORDS.name: read_record_change, topics.RELEASES.name: reader_of(Released)},
        (topics.RECORD_STATES.name, read_record),
        lambda partition, partitions: IntakeFold(partition),
    ),
    Stage(
        "assigning",
        {topics.FAMILIES.name: read_record},
        (topics.FAMILIES.name, read_record),
        lambda partition, partitions: AssignmentFold(
            partitions=partitions, followers_at_once_max=FOLLOWERS_AT_ONCE_MAX[partition % 3]
        ),
        follows_days=True,
    ),
    Stage(
        "indexing",
        {topics.ASSIGNMENTS.name: read_assignment},
        (topics.ASSIGNMENTS.name, read_assignment),
        partial(AccessFold, tells=True),
        has_store=True,
        follows="assigning",
    ),
    Stage(
        "summing",
        {topics.ASSIGNMENTS.name: read_assignment},
        (topics.ASSIGNMENTS.name, read_assignment),
        PartialSumsFold,
        has_store=True,
        wants=is_deal,
        keeps=(topics.FROZEN.name, read_frozen),
    ),
    Stage(
        "totals",
        {topics.PARTIALS.name: read_partial},
        (topics.PARTIALS.name, read_partial),
        lambda partition, partitions: AttainmentFold(),
        has_store=True,
    ),
)


class Activation(NamedTuple):
    """A model that came into effect, and where on the model topic."""

    offset: int
    model: Model


class Committed(NamedTuple):
    """What a group keeps of one partition: the next offset by topic, and the note beside it."""

    offsets: Mapping[str, int]
    note: str


class Worker:
    """One stage's hold on one partition: what it holds, and the models and the day that it has heard of."""

    def __init__(self, house: MemoryHouse, stage: Stage, partition: int) -> None:
        self._house = house
        self.stage = stage
        self.partition = partition
        self._heard = 0
        """How many activations have reached this worker."""
        self._instant = house.instant
        """What its clock says."""
        self._turn: Iterator[Phase] | None = None
        self._held: PartitionTask
        self.restore()

    @property
    def place(self) -> Place:
        return (self.stage.name, self.partition)

    # --- models ---

    def hear(self, count: int | None = None) -> None:
        """Hear of the next activations and then of the day; None: of all."""
        unheard = len(self._house.activations) - self._heard
        if count is None or count > unheard:
            self._instant = self._house.instant
        self._heard += unheard if count is None else min(count, unheard)

    @property
    def hears_all(self) -> bool:
        return self._heard == len(self._house.activations) and self._instant == self._house.instant

    def _in_effect(self, instant: int | None = None) -> ModelSnapshot:
        """Return the models that it has heard of, of the days at an instant: its own unless given."""
        if not self.stage.follows_days:
            return self._house.in_effect(self._heard, None)
        return self._house.in_effect(self._heard, self._instant if instant is None else instant)

    # --- taking over ---

    def restore(self) -> None:
        """Drop everything and take over as a worker that is new here."""
        self._turn = None
        committed = self._house.committed.get(self.place, Committed({}, ""))
        note = CommitMetadata.read(committed.note)
        while self._in_effect().moment.position < note.towards.position:
            self.hear(1)  # a worker that knows less than what was swept would undo it
        held = PartitionTask(
            self.stage.make(self.partition, self._house.partitions),
            {topic: committed.offsets.get(topic, 0) for topic in self.stage.inputs},
        )
        if self.stage.keeps is not None:
            topic, read = self.stage.keeps
            kept = self._house.log(topic, self.partition)
            for offset, stored in kept.between(0, len(kept)):
                held.fold.restore(_incoming_of(topic, offset, stored, read))
        topic, read = self.stage.state
        log = self._house.log(topic, self.partition)
        stop = held.next_offsets[topic] if self.stage.restores_from_input else len(log)
        for offset, stored in log.between(0, stop):
            try:
                held.fold.restore(_incoming_of(topic, offset, stored, read))
            except BadMessage:
                continue  # it went to the dead letters in its time
        is_gapless = not (self.stage.restores_from_input and log.lacks_before(stop))
        swept, towards = self._in_effect(note.swept.instant), self._in_effect(note.towards.instant)
        unknown = unknown_under(note, towards, is_gapless=is_gapless)
        if self.stage.has_store:
            unknown = self._house.redis.reconcile(self.place, held.fold, towards.models, unknown)
        held.resume(note, swept, towards, unknown, limit=SWEEP_RECORDS_MAX)
        held.repeats_until = {topic: len(self._house.log(topic, self.partition)) for topic in self.stage.inputs}
        self._held = held

    def _hear_of_decisions(self) -> None:
        """Hear how far the stage before is, if a sweep waits for it."""
        held, before = self._held, self.stage.follows
        topic = next(iter(self.stage.inputs))
        if before is not None and held.waits_for is not None:
            committed = [self._house.committed.get((before, number)) for number in range(self._house.partitions)]
            position = min(-1 if each is None else CommitMetadata.read(each.note).swept.position for each in committed)
            held.decided(position, len(self._house.log(topic, self.partition)))
        held.go_on_from(held.next_offsets[topic])

    # --- turns ---

    @property
    def fold(self) -> Fold:
        """Its memory."""
        return self._held.fold

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return self.hears_all and not self.has_work

    @property
    def has_work(self) -> bool:
        """Whether there is something to do, as far as it has heard."""
        held = self._held
        self._hear_of_decisions()
        if self._turn is not None or held.is_sweeping or held.now.moment != self._in_effect().moment:
            return True
        if held.fold.unfinished_from is not None:
            return True
        return any(offset != len(self._house.log(topic, self.partition)) for topic, offset in held.next_offsets.items())

    def step(self, random: Dice) -> Phase | None:
        """Go on to the next thing that a turn does to the outside; None: the turn is over."""
        if self._turn is None:
            self._turn = self._take_turn(random)
        phase = next(self._turn, None)
        if phase is None:
            self._turn = None
        return phase

    def _take_turn(self, random: Dice) -> Iterator[Phase]:
        """Take a batch and a slice of a sweep, and do what follows; stop before everything that others can see."""
        held, newest = self._held, self._in_effect()
        self._hear_of_decisions()
        # Not to another day's models while a fan-out is unfinished: a successor would repeat its message under them.
        if held.may_pass_to(newest) and not self._is_repeating and held.fold.unfinished_from is None:
            held.pass_to(newest)
        if held.is_untold:
            yield "commit"
            self._commit()
        yield "begun"  # messages are fetched: a model may come meanwhile
        models = held.now.models
        effects = Effects()
        offsets = self._take_batch(models, effects, random)
        is_unfinished = held.fold.unfinished_from is not None
        if not offsets and not held.is_sweeping and not is_unfinished:
            return
        if is_unfinished:
            held.fold.proceed(models, effects, PROCEED_RECORDS_MAX)
        if held.is_sweeping:
            held.sweep_on(effects)
        held.fold.flush(models, effects)
        under_way = [self._say(effects, random), *([self._store(effects, random)] if self.stage.has_store else [])]
        while under_way:
            going = random.choice(under_way)
            phase = next(going, None)
            if phase is None:
                under_way.remove(going)
            else:
                yield phase
        yield "commit"
        held.next_offsets |= offsets
        self._commit()

    def _say(self, effects: Effects, random: Dice) -> Iterator[Phase]:
        yield from self._send("messages", effects.messages, random)
        yield from self._send("state", effects.state, random)

    def _store(self, effects: Effects, random: Dice) -> Iterator[Phase]:
        half = random.randint(0, len(effects.changes))
        for changes in (effects.changes[:half], effects.changes[half:]):
            yield "store"
            for change in changes:
                self._house.redis.make(change)
        self._house.redis.progress.setdefault(self.place, {}).update(self._held.revisions)

    def _commit(self) -> None:
        note, offsets = self._held.note, dict(self._held.next_offsets)
        unfinished_from = self._held.fold.unfinished_from
        if unfinished_from is not None:  # of the first input: a successor applies that message again
            topic = next(iter(self.stage.inputs))
            offsets[topic] = min(offsets[topic], unfinished_from)
        self._house.committed[self.place] = Committed(offsets, str(note))
        self._held.committed = note

    @property
    def _is_repeating(self) -> bool:
        """Whether what comes next may have been done already by the one who had the partition before."""
        return any(self._held.next_offsets[topic] < stop for topic, stop in self._held.repeats_until.items())

    def _take_batch(self, models: Models, effects: Effects, random: Dice) -> dict[str, int]:
        offsets: dict[str, int] = {}
        inputs = list(self.stage.inputs.items())
        random.shuffle(inputs)
        for topic, read in inputs:
            log = self._house.log(topic, self.partition)
            start = self._held.next_offsets[topic]
            stop = min(len(log), start + random.randint(1, BATCH_RECORDS_MAX))
            for offset, stored in log.between(start, stop):
                if stored.key.count(b"/") >= 2 and not self.stage.wants(stored.key.decode(errors="replace")):
                    continue
                try:
                    incoming = _incoming_of(topic, offset, stored, read)
                except BadMessage as bad:
                    self._house.dead_letters[topic, self.partition, offset] = bad.code
                    continue
                self._held.fold.apply(incoming, models, effects)
                while effects.refused:
                    _, code, _ = effects.refused.pop()
                    self._house.dead_letters[topic, self.partition, offset] = code
            if stop > start:
                offsets[topic] = stop
        return offsets

    def _send(self, phase: Phase, messages: list[Message], random: Dice) -> Iterator[Phase]:
        """Send to every partition in its order, the partitions in any; a send may get through in parts."""
        groups: dict[tuple[str, int], list[Message]] = {}
        for message in collapse(messages):
            route = message.route
            partition = route if isinstance(route, int) else partition_of(route, self._house.partitions)
            groups.setdefault((message.topic, partition), []).append(message)
        waiting = list(groups.items())
        random.shuffle(waiting)
        for (topic, partition), group in waiting:
            middle = random.randint(1, len(group))
            for part in filter(None, (group[:middle], group[middle:])):
                yield phase
                for message in part:
                    self._house.send(topic, partition, message)


def _incoming_of(topic: str, offset: int, stored: Stored, read: Reader) -> InputMessage:
    key = stored.key.decode(errors="replace")
    if key.count("/") < 2:
        raise BadMessage("wrong_key", f"found key {key[:100]!r}, expected <org>/<object>/<id>")
    headers = {name: value.decode(errors="replace") for name, value in stored.headers}
    event = None if stored.value is None else read(stored.value)
    return InputMessage(topic, key, event, headers, stored.timestamp_ms, len(stored.value or b""), offset)


# --- the house --------------------------------------------------------------------------------


class MemoryHouse:
    """All stages with all their partitions, and what they keep."""

    def __init__(self, partitions: int = 3) -> None:
        self.partitions = partitions
        self.redis = MemoryRedis(self.partitions)
        self.follower = Follower()
        self.committed: dict[Place, Committed] = {}
        self.activations: list[Activation] = []
        self.dead_letters: dict[tuple[str, int, int], str] = {}
        """Codes by topic, partition and offset: a repeated turn says them again."""
        self._logs = {
            (topic.name, partition): Log()
            for topic in topics.TOPICS
            for partition in range(topic.partitions or partitions)
        }
        self.day = FIRST_DAY
        """What the clocks say, everywhere; workers look at them now and then."""
        self._pieces: dict[str, dict[PieceKey, Any]] = {}
        self._resolved: dict[tuple[int, date], Model] = {}
        self._now_ms = FIRST_MS
        self._workers = {
            (stage.name, partition): Worker(self, stage, partition)
            for stage in STAGES
            for partition in range(partitions)
        }
        self._ends_when_quiet: dict[tuple[str, int], int] = {}

    def fold(self, place: Place) -> Fold:
        """Return a worker's memory."""
        return self._workers[place].fold

    def log(self, topic: str, partition: int) -> Log:
        """Return one partition of a topic."""
        return self._logs[topic, partition]

    def send(self, topic: str, partition: int, message: Message) -> None:
        """Append one message, encoded."""
        value = None if message.value is None else encode(message.value)
        headers = tuple((name, text.encode()) for name, text in message.headers)
        self._append(topic, partition, message.key.encode(), value, headers)
        if topic == topics.ACCESS_CHANGES.name and value is not None:
            self.follower.take(partition, value)

    def _append(
        self, topic: str, partition: int, key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        self._now_ms += 1
        self.log(topic, partition).append(Stored(key, value, headers, self._now_ms))

    # --- what outsiders do ---

    def publish(self, change: Mapping[str, Any] | bytes | None, key: str | None = None) -> None:
        """Publish one RecordChange, or some bytes under a key; its key decides the partition."""
        if isinstance(change, Mapping):
            key = key or f"{change['org_id']}/{change['object']}/{change['id']}"
            change = encode(change)
        if key is None:
            raise ValueError("bytes need a key")
        self._append(topics.RECORDS.name, partition_of(key, self.partitions), key.encode(), change)

    def apply_model(self, document: Mapping[str, Any]) -> int:
        """Publish a model as the pieces that changed and their activation; return its revision.

        Raises: ModelRefused, and nothing is published.
        """
        pieces = _pieces_of(encode(document))
        org = str(document["org"])
        before = self._pieces.setdefault(org, {})
        revision = 1 + max((model.revision for _, model in self.activations if model.org_id == org), default=0)
        for place in before.keys() - pieces.keys():
            self._append(topics.MODEL.name, 0, model_key(org, *place).encode(), None)
        for place, value in pieces.items():
            piece = encode(ModelPiece(org, *place, revision=revision, value=value))
            self._append(topics.MODEL.name, 0, model_key(org, *place).encode(), piece)
        now = ModelActivated(org, revision, len(pieces), digest_of(pieces), "2017-01-02T08:00:00Z")
        self._append(topics.MODEL.name, 0, model_key(org, *ACTIVATION).encode(), encode(now))
        self._activate()
        return revision

    def _activate(self) -> None:
        """Read the model topic up to its end, which is an activation."""
        log = self.log(topics.MODEL.name, 0)
        start = self.activations[-1].offset + 1 if self.activations else 0
        for offset, stored in log.between(start, len(log)):
            org, kind, name = stored.key.decode().split("/", 2)
            if (kind, name) == ACTIVATION and stored.value is not None:
                activation = reader_of(ModelActivated)(stored.value)
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
        models: dict[str, Model] = {}
        activated_at: dict[str, int] = {}
        for offset, model in self.activations[:activations]:
            models[model.org_id] = model if instant is None else self._as_of(offset, model, instant)
            activated_at[model.org_id] = offset
        return ModelSnapshot(models, activated_at, SnapshotId(max(activated_at.values(), default=-1), instant))

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
        """Take turns until nothing is left to do; for some workers only, if these are named."""
        random = random or dice(0)
        turns = 0
        workers = [worker for place, worker in self._workers.items() if only is None or place in only]
        while busy := [worker for worker in workers if not worker.is_idle]:
            for worker in busy:
                worker.hear()
                while worker.step(random) is not None:
                    pass
                turns += 1
            if turns > TURNS_MAX:
                raise AssertionError(f"still busy after {turns} turns: {[worker.place for worker in busy]}")
        if only is None:
            self._ends_when_quiet = {place: len(log) for place, log in self._logs.items()}

    def step(self, random: Dice) -> bool:
        """Let some worker hear of a model, or do the next thing of a turn; return whether there was anything to do."""
        busy = [worker for worker in self._workers.values() if not worker.is_idle]
        if not busy:
            return False
        worker = random.choice(busy)
        if not worker.hears_all and random.randint(0, 2) == 0:
            worker.hear(1)
        else:
            worker.step(random)
        return True

    def advance(self, place: Place, steps: int, random: Dice) -> bool:
        """Let one worker, deaf to new models, do so many things; return whether it had so much to do."""
        worker = self._workers[place]
        for _ in range(steps):
            if not worker.has_work:
                return False
            worker.step(random)
        return True

    def hear(self, place: Place) -> None:
        """Let one worker hear of all models."""
        self._workers[place].hear()

    def restart(self, stage: StageName, partition: int) -> None:
        """Drop a worker's memory, in the middle of a turn if it is in one, and restore it from the logs."""
        self._workers[stage, partition].restore()

    def restart_all(self) -> None:
        """Stop everything and start it again."""
        for worker in self._workers.values():
            worker.hear()
            worker.restore()

    def crash(self, stage: StageName, partition: int, before: Phase, random: Dice | None = None) -> bool:
        """Take a turn, crash before the first thing of a phase and restart; return whether the turn came so far."""
        random = random or dice(0)
        worker = self._workers[stage, partition]
        while (phase := worker.step(random)) not in (before, None):
            pass
        worker.restore()
        return phase == before

    def compact(self) -> None:
        """Compact what was there when all was quiet last, as the compaction lag sees to; trim what has been read."""
        for topic in topics.TOPICS:
            for partition in range(topic.partitions or self.partitions):
                stop = self._ends_when_quiet.get((topic.name, partition), 0)
                log = self.log(topic.name, partition)
                log.compact(stop) if topic.cleanup == "compact" else log.trim(stop)

    def compact_unread(self, stage: StageName, partition: int) -> None:
        """Compact what a stage reads and keeps, up to its end: as for a worker who has been away for days."""
        topic = next(each.state[0] for each in STAGES if each.name == stage)
        log = self.log(topic, partition)
        log.compact(len(log))

    def lose_redis(self) -> None:
        """Lose all that is in Redis; whoever writes there restarts and finds out."""
        self.redis = MemoryRedis(self.partitions)
        for (_, partition), worker in self._workers.items():
            if worker.stage.has_store:
                self.restart(worker.stage.name, partition)

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
