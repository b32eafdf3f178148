"""Withdraws the records of a removed organisation, and takes no more of it (A12)."""

from __future__ import annotations

from assigner.intake.merge import GONE_AGAIN, gone_message
from assigner.intake.places import expired_message
from territory.errors import BadMessage
from territory.model.document import OBJECTS
from territory.stage import Effects, InputMessage, Message
from territory.wire import topics
from territory.wire.events import Record, read_record, read_released
from territory.wire.keys import parse_record_key
from territory.wire.rerouting import CHANGE, REROUTED, STATE


def withdrawals(record: Record, partition: int) -> list[Message]:
    """Return the messages by which all others forget a record: a tombstone to its family, and one of its place.

    Args:
        record: The record as intake has it.
        partition: The partition of intake that the family's release comes to.
    """
    messages = [gone_message(record.key, record.family, partition)] if record.is_live else []
    if record.object == "contact" and record.version:
        messages.append(expired_message(record.key))
    return messages


def take_of_removed(message: InputMessage, partition: int, partitions: int | None, effects: Effects) -> None:
    """Ignore a change of a removed organisation; withdraw a state; answer a release as for a deleted record.

    A worker that stopped before its commit may have forwarded the change, to a family that is not known any more. So
    every partition of families gets a tombstone of an ignored change.

    The answer to a release goes to any family, by the record's own key: whichever takes the tombstone publishes the
    assignment's.
    """
    effects.outcomes["organisation_removed"] += 1
    kind = message.headers.get(REROUTED)
    if message.event is None:
        return
    if message.topic != topics.RELEASES.name or kind == CHANGE:
        _withdraw_everywhere(message.key, partition, partitions, effects)
        return
    try:
        if kind == STATE:  # from a partition that had not come to the removal; a family has the record
            effects.messages += withdrawals(read_record(message.event), partition)
        elif not (released := read_released(message.event)).again:
            effects.messages.append(gone_message(released.key, released.key, partition, GONE_AGAIN))
    except BadMessage as bad:
        effects.refused.append((message, bad.code, str(bad)))


def _withdraw_everywhere(key: str, partition: int, partitions: int | None, effects: Effects) -> None:
    try:
        object_type = parse_record_key(key)[1]
    except ValueError:  # no record has this key
        return
    if object_type not in OBJECTS:
        return
    for number in range(partitions or 0):
        tombstone = gone_message(key, key, partition)
        effects.messages.append(tombstone._replace(route=number))
    if object_type == "contact":
        effects.messages.append(expired_message(key))
