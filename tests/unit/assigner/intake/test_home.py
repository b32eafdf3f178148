"""Changes may arrive on any partition, and find their record (A13)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assigner.intake.home import FORWARDED_BYTES_MAX
from assigner.intake.merge import INTAKE_PARTITION, MOVED, REASON
from assigner.intake.stage import IntakeFold
from territory.stage import Effects, InputMessage, Message, collapse
from territory.wire.codec import encode
from territory.wire.events import Record, RecordChange, Released
from territory.wire.keys import upstream_partition_of
from territory.wire.rerouting import CHANGE, ORIGIN, REROUTED, STATE
from territory.wire.topics import FAMILIES, RECORD_STATES, RELEASES
from tests.unit.assigner.examples import change, codes, key_of, record, sent

PARTITIONS = 4
KEY = "deal/D-1"
HOME = upstream_partition_of(key_of(KEY), PARTITIONS)
AWAY = (HOME + 1) % PARTITIONS


def intake_of(partition: int) -> IntakeFold:
    return IntakeFold(partition, partitions=PARTITIONS)


def applied(intake: IntakeFold, *messages: InputMessage) -> Effects:
    effects = Effects()
    for message in messages:
        intake.apply(message, {}, effects)
    return effects


def returned(*sent_home: Message, offset: int = 0) -> list[InputMessage]:
    """Return messages as they arrive at home."""
    return [
        InputMessage(RELEASES.name, each.key, bytes(encode(each.value)), dict(each.headers), 0, 0, offset + number)
        for number, each in enumerate(sent_home)
        if each.topic == RELEASES.name
    ]


def state_at(intake: IntakeFold) -> Record | None:
    return intake.record_state(key_of(KEY))


def is_unfinished(intake: IntakeFold) -> bool:
    return intake.unfinished_from is not None


def old(version: int, **state: Any) -> Record:
    """Return a state as an earlier version stored it, where its changes arrived."""
    return record(KEY, version, intake_partition=AWAY, **state)


def restored(partition: int, *states: Record) -> IntakeFold:
    intake = intake_of(partition)
    for state in states:
        intake.restore(InputMessage(RECORD_STATES.name, state.key, state, {}))
    return intake


# --- changes ----------------------------------------------------------------------------------


def test_change_at_home_is_taken_at_once() -> None:
    """It takes no other way than before (A13)."""
    effects = applied(intake_of(HOME), sent(change("upsert", KEY, 1)))
    assert [message.topic for message in effects.messages] == [FAMILIES.name]


def test_change_away_from_home_is_sent_there() -> None:
    """With its bytes, its headers, its place and the broker's time; nothing is stored here (A13)."""
    away = intake_of(AWAY)
    message = sent(change("upsert", KEY, 1), offset=17, timestamp_ms=1234)._replace(headers={"ce_id": "x"})
    effects = applied(away, message)
    [forwarded] = effects.messages
    assert (forwarded.topic, forwarded.key, forwarded.route) == (RELEASES.name, key_of(KEY), HOME)
    assert bytes(encode(forwarded.value)) == message.raw
    assert forwarded.headers == (("ce_id", "x"), (ORIGIN, f"{AWAY} 17 1234"), (REROUTED, CHANGE))
    assert (len(away), effects.state, effects.outcomes) == (0, [], {"rerouted": 1})


def test_changes_of_a_batch_all_arrive() -> None:
    """None replaces another on its way, and they arrive in order (A13)."""
    changes = [change("upsert", KEY, 1, fields={"a": 1}), change("patch", KEY, 2, fields={"b": 2})]
    effects = applied(intake_of(AWAY), *(sent(each, offset=number) for number, each in enumerate(changes)))
    home = intake_of(HOME)
    applied(home, *returned(*collapse(effects.messages)))
    state = state_at(home)
    assert state is not None
    assert (state.fields, state.intake_partition, state.source_partition) == ({"a": 1, "b": 2}, HOME, AWAY)


def test_forwarded_twice_after_a_crash() -> None:
    """Changes with one version that are sent home again, in another place, do not go back in time (A13)."""
    burst = [sent(change("upsert", KEY, 1, event_id=f"e{n}", owner_id=f"u{n}"), offset=n) for n in range(100)]
    home, away = intake_of(HOME), intake_of(AWAY)
    applied(home, *returned(*applied(away, *burst).messages))
    before = state_at(home)
    effects = applied(home, *returned(*applied(intake_of(AWAY), *burst).messages, offset=100))
    assert effects.outcomes == {"stale": 100}
    assert state_at(home) == before


def test_headers_of_the_way_home_are_ours_alone() -> None:
    """An upstream's headers of these names lead nobody astray (A13)."""
    forged = {REROUTED: STATE, ORIGIN: "0 0 0"}
    [forwarded] = applied(intake_of(AWAY), sent(change("upsert", KEY, 1), offset=5)._replace(headers=forged)).messages
    assert dict(forwarded.headers) == {ORIGIN: f"{AWAY} 5 0", REROUTED: CHANGE}
    effects = applied(intake_of(HOME), sent(change("upsert", KEY, 1))._replace(headers=forged))
    assert effects.outcomes == {"accepted": 1}


def test_bad_message_is_refused_where_it_arrives() -> None:
    """A wrong key, and a change that is too large with its headers to be sent on (contracts: Refused)."""
    effects = applied(intake_of(AWAY), sent(change("upsert", "deal/D-2", 1), key=key_of(KEY)))
    assert codes(effects) == ["wrong_key"]
    large = sent(change("upsert", KEY, 1))._replace(headers={"x": "x" * FORWARDED_BYTES_MAX})
    assert codes(applied(intake_of(AWAY), large)) == ["too_large"]


def test_unreadable_messages_of_the_way_home_are_refused() -> None:
    """Only the assigner writes to this topic; what it did not write becomes a dead letter (contracts: Refused)."""
    for kind in (CHANGE, STATE, "odd"):
        message = InputMessage(RELEASES.name, key_of(KEY), b"{}", {REROUTED: kind})
        assert len(codes(applied(intake_of(HOME), message))) == 1


@given(st.permutations(range(6)), st.lists(st.integers(0, PARTITIONS - 1), min_size=6, max_size=6))
def test_whole_records_on_any_partition_in_any_order(order: list[int], places: list[int]) -> None:
    """The greatest version wins, wherever and whenever the changes arrive (A9, A13)."""
    folds = {number: intake_of(number) for number in range(PARTITIONS)}
    for offset, number in enumerate(order):
        op = "delete" if number == 2 else "upsert"
        message = sent(change(op, KEY, number + 1, owner_id=f"u{number}"), offset=offset)
        effects = applied(folds[places[offset]], message)
        applied(folds[HOME], *returned(*effects.messages, offset=offset))
    state = state_at(folds[HOME])
    assert state is not None
    assert (state.version, state.owner_id) == (6, "u5")
    assert [len(fold) for fold in folds.values()].count(0) == PARTITIONS - 1


# --- states that an earlier version kept away from home -------------------------------------------


def test_states_of_an_earlier_version_are_sent_home() -> None:
    """In steps, without a message; their home stores them and troubles no family (ADR 0008)."""
    away, home = restored(AWAY, old(3, owner_id="ann")), intake_of(HOME)
    assert is_unfinished(away)
    effects = Effects()
    away.proceed({}, effects, 10)
    [tombstone] = effects.state
    assert (tombstone.key, tombstone.value, tombstone.route) == (key_of(KEY), None, AWAY)
    assert len(away) == 0
    assert not is_unfinished(away)
    arrived = applied(home, *returned(*effects.messages))
    state = state_at(home)
    assert state is not None
    assert (state.owner_id, state.intake_partition) == ("ann", HOME)
    assert arrived.messages == []
    assert arrived.state == [Message(RECORD_STATES.name, key_of(KEY), state, HOME)]


def test_states_are_sent_home_step_by_step() -> None:
    """A step sends no more than its limit (ADR 0008)."""
    states = [record(f"deal/{number}", intake_partition=AWAY) for number in range(40)]
    misplaced = [state for state in states if upstream_partition_of(state.key, PARTITIONS) != AWAY]
    away, sizes = restored(AWAY, *states), []
    while away.unfinished_from is not None:
        effects = Effects()
        away.proceed({}, effects, 7)
        sizes.append(len(effects.messages))
    assert max(sizes) == 7
    assert sum(sizes) == len(misplaced)
    assert len(away) == len(states) - len(misplaced)


def test_state_goes_before_a_change() -> None:
    """A patch of a record that is still here finds it at home (A13)."""
    away, home = restored(AWAY, old(3, fields={"a": 1})), intake_of(HOME)
    effects = applied(away, sent(change("patch", KEY, 4, fields={"b": 2}), offset=1))
    arrived = applied(home, *returned(*collapse(effects.messages)))
    state = state_at(home)
    assert state is not None
    assert state.fields == {"a": 1, "b": 2}
    assert arrived.refused == []


def test_state_of_this_version_stays() -> None:
    """A restart looks at no state again that this version has stored, and sends none away (A13)."""
    home = intake_of(HOME)
    applied(home, sent(change("upsert", KEY, 1), offset=1))
    state = state_at(home)
    assert state is not None
    assert restored(HOME, state).unfinished_from is None


@pytest.mark.parametrize(
    ("here", "version", "owner", "links"),
    [
        ([change("upsert", KEY, 9, owner_id="new")], 9, "new", {"west": "assign"}),
        ([change("upsert", KEY, 2, owner_id="new")], 3, "ann", {"west": "assign"}),
        ([change("patch", KEY, 9, owner_id="new")], 9, "new", {"west": "assign"}),
        ([change("delete", KEY, 9)], 9, None, {}),
    ],
    ids=["newer", "older", "patch", "delete"],
)
def test_changes_that_came_before_the_state(
    here: list[RecordChange], version: int, owner: str | None, links: dict[str, str]
) -> None:
    """The greater version counts; links come along, patches find their record (A9, A13)."""
    home, away = intake_of(HOME), restored(AWAY, old(3, owner_id="ann", links={"west": "assign"}, link_version=1))
    applied(home, *(sent(each, offset=number) for number, each in enumerate(here)))
    effects = Effects()
    away.proceed({}, effects, 1)
    for _ in range(2):  # sent twice after a crash
        applied(home, *returned(*effects.messages))
        state = state_at(home)
        assert state is not None
        assert (state.version, state.owner_id, state.links, state.waiting) == (version, owner, links, ())


def test_family_of_the_state_hears_of_a_change_before_it() -> None:
    """A record that moved to another account before its state came leaves its old family (A8)."""
    home, away = intake_of(HOME), restored(AWAY, old(3, account_id="A-1"))
    applied(home, sent(change("upsert", KEY, 4, account_id="A-2"), offset=1))
    effects = Effects()
    away.proceed({}, effects, 1)
    [gone, present] = applied(home, *returned(*effects.messages)).messages
    assert (gone.value, gone.route) == (None, key_of("account/A-1"))
    assert dict(gone.headers) == {REASON: MOVED, INTAKE_PARTITION: str(HOME)}
    assert present.route == key_of("account/A-2")


def test_late_state_brings_no_link_back() -> None:
    """A link that was taken back at home is not there again when the state is sent once more (A4)."""
    home, away = intake_of(HOME), restored(AWAY, old(3, links={"west": "assign"}, link_version=1))
    effects = Effects()
    away.proceed({}, effects, 1)
    applied(home, *returned(*effects.messages))
    applied(home, sent(change("link", KEY, 2, territory_id="west", kind="none"), offset=1))
    applied(home, *returned(*effects.messages))
    state = state_at(home)
    assert state is not None
    assert state.links == {}


def test_release_follows_its_record() -> None:
    """A release that comes where the record was goes after its state, and is answered there (A8)."""
    away, home = restored(AWAY, old(3, account_id="A-1")), intake_of(HOME)
    effects = Effects()
    away.proceed({}, effects, 1)
    release = InputMessage(RELEASES.name, key_of(KEY), encode(Released("acme", "deal", "D-1", again=False)), {})
    away.apply(release, {}, effects)
    arrived = applied(home, *returned(*effects.messages))
    assert [message.route for message in arrived.messages] == [key_of("account/A-1")]
    assert applied(intake_of(HOME), release).messages == []


def test_raw_states_are_not_encoded_again() -> None:
    """What is sent home is what was kept, byte by byte."""
    away = restored(AWAY, old(3))
    effects = Effects()
    away.proceed({}, effects, 1)
    assert isinstance(effects.messages[0].value, msgspec.Raw)
