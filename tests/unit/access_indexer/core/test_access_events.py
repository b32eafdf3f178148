"""Events for services that copy the index."""

from __future__ import annotations

from access_indexer.core.access_events import IDS_MAX, reset_events
from access_indexer.core.stage import AccessFold
from territory.stage import Effects, Message
from territory.wire import topics
from territory.wire.events import AccessChange, AccessForgotten
from tests.unit.access_indexer.core.examples import MODEL, applied, assignment


def emitting_fold(partitions: int = 1) -> AccessFold:
    """Return a fold that emits events and whose earlier events are valid."""
    fold = AccessFold(0, partitions, emits_events=True)
    fold.restored({"acme": MODEL}, frozenset())
    return fold


def events_by_user(effects: Effects) -> dict[str, AccessChange]:
    """Return the change events by user; checks topic, key, route and that no later event replaces one."""
    found: dict[str, AccessChange] = {}
    for message in effects.messages:
        assert isinstance(message.value, AccessChange)
        assert message[:2] == (topics.ACCESS_CHANGES.name, f"acme/{message.value.user_id}")
        assert (message.route, message.is_part) == (message.key, True)
        found[message.value.user_id] = message.value
    return found


def test_one_event_per_user() -> None:
    """An event has all records of the batch that the user may read and edit from now on (V3, V8)."""
    found = events_by_user(applied(emitting_fold(), MODEL, assignment("A-1", "bay"), assignment("A-2", "west")))
    assert found == {
        "mia": AccessChange("acme", "mia", 0, "account", edit=("A-1", "A-2")),
        "sam": AccessChange("acme", "sam", 0, "account", read=("A-1",)),
        "wes": AccessChange("acme", "wes", 0, "account", read=("A-1", "A-2")),
    }


def test_revoked_record_is_in_one_list() -> None:
    """A record is revoked once, whether the user could edit it or not (V5, V7)."""
    fold = emitting_fold()
    applied(fold, MODEL, assignment("A-1", "east"))
    found = events_by_user(applied(fold, MODEL, "A-1"))
    assert found == {user: AccessChange("acme", user, 0, "account", revoked=("A-1",)) for user in ("mia", "eve")}


def test_edit_lowered_to_read() -> None:
    """A user who may no longer edit a record, but still read it, gets it as `read` (V3)."""
    fold = emitting_fold()
    applied(fold, MODEL, assignment("A-1", "west", owner_id="wes"))
    found = events_by_user(applied(fold, MODEL, assignment("A-1", "west", owner_id="ann", version=2)))
    assert found["wes"] == AccessChange("acme", "wes", 0, "account", read=("A-1",))


def test_grant_and_revocation_in_one_batch() -> None:
    """Only the revocation is emitted: a crashed predecessor may have emitted the grant alone (A9)."""
    effects = applied(emitting_fold(), MODEL, assignment("A-1", "bay"), "A-1")
    assert {user: change.revoked for user, change in events_by_user(effects).items()} == dict.fromkeys(
        ("mia", "sam", "wes"), ("A-1",)
    )


def test_many_records_are_split_into_events() -> None:
    """An event has a bounded number of records, and each record is in one event (contracts: Topics)."""
    ids = [f"A-{number}" for number in range(IDS_MAX + 1)]
    effects = applied(emitting_fold(), MODEL, *(assignment(each, owner_id="cleo") for each in ids))
    edits = [message.value.edit for message in effects.messages]  # type: ignore[attr-defined]  # an AccessChange
    assert [len(each) for each in edits] == [IDS_MAX, 1]
    assert [each for part in edits for each in part] == ids


def test_reset_goes_to_every_partition_first() -> None:
    """After a loss a reset is emitted in every partition of the topic, once, before any change event (V8)."""
    fold = AccessFold(0, 3, emits_events=True)
    fold.restored({"acme": MODEL}, frozenset({"acme"}))
    messages = applied(fold, MODEL, assignment("A-1", owner_id="cleo")).messages
    assert messages[:3] == list(reset_events("acme", 0, 3))
    assert messages[:3] == [
        Message(topics.ACCESS_CHANGES.name, "acme/", AccessForgotten("acme", 0), partition, is_part=True)
        for partition in range(3)
    ]
    assert [message.key for message in messages[3:]] == ["acme/cleo"]
    assert applied(fold, MODEL, assignment("A-2", owner_id="cleo")).messages[0].key == "acme/cleo"


def test_reset_precedes_the_revocations_of_a_tombstone() -> None:
    """A batch that begins with a tombstone begins the model first, so its reset voids no later event (V8)."""
    fold = AccessFold(0, 1, emits_events=True)
    fold.restored({"acme": MODEL}, frozenset({"acme"}))
    assert applied(fold, MODEL, "A-9").messages == list(reset_events("acme", 0, 1))


def test_no_events_unless_enabled() -> None:
    """Without TERRITORY_ACCESS_CHANGES the fold emits no event."""
    assert applied(AccessFold(0, 1), MODEL, assignment("A-1", "bay")).messages == []
