"""A model on its way from a file to the services: read, checked, compared, and made so at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import errors as kafka_errors

from assigner.assignment.policy import AssignmentPolicy
from assigner.matching.engines import EngineName
from assigner.matching.port import EngineMissing
from territory.errors import Fault, ModelRefused
from territory.model.compiled import Model, assemble, compile_model, digest_of
from territory.model.document import PieceKey, parse_text, pieces_of
from territory.stage import Message
from territory.wire.codec import JSON, decode, encode
from territory.wire.events import ACTIVATION, ModelActivated, ModelPiece
from territory.wire.keys import model_key
from territory.wire.topics import MODEL
from territory_admin.errors import NotFound, Refused
from territory_admin.log.topic_reader import provisioned_partitions, started
from territory_admin.models.topic import ModelLog, model_topic
from territory_runtime.kafka import clients
from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.settings import Settings

STDIN = "-"


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A whole model that is free of faults, and its pieces as the topic will give them back."""

    org_id: str
    model: Model
    pieces: dict[PieceKey, JSON]


@dataclass(frozen=True, slots=True)
class PieceChanges:
    """How one set of pieces differs from another, each sorted."""

    added: tuple[PieceKey, ...]
    changed: tuple[PieceKey, ...]
    removed: tuple[PieceKey, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class Applied:
    """What `territory apply` did."""

    org_id: str
    revision: int
    """The revision that is active now."""
    activated: bool
    """Whether it is a new one; False: nothing had changed."""
    changes: PieceChanges


@dataclass(frozen=True, slots=True)
class Refusal:
    """An activation that the services refused: the model before it stays in effect."""

    revision: int
    faults: tuple[Fault, ...]


def read_text(path: str) -> str:
    """Return the text of a file, `-` for stdin. Raises: NotFound, Refused."""
    try:
        raw = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except OSError as fault:
        raise NotFound(f"can't read {path}: {fault.strerror or fault}") from fault
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise Refused(f"{path} is not UTF-8: {fault.reason} at byte {fault.start}") from fault


def check_model(text: str, engine: EngineName = "index") -> CheckedModel:
    """Return the model that a YAML or JSON text says.

    Raises: ModelRefused with every fault, also with rules that the assigner's engine can't carry:
    its workers would refuse the model while other services have it in effect.
    """
    raw = parse_text(text)
    model = compile_model(raw, 1)
    _check_carried(model, engine)
    pieces: dict[PieceKey, JSON] = {
        key: decode(encode(value))
        for key, value in pieces_of(raw).items()  # type: ignore[arg-type]  # a valid document is a mapping
    }
    return CheckedModel(model.org_id, model, pieces)


def _check_carried(model: Model, engine: EngineName) -> None:
    """Raises: ModelRefused with every rule that the assigner's engine can't carry."""
    if engine == "durable":  # the others carry everything
        AssignmentPolicy(model.on(model.day_of(datetime.now(UTC))), engine)


def changes_between(before: Mapping[PieceKey, JSON], after: Mapping[PieceKey, JSON]) -> PieceChanges:
    """Return what was added, changed and removed; the order of keys within a piece says nothing."""
    return PieceChanges(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(
            sorted(key for key in after.keys() & before.keys() if _canonical(after[key]) != _canonical(before[key]))
        ),
        removed=tuple(sorted(before.keys() - after.keys())),
    )


def refusal_of(log: ModelLog, org_id: str, engine: EngineName) -> Refusal | None:
    """Return why the services refused what was activated last; None: they did not, as far as can be known here.

    They say it nowhere but in their logs and metrics, so it is checked as they did; a service of
    another engine than this may have come to something else.
    """
    newest, activated = log.newest(org_id), log.activated(org_id)
    if newest is None:
        return None
    if activated is None or activated.activation is not newest:
        return Refusal(newest.revision, (Fault("activation", "it speaks of other pieces than there are; apply again"),))
    try:
        _check_carried(assemble(org_id, newest.revision, activated.pieces), engine)
    except ModelRefused as refused:
        return Refusal(newest.revision, refused.faults)
    except EngineMissing:
        return None
    return None


async def refusal(settings: Settings) -> Refusal | None:
    """Return the same for the settings' organisation and engine, as the model topic is now. Raises: KafkaError."""
    async with model_topic(settings) as topic:
        await topic.read_on()
        return refusal_of(topic.log, settings.org_id, settings.assigner_engine)


def _canonical(value: JSON) -> str:
    # Not by ==, for which true is 1.
    return json.dumps(value, sort_keys=True)


def messages_of(org_id: str, log: ModelLog, after: Mapping[PieceKey, JSON], now: datetime) -> list[Message]:
    """Return what has to be said to make these pieces the organisation's model; nothing when they are.

    The activation is last. A piece that did not change is not said again, and so counts as it
    was said.
    """
    before = log.pieces_of(org_id)
    changes = changes_between(before, after)
    revision = log.revision_of(org_id) + 1
    activated = log.activated(org_id)
    if not changes and activated is not None and activated.activation.revision == log.revision_of(org_id):
        return []
    said = {*changes.added, *changes.changed}
    messages = [
        _message(org_id, key, ModelPiece(org_id, *key, revision=revision, value=after[key])) for key in sorted(said)
    ]
    messages += [_message(org_id, key, None) for key in changes.removed]
    whole = {key: after[key] if key in said else before[key] for key in after}
    activation = ModelActivated(
        org_id=org_id,
        revision=revision,
        pieces=len(whole),
        digest=digest_of(whole),
        activated_at=now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    return [*messages, _message(org_id, ACTIVATION, activation)]


def _message(org_id: str, key: PieceKey, value: object) -> Message:
    return Message(MODEL.name, model_key(org_id, *key), value, route=0)


async def apply(settings: Settings, checked: CheckedModel) -> Applied:
    """Make a model the organisation's: its changed pieces and their activation, in one transaction.

    Raises: Refused when somebody else applies one at the same moment; TopicsUnfit, KafkaError.
    """
    await provisioned_partitions(settings)
    org_id = checked.org_id
    producer = clients.producer(settings, transactional_id=f"territory-apply-{org_id}")
    # The producer first: from here on nobody who began earlier can finish, and what they finished is read.
    async with started(producer), model_topic(settings) as topic:
        await topic.read_whole()
        changes = changes_between(topic.log.pieces_of(org_id), checked.pieces)
        messages = messages_of(org_id, topic.log, checked.pieces, datetime.now(UTC))
        revision = topic.log.revision_of(org_id)
        if not messages:
            return Applied(org_id, revision, activated=False, changes=changes)
        try:
            async with producer.transaction():
                await BatchProducer(producer, 1).send(messages)
        except (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch) as fenced:
            raise Refused(
                f"somebody else is applying a model of {org_id!r} at this moment; nothing of yours was applied: "
                "see what is in effect now, and apply again"
            ) from fenced
    return Applied(org_id, revision + 1, activated=True, changes=changes)


def removed_territories(changes: PieceChanges) -> tuple[str, ...]:
    """Return the territories that a change takes away (A11)."""
    return tuple(name for kind, name in changes.removed if kind == "territory")
