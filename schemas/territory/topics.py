"""The one table of topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic and how it is created where it does not exist; what exists is never altered."""

    name: str
    cleanup: Literal["compact", "delete"]
    retention_days: int | None
    partitions: int | None
    """None: as many as the deployment says, the same for all of them."""
    public: bool
    says: str


RECORDS = Topic("crm.records.v1", "delete", 7, None, True, "Changes of records, from upstream CRMs.")
MODEL = Topic("territory.model.v1", "compact", None, 1, True, "Pieces of models and their activations.")
ASSIGNMENTS = Topic("territory.assignments.v1", "compact", None, None, True, "Where each record stands, and why.")
ATTAINMENTS = Topic("territory.attainments.v1", "compact", None, None, True, "Where each territory stands.")
DEAD_LETTERS = Topic("territory.dead-letters.v1", "delete", 30, None, True, "Refused messages, as they came.")
RECORD_STATES = Topic("territory.internal.records.v1", "compact", None, None, False, "Intake's state: whole records.")
FAMILIES = Topic("territory.internal.families.v1", "compact", None, None, False, "Whole records, by account family.")
RELEASES = Topic("territory.internal.releases.v1", "delete", 7, None, False, "Records that left a family.")
PARTIALS = Topic("territory.internal.partials.v1", "compact", None, None, False, "Sums by source partition.")
TOTALS = Topic("territory.internal.totals.v1", "compact", None, None, False, "Changelog of the totals' Faust table.")

TOPICS = (
    RECORDS,
    MODEL,
    ASSIGNMENTS,
    ATTAINMENTS,
    DEAD_LETTERS,
    RECORD_STATES,
    FAMILIES,
    RELEASES,
    PARTIALS,
    TOTALS,
)
