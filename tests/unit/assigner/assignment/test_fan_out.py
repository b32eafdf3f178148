"""A large family is decided in steps, between other messages; the end state does not depend on when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from assigner.assignment.stage import AssignmentFold
from assigner.intake.merge import INTAKE_PARTITION, MOVED, REASON
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message
from territory.wire.events import Assignment, Record
from territory.wire.topics import ASSIGNMENTS, FAMILIES
from tests.unit.assigner.examples import (
    IN_AMERICA,
    SAN_FRANCISCO,
    TREE,
    Node,
    emitted,
    key_of,
    model_of,
    record,
)

MODEL = model_of()
IN_WEST: Node = {"country": "US"}
NOWHERE: Node = {"country": "FR"}
LIMIT = 10


def message(offset: int, each: Record) -> InputMessage:
    return InputMessage(FAMILIES.name, each.key, each, {}, offset=offset)


def tombstone(offset: int, key: str, reason: str | None = None) -> InputMessage:
    headers = {INTAKE_PARTITION: "0"} | ({} if reason is None else {REASON: reason})
    return InputMessage(FAMILIES.name, key_of(key), None, headers, timestamp_ms=9_000, offset=offset)


def applied(fold: AssignmentFold, *messages: InputMessage, model: Model | None = MODEL) -> Effects:
    """Return the effects of some messages of one batch."""
    effects = Effects()
    for each in messages:
        fold.apply(each, {} if model is None else {"acme": model}, effects)
    return effects


def proceeded(fold: AssignmentFold, limit: int = LIMIT, model: Model = MODEL) -> Effects:
    """Return the effects of one chunk of the fan-outs."""
    effects = Effects()
    fold.proceed({"acme": model}, effects, limit)
    return effects


def chunks(fold: AssignmentFold, limit: int = LIMIT, model: Model = MODEL) -> list[Effects]:
    """Proceed until nothing is unfinished; return the chunks."""
    found: list[Effects] = []
    while fold.unfinished_from is not None:
        found.append(proceeded(fold, limit, model))
        assert len(found) < 10_000
    return found


def assignments_in(effects: Effects) -> list[Message]:
    """Return the assignments alone: a deal may subscribe to its contact as well."""
    return [sent for sent in effects.messages if sent.topic == ASSIGNMENTS.name]


def total(parts: list[Effects]) -> Effects:
    whole = Effects()
    for each in parts:
        whole.add(each)
    return whole


def account(version: int, fields: Node) -> Record:
    return record("account/A-1", version, fields=fields)


def deals(number: int, contact_id: str | None = None) -> list[Record]:
    return [record(f"deal/D-{each}", account_id="A-1", contact_id=contact_id) for each in range(number)]


def large(number: int = 100, contacts: int = 0) -> AssignmentFold:
    """Return a fold with an account in `bay`, deals of it and contacts, everything emitted."""
    fold = AssignmentFold()
    applied(fold, message(0, account(1, SAN_FRANCISCO)))
    people = [record(f"contact/C-{each}", account_id="A-1") for each in range(contacts)]
    applied(fold, *(message(1 + offset, each) for offset, each in enumerate([*people, *deals(number)])))
    assert fold.unfinished_from is None
    return fold


# --- one change of a head ---------------------------------------------------------------------


def test_account_is_emitted_at_once_and_its_followers_in_steps() -> None:
    """`apply` emits the record alone; each `proceed` about the limit; contacts come before deals (A5, A6, A8)."""
    fold = large(100, contacts=10)
    assert emitted(applied(fold, message(500, account(2, IN_WEST)))) == {"account/A-1": ("west",)}
    assert fold.unfinished_from == {FAMILIES.name: 500}
    steps = chunks(fold)
    assert all(len(each.messages) <= LIMIT for each in steps)
    order = [sent.key.split("/")[1] for sent in total(steps).messages]
    assert order == ["contact"] * 10 + ["deal"] * 100
    assert set(emitted(total(steps)).values()) == {("west",)}
    assert total(steps).outcomes == {"followed": 110}


def test_small_family_is_decided_at_once() -> None:
    """A family of at most 50 members holds no offset back (A8)."""
    fold = large(49)
    assert len(applied(fold, message(500, account(2, IN_WEST))).messages) == 50
    assert fold.unfinished_from is None


def test_followers_that_stay_are_not_emitted() -> None:
    """One change and known decisions: only differences are emitted, and silent members cost less (A8)."""
    fold = AssignmentFold()
    manual = [record(f"deal/D-{each}", account_id="A-1", links={"west": "assign"}) for each in range(99)]
    applied(fold, message(0, account(1, SAN_FRANCISCO)), *(message(1, each) for each in [*manual, *deals(100)[99:]]))
    applied(fold, message(500, account(2, NOWHERE)))
    steps = chunks(fold)
    assert emitted(total(steps)) == {"deal/D-99": ()}
    assert 2 <= len(steps) <= 4


def test_superseded_change_is_emitted_whether_it_differs_or_not() -> None:
    """A follower that skipped a state is emitted: before a crash it may have been emitted with that state (A9)."""
    fold = large()
    applied(fold, message(500, account(2, IN_WEST)))
    applied(fold, message(501, account(3, SAN_FRANCISCO)))
    assert fold.unfinished_from == {FAMILIES.name: 500}
    assert emitted(total(chunks(fold))) == {f"deal/D-{each}": ("bay",) for each in range(100)}


def test_fifty_changes_in_a_row_are_one_fan_out() -> None:
    """An account that changes 50 times costs two laps at most, not 50; the end state is the last one's (A9)."""
    fold = large(1_000)
    first = applied(fold, *(message(500 + each, account(2 + each, IN_WEST)) for each in range(0, 50, 2)))
    assert len(first.messages) == 25
    for each in range(50):
        applied(fold, message(600 + each, account(100 + each, IN_WEST if each % 2 else NOWHERE)))
        assert len(proceeded(fold).messages) <= LIMIT
    steps = chunks(fold, 100)
    assert all(len(each.messages) <= 100 for each in steps)
    assert len(total(steps).messages) <= 2_000
    last = applied(fold, *(message(800, replace(each, version=2)) for each in deals(1_000)))
    assert set(emitted(last).values()) == {("west",)}


def test_head_that_never_stops_changing_holds_no_offset_for_ever() -> None:
    """Each member is visited once in two laps, and the offset follows (A8)."""
    fold = large()
    offset = 500
    for _ in range(60):
        applied(fold, message(offset, account(offset, IN_WEST if offset % 2 else NOWHERE)))
        proceeded(fold)
        offset += 1
    assert fold.unfinished_from is not None
    assert offset - fold.unfinished_from[FAMILIES.name] <= 2 * (100 // LIMIT) + 1


def test_members_that_change_themselves_are_decided_under_the_newest_head() -> None:
    """A deal that changes in the middle of its account's fan-out is not decided with the account before (A6, A8)."""
    fold = large(100, contacts=1)
    applied(fold, message(500, account(2, NOWHERE)), message(500, account(3, IN_WEST)))
    deal = record("deal/D-99", 2, account_id="A-1", contact_id="C-0")
    assert emitted(applied(fold, message(501, deal))) == {"contact/C-0": ("west",), "deal/D-99": ("west",)}
    rest = emitted(total(chunks(fold)))
    assert len(rest) == 99
    assert "deal/D-99" not in rest


def test_families_take_turns() -> None:
    """A giant family delays no other: each chunk begins with the next family (fairness)."""
    fold = AssignmentFold()
    for number in ("A-1", "A-2"):
        applied(fold, message(0, record(f"account/{number}", fields=SAN_FRANCISCO)))
        applied(fold, *(message(1, record(f"deal/{number}-{each}", account_id=number)) for each in range(60)))
    applied(fold, *(message(500, record(f"account/{number}", 2, fields=IN_WEST)) for number in ("A-1", "A-2")))
    first = {sent.key.split("-")[1] for _ in range(2) for sent in proceeded(fold).messages}
    assert first == {"1", "2"}


# --- contacts ---------------------------------------------------------------------------------


def test_contact_with_few_deals_is_followed_at_once() -> None:
    """Also in a large family: only the deals that name it are decided (A6)."""
    fold = large(100, contacts=1)
    applied(fold, *(message(300, replace(each, version=2)) for each in deals(3, "C-0")))
    moved = record("contact/C-0", 2, account_id="A-1", links={"bay": "exclude", "large": "assign"})
    effects = applied(fold, message(500, moved))
    assert emitted(effects) == {"contact/C-0": ("large",)} | {f"deal/D-{each}": ("large",) for each in range(3)}
    assert fold.unfinished_from is None


def test_contact_with_many_deals_fans_out() -> None:
    """Beyond the bound the deals are decided in steps; deals of other contacts stay (A6)."""
    fold = large(20, contacts=1)
    applied(fold, *(message(300, replace(each, version=2)) for each in deals(80, "C-0")))
    applied(fold, *(message(300, replace(each, version=3, contact_id=None)) for each in deals(10)))
    moved = record("contact/C-0", 2, account_id="A-1", links={"bay": "exclude", "large": "assign"})
    assert emitted(applied(fold, message(500, moved))) == {"contact/C-0": ("large",)}
    rest = emitted(total(chunks(fold)))
    assert rest == {f"deal/D-{each}": ("large",) for each in range(10, 80)}


def test_contact_that_changes_while_it_is_due_takes_its_deals_along() -> None:
    """It comes back to its territory in one step, its deals may have been emitted in between: they are (A6, A9)."""
    fold = large(100, contacts=1)
    applied(fold, message(300, record("deal/D-0", 2, account_id="A-1", contact_id="C-0")))
    applied(fold, message(500, account(2, IN_WEST)))
    kept = record("contact/C-0", 2, account_id="A-1", links={"west": "exclude", "bay": "assign"})
    effects = applied(fold, message(501, kept))
    assert emitted(effects) == {"contact/C-0": ("bay",), "deal/D-0": ("bay",)}


# --- heads and followers that leave -----------------------------------------------------------


def test_deleted_head_fans_out() -> None:
    """Followers of a deleted account lose its territories, in steps; the release waits for none of them (A4, A8)."""
    fold = large()
    effects = applied(fold, tombstone(500, "account/A-1"))
    assert emitted(effects) == {"account/A-1": None}
    assert len(effects.state) == 1
    assert fold.unfinished_from == {FAMILIES.name: 500}
    assert emitted(total(chunks(fold))) == {f"deal/D-{each}": () for each in range(100)}


def test_head_deleted_under_a_new_model_takes_its_followers_along() -> None:
    """Followers that are decided at once are decided under the new model, and so is what they inherit (A8)."""
    fold = large(100, contacts=1)
    applied(fold, message(200, record("deal/D-0", 2, account_id="A-1", contact_id="C-0")))
    effects = applied(fold, tombstone(500, "contact/C-0"), model=WIDER)
    assert {sent.key: sent.value.model_revision for sent in effects.messages if isinstance(sent.value, Assignment)} == {
        key_of("account/A-1"): 2,
        key_of("deal/D-0"): 2,
    }
    assert fold.unfinished_from == {FAMILIES.name: 500}


@pytest.mark.parametrize("reason", [None, MOVED])
def test_follower_that_leaves_is_not_emitted_by_its_old_family(reason: str | None) -> None:
    """After its tombstone the old family emits nothing for it, also in the middle of a fan-out (A4, A8)."""
    fold = large()
    applied(fold, message(500, account(2, IN_WEST)))
    applied(fold, tombstone(501, "deal/D-50", reason))
    moved = record("deal/D-50", 2, account_id="A-2")
    applied(fold, message(502, moved))
    assert "deal/D-50" not in emitted(total(chunks(fold)))


def test_family_that_is_gone_is_finished() -> None:
    """When the last member leaves, no offset is held back any more (A4)."""
    fold = large()
    applied(fold, message(500, account(2, IN_WEST)))
    applied(fold, *(tombstone(501 + each, f"deal/D-{each}") for each in range(100)), tombstone(700, "account/A-1"))
    assert (len(fold), fold.unfinished_from) == (0, None)


def test_contact_that_moves_without_a_tombstone_leaves_its_deals() -> None:
    """Compaction may have taken the tombstone: the deals of the old family are decided without the contact (A6)."""
    fold = AssignmentFold()
    by_hand = record("contact/C-0", account_id="A-1", links={"large": "assign", "bay": "exclude"})
    applied(fold, message(0, account(1, SAN_FRANCISCO)), message(1, by_hand), message(2, deals(1, "C-0")[0]))
    effects = applied(fold, message(3, record("contact/C-0", 2, account_id="A-2")))
    assert emitted(effects) == {"contact/C-0": (), "deal/D-0": ("bay",)}


# --- models -----------------------------------------------------------------------------------

WIDER = model_of(
    *(node for node in TREE if node["id"] != "bay"), {"id": "extra", "rules": {"account": IN_AMERICA}}, revision=2
)
SAME = model_of(revision=3)


def swept(fold: AssignmentFold, model: Model, limit: int = LIMIT) -> list[Effects]:
    return list(fold.sweep(model, limit))


def test_sweep_ends_a_chunk_within_a_family() -> None:
    """A family of 1 000 is decided under a new model in chunks of the limit (A8)."""
    fold = large(1_000)
    steps = swept(fold, WIDER)
    assert all(len(each.messages) <= LIMIT for each in steps)
    assert len(emitted(total(steps))) == 1_001
    assert total(steps).swept == 1_001
    assert swept(fold, WIDER)[0].messages == []


def test_sweep_looks_at_an_unaffected_family_in_chunks() -> None:
    """To see that no member can change takes chunks as well, and emits nothing (A8)."""
    fold = large(1_000)
    steps = swept(fold, SAME)
    assert total(steps).messages == []
    assert len(steps) >= 1_000 * 0.05 // LIMIT
    assert emitted(applied(fold, message(1, account(2, IN_WEST)), model=SAME)) == {"account/A-1": ("west",)}


def test_restored_family_is_swept_in_chunks_and_only_differences_are_emitted() -> None:
    """Decisions that a restore left open are computed first, chunk by chunk, under the model before (A8, A9)."""
    fold = AssignmentFold()
    manual = [record(f"deal/D-{each}", account_id="A-1", links={"west": "assign"}) for each in range(1_000)]
    for each in (account(1, SAN_FRANCISCO), *manual, record("deal/last", account_id="A-1")):
        fold.restore(message(0, each))
    fold.restored({"acme": MODEL}, frozenset())
    steps = swept(fold, WIDER)
    assert len(steps) >= 2 * 1_000 * 0.25 // LIMIT
    assert emitted(total(steps)) == {"account/A-1": ("west", "extra"), "deal/last": ("west",)}


def test_restored_followers_are_emitted_where_nobody_knows_what_was() -> None:
    """A head changes before its large family is decided again after a restart: all followers are emitted (A9)."""
    fold = AssignmentFold()
    for each in (account(1, SAN_FRANCISCO), *deals(100)):
        fold.restore(message(0, each))
    fold.restored({"acme": MODEL}, frozenset())
    assert emitted(applied(fold, message(9, record("account/A-1", 2, owner_id="ann", fields=SAN_FRANCISCO)))) == {
        "account/A-1": ("bay",)
    }
    assert fold.unfinished_from is None  # its territories are the same
    applied(fold, message(10, account(3, IN_WEST)))
    assert len(total(chunks(fold)).messages) == 100


def test_first_message_after_a_new_model_takes_its_large_family_along_in_steps() -> None:
    """The record is decided under the new model at once, with what it inherits; the others follow (A8, A9)."""
    fold = large(100, contacts=1)
    deal = record("deal/D-0", 2, account_id="A-1", contact_id="C-0")
    effects = applied(fold, message(500, deal), model=WIDER)
    assert list(emitted(effects)) == ["account/A-1", "contact/C-0", "deal/D-0"]
    assert fold.unfinished_from == {FAMILIES.name: 500}
    assert len(total(chunks(fold, model=WIDER)).messages) == 99
    assert total(swept(fold, WIDER)).messages == []


def test_model_appears_while_a_family_has_none() -> None:
    """Without a model nothing is emitted or put off; the first model decides all (A8)."""
    fold = AssignmentFold()
    without = applied(
        fold, message(0, account(1, SAN_FRANCISCO)), *(message(1, each) for each in deals(100)), model=None
    )
    assert (without.messages, fold.unfinished_from) == ([], None)
    assert len(emitted(applied(fold, message(500, account(2, IN_WEST))))) == 1
    steps = [*chunks(fold), *swept(fold, MODEL)]
    assert len(total(steps).messages) == 100
    assert set(emitted(total(steps)).values()) == {("west",)}


def test_model_changes_in_the_middle_of_a_fan_out() -> None:
    """Members that were not visited skip a state; all end under the new model, each chunk bounded (A8, A9)."""
    fold = large()
    applied(fold, message(500, account(2, IN_WEST)))
    early = proceeded(fold)
    sweep = fold.sweep(WIDER, LIMIT)
    first = next(sweep)
    applied(fold, message(501, account(3, SAN_FRANCISCO)), model=WIDER)
    rest = [first, *chunks(fold, model=WIDER), *sweep]
    assert all(len(each.messages) <= LIMIT for each in [early, *rest])
    last = emitted(total(rest))
    assert len(last) == 101
    assert {territories[0] for territories in last.values() if territories} == {"west"}


# --- any order, with crashes ------------------------------------------------------------------

MODELS = (MODEL, WIDER, SAME, model_of(*TREE[:3], revision=4))
STEPS = 60
ACCOUNTS: tuple[str | None, ...] = ("A-0", "A-0", "A-1", None)
CONTACTS: tuple[str | None, ...] = ("C-0", "C-1", None)
LINKS: tuple[dict[str, str], ...] = ({}, {}, {"large": "assign"}, {"bay": "exclude"})


@dataclass
class Partition:
    """One partition of the stage, with its log, its output and its commits; the worker may crash at any point."""

    dice: Random
    bound: int
    model: Model = MODEL
    log: list[InputMessage] = field(default_factory=list)
    emitted: dict[str, Assignment | None] = field(default_factory=dict)
    committed: int = 0
    swept: Model | None = None
    is_known: bool = False
    """Whether no model was activated since the last sweep ended."""

    def __post_init__(self) -> None:
        self.restore()

    def restore(self) -> None:
        """Be a new worker: the memory is what the log has up to the commit."""
        self.fold = AssignmentFold(followers_at_once_max=self.bound)
        for each in self.log[: self.committed]:
            self.fold.restore(each)
        is_known = self.is_known and self.swept is not None
        known = {"acme": self.swept} if is_known and self.swept is not None else {"acme": self.model}
        self.fold.restored(known, frozenset() if is_known else frozenset({"acme"}))
        self.position = self.committed
        self.repeats_until = len(self.log)
        is_swept = is_known and self.swept is self.model
        self.sweep: Iterator[Effects] | None = None if is_swept else self.fold.sweep(self.model, 2)

    def activate(self, model: Model) -> None:
        """Begin a sweep under another model; a crash before its end leaves it unknown what was emitted."""
        self.model, self.is_known = model, False
        self.sweep = self.fold.sweep(model, 2)

    def pass_day(self, model: Model) -> None:
        """Begin a sweep under another day's model, as the loop may: nothing else is unfinished or repeated."""
        if self.sweep is None and self.position >= self.repeats_until and self.fold.unfinished_from is None:
            self.model = model
            self.sweep = self.fold.sweep(model, 2)

    @property
    def has_work(self) -> bool:
        return self.sweep is not None or self.position < len(self.log) or self.fold.unfinished_from is not None

    def take_turn(self, *, crashes: bool = False) -> None:
        """Apply a batch, proceed, sweep; send, and commit unless it crashes."""
        effects = Effects()
        stop = min(len(self.log), self.position + self.dice.randint(0, 3))
        for each in self.log[self.position : stop]:
            before = len(assignments_in(effects))
            self.fold.apply(each, {"acme": self.model}, effects)
            assert len(assignments_in(effects)) - before <= 2 * self.bound + 5
        for _ in range(self.dice.randint(0, 2)):
            before, decided = len(effects.messages), len(assignments_in(effects))
            self.fold.proceed({"acme": self.model}, effects, 2)
            assert len(assignments_in(effects)) - decided <= 2 + 2
            assert len(effects.messages) - before <= 2 * (2 + 2)  # a deal may subscribe to a contact, or end that
        ended = False
        if self.sweep is not None and self.dice.randint(0, 1):
            chunk = next(self.sweep, None)
            ended = chunk is None
            if chunk is not None:
                assert len(chunk.messages) <= 2 * self.bound + 5
                effects.add(chunk)
        count = len(assignments_in(effects))
        sent = self.dice.randint(0, count) if crashes else count
        for message_sent in assignments_in(effects)[:sent]:
            self.emitted[message_sent.key] = message_sent.value  # type: ignore[assignment]  # assignments or tombstones
        if crashes:
            self.restore()
            return
        self.position = stop
        if ended:
            self.sweep, self.swept, self.is_known = None, self.model, True
        held = self.fold.unfinished_from
        self.committed = stop if held is None else min(stop, held.get(FAMILIES.name, stop))

    def expected(self) -> dict[str, Assignment | None]:
        """Return the decisions for the log as a whole, by a fold that decides everything at once."""
        fold = AssignmentFold(followers_at_once_max=1_000)
        for each in self.log:
            fold.restore(each)
        fold.restored({"acme": self.model}, frozenset({"acme"}))
        last: dict[str, Assignment | None] = {each.key: None for each in self.log}
        for sent in total(list(fold.sweep(self.model, 1_000))).messages:
            last[sent.key] = sent.value  # type: ignore[assignment]  # an assignment
        return last


def random_message(dice: Random, offset: int, families: dict[str, str]) -> list[InputMessage]:
    """Return a change of some record, and the tombstone to its old family if it moves.

    Args:
        dice: Decides which.
        offset: Of the first message.
        families: The family of each record; updated.
    """
    choice = dice.randint(0, 9)
    key = f"account/A-{dice.randint(0, 1)}"
    links = {"large": "assign"} if dice.randint(0, 5) == 0 else {}
    state: Node
    if choice < 4:
        state = {"fields": dice.choice((SAN_FRANCISCO, IN_WEST, NOWHERE))}
    elif choice < 6:
        key = f"contact/C-{dice.randint(0, 2)}"
        state = {"account_id": dice.choice(ACCOUNTS)}
        links = dice.choice(LINKS)
    else:
        key = f"deal/D-{dice.randint(0, 5)}"
        state = {
            "account_id": dice.choice(ACCOUNTS),
            "contact_id": dice.choice(CONTACTS),
        }
    if dice.randint(0, 12) == 0:
        families.pop(key, None)
        return [tombstone(offset, key)]
    each = record(key, offset + 1, links=links, **state)
    moves = families.get(key, each.family) != each.family
    families[key] = each.family
    return [*([tombstone(offset, key, MOVED)] if moves else []), message(offset + moves, each)]


def story(partition: Partition, *, days: bool) -> None:
    """Let records change, models change or days pass, turns be taken and workers crash."""
    dice, families = partition.dice, dict[str, str]()
    for _ in range(STEPS):
        match dice.randint(0, 11):
            case 0 | 1 | 2 | 3 | 4:
                partition.log += random_message(dice, len(partition.log), families)
            case 5 if days:
                partition.pass_day(dice.choice(MODELS))
            case 5 if dice.randint(0, 2) == 0:
                partition.activate(dice.choice(MODELS))
            case 6:
                partition.take_turn(crashes=True)
            case _:
                partition.take_turn()
    turns = 0
    while partition.has_work:
        partition.take_turn()
        turns += 1
        assert turns < 10_000


@pytest.mark.parametrize("days", [False, True], ids=["models", "days"])
@given(st.integers(0, 2**48), st.sampled_from((0, 1, 2, 5)))
@settings(max_examples=5 * settings().max_examples)
def test_end_state_is_that_of_deciding_everything_at_once(days: bool, seed: int, bound: int) -> None:
    """Whatever is put off, superseded, interleaved, or repeated after a crash: the last assignments agree (A9)."""
    partition = Partition(Random(seed), bound)  # noqa: S311 -- a schedule, not a secret
    story(partition, days=days)
    assert without_origins(partition.emitted) == without_origins(partition.expected())


def without_origins(assignments: dict[str, Assignment | None]) -> dict[str, Assignment | None]:
    """Return assignments without the event and the revision that they follow from."""
    return {
        key: None if each is None else replace(each, event_id="", since_ms=0, model_revision=1)
        for key, each in assignments.items()
    }
