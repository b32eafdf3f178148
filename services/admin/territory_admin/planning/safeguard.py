"""Refuses an apply that nobody has confirmed, if more than a tenth of the records or memberships changes hands."""

from __future__ import annotations

from assigner.assignment.policy_cache import PolicyCache
from territory.model.compiled import Model
from territory_admin.errors import Refused
from territory_admin.log.kafka_session import KafkaSession
from territory_admin.log.organisation_reader import OnRead
from territory_admin.models.changes import changes_between
from territory_admin.models.today import of_today
from territory_admin.models.topic import ModelLog
from territory_admin.models.validate import CheckedModel
from territory_admin.planning.assignments import redecided
from territory_admin.planning.handover import Share, empties_tree, membership_share, moves_no_record
from territory_admin.planning.plan import Planned, plan_on, records_by_partition

EXAMPLES_MAX = 10


class NeedsConsent(Refused):
    """Raised when so much would change hands that a person has to confirm it; nothing was changed."""

    def __init__(self, planned: Planned, records: Share, memberships: Share) -> None:
        """Keep what would change, under which revision, and how much of all that is."""
        self.planned = planned
        self.records = records
        self.memberships = memberships
        super().__init__(
            f"this model would change much of {planned.org_id!r} (revision {planned.revision}): {self.figures}; "
            "nothing was changed. Look at territory plan MODEL; territory apply MODEL --yes applies it"
        )

    @property
    def figures(self) -> str:
        """The figures as one phrase."""
        return (
            f"{self.records.changing:,} of {self.records.of:,} records would be in other territories, "
            f"{self.memberships.changing:,} of {self.memberships.of:,} memberships of users would change"
        )


async def require_consent(kafka: KafkaSession, log: ModelLog, checked: CheckedModel, report: OnRead) -> None:
    """Return if little changes hands with a model.

    No record is read for a first model, without a change, and where no assignment depends on what changes, such as
    people and targets. Else the records are swept in memory, as the assigner would; only where more than a tenth is
    decided differently, all are planned to count those that move.

    Args:
        kafka: The session.
        log: The model topic, read to its end.
        checked: The model to apply.
        report: Called with how many messages were read, and how many there are.

    Raises: NeedsConsent; AmountOutOfRange; ModelRefused; KafkaError.
    """
    activated = log.activated(checked.org_id)
    if activated is None or not changes_between(activated.pieces, checked.pieces):
        return
    before, after = of_today(log.model_of(checked.org_id)), of_today(checked.model)
    memberships = membership_share(before, after)
    must_ask = memberships.is_large or empties_tree(before, after)
    if not must_ask and moves_no_record(before, after):
        return
    if not must_ask and not (await _redecided(kafka, before, after, report)).is_large:
        return
    planned = await plan_on(kafka, log, checked, EXAMPLES_MAX, report)
    records = Share(sum(planned.plan.moved.values()), planned.plan.records)
    if must_ask or records.is_large:
        raise NeedsConsent(planned, records, memberships)


async def _redecided(kafka: KafkaSession, before: Model, after: Model, report: OnRead) -> Share:
    """Return how many records are decided differently: at least as many as move."""
    policies, changing, of = PolicyCache(), 0, 0
    async for records, subscribed in records_by_partition(kafka, after.org_id, report):
        changing += len(redecided(records, before, after, policies, subscribed))
        of += len(records)
    return Share(changing, of)
