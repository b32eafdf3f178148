"""The table of topics: names, retention, keys, writers and readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic and its configuration at creation. Existing topics are never altered."""

    name: str
    cleanup: Literal["compact", "delete"]
    retention_days: int | None
    partitions: int | None
    """None: the number in the deployment's settings, the same for all such topics."""
    public: bool
    description: str
    key: str = ""
    """The key of its messages, and what decides the partition if that is not the key."""
    written_by: str = ""
    read_by: str = ""


RECORD_KEY = "<org>/<object>/<id>"
ATTAINMENT_KEY = "<org>/<territory>/<period>[/<user>]"

RECORDS = Topic(
    "crm.records.v1", "delete", 7, None, True,
    "Record changes from upstream CRMs.",
    key=RECORD_KEY,
    written_by="upstream CRMs",
    read_by="assigner",
)  # fmt: skip
MODEL = Topic(
    "territory.model.v1", "compact", None, 1, True,
    "Pieces of models, and their activations.",
    key="<org>/<kind>/<id>",
    written_by="territory apply",
    read_by="all services",
)  # fmt: skip
ASSIGNMENTS = Topic(
    "territory.assignments.v1", "compact", None, None, True,
    "The territories of each record, and the reasons; null when the record is gone.",
    key=RECORD_KEY,
    written_by="assigner",
    read_by="access-indexer, forecast-aggregator, anyone",
)  # fmt: skip
ATTAINMENTS = Topic(
    "territory.attainments.v1", "compact", None, None, True,
    "The sales figures of each territory against its target; null when there are none any more.",
    key=ATTAINMENT_KEY,
    written_by="forecast-aggregator",
    read_by="anyone",
)  # fmt: skip
ACCESS_CHANGES = Topic(
    "territory.access-changes.v1", "delete", 7, None, True,
    "The records that each user gains or loses access to.",
    key="<org>/<user>; or <org>/ in every partition, for a reset of one source",
    written_by="access-indexer",
    read_by="downstream caches, search engines",
)  # fmt: skip
DEAD_LETTERS = Topic(
    "territory.dead-letters.v1", "delete", 30, None, True,
    "Refused messages with their original bytes, and receipts of those that were sent again.",
    key="the key of the refused message",
    written_by="all services, territory dead-letters redrive",
    read_by="operators",
)  # fmt: skip
RECORD_STATES = Topic(
    "territory.internal.records.v1", "compact", None, None, False,
    "The state of intake: whole records.",
    key=f"{RECORD_KEY}, in the partition that Kafka's Java clients choose for it",
    written_by="assigner",
    read_by="assigner",
)  # fmt: skip
FAMILIES = Topic(
    "territory.internal.families.v1", "compact", None, None, False,
    "Whole records by account family; null when a record has left a family.",
    key=f"{RECORD_KEY}, in the partition of the account family",
    written_by="assigner",
    read_by="assigner",
)  # fmt: skip
RELEASES = Topic(
    "territory.internal.releases.v1", "delete", 7, None, False,
    "What returns to the intake of a record: releases of families, and changes that arrived on another partition.",
    key=f"{RECORD_KEY}, in the partition of the record's state",
    written_by="assigner",
    read_by="assigner",
)  # fmt: skip
SUBSCRIPTIONS = Topic(
    "territory.internal.subscriptions.v1", "compact", None, None, False,
    "What deals need of contacts in other families: where each contact is, who subscribes to a contact or an account, "
    "and copies for the subscribers; null when there is none any more.",
    key="<org>/contact/<id>, or <org>/subscribed/<partition>/<object>/<id> in the partition of <org>/<object>/<id>, or "
    "<org>/copied/<object>/<id> in the subscriber's",
    written_by="assigner",
    read_by="assigner",
)  # fmt: skip
PARTIALS = Topic(
    "territory.internal.partials.v1", "compact", None, None, False,
    "Sums by source partition; null when a partition no longer contributes.",
    key=f"{ATTAINMENT_KEY}#<source>, in that attainment's partition; or <org>/sweeping/#<source> or "
    "<org>/swept/#<source>, in every one",
    written_by="forecast-aggregator",
    read_by="forecast-aggregator",
)  # fmt: skip
FROZEN = Topic(
    "territory.internal.frozen.v1", "compact", None, None, False,
    "Figures of closed periods in one source partition: its deals, its targets and the list of periods; null when "
    "the key is in no closed period any more.",
    key="<org>/deal/<id>, <org>/target/<territory>:<period>[:<user>] or <org>/closed/periods, in the partition of "
    "the deals",
    written_by="forecast-aggregator",
    read_by="forecast-aggregator",
)  # fmt: skip

TOPICS = (
    RECORDS,
    MODEL,
    ASSIGNMENTS,
    ATTAINMENTS,
    ACCESS_CHANGES,
    DEAD_LETTERS,
    RECORD_STATES,
    FAMILIES,
    RELEASES,
    SUBSCRIPTIONS,
    PARTIALS,
    FROZEN,
)
