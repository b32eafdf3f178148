"""Several changes with one version: the later in the log wins, a repeat does not (A13)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assigner.intake.stage import IntakeFold
from assigner.intake.versions import SEEN_MAX
from territory.stage import Effects, InputMessage
from territory.wire.events import Record, RecordChange
from territory.wire.topics import RECORD_STATES
from tests.unit.assigner.examples import change, key_of, sent, taken_in

KEY = "lead/L-1"


def event(op: str, event_id: str, version: int = 1, **attributes: Any) -> RecordChange:
    """Return a change with an event id of its own."""
    return change(op, KEY, version, event_id=event_id, **attributes)


def restarted(intake: IntakeFold) -> IntakeFold:
    """Return an intake that was restored from the state of another."""
    state, successor = intake.record_state(key_of(KEY)), IntakeFold(0)
    successor.restore(InputMessage(RECORD_STATES.name, key_of(KEY), state, {}))
    return successor


def state_of(intake: IntakeFold) -> Record:
    state = intake.record_state(key_of(KEY))
    assert state is not None
    return state


def test_later_in_the_log_wins() -> None:
    """Five changes within a second, of one version: each is taken, in one batch and after a restart (A13)."""
    intake = IntakeFold(0)
    burst = [event("upsert", "e0", owner_id="u0"), *(event("patch", f"e{n}", fields={f"f{n}": n}) for n in range(1, 5))]
    assert taken_in(intake, *burst[:3]).outcomes == {"accepted": 3}
    intake = restarted(intake)
    assert taken_in(intake, *burst[3:]).outcomes == {"accepted": 2}
    assert state_of(intake).fields == {"f1": 1, "f2": 2, "f3": 3, "f4": 4}


def test_repeated_event_is_stale() -> None:
    """A repeat of an event of the present version changes nothing, also after a restart and after a link (A13)."""
    intake = IntakeFold(0)
    first, second = event("upsert", "e1", owner_id="u1"), event("upsert", "e2", owner_id="u2")
    link = event("link", "e3", territory_id="west", kind="assign")
    taken_in(intake, first, link, second)
    for _ in range(2):
        assert taken_in(intake, first, second, link).outcomes == {"stale": 3}
        intake = restarted(intake)
    assert state_of(intake).owner_id == "u2"


def test_repeated_link_is_stale() -> None:
    """Of two links with one version the later wins, and changes of the record between them make no difference (A13)."""
    intake = IntakeFold(0)
    pin, keep_out = (event("link", kind, territory_id="west", kind=kind) for kind in ("assign", "exclude"))
    taken_in(intake, event("upsert", "e1"), pin, keep_out)
    for version in range(2, 5):
        assert taken_in(intake, event("patch", f"p{version}", version), pin, keep_out).outcomes["stale"] == 2
        assert state_of(intake).links == {"west": "exclude"}


def test_delete_and_return_with_one_version() -> None:
    """A delete wins over an earlier upsert of its version, and a later upsert over the delete (A13)."""
    intake = IntakeFold(0)
    born, gone = event("upsert", "e1"), event("delete", "e2")
    taken_in(intake, born, gone, born)
    assert state_of(intake).deleted
    taken_in(intake, event("upsert", "e3"), gone)
    assert not state_of(intake).deleted


def test_remembered_events_are_bounded() -> None:
    """A record remembers the last events of a version, and of a new version none of the old one (A13)."""
    intake = IntakeFold(0)
    taken_in(intake, *(event("upsert", f"e{number}") for number in range(2 * SEEN_MAX)))
    assert len(state_of(intake).seen) == SEEN_MAX
    assert taken_in(intake, event("upsert", f"e{SEEN_MAX}")).outcomes == {"stale": 1}
    taken_in(intake, event("upsert", "new", 2))
    assert state_of(intake).seen == ()


@pytest.mark.parametrize("count", [3, 3 * SEEN_MAX])
@given(data=st.data())
def test_repeated_batch_overwrites_nothing(count: int, data: st.DataObject) -> None:
    """After a crash a batch is repeated on a state that has some or all of its changes: nothing goes back (A13)."""
    log = [
        sent(event("upsert" if number % 2 else "delete", f"e{number}", owner_id=f"u{number}"), offset=10 + number)
        for number in range(count)
    ]
    stored = data.draw(st.integers(1, count))
    intake = IntakeFold(0)
    for message in log[:stored]:
        intake.apply(message, {}, Effects())
    successor = restarted(intake)
    for message in log[data.draw(st.integers(0, stored)) : stored]:
        effects = Effects()
        successor.apply(message, {}, effects)
        assert effects.outcomes == {"stale": 1}
    assert state_of(successor) == state_of(intake)


def test_patch_that_waited_is_not_taken_again() -> None:
    """A batch in which a whole record replaced a waiting patch of its version ends the same when repeated (A13)."""
    gone, early, whole = event("delete", "e1"), event("patch", "e2", owner_id="early"), event("upsert", "e3")
    log = [sent(each, offset=offset) for offset, each in enumerate((gone, early, whole))]
    intake = IntakeFold(0)
    for message in log:
        intake.apply(message, {}, Effects())
    before, successor = state_of(intake), restarted(intake)
    for message in log:
        successor.apply(message, {}, Effects())
    assert state_of(successor) == before
    assert before.owner_id is None


def test_state_of_an_earlier_version() -> None:
    """It knows its last event alone: the repeat of that is stale, another one of the version is taken (A13)."""
    intake, old = IntakeFold(0), IntakeFold(0)
    taken_in(old, event("upsert", "e1"))
    state = state_of(old)
    plain = Record(  # its required attributes
        **{name: getattr(state, name) for name in Record.__struct_fields__[:15]}
    )
    intake.restore(InputMessage(RECORD_STATES.name, key_of(KEY), plain, {}))
    assert taken_in(intake, event("upsert", "e1")).outcomes == {"stale": 1}
    assert taken_in(intake, event("upsert", "e2")).outcomes == {"accepted": 1}
