"""Applies a model: publishes the pieces that changed and their activation in one Kafka transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from territory.model.compiled import digest_of
from territory.model.document import PieceKey
from territory.stage import Message
from territory.wire.codec import JSON
from territory.wire.events import ACTIVATION, ModelActivated, ModelPiece
from territory.wire.keys import model_key
from territory.wire.topics import MODEL
from territory_admin.errors import Refused
from territory_admin.log.kafka_session import KafkaSession, kafka_session
from territory_admin.log.organisation_reader import OnRead
from territory_admin.models.changes import PieceChanges, changes_between
from territory_admin.models.topic import ModelLog, ModelTopicReader
from territory_admin.models.transaction import commit, sole_writer
from territory_admin.models.validate import CheckedModel
from territory_admin.records.wait import PIPELINE, Pipeline, wait_for_pipeline
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome of an apply."""

    org_id: str
    revision: int
    """The revision that is active now."""
    activated: bool
    """Whether this apply activated it; False if the model had not changed."""
    changes: PieceChanges
    absent: tuple[str, ...] = ()
    """Stages that no service runs: they use the model when a service starts. Looked for by `apply_and_wait` only."""
    in_effect: bool | None = None
    """Whether every stage has brought all records under the model; None if that was not waited for."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The conditions under which a model is applied."""

    expected_revision: int | None = None
    """The revision that has to be active, 0 for none yet; None for any."""
    with_safeguard: bool = False
    """Whether to refuse a model by which more than a tenth of the records or memberships changes hands."""
    report: OnRead = lambda *_: None
    """Called while the safeguard reads records: with how many messages were read, and how many there are."""


UNCONDITIONAL = Terms()


async def apply(settings: Settings, checked: CheckedModel, terms: Terms = UNCONDITIONAL) -> Applied:
    """Make a model the active one of its organisation; do nothing if it is active already.

    Missing topics are created.

    Args:
        settings: The brokers. The organisation is the model's own.
        checked: The model.
        terms: The conditions.

    Raises: NeedsConsent when the safeguard finds that too much changes hands; Refused when another revision is
        active than the terms expect, and when another apply for the organisation runs at the same moment;
        NotReached when another transaction on the model topic does not end; TopicsUnfit; KafkaError.
    """
    async with kafka_session(settings) as kafka:
        await kafka.provisioned_partitions()
        return await _apply(kafka, ModelTopicReader(kafka), checked, terms)


async def apply_and_wait(
    settings: Settings,
    checked: CheckedModel,
    timeout_seconds: float,
    report: Callable[[str, int, int], None],
    terms: Terms = UNCONDITIONAL,
) -> Applied:
    """Apply a model as `apply` does, then wait until every stage has brought all records under it.

    It does not wait while a stage has no running service.

    Args:
        settings: The brokers.
        checked: The model.
        timeout_seconds: How long to wait; on a timeout `in_effect` of the result is False.
        report: Called with a stage, how much of its work is done, and how much there is.
        terms: The conditions.

    Raises: as `apply`.
    """
    async with kafka_session(settings) as kafka:
        partitions, topic = await kafka.provisioned_partitions(), ModelTopicReader(kafka)
        applied = await _apply(kafka, topic, checked, terms)
        stages = Pipeline(kafka, topic, partitions)
        absent = await stages.absent([stage.name for stage in PIPELINE])
        if absent:
            return replace(applied, absent=absent)
        waited = await wait_for_pipeline(stages, timeout_seconds, report)
    return replace(applied, in_effect=waited.done)


async def _apply(kafka: KafkaSession, topic: ModelTopicReader, checked: CheckedModel, terms: Terms) -> Applied:
    org_id, expected = checked.org_id, terms.expected_revision
    if terms.with_safeguard or expected is not None:
        await topic.read_on()
        check_revision(topic.log, org_id, expected)
    if terms.with_safeguard:
        from territory_admin.planning.safeguard import require_consent  # noqa: PLC0415 -- it imports the matchers

        expected = active_revision(topic.log, org_id)
        await require_consent(kafka, topic.log, checked, terms.report)
    async with sole_writer(kafka, topic, org_id) as producer:
        check_revision(topic.log, org_id, expected)  # nobody can commit between this look and our commit
        changes = changes_between(topic.log.pieces_of(org_id), checked.pieces)
        messages = messages_of(org_id, topic.log, checked.pieces, datetime.now(UTC))
        revision = topic.log.revision_of(org_id)
        if not messages:
            return Applied(org_id, revision, activated=False, changes=changes)
        overtaken = f"another apply for {org_id!r} started meanwhile, so this one published nothing: "
        await commit(producer, messages, overtaken + "check the active model, and apply again")
    return Applied(org_id, revision + 1, activated=True, changes=changes)


def active_revision(log: ModelLog, org_id: str) -> int:
    """Return the revision that is in effect; 0 if the organisation has no model."""
    activated = log.activated(org_id)
    return 0 if activated is None else activated.activation.revision


def check_revision(log: ModelLog, org_id: str, expected: int | None) -> None:
    """Raises: Refused when another revision is active than the expected one; None expects nothing."""
    found = active_revision(log, org_id)
    if expected is not None and found != expected:
        state = f"revision {found} is active" if found else "it has no model"
        raise Refused(
            f"expected revision {expected} of {org_id!r} to be active, but {state}: nothing was changed. "
            "territory models show writes the active model; put your changes into it, and apply again"
        )


def messages_of(org_id: str, log: ModelLog, after: Mapping[PieceKey, JSON], now: datetime) -> list[Message]:
    """Return the messages that make some pieces the active model; none if they are active already.

    The activation comes last. An unchanged piece is not sent again, so its message keeps the revision in
    which it changed last.

    Args:
        org_id: The organisation.
        log: The model topic so far.
        after: All pieces of the model.
        now: The time of the activation.
    """
    before = log.pieces_of(org_id)
    changes = changes_between(before, after)
    revision = log.revision_of(org_id) + 1
    activated = log.activated(org_id)
    if not changes and activated is not None and activated.activation.revision == log.revision_of(org_id):
        return []
    sent = {*changes.added, *changes.changed}
    messages = [
        _message(org_id, key, ModelPiece(org_id, *key, revision=revision, value=after[key])) for key in sorted(sent)
    ]
    messages += [_message(org_id, key, None) for key in changes.removed]
    pieces = {key: after[key] if key in sent else before[key] for key in after}
    activation = ModelActivated(
        org_id=org_id,
        revision=revision,
        pieces=len(pieces),
        digest=digest_of(pieces),
        activated_at=timestamp_of(now),
    )
    return [*messages, _message(org_id, ACTIVATION, activation)]


def timestamp_of(now: datetime) -> str:
    """Return a time as activations have it."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(org_id: str, key: PieceKey, value: object) -> Message:
    return Message(MODEL.name, model_key(org_id, *key), value, route=0)
