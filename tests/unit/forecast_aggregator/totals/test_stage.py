"""Partials of all partitions become attainments."""

from __future__ import annotations

from forecast_aggregator.totals.stage import FLUSH_ATTAINMENTS_MAX, AttainmentFold, AttainmentKey, AttainmentState
from territory.stage import Effects, InputMessage
from territory.wire.events import Attainment, Partial, SourceSwept
from territory.wire.keys import partial_key, swept_key
from territory.wire.topics import ATTAINMENTS, PARTIALS
from tests.unit.forecast_aggregator.examples import Q1, model_of, partial

WEST: AttainmentKey = ("acme", "west", Q1, None)


BEGUN, ENDED = SourceSwept("acme", 0, ended=False), SourceSwept("acme", 0, ended=True)


def incoming(said: Partial | SourceSwept | None, source: int = 0) -> InputMessage:
    """Return a source's partial of `west` as an input message; None: its tombstone."""
    if isinstance(said, SourceSwept):
        return InputMessage(PARTIALS.name, swept_key(said.org_id, said.source, ended=said.ended), said, {})
    if said is None:
        return InputMessage(PARTIALS.name, partial_key("acme", "west", Q1, None, source), None, {})
    key = partial_key(said.org_id, said.territory_id, said.period, said.user_id, said.source)
    return InputMessage(PARTIALS.name, key, said, {})


def published(fold: AttainmentFold, *said: InputMessage | Partial | SourceSwept) -> Effects:
    """Return the effects of one batch."""
    effects = Effects()
    for each in said:
        fold.apply(each if isinstance(each, InputMessage) else incoming(each), {}, effects)
    fold.flush({}, effects)
    return effects


def won(effects: Effects) -> dict[str, str | None]:
    """Return the published `won` by key; None for a tombstone. Messages and sink changes must agree."""
    said: dict[str, str | None] = {}
    for message, change in zip(effects.messages, effects.changes, strict=True):
        assert isinstance(change, AttainmentState)
        assert message.value is change.attainment
        assert (message.topic, message.route) == (ATTAINMENTS.name, message.key)
        said[message.key] = change.attainment.won if isinstance(change.attainment, Attainment) else None
    return said


def test_parts_of_all_sources_are_one_attainment() -> None:
    """It is published once a batch, and again when a part changes (F1)."""
    fold = AttainmentFold()
    assert won(published(fold, partial(0, won="1"), partial(1, won="2"))) == {f"acme/west/{Q1}": "3"}
    effects = published(fold, partial(1, won="5"))
    assert won(effects) == {f"acme/west/{Q1}": "6"}
    assert effects.outcomes == {"added": 1}
    assert published(fold).messages == []


def test_keys_are_separate_attainments() -> None:
    """A person has an attainment of their own (F4)."""
    effects = published(
        AttainmentFold(), partial(0, won="1"), partial(0, user_id="bob", won="2"), partial(0, "bay", won="4")
    )
    assert won(effects) == {f"acme/west/{Q1}": "1", f"acme/west/{Q1}/bob": "2", f"acme/bay/{Q1}": "4"}


def test_target_comes_from_one_source() -> None:
    """Other sources do not change it; the home changes or removes it (F6)."""
    fold = AttainmentFold()
    for said, target in (
        (partial(0, target="10"), "10"),
        (partial(1, won="5"), "10"),
        (partial(0, target="20"), "20"),
        (partial(0, won="1"), None),
    ):
        [change] = published(fold, said).changes
        assert change.attainment.target == target


def test_tombstone_when_nothing_is_left() -> None:
    """Removing the last part deletes the attainment from the topic and from Redis (F1)."""
    fold = AttainmentFold()
    published(fold, partial(0, won="1"), partial(1, won="2"))
    assert won(published(fold, incoming(None, 0))) == {f"acme/west/{Q1}": "2"}
    effects = published(fold, incoming(None, 1))
    assert effects.changes == [AttainmentState(WEST, None)]
    assert won(effects) == {f"acme/west/{Q1}": None}
    assert len(fold) == 0
    assert fold.is_orphan(WEST)


def test_resync_removes_what_is_not_published_again() -> None:
    """When a resync ends, the source's older partials are removed, and no other source's (F9)."""
    fold = AttainmentFold()
    published(fold, partial(0, won="1"), partial(1, won="2"), partial(0, "bay", won="4"))
    assert published(fold, BEGUN).messages == []
    effects = published(fold, partial(0, won="3"), ENDED)
    assert won(effects) == {f"acme/west/{Q1}": "5", f"acme/bay/{Q1}": None}
    assert published(fold, ENDED).messages == []


def test_resync_that_starts_twice() -> None:
    """A crashed source starts its resync again; the totals may be restored in the middle of it (F9)."""
    fold = AttainmentFold()
    for said in (partial(0, won="1"), partial(0, "bay", won="4"), BEGUN, partial(0, "bay", won="4"), BEGUN):
        fold.restore(incoming(said))
    fold.restored({}, frozenset())
    assert won(published(fold, partial(0, won="3"), ENDED)) == {f"acme/west/{Q1}": "3", f"acme/bay/{Q1}": None}


def test_resync_affects_one_organisation() -> None:
    """The resync of another organisation removes nothing (F1)."""
    fold = AttainmentFold()
    published(fold, partial(0, won="1"))
    assert published(fold, SourceSwept("other", 0, ended=False), SourceSwept("other", 0, ended=True)).messages == []
    assert not fold.is_orphan(WEST)


def test_known_organisation_publishes_nothing_after_a_restart() -> None:
    """After a restart the parts are restored and count as published (A9)."""
    fold = AttainmentFold()
    fold.restore(incoming(partial(0, won="1")))
    fold.restore(incoming(partial(1, won="9", revision=1)))
    fold.restore(incoming(SourceSwept("acme", 1, ended=False)))
    fold.restore(incoming(SourceSwept("acme", 1, ended=True)))
    fold.restored({}, frozenset())
    assert published(fold).messages == []
    assert list(fold.sweep(model_of(), 10)) == []
    assert won(published(fold, partial(2, won="2"))) == {f"acme/west/{Q1}": "3"}


def test_unknown_organisation_is_published_again_in_chunks() -> None:
    """Each attainment once, at most `limit` in a chunk (F1)."""
    fold = AttainmentFold()
    for territory_id in ("a", "b", "c"):
        fold.restore(incoming(partial(0, territory_id, won="1")))
    fold.restored({}, frozenset({"acme"}))
    slices = []
    for effects in fold.sweep(model_of(), 2):
        assert isinstance(effects, Effects)
        fold.flush({}, effects)
        slices.append(list(won(effects)))
    assert slices == [[f"acme/a/{Q1}", f"acme/b/{Q1}"], [f"acme/c/{Q1}"]]
    fold.restored({}, frozenset({"acme"}))
    next(fold.sweep(model_of(), 2))  # given up for a newer model's
    assert len(list(fold.sweep(model_of(2), 2))) == 2
    assert list(fold.sweep(model_of(), 2)) == []


# --- bounded work -----------------------------------------------------------------------------

MANY = [f"t{number}" for number in range(FLUSH_ATTAINMENTS_MAX + 150)]


def held_from(fold: AttainmentFold) -> int | None:
    return fold.unfinished_from


def test_flush_publishes_a_bounded_number_of_attainments() -> None:
    """The rest follows by `proceed`; until then the first message's offset may not be committed (A9)."""
    fold, effects = AttainmentFold(), Effects()
    for number, territory_id in enumerate(MANY):
        fold.apply(incoming(partial(0, territory_id, won="1"))._replace(offset=5 + number), {}, effects)
    assert held_from(fold) is None
    fold.flush({}, effects)
    assert len(effects.messages) == FLUSH_ATTAINMENTS_MAX
    fold.apply(incoming(partial(0, "late", won="1"))._replace(offset=9_000), {}, effects)
    while held_from(fold) is not None:
        assert held_from(fold) == 5
        step = Effects()
        fold.proceed({}, step, 100)
        assert len(step.messages) <= 100
        effects.add(step)
    assert sorted(won(effects)) == sorted(f"acme/{each}/{Q1}" for each in [*MANY, "late"])
    assert len(effects.messages) == len(MANY) + 1


def test_void_partials_go_a_bounded_number_at_a_time() -> None:
    """One that the source publishes meanwhile stays; a resync that begins anew keeps what is left of them (F9)."""
    for begins_again in (False, True):
        fold, effects = AttainmentFold(), Effects()
        for territory_id in MANY:
            fold.restore(incoming(partial(0, territory_id, won="1")))
        fold.restored({}, frozenset())
        for said in (BEGUN, ENDED):
            fold.apply(incoming(said)._replace(offset=3), {}, effects)
        fold.flush({}, effects)
        assert held_from(fold) == 3
        left = fold.keys("acme")
        assert len(left) == len(MANY) - FLUSH_ATTAINMENTS_MAX
        kept = partial(0, left[-1][1], won="2")
        if begins_again:
            fold.apply(incoming(BEGUN), {}, effects)
        fold.apply(incoming(kept), {}, effects)
        while held_from(fold) is not None:
            fold.proceed({}, effects, 40)
        assert set(fold.keys("acme")) == (set(left) if begins_again else {left[-1]})
        assert fold.attainment(left[-1]) is not None
        published(fold, ENDED)
        while held_from(fold) is not None:
            fold.proceed({}, effects, 40)
        assert fold.keys("acme") == [left[-1]]


def test_restore_removes_all_void_partials() -> None:
    """A successor starts without the partials that a finished resync left out (F9)."""
    fold = AttainmentFold()
    for territory_id in MANY:
        fold.restore(incoming(partial(0, territory_id, won="1")))
    for said in (BEGUN, ENDED):
        fold.restore(incoming(said))
    assert len(fold) == 0
