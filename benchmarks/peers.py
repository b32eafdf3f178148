"""What the apps of other frameworks share, so that only the framework differs from the assigner.

They read and write messages with our codecs and match with our assignment policy, its index included. What they
leave out favours their speed and costs them right answers, which are counted:

- Followers are not decided again when the account arrives later, changes its links or is deleted (A8).
- The model never changes; it is read at the start.
- A deal follows its account only, not its contact first (A6); without manual links both give the same result.
- A record that moves does not leave its old family, so late messages of that family are not corrected.
- Manual links and dead letters are left out; the corpus has none.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from territory.model.compiled import compile_model
from territory.wire.codec import decode, encode
from territory.wire.events import Assignment, DealFacts, Record, RecordChange
from territory.wire.keys import family_key, record_key
from territory.wire.topics import Topic
from territory_admin.records.wait import StageGroup

COMMIT_SECONDS = 0.5
"""Commit interval of the apps. The clock stops at the last commit, which by default is up to 2.8 s or 5 s late."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An app of another framework.

    Attributes:
        package: The import that it needs.
        install: The command that installs it.
        records_max: Enough changes to measure it with; more would take minutes.
        ratio_min: The aim: how many times as fast the assigner is.
    """

    name: str
    module: str
    package: str
    install: str
    input: Topic
    output: Topic
    stages: tuple[StageGroup, ...]
    records_max: int
    ratio_min: float

    @property
    def is_installed(self) -> bool:
        """Return whether its package can be imported. Faust, once imported, is a module without a spec."""
        return self.package in sys.modules or importlib.util.find_spec(self.package) is not None


def _topic(name: str, says: str) -> Topic:
    return Topic(name, "delete", None, None, False, says)


FAUST_INPUT = _topic("benchmark.faust.records.v1", "What the Faust app reads.")
FAUST_OUTPUT = _topic("benchmark.faust.assignments.v1", "What the Faust app writes.")
FAUST = Peer(
    name="Faust app",
    module="benchmarks.faust_assigner",
    package="faust",
    install="make setup",
    input=FAUST_INPUT,
    output=FAUST_OUTPUT,
    stages=(StageGroup("benchmark-faust", (FAUST_INPUT,), sweeps=False),),
    records_max=20_000,
    ratio_min=10,
)

QUIX_GROUP = "benchmark-quix"
QUIX_INPUT = _topic("benchmark.quix.records.v1", "What the Quix Streams app reads.")
QUIX_OUTPUT = _topic("benchmark.quix.assignments.v1", "What the Quix Streams app writes.")
QUIX_FAMILIES = _topic(
    f"repartition__{QUIX_GROUP}--{QUIX_INPUT.name}--family", "Whole records by family, within the Quix Streams app."
)
QUIX = Peer(
    name="Quix Streams app",
    module="benchmarks.quix_assigner",
    package="quixstreams",
    install="make bench-peers",
    input=QUIX_INPUT,
    output=QUIX_OUTPUT,
    stages=(
        StageGroup(QUIX_GROUP, (QUIX_INPUT,), sweeps=False),
        StageGroup(QUIX_GROUP, (QUIX_FAMILIES,), sweeps=False),
    ),
    records_max=50_000,
    ratio_min=2,
)

PEERS = (FAUST, QUIX)


def read_linker(path: Path) -> AssignmentPolicy:
    """Return the assignment policy of a model document, with the assigner's default engine."""
    return AssignmentPolicy(compile_model(decode(path.read_bytes()), 1))


def merged(change: RecordChange, before: Record | None) -> Record | None:
    """Return the whole record after a change; None when the change is stale or has nothing to patch."""
    if before is not None and change.version <= before.version:
        return None
    owner, account, contact, fields = change.owner_id, change.account_id, change.contact_id, change.fields
    if change.op == "patch":
        if before is None or before.deleted:
            return None
        said = change.model_fields_set
        owner = owner if "owner_id" in said else before.owner_id
        account = account if "account_id" in said else before.account_id
        contact = contact if "contact_id" in said else before.contact_id
        both = before.fields | fields
        fields = {name: value for name, value in both.items() if value is not None}
    return Record(
        org_id=change.org_id, object=change.object, id=change.id, version=change.version, link_version=0,
        deleted=change.op == "delete", owner_id=owner, account_id=account, contact_id=contact, fields=fields, links={},
        family=before.family
        if change.op == "delete" and before is not None
        else family_key(change.org_id, change.object, change.id, account, contact),
        intake_partition=0, event_id=change.event_id, since_ms=0,
    )  # fmt: skip


def account_key_of(record: Record) -> str | None:
    """Return the key of the account that a contact or a deal follows."""
    return None if record.account_id is None else record_key(record.org_id, "account", record.account_id)


def decide(linker: AssignmentPolicy, record: Record, account: AssignmentDecision | None) -> AssignmentDecision:
    """Return the decision for a live record, given that of its account."""
    if record.object in ("account", "lead"):
        return linker.decide_by_rules(record)
    if record.object == "contact":
        return linker.decide_contact(record, account)
    return linker.decide_deal(record, None, account)


def said(linker: AssignmentPolicy, record: Record, standing: AssignmentDecision) -> bytes:
    """Return the assignment of a live record, as the assigner publishes it."""
    facts = DealFacts.of(record.fields) if record.object == "deal" else None
    return encode(
        Assignment(
            org_id=record.org_id, object=record.object, id=record.id, version=record.version,
            model_revision=linker.model.revision, owner_id=record.owner_id, links=standing.links, cut=standing.cut,
            runners_up=standing.runners_up, dropped=standing.dropped, unassigned=standing.unassigned, deal=facts,
            family=record.family, event_id=record.event_id,
        )
    )  # fmt: skip
