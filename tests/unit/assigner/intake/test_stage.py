"""Intake: changes become whole records, each version once, and go to their family."""

from __future__ import annotations

from typing import Any

import pytest

from assigner.intake.merge import GONE_AGAIN, INTAKE_PARTITION, MOVED, PLAUSIBLE_DELAY_MS, REASON, RECORD_BYTES_MAX
from assigner.intake.stage import EXPIRED_AT_ONCE_MAX, IntakeFold
from territory.stage import NO_MESSAGE, Effects, InputMessage, Message
from territory.wire.codec import encode
from territory.wire.events import LinkKind, Record, Released
from territory.wire.topics import DAY_MS, FAMILIES, RECORD_STATES, RECORDS, RELEASES, SUBSCRIPTIONS
from tests.unit.assigner.examples import change, codes, key_of, model_of, record, sent, taken_in

NOON_MS = 1_488_369_600_000  # 2017-03-01T12:00:00Z


def state_of(effects: Effects) -> Record:
    """Return the last state that intake stored."""
    value = effects.state[-1].value
    assert isinstance(value, Record)
    return value


def forwarded(effects: Effects) -> list[tuple[str, str | int, str | None]]:
    """Return key and family of each forwarded message, and the reason of a tombstone."""
    return [
        (message.key, message.route, dict(message.headers).get(REASON, "deleted") if message.value is None else None)
        for message in effects.messages
        if message.topic == FAMILIES.name
    ]


# --- upsert, patch, delete --------------------------------------------------------------------


def test_upsert_is_the_whole_record() -> None:
    """An upsert replaces the whole record; state and forwarded message are the same (contracts: RecordChange)."""
    intake = IntakeFold(3)
    taken_in(intake, change("upsert", "deal/D-1", 1, owner_id="ann", account_id="A-1", fields={"product": "GTX"}))
    effects = taken_in(intake, change("upsert", "deal/D-1", 2, owner_id="bob", fields={"stage": "Won"}))
    after = state_of(effects)
    assert (after.owner_id, after.account_id, after.fields) == ("bob", None, {"stage": "Won"})
    assert effects.state == [Message(RECORD_STATES.name, key_of("deal/D-1"), after, 3)]
    assert effects.messages[-1] == Message(FAMILIES.name, key_of("deal/D-1"), after, key_of("deal/D-1"))


def test_patch_changes_what_it_names() -> None:
    """In a patch, null clears and absence keeps: fields, owner and account alike (contracts: RecordChange)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "deal/D-1", 1, owner_id="ann", account_id="A-1", fields={"a": 1, "b": 2}))
    after = state_of(taken_in(intake, change("patch", "deal/D-1", 2, owner_id=None, fields={"a": None, "c": 3})))
    assert (after.owner_id, after.account_id, after.fields) == (None, "A-1", {"b": 2, "c": 3})


def test_cleared_account_is_a_move() -> None:
    """A patch that clears the account moves the record to a family of its own (A8)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "contact/C-1", 1, account_id="A-1"))
    assert forwarded(taken_in(intake, change("patch", "contact/C-1", 2, account_id=None))) == [
        (key_of("contact/C-1"), key_of("account/A-1"), MOVED),
        (key_of("contact/C-1"), key_of("contact/C-1"), None),
    ]


@pytest.mark.parametrize("op", ["upsert", "patch", "delete"])
def test_older_is_stale(op: str) -> None:
    """A version older than the last one seen is dropped and counted (contracts: version)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "lead/L-1", 7))
    effects = taken_in(intake, change(op, "lead/L-1", 6))
    assert effects.outcomes == {"stale": 1}
    assert (effects.messages, effects.state, effects.refused) == ([], [], [])


def test_delete_remembers_its_version() -> None:
    """A late copy of an older event does not bring a deleted record back; a newer upsert does (A4)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "lead/L-1", 1, owner_id="ann", fields={"country": "US"}))
    effects = taken_in(intake, change("delete", "lead/L-1", 5))
    after = state_of(effects)
    assert (after.deleted, after.version, after.owner_id, after.fields) == (True, 5, None, {})
    assert forwarded(effects) == [(key_of("lead/L-1"), key_of("lead/L-1"), "deleted")]
    assert taken_in(intake, change("upsert", "lead/L-1", 4)).outcomes == {"stale": 1}
    assert not state_of(taken_in(intake, change("upsert", "lead/L-1", 6))).deleted


def test_delete_goes_to_the_family_that_has_the_record() -> None:
    """A delete names no account: the tombstone goes to the record's last family (A4)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "deal/D-1", 1, account_id="A-1"))
    assert forwarded(taken_in(intake, change("delete", "deal/D-1", 2))) == [
        (key_of("deal/D-1"), key_of("account/A-1"), "deleted")
    ]


def test_delete_of_an_unknown_record_is_remembered() -> None:
    """If the delete comes first, the older upsert is stale (A4, A9)."""
    intake = IntakeFold(0)
    assert taken_in(intake, change("delete", "lead/L-1", 2)).outcomes == {"accepted": 1}
    assert taken_in(intake, change("upsert", "lead/L-1", 1)).outcomes == {"stale": 1}


# --- links ------------------------------------------------------------------------------------


def test_links_have_versions_of_their_own() -> None:
    """Version 1 of a link is not stale beside version 9 of the record, a repeat of it is (contracts: version)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "account/A-1", 9))
    link = change("link", "account/A-1", 1, territory_id="west", kind="assign")
    after = state_of(taken_in(intake, link))
    assert (after.version, after.link_version, after.links) == (9, 1, {"west": "assign"})
    assert taken_in(intake, link).outcomes == {"stale": 1}


def test_later_link_replaces_the_earlier() -> None:
    """Of an assignment and an exclusion for one pair the later counts; `none` removes either (A4)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "account/A-1", 1))
    for version, kind, links in ((1, "assign", {"t": "assign"}), (2, "exclude", {"t": "exclude"}), (3, "none", {})):
        after = state_of(taken_in(intake, change("link", "account/A-1", version, territory_id="t", kind=kind)))
        assert after.links == links


def test_links_outlive_changes_of_the_record() -> None:
    """A manual link survives changes of the record, an upsert included (A4)."""
    intake = IntakeFold(0)
    taken_in(
        intake, change("upsert", "account/A-1", 1), change("link", "account/A-1", 1, territory_id="t", kind="assign")
    )
    assert state_of(taken_in(intake, change("upsert", "account/A-1", 2))).links == {"t": "assign"}
    assert state_of(taken_in(intake, change("patch", "account/A-1", 3))).links == {"t": "assign"}


def test_link_waits_for_its_record() -> None:
    """A link before its record is stored and not forwarded; the record has it when it comes (A9)."""
    intake = IntakeFold(0)
    effects = taken_in(intake, change("link", "account/A-1", 1, territory_id="west", kind="assign"))
    assert effects.messages == []
    assert state_of(effects).version == 0
    assert state_of(taken_in(intake, change("upsert", "account/A-1", 1))).links == {"west": "assign"}


def test_waiting_link_is_in_no_family() -> None:
    """A deal whose link came first has no old family, so no tombstone is sent (A8)."""
    intake = IntakeFold(0)
    taken_in(intake, change("link", "deal/D-1", 1, territory_id="west", kind="assign"))
    assert forwarded(taken_in(intake, change("upsert", "deal/D-1", 1, account_id="A-1"))) == [
        (key_of("deal/D-1"), key_of("account/A-1"), None)
    ]


def test_delete_removes_links() -> None:
    """A deleted record loses its links; neither its return nor a late copy brings one back (A4)."""
    intake = IntakeFold(0)
    link = change("link", "account/A-1", 4, territory_id="west", kind="assign")
    taken_in(intake, change("upsert", "account/A-1", 1), link, change("delete", "account/A-1", 2))
    after = state_of(taken_in(intake, change("upsert", "account/A-1", 3)))
    assert (after.links, after.link_version) == ({}, 4)
    assert taken_in(intake, link).outcomes == {"stale": 1}


# --- refusals ---------------------------------------------------------------------------------


def test_refused_wrong_key() -> None:
    """A key that is not the record's is refused; the reason names both keys (contracts: Refused)."""
    effects = taken_in(IntakeFold(0), change("upsert", "lead/L-1", 1), key=key_of("lead/L-2"))
    assert codes(effects) == ["wrong_key"]
    assert "acme/lead/L-2" in effects.refused[0][2]
    assert "acme/lead/L-1" in effects.refused[0][2]
    assert (effects.messages, effects.state) == ([], [])


def test_tombstone_is_ignored_and_counted() -> None:
    """A message without a value, as compacting upstreams write it, is no delete: that is an op (A13)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "lead/L-1", 1))
    effects = Effects()
    intake.apply(InputMessage(RECORDS.name, key_of("lead/L-1"), None, {}), {}, effects)
    assert (effects.refused, effects.messages, effects.state) == ([], [], [])
    assert effects.outcomes == {"tombstone": 1}
    assert taken_in(intake, change("patch", "lead/L-1", 2)).outcomes == {"accepted": 1}


def test_refused_release_without_a_value() -> None:
    """A tombstone on the releases topic is refused: the assigner writes none (contracts: Refused)."""
    effects = Effects()
    IntakeFold(0).apply(InputMessage(RELEASES.name, key_of("lead/L-1"), None, {}), {}, effects)
    assert codes(effects) == ["not_json"]
    assert "expected a Released" in effects.refused[0][2]


LINK = {"territory_id": "west", "kind": "assign"}


def test_refused_link_of_a_deleted_record() -> None:
    """A link needs a record that is not deleted; the stream goes on (contracts: Refused)."""
    intake = IntakeFold(0)
    taken_in(intake, change("delete", "account/A-1", 1))
    effects = taken_in(intake, change("link", "account/A-1", 2, **LINK))
    assert codes(effects) == ["no_record"]
    assert (effects.messages, effects.state) == ([], [])
    assert taken_in(intake, change("upsert", "account/A-1", 3)).outcomes == {"accepted": 1}


def test_repeat_of_a_refused_message_is_refused() -> None:
    """A link of a deleted record is refused again when its batch is repeated, whatever came after it (A9)."""
    batch = [
        sent(change("delete", "lead/L-1", 2), offset=39),
        sent(change("link", "lead/L-1", 5, **LINK), offset=40),
        sent(change("upsert", "lead/L-1", 3), offset=41),
    ]
    first, effects = IntakeFold(0), Effects()
    for message in batch:
        first.apply(message, {}, effects)
    second, again = IntakeFold(0), Effects()
    second.restore(InputMessage(RECORD_STATES.name, key_of("lead/L-1"), state_of(effects), {}))
    for message in batch:
        second.apply(message, {}, again)
    assert codes(again) == ["no_record"]
    assert (again.state, again.outcomes) == ([], {"stale": 2})


def test_refusals_are_forgotten_after_their_batch() -> None:
    """Only states of the same batch have the offsets of refused messages, so no state grows by them (A9)."""
    intake = IntakeFold(0)
    taken_in(intake, change("delete", "lead/L-1", 2), change("link", "lead/L-1", 5, **LINK))
    assert state_of(taken_in(intake, change("upsert", "lead/L-1", 3))).refused == ()


def test_refused_too_large() -> None:
    """A patch that makes a record too large is refused; the next one is merged (contracts: Refused)."""
    intake = IntakeFold(0)
    half: Any = "x" * (RECORD_BYTES_MAX // 2)
    before = state_of(taken_in(intake, change("upsert", "lead/L-1", 1, fields={"a": half})))
    assert len(encode(before)) < RECORD_BYTES_MAX
    effects = taken_in(intake, change("patch", "lead/L-1", 2, fields={"b": half}))
    assert codes(effects) == ["too_large"]
    assert (effects.messages, effects.state) == ([], [])
    assert state_of(taken_in(intake, change("patch", "lead/L-1", 3, fields={"a": None, "b": 1}))).fields == {"b": 1}


def test_refused_too_large_with_its_links() -> None:
    """Links count: an upsert that fits alone can be too large with them (contracts: Refused)."""
    intake = IntakeFold(0)
    links: dict[str, LinkKind] = {f"{number:0200}": "assign" for number in range(4_600)}
    before = record("lead/L-1", links=links)
    assert len(encode(before)) < RECORD_BYTES_MAX
    intake.restore(InputMessage(RECORD_STATES.name, before.key, before, {}))
    upsert, effects = change("upsert", "lead/L-1", 2, fields={"a": "x" * 60_000}), Effects()
    intake.apply(InputMessage(RECORDS.name, upsert.key, upsert, {}, size=len(upsert.model_dump_json())), {}, effects)
    assert codes(effects) == ["too_large"]


# --- moves and releases -----------------------------------------------------------------------


def test_move_leaves_a_tombstone_first() -> None:
    """The old family gets a tombstone with reason and partition, before the new family gets the record (A8)."""
    intake = IntakeFold(5)
    taken_in(intake, change("upsert", "deal/D-1", 1, account_id="A-1"))
    effects = taken_in(intake, change("upsert", "deal/D-1", 2, account_id="A-2"))
    tombstone, value = effects.messages
    assert (tombstone.value, tombstone.route) == (None, key_of("account/A-1"))
    assert tombstone.headers == ((REASON, MOVED), (INTAKE_PARTITION, "5"))
    assert (value.value, value.route) == (state_of(effects), key_of("account/A-2"))


def test_deleted_record_comes_back_in_another_family() -> None:
    """No tombstone is sent: the old family removed the record with the delete (A8)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "deal/D-1", 1, account_id="A-1"), change("delete", "deal/D-1", 2))
    assert forwarded(taken_in(intake, change("upsert", "deal/D-1", 3, account_id="A-2"))) == [
        (key_of("deal/D-1"), key_of("account/A-2"), None)
    ]


def test_release_forwards_the_record_once_more() -> None:
    """A release makes the present family emit last; intake's state does not change (A8)."""
    intake = IntakeFold(0)
    taken_in(intake, change("upsert", "deal/D-1", 1, account_id="A-1"))
    effects = taken_in(intake, Released("acme", "deal", "D-1", again=False))
    assert forwarded(effects) == [(key_of("deal/D-1"), key_of("account/A-1"), None)]
    assert effects.state == []


def test_release_of_a_deleted_record_is_answered_once() -> None:
    """A deleted record's tombstone is sent once more, and the release that answers it gets no answer (A4)."""
    intake = IntakeFold(2)
    taken_in(intake, change("upsert", "deal/D-1", 1), change("delete", "deal/D-1", 2))
    effects = taken_in(intake, Released("acme", "deal", "D-1", again=False))
    [tombstone] = effects.messages
    assert tombstone.headers == ((REASON, GONE_AGAIN), (INTAKE_PARTITION, "2"))
    assert taken_in(intake, Released("acme", "deal", "D-1", again=True)).messages == []


def test_release_of_an_unknown_record_forwards_nothing() -> None:
    """An unknown record, or one with only a waiting link, is in no family (A8)."""
    intake = IntakeFold(0)
    taken_in(intake, change("link", "deal/D-2", 1, territory_id="west", kind="assign"))
    for record_id in ("D-1", "D-2"):
        assert taken_in(intake, Released("acme", "deal", record_id, again=False)).messages == []


# --- memory and time --------------------------------------------------------------------------


def test_restore_loads_stored_states() -> None:
    """A restore keeps the last state of each record; a tombstone removes it (A9)."""
    intake = IntakeFold(0)
    for state in (record("lead/L-1", 4), record("lead/L-2", 1)):
        intake.restore(InputMessage(RECORD_STATES.name, state.key, state, {}))
    intake.restore(InputMessage(RECORD_STATES.name, key_of("lead/L-2"), None, {}))
    intake.restored({}, frozenset({"acme"}))
    assert len(intake) == 1
    assert taken_in(intake, change("upsert", "lead/L-1", 4)).outcomes == {"stale": 1}
    assert list(intake.sweep(model_of(), 1)) == []


@pytest.mark.parametrize(
    ("occurred_at", "since_ms"),
    [
        ("2017-03-01T11:59:00Z", NOON_MS - 60_000),
        ("2017-03-01T11:00:00Z", NOON_MS - PLAUSIBLE_DELAY_MS),
        ("2017-03-01T10:59:59Z", NOON_MS),
        ("2017-03-01T12:00:01Z", NOON_MS),
        ("yesterday", NOON_MS),
    ],
)
def test_time_is_the_upstreams_if_plausible(occurred_at: str, since_ms: int) -> None:
    """Times of history, of the future, or unreadable ones are replaced by the broker's (contracts: Metrics)."""
    late = change("upsert", "lead/L-1", 1).model_copy(update={"occurred_at": occurred_at})
    assert state_of(taken_in(IntakeFold(0), late, timestamp_ms=NOON_MS)).since_ms == since_ms


def test_unreadable_time_is_reported() -> None:
    """It is counted, and state and family have it as it was sent until the next change (A13)."""
    intake = IntakeFold(0)
    late = change("upsert", "lead/L-1", 1).model_copy(update={"occurred_at": "yesterday"})
    effects = taken_in(intake, late)
    assert effects.outcomes == {"accepted": 1, "unreadable_occurred_at": 1}
    assert state_of(effects).unreadable_occurred_at == "yesterday"
    assert [message.value for message in effects.messages if message.topic == FAMILIES.name] == [state_of(effects)]
    assert state_of(taken_in(intake, change("patch", "lead/L-1", 2))).unreadable_occurred_at is None


# --- deleted records expire -------------------------------------------------------------------

DAYS = 7
EXPIRY_MS = NOON_MS + DAYS * DAY_MS + PLAUSIBLE_DELAY_MS


def with_deleted(*keys: str) -> IntakeFold:
    """Return an intake with records that were deleted at noon, as version 5."""
    intake = IntakeFold(2, deleted_retention_days=DAYS)
    for key in keys:
        taken_in(intake, change("upsert", key, 1), change("delete", key, 5), timestamp_ms=NOON_MS)
    return intake


def test_deleted_record_is_forgotten_after_its_retention() -> None:
    """It leaves the memory, and a tombstone takes it out of the state's topic; other records stay (A4)."""
    intake = with_deleted("lead/L-1")
    taken_in(intake, change("upsert", "lead/L-2", 1), timestamp_ms=NOON_MS)
    effects = taken_in(intake, change("upsert", "lead/L-3", 1), timestamp_ms=EXPIRY_MS + 1)
    assert effects.state[-1] == Message(RECORD_STATES.name, key_of("lead/L-1"), None, 2)
    assert effects.outcomes == {"accepted": 1, "expired": 1}
    assert len(intake) == 2
    assert len(taken_in(intake, change("upsert", "lead/L-4", 1), timestamp_ms=EXPIRY_MS + 2).state) == 1


def test_late_copy_within_the_retention_brings_nothing_back() -> None:
    """Up to the last moment an event that is older than the delete is stale (A4)."""
    intake = with_deleted("lead/L-1")
    assert taken_in(intake, change("upsert", "lead/L-1", 4), timestamp_ms=EXPIRY_MS).outcomes == {"stale": 1}
    assert len(intake) == 1


def test_time_is_the_lowest_of_a_batch() -> None:
    """One message with a time in the future expires nothing, since the lowest time of its batch counts (A4)."""
    intake, effects = with_deleted("lead/L-1"), Effects()
    for version, timestamp_ms in ((1, NOON_MS + 1), (2, NOON_MS + 9_999 * DAY_MS)):
        intake.apply(sent(change("upsert", "lead/L-2", version), timestamp_ms=timestamp_ms), {}, effects)
    intake.flush({}, effects)
    assert effects.outcomes == {"accepted": 2}


def test_record_that_came_back_does_not_expire() -> None:
    """A newer upsert ends the deletion; a second delete begins a retention of its own (A4)."""
    intake = with_deleted("lead/L-1")
    taken_in(intake, change("upsert", "lead/L-1", 6), timestamp_ms=NOON_MS + 1)
    assert taken_in(intake, change("patch", "lead/L-1", 7), timestamp_ms=EXPIRY_MS + 1).outcomes == {"accepted": 1}
    taken_in(intake, change("delete", "lead/L-1", 8), timestamp_ms=EXPIRY_MS + 1)
    assert len(taken_in(intake, change("upsert", "lead/L-2", 1), timestamp_ms=EXPIRY_MS + 2).state) == 1


def test_restored_deletion_expires() -> None:
    """After a restart as well: the state has the time of the delete; a tombstone of it is final (A4, A9)."""
    gone = record("lead/L-1", 5, deleted=True, since_ms=NOON_MS)
    intake = IntakeFold(2, deleted_retention_days=DAYS)
    intake.restore(InputMessage(RECORD_STATES.name, gone.key, gone, {}))
    assert taken_in(intake, change("upsert", "lead/L-2", 1), timestamp_ms=EXPIRY_MS + 1).outcomes["expired"] == 1
    again = IntakeFold(2, deleted_retention_days=DAYS)
    again.restore(InputMessage(RECORD_STATES.name, gone.key, gone, {}))
    again.restore(InputMessage(RECORD_STATES.name, gone.key, None, {}))
    assert taken_in(again, change("upsert", "lead/L-2", 1), timestamp_ms=EXPIRY_MS + 1).outcomes == {"accepted": 1}


def test_expiry_is_bounded() -> None:
    """A batch forgets a bounded number; the next ones forget the rest (A4)."""
    intake = with_deleted(*(f"lead/L-{number}" for number in range(EXPIRED_AT_ONCE_MAX + 1)))
    for number, expired in enumerate((EXPIRED_AT_ONCE_MAX, 1)):
        effects = taken_in(intake, change("upsert", "lead/other", number + 1), timestamp_ms=EXPIRY_MS + 1)
        assert effects.outcomes["expired"] == expired


# --- places of contacts -----------------------------------------------------------------------


def places(effects: Effects) -> list[tuple[str, tuple[int, str | None, bool] | None]]:
    """Return what was published about contacts: version, account and whether it is deleted; None: forgotten."""
    return [
        (message.key.removeprefix("acme/"), _place_of(message.value))
        for message in effects.messages
        if message.topic == SUBSCRIPTIONS.name
    ]


def _place_of(value: object) -> tuple[int, str | None, bool] | None:
    if value is None:
        return None
    assert isinstance(value, Record)
    assert (value.fields, value.owner_id, value.refused, value.located) == ({}, None, (), False)
    return value.version, value.account_id, value.deleted


def test_places_of_contacts_are_published_by_their_keys() -> None:
    """At each upsert and delete, and at patches and links that change what deals inherit (A6)."""
    intake, fields = IntakeFold(0), {"phone": "1"}
    for moved, published in (
        (change("upsert", "contact/C-1", 1, owner_id="ann", account_id="A-1", fields=fields), (1, "A-1", False)),
        (change("patch", "contact/C-1", 2, fields={"phone": "2"}), None),
        (change("upsert", "contact/C-1", 3, account_id="A-1"), (3, "A-1", False)),
        (change("patch", "contact/C-1", 4, account_id=None), (4, None, False)),
        (change("link", "contact/C-1", 1, territory_id="west", kind="assign"), (4, None, False)),
        (change("link", "contact/C-1", 2, territory_id="west", kind="assign"), None),
        (change("delete", "contact/C-1", 5), (5, None, True)),
    ):
        effects = taken_in(intake, moved)
        assert places(effects) == ([] if published is None else [("contact/C-1", published)])
        assert state_of(effects).located
    routes = {message.route for message in effects.messages if message.topic == SUBSCRIPTIONS.name}
    assert routes == {key_of("contact/C-1")}


def test_other_records_have_no_places() -> None:
    """They cost what they did (A6)."""
    intake = IntakeFold(0)
    sent = [change("upsert", f"{kind}/X", 1, account_id="A-1") for kind in ("account", "deal", "lead")]
    effects = taken_in(intake, *sent, change("link", "contact/C-1", 1, territory_id="west", kind="assign"))
    assert places(effects) == []
    assert not any(message.value.located for message in effects.state if isinstance(message.value, Record))
    assert b"located" not in encode(state_of(effects))


def test_forgotten_contact_has_no_place() -> None:
    """When the version of a deleted contact expires, so does its place (A4)."""
    intake = with_deleted("contact/C-1", "lead/L-1")
    effects = taken_in(intake, change("upsert", "lead/L-2", 1), timestamp_ms=EXPIRY_MS + 1)
    assert places(effects) == [("contact/C-1", None)]


def test_contacts_of_a_version_before_are_located_in_steps() -> None:
    """After an upgrade each is published once, and its state says so to the next worker (A6, A9)."""
    contacts = [record(f"contact/C-{number}", account_id="A-1") for number in range(25)]
    unseen = record("contact/C-unseen", 0, link_version=1)
    others = [record("account/A-1"), record("contact/C-known", located=True), unseen]
    intake = IntakeFold(2)
    for each in (*contacts, *others):
        intake.restore(InputMessage(RECORD_STATES.name, each.key, each, {}))
    taken_in(intake, change("patch", "contact/C-0", 2, fields={"phone": "1"}))
    found = Effects()
    while intake.unfinished_from is not None:
        assert intake.unfinished_from == NO_MESSAGE
        before = len(found.messages)
        intake.proceed({}, found, 10)
        assert len(found.messages) - before <= 10
    assert places(found) == [(f"contact/C-{number}", (1, "A-1", False)) for number in range(1, 25)]
    assert {message.topic for message in found.state} == {RECORD_STATES.name}
    assert [(message.key, message.route) for message in found.state] == [(each.key, 2) for each in contacts[1:]]
    again = IntakeFold(2)
    for each in (*others, *(message.value for message in found.state if isinstance(message.value, Record))):
        again.restore(InputMessage(RECORD_STATES.name, each.key, each, {}))
    assert again.unfinished_from is None
