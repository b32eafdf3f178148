"""A patch that comes before its record waits for it, within bounds (A13)."""

from __future__ import annotations

from typing import Any

import pytest

from assigner.intake import waiting
from assigner.intake.stage import IntakeFold
from assigner.intake.waiting import OF_A_RECORD_MAX, WAIT_MS_MAX
from territory.stage import Effects, InputMessage, WithDeadlines
from territory.wire.events import Record, RecordChange
from territory.wire.topics import RECORD_STATES, RECORDS
from tests.unit.assigner.examples import change, codes, key_of, sent, taken_in

KEY = "deal/D-1"
NOW_MS = 5_000_000_000_000


def patch(version: int, **attributes: Any) -> RecordChange:
    return change("patch", KEY, version, **attributes)


def state_of(intake: IntakeFold) -> Record | None:
    return intake.record_state(key_of(KEY))


def restarted(intake: IntakeFold) -> IntakeFold:
    state, successor = state_of(intake), IntakeFold(0)
    if state is not None:
        successor.restore(InputMessage(RECORD_STATES.name, key_of(KEY), state, {}))
    return successor


def in_turn(intake: IntakeFold, *changes: RecordChange) -> Effects:
    """Apply changes, each with an offset of its own."""
    effects = Effects()
    for offset, each in enumerate(changes, start=len(intake) * 100):
        intake.apply(sent(each, offset=offset), {}, effects)
    return effects


def expire(intake: IntakeFold, now_ms: int) -> Effects:
    effects = Effects()
    intake.expire(now_ms, effects)
    return effects


@pytest.mark.parametrize("before", [(), (change("delete", KEY, 1),)], ids=["never seen", "deleted"])
@pytest.mark.parametrize("restart", [False, True])
def test_patches_are_applied_when_the_record_comes(before: tuple[RecordChange, ...], restart: bool) -> None:
    """Those newer than the record, in the order of their versions; the record's family hears of it once (A13)."""
    intake = IntakeFold(0)
    early = (patch(9, fields={"a": 9}), patch(7, owner_id="u7", fields={"a": 7, "b": 7}), patch(2, fields={"c": 2}))
    effects = in_turn(intake, *before, *early)
    assert effects.outcomes["waiting"] == 3
    assert [message for message in effects.messages if message.value is not None] == []
    assert effects.refused == []
    intake = restarted(intake) if restart else intake
    after = taken_in(intake, change("upsert", KEY, 3, owner_id="u3", account_id="A-1", fields={"d": 3}))
    assert after.outcomes == {"accepted": 3, "stale": 1}
    [forwarded] = after.messages
    state = state_of(intake)
    assert state == forwarded.value
    assert state is not None
    assert (state.version, state.owner_id, state.fields) == (9, "u7", {"a": 9, "b": 7, "d": 3})
    assert state.waiting == ()


def test_link_waits_beside_a_patch() -> None:
    """A link before its record is kept as well, and both are there when it comes (A4, A13)."""
    intake = IntakeFold(0)
    in_turn(intake, patch(5, owner_id="u5"), change("link", KEY, 1, territory_id="west", kind="assign"))
    state = taken_in(intake, change("upsert", KEY, 1)).state[-1].value
    assert isinstance(state, Record)
    assert (state.owner_id, state.links) == ("u5", {"west": "assign"})


def test_delete_drops_older_patches() -> None:
    """A patch older than a delete is stale; a newer one waits on (A13)."""
    intake = IntakeFold(0)
    in_turn(intake, patch(4), patch(6, owner_id="u6"))
    assert taken_in(intake, change("delete", KEY, 5)).outcomes == {"accepted": 1, "stale": 1}
    assert taken_in(intake, change("upsert", KEY, 5, event_id="again")).outcomes == {"accepted": 2}


def test_repeat_of_a_waiting_patch_is_stale() -> None:
    """The same event waits once (A13)."""
    intake = IntakeFold(0)
    assert in_turn(intake, patch(4), patch(4)).outcomes == {"waiting": 1, "stale": 1}


def test_dead_letter_after_an_hour() -> None:
    """It has the bytes, place and headers of the patch; nothing is left of a record that never came (A13)."""
    intake = IntakeFold(0)
    early = sent(patch(4), offset=17)._replace(headers={"ce_id": "x", "odd": "\udcff"})
    intake.apply(early, {}, Effects())
    assert isinstance(intake, WithDeadlines)
    assert intake.due_ms == 0
    assert expire(intake, NOW_MS).expired == []
    assert intake.due_ms == NOW_MS + WAIT_MS_MAX
    assert expire(intake, NOW_MS + WAIT_MS_MAX - 1).expired == []
    effects = expire(intake, NOW_MS + WAIT_MS_MAX)
    [letter] = effects.expired
    assert letter[:5] == (RECORDS.name, 0, 17, key_of(KEY), early.raw)
    assert letter.headers == (("ce_id", b"x"), ("odd", b"\xff"))
    assert letter.code == "no_record"
    assert effects.state[-1].value is None
    assert len(intake) == 0
    assert intake.due_ms is None


def test_hour_is_counted_for_each_patch() -> None:
    """A later patch waits for its own hour, and a link stays for longer (A4, A13)."""
    intake = IntakeFold(0)
    in_turn(intake, patch(4), change("link", KEY, 1, territory_id="west", kind="assign"))
    expire(intake, NOW_MS)
    in_turn(intake, patch(5, owner_id="u5"))
    expire(intake, NOW_MS + 1000)
    effects = expire(intake, NOW_MS + WAIT_MS_MAX)
    assert [letter.offset for letter in effects.expired] == [0]
    assert intake.due_ms == NOW_MS + 1000 + WAIT_MS_MAX
    assert len(expire(intake, NOW_MS + 1000 + WAIT_MS_MAX).expired) == 1
    state = state_of(intake)
    assert state is not None
    assert (state.links, state.waiting) == ({"west": "assign"}, ())


def test_restart_begins_the_hour_anew() -> None:
    """A restored patch waits, so a worker that reads an old backlog gives nothing up too early (A13)."""
    intake = IntakeFold(0)
    in_turn(intake, patch(4))
    expire(intake, NOW_MS)
    successor = restarted(intake)
    assert successor.due_ms == 0
    assert expire(successor, NOW_MS + WAIT_MS_MAX).expired == []


def test_patch_whose_record_came_has_no_deadline() -> None:
    """Nothing is due any more, and the bound counts what waits now (A13)."""
    for is_timed in (False, True):
        intake = IntakeFold(0)
        in_turn(intake, patch(4))
        if is_timed:
            expire(intake, NOW_MS)
        taken_in(intake, change("upsert", KEY, 1))
        assert intake.due_ms is None


def test_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By record, by partition and in bytes; one too many is refused at once (A13)."""
    intake = IntakeFold(0)
    in_turn(intake, *(patch(version) for version in range(1, OF_A_RECORD_MAX + 1)))
    assert codes(in_turn(intake, patch(OF_A_RECORD_MAX + 1))) == ["no_record"]
    monkeypatch.setattr(waiting, "OF_A_PARTITION_MAX", OF_A_RECORD_MAX)
    assert codes(in_turn(intake, change("patch", "deal/D-2", 1))) == ["no_record"]
    monkeypatch.setattr(waiting, "OF_A_PARTITION_MAX", 2 * OF_A_RECORD_MAX)
    monkeypatch.setattr(waiting, "BYTES_OF_A_PARTITION_MAX", 1_000)
    assert codes(in_turn(intake, change("patch", "deal/D-2", 1))) == ["no_record"]


def test_too_large_to_wait() -> None:
    """What does not fit into the record's state is refused at once (A13)."""
    intake = IntakeFold(0)
    large = patch(4, fields={"a": "x" * 800_000})
    assert codes(in_turn(intake, large)) == ["no_record"]
    assert len(intake) == 0
