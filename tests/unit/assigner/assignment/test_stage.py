"""The assignment stage: whole records become assignments, each decided beside its account."""

from __future__ import annotations

import pytest

from assigner.assignment.stage import AssignmentFold
from assigner.intake.merge import GONE_AGAIN, INTAKE_PARTITION, MOVED, REASON
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message, Models
from territory.wire.events import Assignment, DealFacts, Record, Released
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
    """Return the effects of some records in one batch."""
    effects = Effects()
    for each in records:
        fold.apply(InputMessage(FAMILIES.name, each.key, each, {}), {} if model is None else {"acme": model}, effects)
    return effects


def deleted(fold: AssignmentFold, key: str, reason: str | None = None, models: Models | None = None) -> Effects:
    """Return the effects of a tombstone to the family of a record."""
    headers = {INTAKE_PARTITION: "3"} | ({} if reason is None else {REASON: reason})
    effects = Effects()
    fold.apply(
        InputMessage(FAMILIES.name, key_of(key), None, headers, 9_000),
        {"acme": MODEL} if models is None else models,
        effects,
    )
    return effects


def restored(*records: Record, model: Model | None = MODEL, unknown: frozenset[str] = frozenset()) -> AssignmentFold:
    """Return a fold that was restored from some records."""
    fold = AssignmentFold()
    for each in records:
        fold.restore(InputMessage(FAMILIES.name, each.key, each, {}))
    fold.restored({} if model is None else {"acme": model}, unknown)
    return fold


def swept(fold: AssignmentFold, model: Model, limit: int = 100) -> Effects:
    """Return the effects of a whole sweep."""
    whole = Effects()
    for effects in fold.sweep(model, limit):
        whole.add(effects)
    return whole


# --- one record and those that follow it ------------------------------------------------------


def test_assignment_is_the_whole_decision() -> None:
    """An assignment has the versions of record and model, links with causes, and the deal facts of forecasts (A10)."""
    effects = decided(AssignmentFold(), ACCOUNT, DEAL)
    assignment = assignment_of(effects, "deal/D-1")
    assert (assignment.version, assignment.model_revision, assignment.territories) == (1, 1, ("bay",))
    assert assignment.links[0].why == ("inherited from account A-1",)
    assert assignment.deal == DealFacts(amount="5", stage="Won")
    assert (assignment.family, assignment.event_id, assignment.since_ms) == (key_of("account/A-1"), "deal/D-1@1", 1_000)
    routes = {message.route for message in effects.messages if message.topic == ASSIGNMENTS.name}
    assert routes == {key_of("account/A-1"), key_of("deal/D-1")}


def test_followers_are_decided_with_their_account() -> None:
    """A change of an account's territories decides its contacts and deals again (A5, A6, A8)."""
    fold = AssignmentFold()
    decided(fold, DEAL, CONTACT, ACCOUNT)
    effects = decided(fold, ELSEWHERE)
    assert emitted(effects) == {"account/A-1": ("west",), "contact/C-1": ("west",), "deal/D-1": ("west",)}
    assert effects.outcomes == {"decided": 1, "followed": 2}
    deal = assignment_of(effects, "deal/D-1")
    assert deal.event_id == "account/A-1@2"  # what the change of the deal follows from


def test_followers_are_not_emitted_where_nothing_changed() -> None:
    """A change of an account that leaves its territories alone is emitted for the account only (A8)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT, DEAL)
    assert emitted(decided(fold, record("account/A-1", 2, owner_id="bob", fields=SAN_FRANCISCO))) == {
        "account/A-1": ("bay",)
    }


def test_records_arrive_before_their_account() -> None:
    """The order of arrival does not change the end state (A9)."""
    fold = AssignmentFold()
    assert emitted(decided(fold, DEAL, CONTACT)) == {"deal/D-1": (), "contact/C-1": ()}
    assert emitted(decided(fold, ACCOUNT)) == {"account/A-1": ("bay",), "contact/C-1": ("bay",), "deal/D-1": ("bay",)}


def test_repeat_is_emitted_again_and_older_is_stale() -> None:
    """The same record twice is emitted twice, as a release requires; an older one is dropped (A8, A9)."""
    fold = AssignmentFold()
    first = decided(fold, ELSEWHERE)
    assert decided(fold, ELSEWHERE).messages == first.messages
    assert decided(fold, ACCOUNT).outcomes == {"stale": 1}
    older_link = record("account/A-1", 2, link_version=1, fields={}, links={"large": "assign"})
    assert emitted(decided(fold, older_link)) == {"account/A-1": ("large",)}


def test_records_without_a_model_wait_for_it() -> None:
    """Without a model nothing is assigned; everything is once a model comes (A8, A9)."""
    fold = AssignmentFold()
    effects = decided(fold, ACCOUNT, CONTACT, model=None)
    assert (effects.messages, effects.outcomes) == ([], {"no_model": 2})
    assert emitted(swept(fold, MODEL)) == {"account/A-1": ("bay",), "contact/C-1": ("bay",)}


# --- a model changes --------------------------------------------------------------------------

WIDER = model_of(
    *(node for node in TREE if node["id"] != "bay"), {"id": "extra", "rules": {"account": IN_AMERICA}}, revision=2
)


def test_sweep_emits_what_changed() -> None:
    """A change of the model is effective by itself; unchanged decisions are not emitted again (A8)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT, record("lead/L-1", fields={"country": "US"}))
    effects = swept(fold, WIDER)
    assert emitted(effects) == {"account/A-1": ("west", "extra"), "contact/C-1": ("west", "extra")}
    assignment = assignment_of(effects, "account/A-1")
    assert (assignment.model_revision, assignment.event_id, assignment.since_ms) == (2, "model/acme/2", 0)
    assert effects.swept == len(fold) == 3
    assert swept(fold, WIDER) == Effects(swept=3)


def test_deleted_territory_keeps_its_manual_links() -> None:
    """A deleted territory loses its rule links; manual links are named in `dropped`, and return with it (A11)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, record("account/A-2", links={"bay": "assign"}))
    effects = swept(fold, WIDER)
    assert assignment_of(effects, "account/A-1").territories == ("west", "extra")
    manual = assignment_of(effects, "account/A-2")
    assert (manual.territories, manual.dropped) == ((), ("bay",))
    assert emitted(swept(fold, model_of(revision=3)))["account/A-2"] == ("bay",)


def test_whole_family_under_one_model() -> None:
    """The first record after an activation takes its family along; the sweep has nothing left to emit (A8, A9)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT)
    assert emitted(decided(fold, record("contact/C-1", 2, account_id="A-1"), model=WIDER)) == {
        "account/A-1": ("west", "extra"),
        "contact/C-1": ("west", "extra"),
    }
    assert swept(fold, WIDER).messages == []


def test_sweep_goes_in_chunks() -> None:
    """A chunk ends at its limit, or with a small family, so that changes come in between (A8)."""
    fold = AssignmentFold()
    decided(fold, *(record(f"lead/L-{number}", fields={"country": "US"}) for number in range(5)))
    chunks = [len(effects.messages) for effects in fold.sweep(model_of({"id": "bare"}, revision=2), 2)]
    assert chunks == [2, 2, 1]


def test_family_is_deleted_in_the_middle_of_a_sweep() -> None:
    """A record that is deleted between two chunks is not emitted again (A4, A8)."""
    fold = AssignmentFold()
    decided(fold, record("lead/L-1", fields={"country": "US"}), record("lead/L-2", fields={"country": "US"}))
    bare = model_of({"id": "bare"}, revision=2)
    sweep = fold.sweep(bare, 1)
    next(sweep)
    deleted(fold, "lead/L-2", models={"acme": bare})
    assert [effects.messages for effects in sweep] == [[]]


def test_sweep_skips_unaffected_records() -> None:
    """Records of which no changed territory holds are not decided again: twenty of them cost as much as one (A8)."""
    fold = AssignmentFold()
    decided(fold, *(record(f"lead/L-{number}", fields={"country": "US"}) for number in range(40)), ACCOUNT)
    chunks = [list(effects.outcomes.elements()) for effects in fold.sweep(WIDER, 1)]
    assert chunks == [[], [], ["redecided"], []]
    assert swept(fold, WIDER).messages == []
    leads = decided(fold, record("lead/L-1", 2, fields={"country": "CA"}), model=WIDER)
    assert emitted(leads) == {"lead/L-1": ("west",)}


def test_unchanged_decisions_cost_less() -> None:
    """Four records that are decided with the result they had cost as much as one that is emitted (A8)."""
    fold = AssignmentFold()
    decided(fold, *(record(f"lead/L-{number}", links={"west": "assign"}) for number in range(10)))
    chunks = list(fold.sweep(WIDER, 2))
    assert [(effects.swept, effects.messages, effects.cost) for effects in chunks] == [(8, [], 2), (2, [], 0.5)]


# --- moves and deletes ------------------------------------------------------------------------


def test_deleted_record_has_a_tombstone_and_a_release() -> None:
    """Consumers get a tombstone; intake's partition gets a release, once the tombstone is acknowledged (A4)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT)
    effects = deleted(fold, "account/A-1")
    assert effects.messages == [Message(ASSIGNMENTS.name, key_of("account/A-1"), None, key_of("account/A-1"))]
    released = Released("acme", "account", "A-1", again=False)
    assert effects.state == [Message(RELEASES.name, released.key, released, 3)]
    assert len(fold) == 0


def test_moved_record_has_a_release_and_no_tombstone() -> None:
    """The old family emits nothing for a moved record: the new one does (A8)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT)
    effects = deleted(fold, "contact/C-1", MOVED)
    assert effects.messages == []
    assert effects.state[0].value == Released("acme", "contact", "C-1", again=False)
    assert emitted(decided(fold, ELSEWHERE)) == {"account/A-1": ("west",)}


@pytest.mark.parametrize(("reason", "again"), [(None, False), (GONE_AGAIN, True)])
def test_tombstone_of_an_unknown_record_is_answered(reason: str | None, again: bool) -> None:
    """A tombstone is emitted again, with a release; the second release is marked as the last (A4)."""
    effects = deleted(AssignmentFold(), "lead/L-1", reason)
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
    """Followers lose the territories that they inherited from it (A5, A6)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT, DEAL)
    effects = deleted(fold, "account/A-1")
    assert emitted(effects) == {"account/A-1": None, "contact/C-1": (), "deal/D-1": ()}
    deal = assignment_of(effects, "deal/D-1")
    assert deal.unassigned == "its account A-1 is not known"
    assert deal.since_ms == 9_000


def test_delete_under_a_new_model_decides_the_family_under_it_first() -> None:
    """Followers inherit what the new model gives their account, never what the old one gave it (A5, A6, A8)."""
    fold = AssignmentFold()
    decided(fold, ACCOUNT, CONTACT, DEAL)
    without_bay = model_of(*(each for each in TREE if each["id"] != "bay"), revision=2)
    effects = deleted(fold, "contact/C-1", models={"acme": without_bay})
    assert emitted(effects) == {"account/A-1": ("west",), "contact/C-1": None, "deal/D-1": ("west",)}
    assert {sent.value.model_revision for sent in effects.messages if isinstance(sent.value, Assignment)} == {2}


def test_delete_without_a_model() -> None:
    """A record is deleted without a model as well (A4, V7)."""
    fold = restored(ACCOUNT, CONTACT, model=None)
    assert emitted(deleted(fold, "account/A-1", models={})) == {"account/A-1": None}
    assert len(fold) == 1


# --- after a restart --------------------------------------------------------------------------


def test_known_organisation_is_not_emitted_again() -> None:
    """After a restore, the active model's decisions count as emitted, those of followers as well (A9)."""
    fold = restored(ACCOUNT, CONTACT, DEAL)
    assert swept(fold, MODEL).messages == []
    assert emitted(decided(fold, ELSEWHERE)) == {
        "account/A-1": ("west",),
        "contact/C-1": ("west",),
        "deal/D-1": ("west",),
    }


def test_known_organisation_under_a_new_model() -> None:
    """After a restore, a sweep emits only the differences to the previous model's decisions (A8, A9)."""
    fold = restored(ACCOUNT, record("lead/L-1", fields={"country": "US"}))
    assert emitted(swept(fold, WIDER)) == {"account/A-1": ("west", "extra")}


def test_unknown_organisation_is_emitted_again() -> None:
    """Everything is emitted again, unchanged or not: it is not known what was emitted (A9)."""
    fold = restored(ACCOUNT, CONTACT, unknown=frozenset({"acme"}))
    assert emitted(swept(fold, MODEL)) == {"account/A-1": ("bay",), "contact/C-1": ("bay",)}


def test_restore_follows_moves_and_deletes() -> None:
    """The last message of a record counts, whichever family it names (A8, A9)."""
    fold = restored(CONTACT, record("contact/C-1", 2, account_id="A-2"), ACCOUNT)
    for gone in ("account/A-1", "account/never"):
        fold.restore(InputMessage(FAMILIES.name, key_of(gone), None, {INTAKE_PARTITION: "3"}))
    assert len(fold) == 1
    effects = decided(fold, record("account/A-2", fields=SAN_FRANCISCO))
    assert emitted(effects) == {"account/A-2": ("bay",), "contact/C-1": ("bay",)}
    flushed = Effects()
    fold.flush({"acme": MODEL}, flushed)
    assert flushed == Effects()
