"""The answer to a tombstone: a release, by which intake learns that a family has removed a record (A4, A8)."""

from __future__ import annotations

from assigner.intake.merge import GONE_AGAIN, INTAKE_PARTITION, REASON
from territory.errors import BadMessage
from territory.stage import InputMessage, Message
from territory.wire import topics
from territory.wire.events import Released
from territory.wire.keys import parse_record_key


def release_of(tombstone: InputMessage, partitions: int | None) -> Message:
    """Return the release that answers a tombstone of a family, routed to the partition of intake that sent it.

    Args:
        tombstone: A message of territory.internal.families.v1 without a value.
        partitions: The number of partitions of the topics; None: not known, any number will do.

    Raises: BadMessage where the tombstone does not name a partition: intake did not write it.
    """
    found = tombstone.headers.get(INTAKE_PARTITION)
    if found is None or not (found.isascii() and found.isdecimal()) or (partitions and int(found) >= partitions):
        expected = "a partition number" if partitions is None else f"a partition number below {partitions}"
        raise BadMessage(
            "wrong_type",
            f"tombstone of {tombstone.key[:100]}: header {INTAKE_PARTITION}: "
            f"found {'none' if found is None else repr(found[:20])}, expected {expected}; only the assigner may write "
            f"to {tombstone.topic}, delete a record by op delete on {topics.RECORDS.name}",
        )
    org_id, object_type, record_id = parse_record_key(tombstone.key)
    is_second = tombstone.headers.get(REASON) == GONE_AGAIN
    released = Released(org_id, object_type, record_id, again=is_second)  # type: ignore[arg-type]  # a key of ours
    return Message(topics.RELEASES.name, released.key, released, int(found))
