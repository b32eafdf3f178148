"""Assignments become changes of who sees what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, Revoked, SetChange
from access_indexer.core.stage import NEW_GROUP_COST, AccessFold
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, SweepChunk, Wait
from territory.wire.events import Assignment
from territory.wire.keys import partition_of, record_key
from territory.wire.topics import ASSIGNMENTS
from tests.unit.access_indexer.core.examples import TERRITORIES, USERS, assignment, but, model_of, set_changes, told

MODEL = model_of()
TO_BAY = ["+visible mia A-1", "+visible sam A-1", "+visible wes A-1", "+editable mia A-1"]


def restored(*said: Assignment | str, model: Model | None = MODEL, unknown: frozenset[str] = frozenset()) -> AccessFold:
    """Return the only partition, its memory restored."""
    fold = AccessFold(0, 1)
    for each in said:
        key = record_key("acme", "account", each) if isinstance(each, str) else each.key
        fold.restore(InputMessage(ASSIGNMENTS.name, key, None if isinstance(each, str) else each, {}))
    fold.restored({} if model is None else {"acme": model}, unknown)
    return fold


def swept(fold: AccessFold, model: Model, limit: int = 100) -> list[list[IndexChange]]:
    """Return the changes of each slice of a sweep, which waits for nobody."""
    return rest(fold, fold.sweep(model, limit))


def rest(fold: AccessFold, sweep: Iterator[SweepChunk]) -> list[list[IndexChange]]:
    """Return the changes of the slices that are left of a sweep, which waits for nobody."""
    return [flushed(fold, effects) for effects in sweep if not isinstance(effects, Wait)]


def flushed(fold: AccessFold, effects: SweepChunk | None) -> list[IndexChange]:
    """Return the changes of a slice with all that it leads to."""
    assert isinstance(effects, Effects)
    fold.flush({}, effects)
    return effects.changes


def flat(slices: list[list[IndexChange]]) -> list[IndexChange]:
    return [change for changes in slices for change in changes]


def held(changes: list[IndexChange]) -> set[str]:
    """Return what sets hold after changes, as `visible ann A-1`."""
    sets: set[str] = set()
    for change in set_changes(changes):
        (sets.add if change[0] == "+" else sets.discard)(change[1:])
    return sets


# --- one record -------------------------------------------------------------------------------


def test_assignment_fills_sets() -> None:
    """Its viewers get it, and Redis hears where it stands (V1, contracts: Redis)."""
    effects = told(AccessFold(0, 1), MODEL, assignment("A-1", "bay", since_ms=70))
    assert sorted(set_changes(effects.changes)) == sorted(TO_BAY)
    assert effects.changes[0] == RecordState("acme", "account", "A-1", 1, None, ("bay",), 1, 70)
    assert effects.outcomes == {"granted": 4, "indexed": 1}


def test_change_is_a_difference() -> None:
    """What stays is not said again; of two places the common viewers keep what they have (V5)."""
    fold = AccessFold(0, 1)
    told(fold, MODEL, assignment("A-1", "bay"))
    changes = told(fold, MODEL, assignment("A-1", "west", version=2)).changes
    assert set_changes(changes) == ["-visible sam A-1"]
    assert set_changes(told(fold, MODEL, assignment("A-1", "west", version=2)).changes) == []


def test_revocations_come_before_grants() -> None:
    """Within one step; who may edit no more hears that before being read no more (V8)."""
    fold = AccessFold(0, 1)
    told(fold, MODEL, assignment("A-1", "east"))
    changes = set_changes(told(fold, MODEL, assignment("A-1", "bay", version=2)).changes)
    assert changes[:2] == ["-editable eve A-1", "-visible eve A-1"]
    assert sorted(changes[2:]) == ["+visible sam A-1", "+visible wes A-1"]


def test_editors_are_readers_at_every_moment() -> None:
    """A grant of edit follows the grant to read, so `editable` is never more than `visible` (V3, V8)."""
    fold, sets = AccessFold(0, 1), {"visible": set[str](), "editable": set[str]()}
    for version, territories in enumerate([("east",), ("bay",), (), ("east", "bay"), ("west",)], 1):
        for change in told(fold, MODEL, assignment("A-1", *territories, version=version)).changes:
            if isinstance(change, SetChange):
                (sets[change.kind].add if change.present else sets[change.kind].discard)(change.user_id)
                assert sets["editable"] <= sets["visible"]
    assert sets == {"visible": {"wes", "mia"}, "editable": {"mia"}}


def test_time_is_that_of_the_revocation() -> None:
    """A revocation says since when it was due; grants are measured by the record (contracts: Metrics)."""
    fold = AccessFold(0, 1)
    told(fold, MODEL, assignment("A-1", "bay"))
    changes = told(fold, MODEL, assignment("A-1", "east", version=2, since_ms=70)).changes
    assert [change for change in changes if isinstance(change, Revoked)] == [Revoked(70, 2)]


def test_deleted_record_is_seen_by_nobody() -> None:
    """It leaves every set, and its hash goes (V7)."""
    fold = AccessFold(0, 1)
    told(fold, MODEL, assignment("A-1", "bay"))
    effects = told(fold, MODEL, "A-1", timestamp_ms=90)
    assert sorted(set_changes(effects.changes)) == sorted(change.replace("+", "-") for change in TO_BAY)
    assert RecordState("acme", "account", "A-1", version=None) in effects.changes
    assert Revoked(90, 4) in effects.changes
    assert len(fold) == 0


def test_gone_is_said_of_what_is_not_known() -> None:
    """Redis may hold a record that this memory does not know (V7)."""
    assert told(AccessFold(0, 1), MODEL, "A-9").changes == [RecordState("acme", "account", "A-9", version=None)]


def test_lower_version_is_stale() -> None:
    """It is from a family that the record has left; an equal one is a change of links or model (A8)."""
    fold = AccessFold(0, 1)
    told(fold, MODEL, assignment("A-1", "bay", version=2))
    assert told(fold, MODEL, assignment("A-1", "east", version=1)).outcomes == {"stale": 1}
    assert set_changes(told(fold, MODEL, assignment("A-1", "west", version=2)).changes) == ["-visible sam A-1"]


def test_no_model_yet() -> None:
    """Nobody sees anything before there is a model; then the sweep says who does (V1, A8)."""
    fold = AccessFold(0, 1)
    effects = told(fold, None, assignment("A-1", "bay"))
    assert (effects.changes, effects.outcomes) == ([], {"no_model": 1})
    assert sorted(set_changes(flat(swept(fold, MODEL)))) == sorted(TO_BAY)


# --- a model changes --------------------------------------------------------------------------

SWAPPED = model_of(2, territories=but(but(TERRITORIES, "bay", users=["eve"]), "east", users=["sam"]))
"""Two users changed places."""


def test_all_revocations_of_a_sweep_before_its_first_grant() -> None:
    """Also over slices: nobody sees more than one of the two models gives at any moment (V8)."""
    records = [assignment(f"A-{number}", "bay" if number % 2 else "east") for number in range(6)]
    fold = restored(*records)
    slices = [set_changes(changes) for changes in swept(fold, SWAPPED, limit=2)]
    signs = [{change[0] for change in changes} for changes in slices if changes]
    assert signs == [{"-"}] * 4 + [{"+"}] * 4
    assert [change[0] for changes in slices for change in changes] == ["-"] * 9 + ["+"] * 9
    assert flat(swept(fold, SWAPPED)) == [AdminsState("acme", frozenset({"root"}))]


def test_records_of_which_no_two_are_alike() -> None:
    """Looking at each is what takes the time: a slice has as many as take no longer than records that move (P12)."""
    fold = restored(*(assignment(f"A-{number}", "bay", owner_id=f"gone-{number}") for number in range(20)))
    slices = swept(fold, model_of(2), limit=5 * NEW_GROUP_COST)
    assert len(slices) == 1 + (20 // 5 + 1) + 2  # the first; revocations; grants: these are known by then
    assert flat(slices) == [AdminsState("acme", frozenset({"root"}))]
    again = [each for each in fold.sweep(model_of(3), 5 * NEW_GROUP_COST) if isinstance(each, Effects)]
    assert [each.swept for each in again] == [0, 5, 5, 5, 5, 0, 15, 5]  # all, in both passes
    assert [each.cost for each in again] == [0, 150, 150, 150, 150, 0, 150, 50]


def test_records_that_change_in_the_middle_of_a_sweep() -> None:
    """They are brought under the new model at once, and the rest of the sweep leaves them so (V7, V8, A9)."""
    fold = AccessFold(0, 1)
    changes = told(fold, MODEL, assignment("A-1", "bay"), assignment("A-2", "bay")).changes
    sweep = fold.sweep(SWAPPED, 1)
    changes += flushed(fold, next(sweep)) + flushed(fold, next(sweep))
    changes += told(fold, SWAPPED, assignment("A-2", "west", version=2), "A-1").changes
    changes += flat(rest(fold, sweep))
    assert held(changes) == {"visible wes A-2", "visible mia A-2", "editable mia A-2"}
    assert flat(swept(fold, SWAPPED)) == [AdminsState("acme", frozenset({"root"}))]


def test_deactivated_user_loses_everything() -> None:
    """By the sweep, without an event of any record; new administrators are said whole, by one partition (V1, V7)."""
    fold = restored(assignment("A-1", "bay"), assignment("A-2", owner_id="ann"))
    model = model_of(2, users=but(but(USERS, "sam", active=False), "ann", admin=True))
    changes = flat(swept(fold, model))
    assert changes[0] == AdminsState("acme", frozenset({"root", "ann"}))
    assert sorted(set_changes(changes)) == ["-editable ann A-2", "-visible ann A-2", "-visible sam A-1"]
    assert flat(swept(AccessFold(1, 2), model)) == []


# --- after a restart --------------------------------------------------------------------------


def test_known_organisation_says_nothing_again() -> None:
    """The sets hold what the active model says; only differences follow (V8)."""
    fold = restored(
        assignment("A-1", "bay"), assignment("A-1", "west", version=2), "A-2", assignment("A-2", "bay"), "A-2"
    )
    assert len(fold) == 1
    assert flat(swept(fold, MODEL)) == [AdminsState("acme", frozenset({"root"}))]
    assert set_changes(told(fold, MODEL, assignment("A-1", "bay", version=3)).changes) == ["+visible sam A-1"]


def test_restore_knows_stale_words() -> None:
    """A lower version on the log after a higher one changes nothing (A8)."""
    fold = restored(assignment("A-1", "west", version=2), assignment("A-1", "bay", version=1))
    assert set_changes(told(fold, MODEL, assignment("A-1", "bay", version=3)).changes) == ["+visible sam A-1"]


def test_unknown_organisation_is_said_again_once() -> None:
    """All grants and all hashes, whatever Redis holds of them; the sweep after that says nothing more (V8)."""
    fold = restored(assignment("A-1", "bay"), unknown=frozenset({"acme"}))
    changes = flat(swept(fold, MODEL))
    assert sorted(set_changes(changes)) == sorted(TO_BAY)
    assert RecordState("acme", "account", "A-1", 1, None, ("bay",), 1) in changes
    assert flat(swept(fold, MODEL)) == [AdminsState("acme", frozenset({"root"}))]


def test_unknown_organisation_that_goes_to_another_model_at_once() -> None:
    """What the model that it had set out for gave may be in the sets already: it is taken away (V7, V8)."""
    fold = restored(assignment("A-1", "bay"), unknown=frozenset({"acme"}))
    without = model_of(2, users=but(USERS, "sam", active=False))
    again = replace(assignment("A-1", "bay", version=2), model_revision=2)
    assert "-visible sam A-1" in set_changes(told(fold, without, again).changes)


def test_other_organisations_are_not_said_again() -> None:
    """Each is unknown for itself (V8)."""
    fold = restored(assignment("A-1", "bay"), unknown=frozenset({"other"}))
    assert set_changes(flat(swept(fold, MODEL))) == []


# --- strays -----------------------------------------------------------------------------------


def strays(fold: AccessFold, kind: Any, user_id: str, *record_ids: str, model: Model | None = MODEL) -> list[str]:
    models = {} if model is None else {"acme": model}
    ids = fold.strays("acme", kind, user_id, "account", record_ids=record_ids, models=models)
    return [f"-{kind} {user_id} {record_id}" for record_id in ids]


def test_strays_are_what_a_set_holds_and_must_not() -> None:
    """Gone records, and those that the user sees no more, or may only read (V8)."""
    fold = restored(assignment("A-1", "bay"), assignment("A-2", "east"))
    assert strays(fold, "visible", "sam", "A-1", "A-2", "A-3") == ["-visible sam A-2", "-visible sam A-3"]
    assert strays(fold, "editable", "sam", "A-1") == ["-editable sam A-1"]
    assert strays(fold, "editable", "mia", "A-1", "A-2") == []
    assert strays(fold, "visible", "root", "A-1") == ["-visible root A-1"]


def test_without_a_model_everything_is_astray() -> None:
    """Nobody sees anything of an organisation without one (V1)."""
    fold = restored(assignment("A-1", "bay"), model=None)
    assert strays(fold, "visible", "sam", "A-1", model=None) == ["-visible sam A-1"]


def test_strays_of_other_partitions_are_left_alone() -> None:
    """A partition speaks of its own records only, in sets and in hashes (V8)."""
    ids = [f"A-{number}" for number in range(8)]
    mine = [each for each in ids if partition_of(record_key("acme", "account", each), 2) == 0]
    assert 0 < len(mine) < len(ids)
    fold = AccessFold(0, 2)
    assert strays(fold, "visible", "sam", *ids) == [f"-visible sam {each}" for each in mine]
    assert [each for each in ids if fold.is_stray("acme", "account", each)] == mine
    told(fold, MODEL, assignment(mine[0], "bay"))
    assert not fold.is_stray("acme", "account", mine[0])
