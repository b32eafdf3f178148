"""A dead letter."""

from __future__ import annotations

from territory.wire.topics import RECORDS
from territory_admin.dead_letters.letters import Letter

LETTER = Letter(
    letter="3/17", at="2017-03-01T10:00:00.000Z", topic=RECORDS.name, partition=3, offset=40, stage="assigner-intake",
    code="no_record", reason="patch of acme/account/A", key="acme/account/A", bytes=8, cut_from=None, sent_before=0,
    first_offset=40,
)  # fmt: skip
