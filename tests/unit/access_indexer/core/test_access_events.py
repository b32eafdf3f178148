"""What those hear who follow the index."""

from __future__ import annotations

from access_indexer.core.access_events import IDS_MAX, forgotten
from access_indexer.core.stage import AccessFold
from territory.stage import Effects, Message
from territory.wire import topics
from territory.wire.events import AccessChange, AccessForgotten
from tests.unit.access_indexer.core.examples import assignment, model_of, told

MODEL = model_of()


def telling(partitions: int = 1) -> AccessFold:
    """Return a fold that has forgotten nothing and tells what changes."""
    fold = AccessFold(0, partitions, tells=True)
    fold.restored({"acme": MODEL}, frozenset())
    return fold


def changes_of(effects: Effects) -> dict[str, AccessChange]:
    """Return the changes by user; every message has its user's key and is one of several."""
    found: dict[str, AccessChange] = {}
    for message in effects.messages:
        assert isinstance(message.value, AccessChange)
        assert message[:2] == (topics.ACCESS_CHANGES.name, f"acme/{message.value.user_id}")
        assert (message.route, message.is_part) == (message.key, True)
        found[message.value.user_id] = message.value
    return found


def test_one_event_a_user() -> None:
    """It has all that the user may read, and edit, from now on (V3, V8)."""
    found = changes_of(told(telling(), MODEL, assignment("A-1", "bay"), assignment("A-2", "west")))
    assert found == {
        "mia": AccessChange("acme", "mia", 0, "account", edit=("A-1", "A-2")),
        "sam": AccessChange("acme", "sam", 0, "account", read=("A-1",)),
        "wes": AccessChange("acme", "wes", 0, "account", read=("A-1", "A-2")),
    }


def test_what_is_taken_away() -> None:
    """A record is revoked once, whether it could be edited or not (V5, V7)."""
    fold = telling()
    told(fold, MODEL, assignment("A-1", "east"))
    found = changes_of(told(fold, MODEL, "A-1"))
    assert found == {user: AccessChange("acme", user, 0, "account", revoked=("A-1",)) for user in ("mia", "eve")}


def test_level_is_lowered() -> None:
    """Who may edit no more, but read, is told that (V3)."""
    fold = telling()
    told(fold, MODEL, assignment("A-1", "west", owner_id="wes"))
    found = changes_of(told(fold, MODEL, assignment("A-1", "west", owner_id="ann", version=2)))
    assert found["wes"] == AccessChange("acme", "wes", 0, "account", read=("A-1",))


def test_last_word_of_a_turn() -> None:
    """What comes and goes within a turn is only revoked: it may have been said by one who was lost (A9)."""
    fold = telling()
    effects = told(fold, MODEL, assignment("A-1", "bay"), "A-1")
    assert {user: change.revoked for user, change in changes_of(effects).items()} == dict.fromkeys(
        ("mia", "sam", "wes"), ("A-1",)
    )


def test_many_records_are_many_events() -> None:
    """A message has a bounded size, and each record is in one of them (contracts: Topics)."""
    ids = [f"A-{number}" for number in range(IDS_MAX + 1)]
    effects = told(telling(), MODEL, *(assignment(each, owner_id="cleo") for each in ids))
    said = [message.value.edit for message in effects.messages]  # type: ignore[attr-defined]  # an AccessChange
    assert [len(each) for each in said] == [IDS_MAX, 1]
    assert [each for part in said for each in part] == ids


def test_what_is_forgotten_is_void_everywhere() -> None:
    """After a loss all followers hear it, before anything is said again (V8)."""
    fold = AccessFold(0, 3, tells=True)
    fold.restored({"acme": MODEL}, frozenset({"acme"}))
    messages = told(fold, MODEL, assignment("A-1", owner_id="cleo")).messages
    assert messages[:3] == list(forgotten("acme", 0, 3))
    assert messages[:3] == [
        Message(topics.ACCESS_CHANGES.name, "acme/", AccessForgotten("acme", 0), partition, is_part=True)
        for partition in range(3)
    ]
    assert [message.key for message in messages[3:]] == ["acme/cleo"]
    assert told(fold, MODEL, assignment("A-2", owner_id="cleo")).messages[0].key == "acme/cleo"


def test_nobody_is_told_unless_asked() -> None:
    """It costs something (TERRITORY_ACCESS_CHANGES)."""
    assert told(AccessFold(0, 1), MODEL, assignment("A-1", "bay")).messages == []
