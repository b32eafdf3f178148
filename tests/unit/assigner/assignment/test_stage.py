"""Whole records become assignments, each beside its account."""

from __future__ import annotations

import pytest

from assigner.assignment.stage import AssignmentFold
from assigner.intake.merge import GONE_AGAIN, INTAKE_PARTITION, MOVED, REASON
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message, Models
from territory.wire.events import DealFacts, Record, Released
from territory.wire.topics import ASSIGNMENTS, FAMILIES, RELEASES
from tests.unit.assigner.examples import (
    IN_AMERICA,
    SAN_FRANCISCO,
    TREE,
    assignment_of,
    emitted,
    key_of,
    model_of,
    record,
)

MODEL = model_of()
ACCOUNT = record("account/A-1", fields=SAN_FRANCISCO)
CONTACT = record("contact/C-1", account_id="A-1")
DEAL = record("deal/D-1", account_id="A-1", contact_id="C-1", fields={"amount": "5", "stage": "Won", "colour": "red"})
ELSEWHERE = record("account/A-1", 2, fields={"country": "US"})


def decided(fold: AssignmentFold, *records: Record, model: Model | None = MODEL) -> Effects:
    """Return what follows from some records that come in one turn."""
    effects = Effects()
    for each in records:
        fold.apply(InputMessage(FAMILIES.name, each.key, each, {}), {} if model is None else {"acme": model}, effects)
    return effects


def drain_and_leave(fold: AssignmentFold, key: str, reason: str | None = None, models: Models | None = None) -> Effects:
    """Return what follows from a tombstone to the family of a record."""
    headers = {INTAKE_PARTITION: "3"} | ({} if reason is None else {REASON: reason})
    effects = Effects()
    fold.apply(
        InputMessage(FAMILIES.name, key_of(key), None, headers, 9_000),
        {"acme": MODEL} if models is None else models,
        effects,
    )
    return effects


def restored(*records: Record, model: Model | None = MODEL, unknown: frozenset[str] = frozenset()) -> AssignmentFold:
    """Return a fold whose memory came back from the topic."""
    fold = AssignmentFold()
    for each in records:
        fold.restore(InputMessage(FAMILIES.name, each.key, each, {}))
    fold.restored({} if model is None else {"acme": model}, unknown)
    return fold


def swept(fold: AssignmentFold, model: Model, limit: int = 100) -> Effects:
    """Return what a whole sweep says."""
    whole = Effects()
    for effects in fold.sweep(model, limit):
        whole.add(effects)
    return whole


# --- one record and those that follow it ------------------------------------------------------


def test_assignment_says_where_and_why() -> None:
    """The whole state: versions of record and model, links with causes, and what a forecast asks of a deal (A10)."""
    effects = decided(AssignmentFold(), ACCOUNT, DEAL)
    said = assignment_of(effects, "deal/D-1")
    assert (said.version, said.model_revision, said.territories) == (1, 1, ("bay",))
    assert said.links[0].why == ("inherited from account A-1",)
    assert said.deal == DealFacts(amount="5", stage="Won")
    assert (said.family, said.event_id, said.since_ms) == (key_of("account/A-1"), "deal/D-1@1", 1_000)
    assert {message.route for message in effects.messages} == {key_of("account/A-1"), key_of("deal/D-1")}


def test_followers_come_along() -> None:
    """Contacts and deals follow a change of their account's links, by themselves (A5, A6, A8)."""
    fold = AssignmentFold()
    decided(fold, DEAL, CONTACT, ACCOUNT)
    effects = decided(fold, ELSEWHERE)
    assert emitted(effects) == {"account/A-1": ("west",), "contact/C-1": ("west",), "deal/D-1": ("west",)}
    assert effects.outcomes == {"decided": 1, "followed": 2}
    deal = assignment_of(effects, "deal/D-1")
    assert deal.event_id == "account/A-1@2"  # what the change of the deal follows from


def test_followers_are_silent_where_nothing_changed() -> None:
    """A change of the account that leaves its links alone is said of the account only (A8)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT, DEAL)
    assert emitted(decided(fold, record("account/A-1", 2, owner_id="bob", fields=SAN_FRANCISCO))) == {
        "account/A-1": ("bay",)
    }


def test_arrival_before_the_account() -> None:
    """Whatever comes first, the end is the same (A9)."""
    fold = AssignmentFold()
    assert emitted(decided(fold, DEAL, CONTACT)) == {"deal/D-1": (), "contact/C-1": ()}
    assert emitted(decided(fold, ACCOUNT)) == {"account/A-1": ("bay",), "contact/C-1": ("bay",), "deal/D-1": ("bay",)}


def test_repeat_is_said_again_and_older_is_stale() -> None:
    """The same record twice is said twice: that is what a release asks for; an older one is dropped (A8, A9)."""
    fold = AssignmentFold()
    first = decided(fold, ELSEWHERE)
    assert decided(fold, ELSEWHERE).messages == first.messages
    assert decided(fold, ACCOUNT).outcomes == {"stale": 1}
    older_link = record("account/A-1", 2, link_version=1, fields={}, links={"large": "assign"})
    assert emitted(decided(fold, older_link)) == {"account/A-1": ("large",)}


def test_no_model_yet() -> None:
    """Nothing is assigned; all of it is when a model comes (A8, A9)."""
    fold = AssignmentFold()
    effects = decided(fold, ACCOUNT, CONTACT, model=None)
    assert (effects.messages, effects.outcomes) == ([], {"no_model": 2})
    assert emitted(swept(fold, MODEL)) == {"account/A-1": ("bay",), "contact/C-1": ("bay",)}


# --- a model changes --------------------------------------------------------------------------

WIDER = model_of(
    *(node for node in TREE if node["id"] != "bay"), {"id": "extra", "rules": {"account": IN_AMERICA}}, revision=2
)


def test_sweep_says_what_changed() -> None:
    """A change of the model is effective by itself; records that stand where they stood are not said again (A8)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT, record("lead/L-1", fields={"country": "US"}))
    effects = swept(fold, WIDER)
    assert emitted(effects) == {"account/A-1": ("west", "extra"), "contact/C-1": ("west", "extra")}
    said = assignment_of(effects, "account/A-1")
    assert (said.model_revision, said.event_id, said.since_ms) == (2, "model/acme/2", 0)
    assert effects.swept == len(fold) == 3
    assert swept(fold, WIDER) == Effects(swept=3)


def test_territory_without_its_rule_links() -> None:
    """A deleted territory's rule links vanish; its manual ones are named as dropped, and come back with it (A11)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, record("account/A-2", links={"bay": "assign"}))
    effects = swept(fold, WIDER)
    assert assignment_of(effects, "account/A-1").territories == ("west", "extra")
    by_hand = assignment_of(effects, "account/A-2")
    assert (by_hand.territories, by_hand.dropped) == ((), ("bay",))
    assert emitted(swept(fold, model_of(revision=3)))["account/A-2"] == ("bay",)


def test_whole_family_under_one_model() -> None:
    """The first record that comes after an activation takes its family along; the sweep has nothing left (A8, A9)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT)
    assert emitted(decided(fold, record("contact/C-1", 2, account_id="A-1"), model=WIDER)) == {
        "account/A-1": ("west", "extra"),
        "contact/C-1": ("west", "extra"),
    }
    assert swept(fold, WIDER).messages == []


def test_sweep_goes_by_slices() -> None:
    """At most so many records and the rest of a family a slice, so that changes get in between (A8)."""
    fold = AssignmentFold()
    decided(fold, *(record(f"lead/L-{number}", fields={"country": "US"}) for number in range(5)))
    slices = [len(effects.messages) for effects in fold.sweep(model_of({"id": "bare"}, revision=2), 2)]
    assert slices == [2, 2, 1]


def test_family_that_is_gone_in_the_middle_of_a_sweep() -> None:
    """A record that is deleted between two slices is not said to be anywhere afterwards (A4, A8)."""
    fold = AssignmentFold()
    decided(fold, record("lead/L-1", fields={"country": "US"}), record("lead/L-2", fields={"country": "US"}))
    bare = model_of({"id": "bare"}, revision=2)
    sweep = fold.sweep(bare, 1)
    next(sweep)
    drain_and_leave(fold, "lead/L-2", models={"acme": bare})
    assert [effects.messages for effects in sweep] == [[]]


def test_sweep_passes_over_what_cannot_move() -> None:
    """Records that no changed territory takes are not decided anew: twenty of them count as one (A8)."""
    fold = AssignmentFold()
    decided(fold, *(record(f"lead/L-{number}", fields={"country": "US"}) for number in range(40)), ACCOUNT)
    slices = [list(effects.outcomes.elements()) for effects in fold.sweep(WIDER, 1)]
    assert slices == [[], [], ["redecided"], []]
    assert swept(fold, WIDER).messages == []
    leads = decided(fold, record("lead/L-1", 2, fields={"country": "CA"}), model=WIDER)
    assert emitted(leads) == {"lead/L-1": ("west",)}


def test_sweep_takes_more_of_those_that_stay() -> None:
    """Records that are decided anew, and of which nothing has to be said: four of them count as one (A8)."""
    fold = AssignmentFold()
    decided(fold, *(record(f"lead/L-{number}", links={"west": "assign"}) for number in range(10)))
    slices = list(fold.sweep(WIDER, 2))
    assert [(effects.swept, effects.messages, effects.cost) for effects in slices] == [(8, [], 2), (2, [], 0.5)]


# --- moves and deletes ------------------------------------------------------------------------


def test_deleted_record_is_gone_and_released() -> None:
    """A null for everyone, and a release to intake's partition once that is acknowledged (A4)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT)
    effects = drain_and_leave(fold, "account/A-1")
    assert effects.messages == [Message(ASSIGNMENTS.name, key_of("account/A-1"), None, key_of("account/A-1"))]
    released = Released("acme", "account", "A-1", again=False)
    assert effects.state == [Message(RELEASES.name, released.key, released, 3)]
    assert len(fold) == 0


def test_moved_record_is_released_without_a_word() -> None:
    """The old family says nothing of it from then on: the new one speaks (A8)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT)
    effects = drain_and_leave(fold, "contact/C-1", MOVED)
    assert effects.messages == []
    assert effects.state[0].value == Released("acme", "contact", "C-1", again=False)
    assert emitted(decided(fold, ELSEWHERE)) == {"account/A-1": ("west",)}


@pytest.mark.parametrize(("reason", "again"), [(None, False), (GONE_AGAIN, True)])
def test_tombstone_of_what_is_not_known_is_answered(reason: str | None, again: bool) -> None:
    """A null once more, and a release; the second of them ends the matter (A4)."""
    effects = drain_and_leave(AssignmentFold(), "lead/L-1", reason)
    assert emitted(effects) == {"lead/L-1": None}
    assert effects.state[0].value == Released("acme", "lead", "L-1", again=again)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, "none"),
        ({INTAKE_PARTITION: "three"}, "'three'"),
        ({INTAKE_PARTITION: "-1"}, "'-1'"),
        ({INTAKE_PARTITION: "8"}, "'8'"),
    ],
    ids=["no header", "no number", "negative", "no such partition"],
)
def test_foreign_tombstone_is_refused(headers: dict[str, str], found: str) -> None:
    """A tombstone that intake did not write is a dead letter with code and reason; the record stays."""
    fold = AssignmentFold(partitions=8)
    decided(fold, ACCOUNT)
    effects, foreign = Effects(), InputMessage(FAMILIES.name, ACCOUNT.key, None, headers)
    fold.apply(foreign, {"acme": MODEL}, effects)
    [(refused, code, reason)] = effects.refused
    assert (refused, code) == (foreign, "wrong_type")
    assert f"found {found}, expected a partition number below 8" in reason
    assert (effects.messages, effects.state) == ([], [])
    fold.restore(foreign)
    assert len(fold) == 1


def test_followers_of_a_deleted_account() -> None:
    """They lose what they had from it (A5, A6)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT, DEAL)
    effects = drain_and_leave(fold, "account/A-1")
    assert emitted(effects) == {"account/A-1": None, "contact/C-1": (), "deal/D-1": ()}
    deal = assignment_of(effects, "deal/D-1")
    assert deal.unassigned == "its account A-1 is not known"
    assert deal.since_ms == 9_000


def test_delete_without_a_model() -> None:
    """The record is gone all the same (A4, V7)."""
    fold = restored(ACCOUNT, CONTACT, model=None)
    assert emitted(drain_and_leave(fold, "account/A-1", models={})) == {"account/A-1": None}
    assert len(fold) == 1


# --- after a restart --------------------------------------------------------------------------


def test_known_organisation_is_not_said_again() -> None:
    """What the active model decides was said; followers are known to stand where they stood (A9)."""
    fold = restored(ACCOUNT, CONTACT, DEAL)
    assert swept(fold, MODEL).messages == []
    assert emitted(decided(fold, ELSEWHERE)) == {
        "account/A-1": ("west",),
        "contact/C-1": ("west",),
        "deal/D-1": ("west",),
    }


def test_known_organisation_under_a_new_model() -> None:
    """Differences to what was said under the model before are said, no more (A8, A9)."""
    fold = restored(ACCOUNT, record("lead/L-1", fields={"country": "US"}))
    assert emitted(swept(fold, WIDER)) == {"account/A-1": ("west", "extra")}


def test_unknown_organisation_is_said_again() -> None:
    """Also what stands where it stood: nobody knows what was said of it (A9)."""
    fold = restored(ACCOUNT, CONTACT, unknown=frozenset({"acme"}))
    assert emitted(swept(fold, MODEL)) == {"account/A-1": ("bay",), "contact/C-1": ("bay",)}


def test_restore_follows_moves_and_deletes() -> None:
    """The last word of the topic counts, in whichever family (A8, A9)."""
    fold = restored(CONTACT, record("contact/C-1", 2, account_id="A-2"), ACCOUNT)
    for gone in ("account/A-1", "account/never"):
        fold.restore(InputMessage(FAMILIES.name, key_of(gone), None, {INTAKE_PARTITION: "3"}))
    assert len(fold) == 1
    effects = decided(fold, record("account/A-2", fields=SAN_FRANCISCO))
    assert emitted(effects) == {"account/A-2": ("bay",), "contact/C-1": ("bay",)}
    flushed = Effects()
    fold.flush({"acme": MODEL}, flushed)
    assert flushed == Effects()
