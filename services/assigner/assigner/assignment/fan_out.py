"""Resumable fan-out in a large family: its members are decided again a few at a time.

A *head* is a record that others inherit from: the account, or a contact that deals name. Every
change of a head or of the model takes the next number of a clock. A member is *due* while a change
that concerns it is newer than the one it was last decided after.

The fan-out visits the members in laps, and decides those that are due. A change in the middle of a
lap ends with the next lap, so even a head that never stops changing delays no member, and no commit,
by more than two laps.

What is emitted: the difference, where exactly one change separates a member from its last decision.
Where two or more do, the member skipped a state. A worker that crashed before its commit may have
emitted that state, and this worker repeats its messages without knowing: so the decision is emitted
whether it differs or not.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from assigner.assignment.emission import (
    EMITTED_COST,
    SKIPPED_COST,
    UNCHANGED_COST,
    Origin,
    assignment_message,
    origin_of_model,
    territories_of,
)
from assigner.assignment.family import Family, Member
from assigner.assignment.policy import AssignmentPolicy
from territory.stage import Effects
from territory.wire.events import Record

LastTwo = tuple[int, int]
"""The numbers of a head's newest change and of the one before it; 0: there was none."""

NEVER: LastTwo = (0, 0)


class FanOut:
    """The changes of one family that not all of its members were decided after."""

    __slots__ = (
        "_account", "_clock", "_contacts", "_due_lap", "_family", "_held_by_lap", "_held_by_next", "_index", "_keys",
        "_laps", "_model", "_origin", "newest",
    )  # fmt: skip

    def __init__(self, family: Family, clock: Iterator[int]) -> None:
        """Begin without any change.

        Args:
            family: The family; all of its members are up to date.
            clock: Yields numbers that rise, and that no earlier fan-out of the family used.
        """
        self._family = family
        self._clock = clock
        self.newest = 0
        """The number of the newest change; a member decided now is decided after it."""
        self._model = NEVER
        self._account = NEVER
        self._contacts: dict[str, LastTwo] = {}
        self._origin = Origin("", 0)
        self._keys: list[str] = []
        self._index = 0
        self._laps = 0
        self._due_lap = 0
        self._held_by_lap: int | None = None
        self._held_by_next: int | None = None

    # --- changes -----------------------------------------------------------------------------

    def change_model(self) -> None:
        """Make all members due: the family's policy is another one."""
        self.newest = next(self._clock)
        self._model = (self.newest, self._model[0])

    def change_head(self, head: Record, origin: Origin) -> None:
        """Make the followers of a record due: it came, left, or changed its territories."""
        self.newest = next(self._clock)
        self._origin = origin
        if head.object == "account":
            self._account = (self.newest, self._account[0])
        else:
            self._contacts[head.id] = (self.newest, self._contacts.get(head.id, NEVER)[0])

    def request_lap(self, offset: int | None) -> int:
        """Ask for a whole lap over the members after the changes so far; return its number, for `is_done`.

        Args:
            offset: The message that caused the changes, which `unfinished_from` is to name until that lap
                is over. None where nothing depends on it: a sweep begins again after a crash.
        """
        if self._index == 0:
            lap = self._laps + 1
            if self._held_by_lap is None:
                self._held_by_lap = offset
        else:
            lap = self._laps + 2
            if self._held_by_next is None:
                self._held_by_next = offset
        self._due_lap = lap
        return lap

    # --- progress ----------------------------------------------------------------------------

    @property
    def unfinished_from(self) -> int | None:
        """The oldest message whose changes some member may not be decided after; None: there is none."""
        return self._held_by_next if self._held_by_lap is None else self._held_by_lap

    def is_done(self, lap: int | None = None) -> bool:
        """Whether a lap is over; without its number, whether all that were asked for are."""
        return self._laps >= (self._due_lap if lap is None else lap)

    def proceed(self, effects: Effects, budget: float) -> float:
        """Visit members until the budget is spent or no lap is left; return what was spent."""
        spent = 0.0
        while spent < budget and not self.is_done():
            if self._index == 0:
                self._keys = self._family.keys
            if self._index < len(self._keys):
                member = self._family.member(self._keys[self._index])
                self._index += 1
                spent += SKIPPED_COST if member is None else self.decide_if_due(member, effects)
            if self._index >= len(self._keys):
                self._end_lap()
        return spent

    def _end_lap(self) -> None:
        self._laps += 1
        self._index = 0
        self._held_by_lap, self._held_by_next = self._held_by_next, None

    # --- decisions ---------------------------------------------------------------------------

    def is_due(self, member: Member) -> bool:
        """Whether a change that concerns a member is newer than its last decision."""
        return any(self._changes_since(member))

    def decide_if_due(self, member: Member, effects: Effects) -> float:
        """Decide a member if it is due, after those it inherits from; return the cost."""
        of_model, of_heads = self._changes_since(member)
        if not (of_model or of_heads):
            return SKIPPED_COST
        policy, before = self._policy, member.decision
        cost = self.decide_heads(member.record, effects)
        after = member.decision = self._family.decide(member.record, policy)
        member.decided_at = self.newest
        if before == after and of_model + of_heads == 1:
            return cost + UNCHANGED_COST
        origin = self._origin if of_heads else origin_of_model(policy.model)
        effects.messages.append(assignment_message(member.record, after, policy.model, origin))
        effects.outcomes["followed" if of_heads else "redecided"] += 1
        return cost + EMITTED_COST

    def decide_heads(self, record: Record, effects: Effects) -> float:
        """Bring the members that a record inherits from up to date; return the cost."""
        cost = 0.0
        for head in self._family.heads_of(record):
            if self.is_due(head):
                cost += self.decide_if_due(head, effects)
            else:
                self._family.compute_decision(head, self._policy)
        return cost

    @property
    def _policy(self) -> AssignmentPolicy:
        if self._family.policy is None:
            raise AssertionError("a fan-out began in a family without a policy")
        return self._family.policy

    def _changes_since(self, member: Member) -> tuple[int, int]:
        """Count the changes of the model and of heads, of each at most two, since a member was decided."""
        after, record = member.decided_at, member.record
        newest, older = self._model
        of_model = (newest > after) + (older > after)
        of_heads = 0
        if record.object in {"contact", "deal"}:
            newest, older = self._account
            of_heads = (newest > after) + (older > after)
            if record.object == "deal" and record.contact_id in self._contacts:
                newest, older = self._contacts[record.contact_id]
                of_heads += (newest > after) + (older > after)
        return of_model, of_heads


def fan_out_of(family: Family) -> FanOut:
    """Return the fan-out of a family that has one."""
    if family.fan_out is None:
        raise AssertionError("a family without a fan-out counts as unfinished")
    return family.fan_out


def territories_before(family: Family, key: str, policy: AssignmentPolicy) -> tuple[str, ...] | None:
    """Return what followers inherited from a member so far; None where some may have inherited something else."""
    member = family.member(key)
    if member is None or (family.fan_out is not None and family.fan_out.is_due(member)):
        return None
    return territories_of(family.compute_decision(member, policy))


def compute_undecided(family: Family, limit: int, effects: Effects) -> Generator[Effects, None, Effects]:
    """Compute the decisions that a restore left open in a large family, while no message changes it."""
    policy = family.policy
    if policy is None or not family.has_undecided:
        return effects
    for key in family.keys:
        member = family.member(key)
        if member is not None:
            effects.cost += SKIPPED_COST if member.decision is not None else UNCHANGED_COST
            family.compute_decision(member, policy)
        effects = yield from chunk_if_full(effects, limit)
        if family.policy is not policy or family.fan_out is not None:
            return effects
    family.has_undecided = False
    return effects


def chunk_if_full(effects: Effects, limit: int) -> Generator[Effects, None, Effects]:
    """Yield a chunk that has reached its limit and return the next one, empty; else return the same."""
    if effects.cost < limit:
        return effects
    yield effects
    return Effects()
