"""The fold: assignments become changes of who sees what."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from access_indexer.core.changes import AdminsState, RecordState, Revoked, SetChange
from access_indexer.core.stage import NEW_GROUP_COST, AccessFold
from territory.model.compiled import Model
from territory.stage import Effects
from territory.wire.keys import partition_of, record_key
from tests.unit.access_indexer.core.examples import (
    MODEL,
    TERRITORIES,
    USERS,
    applied,
    assignment,
    but,
    flat,
    flushed,
    members_after,
    model_of,
    rest_of,
    restored,
    set_changes,
    swept,
)

TO_BAY = ["+visible mia A-1", "+visible sam A-1", "+visible wes A-1", "+editable mia A-1"]

# --- one record -------------------------------------------------------------------------------


def test_assignment_fills_sets() -> None:
    """A new record is added to the sets of its viewers, and its hash is written (V1, contracts: Redis)."""
    effects = applied(AccessFold(0, 1), MODEL, assignment("A-1", "bay", since_ms=70))
    assert sorted(set_changes(effects.changes)) == sorted(TO_BAY)
    assert effects.changes[0] == RecordState("acme", "account", "A-1", 1, None, ("bay",), 1, 70)
    assert effects.outcomes == {"granted": 4, "indexed": 1}


def test_change_is_a_difference() -> None:
    """Users who keep their access are not written again; a repeat changes no set (V5)."""
    fold = AccessFold(0, 1)
    applied(fold, MODEL, assignment("A-1", "bay"))
    changes = applied(fold, MODEL, assignment("A-1", "west", version=2)).changes
    assert set_changes(changes) == ["-visible sam A-1"]
    assert set_changes(applied(fold, MODEL, assignment("A-1", "west", version=2)).changes) == []


def test_revocations_come_before_grants() -> None:
    """Within one batch all revocations precede the grants, and edit is revoked before read (V8)."""
    fold = AccessFold(0, 1)
    applied(fold, MODEL, assignment("A-1", "east"))
    changes = set_changes(applied(fold, MODEL, assignment("A-1", "bay", version=2)).changes)
    assert changes[:2] == ["-editable eve A-1", "-visible eve A-1"]
    assert sorted(changes[2:]) == ["+visible sam A-1", "+visible wes A-1"]


def test_editors_are_readers_at_every_moment() -> None:
    """After every single change `editable` is a subset of `visible` (V3, V8)."""
    fold, sets = AccessFold(0, 1), {"visible": set[str](), "editable": set[str]()}
    for version, territories in enumerate([("east",), ("bay",), (), ("east", "bay"), ("west",)], 1):
        for change in applied(fold, MODEL, assignment("A-1", *territories, version=version)).changes:
            if isinstance(change, SetChange):
                (sets[change.kind].add if change.present else sets[change.kind].discard)(change.user_id)
                assert sets["editable"] <= sets["visible"]
    assert sets == {"visible": {"wes", "mia"}, "editable": {"mia"}}


def test_revocation_is_measured_from_its_cause() -> None:
    """A change that revokes says since when the revocation was due (contracts: Metrics)."""
    fold = AccessFold(0, 1)
    applied(fold, MODEL, assignment("A-1", "bay"))
    changes = applied(fold, MODEL, assignment("A-1", "east", version=2, since_ms=70)).changes
    assert [change for change in changes if isinstance(change, Revoked)] == [Revoked(70, 2)]


def test_deleted_record_is_seen_by_nobody() -> None:
    """A tombstone removes the record from every set, and its hash (V7)."""
    fold = AccessFold(0, 1)
    applied(fold, MODEL, assignment("A-1", "bay"))
    effects = applied(fold, MODEL, "A-1", timestamp_ms=90)
    assert sorted(set_changes(effects.changes)) == sorted(change.replace("+", "-") for change in TO_BAY)
    assert RecordState("acme", "account", "A-1", version=None) in effects.changes
    assert Revoked(90, 4) in effects.changes
    assert len(fold) == 0


def test_tombstone_of_an_unknown_record_deletes_its_hash() -> None:
    """Redis may have a record that the fold does not know (V7)."""
    assert applied(AccessFold(0, 1), MODEL, "A-9").changes == [RecordState("acme", "account", "A-9", version=None)]


def test_lower_version_is_stale() -> None:
    """A lower version comes from a family that the record has left; an equal one changes links or model (A8)."""
    fold = AccessFold(0, 1)
    applied(fold, MODEL, assignment("A-1", "bay", version=2))
    assert applied(fold, MODEL, assignment("A-1", "east", version=1)).outcomes == {"stale": 1}
    assert set_changes(applied(fold, MODEL, assignment("A-1", "west", version=2)).changes) == ["-visible sam A-1"]


def test_no_model_yet() -> None:
    """Without a model nobody sees a record; the sweep for the first model grants (V1, A8)."""
    fold = AccessFold(0, 1)
    effects = applied(fold, None, assignment("A-1", "bay"))
    assert (effects.changes, effects.outcomes) == ([], {"no_model": 1})
    assert sorted(set_changes(flat(swept(fold, MODEL)))) == sorted(TO_BAY)


def test_assignment_under_a_later_model() -> None:
    """Until this worker has the assigner's model, a record is visible only as both decisions give it (V8)."""
    fold = AccessFold(0, 1)
    applied(fold, MODEL, assignment("A-1", "bay"))
    ahead = assignment("A-1", "east", version=2, model_revision=2)
    new = assignment("A-2", "east", model_revision=2)
    assert sorted(set_changes(applied(fold, MODEL, ahead, new).changes)) == ["-visible sam A-1", "-visible wes A-1"]
    changes = flat(swept(fold, model_of(2)))
    assert members_after(changes) >= {"visible eve A-1", "visible eve A-2", "visible mia A-2"}


# --- a model changes --------------------------------------------------------------------------

SWAPPED = model_of(2, territories=but(but(TERRITORIES, "bay", users=["eve"]), "east", users=["sam"]))
"""Two users have changed places."""


def test_all_revocations_of_a_sweep_before_its_first_grant() -> None:
    """Over all chunks of a sweep nobody sees more than one of the two models gives (V8)."""
    records = [assignment(f"A-{number}", "bay" if number % 2 else "east") for number in range(6)]
    fold = restored(*records)
    chunks = [set_changes(changes) for changes in swept(fold, SWAPPED, limit=2)]
    signs = [{change[0] for change in changes} for changes in chunks if changes]
    assert signs == [{"-"}] * 4 + [{"+"}] * 4
    assert [change[0] for changes in chunks for change in changes] == ["-"] * 9 + ["+"] * 9
    assert flat(swept(fold, SWAPPED)) == [AdminsState("acme", frozenset({"root"}))]


def test_chunks_of_groups_with_one_record() -> None:
    """A chunk counts the visits to groups: with one record per group they take all the time (P12)."""
    fold = restored(*(assignment(f"A-{number}", "bay", owner_id=f"gone-{number}") for number in range(20)))
    chunks = swept(fold, model_of(2), limit=5 * NEW_GROUP_COST)
    assert len(chunks) == 1 + (20 // 5 + 1) + 2  # the first; revocations; grants, whose viewers are cached
    assert flat(chunks) == [AdminsState("acme", frozenset({"root"}))]
    again = [each for each in fold.sweep(model_of(3), 5 * NEW_GROUP_COST) if isinstance(each, Effects)]
    assert [each.swept for each in again] == [0, 5, 5, 5, 5, 0, 15, 5]  # all records, in both passes
    assert [each.cost for each in again] == [0, 150, 150, 150, 150, 0, 150, 50]


def test_records_that_change_in_the_middle_of_a_sweep() -> None:
    """A live change follows the new model at once, and the rest of the sweep keeps it so (V7, V8, A9)."""
    fold = AccessFold(0, 1)
    changes = applied(fold, MODEL, assignment("A-1", "bay"), assignment("A-2", "bay")).changes
    sweep = fold.sweep(SWAPPED, 1)
    changes += flushed(fold, next(sweep)) + flushed(fold, next(sweep))
    changes += applied(fold, SWAPPED, assignment("A-2", "west", version=2), "A-1").changes
    changes += flat(rest_of(fold, sweep))
    assert members_after(changes) == {"visible wes A-2", "visible mia A-2", "editable mia A-2"}
    assert flat(swept(fold, SWAPPED)) == [AdminsState("acme", frozenset({"root"}))]


def test_deactivated_user_loses_everything() -> None:
    """The sweep alone revokes; one partition writes the administrators, as a whole set (V1, V7)."""
    fold = restored(assignment("A-1", "bay"), assignment("A-2", owner_id="ann"))
    model = model_of(2, users=but(but(USERS, "sam", active=False), "ann", admin=True))
    changes = flat(swept(fold, model))
    assert changes[0] == AdminsState("acme", frozenset({"root", "ann"}))
    assert sorted(set_changes(changes)) == ["-editable ann A-2", "-visible ann A-2", "-visible sam A-1"]
    assert flat(swept(AccessFold(1, 2), model)) == []


# --- after a restart --------------------------------------------------------------------------


def test_known_organisation_is_not_written_again() -> None:
    """The sets are assumed to follow the active model; only differences are written (V8)."""
    fold = restored(
        assignment("A-1", "bay"), assignment("A-1", "west", version=2), "A-2", assignment("A-2", "bay"), "A-2"
    )
    assert len(fold) == 1
    assert flat(swept(fold, MODEL)) == [AdminsState("acme", frozenset({"root"}))]
    assert set_changes(applied(fold, MODEL, assignment("A-1", "bay", version=3)).changes) == ["+visible sam A-1"]


def test_restore_ignores_stale_assignments() -> None:
    """A lower version after a higher one on the log changes nothing (A8)."""
    fold = restored(assignment("A-1", "west", version=2), assignment("A-1", "bay", version=1))
    assert set_changes(applied(fold, MODEL, assignment("A-1", "bay", version=3)).changes) == ["+visible sam A-1"]


def test_unknown_organisation_is_written_again_once() -> None:
    """One sweep writes all grants and hashes; the next one writes nothing (V8)."""
    fold = restored(assignment("A-1", "bay"), unknown=frozenset({"acme"}))
    changes = flat(swept(fold, MODEL))
    assert sorted(set_changes(changes)) == sorted(TO_BAY)
    assert RecordState("acme", "account", "A-1", 1, None, ("bay",), 1) in changes
    assert flat(swept(fold, MODEL)) == [AdminsState("acme", frozenset({"root"}))]


def test_unknown_organisation_whose_model_is_superseded_at_once() -> None:
    """The first model may have been written already, so its grants are revoked (V7, V8)."""
    fold = restored(assignment("A-1", "bay"), unknown=frozenset({"acme"}))
    without = model_of(2, users=but(USERS, "sam", active=False))
    again = replace(assignment("A-1", "bay", version=2), model_revision=2)
    assert "-visible sam A-1" in set_changes(applied(fold, without, again).changes)


def test_many_superseded_models_are_revoked() -> None:
    """Whatever any of many unfinished models granted an unknown record is revoked by the next sweep (V7, V8)."""
    fold = restored(assignment("A-1", "bay"), unknown=frozenset({"acme"}))
    for revision, user in enumerate([*("ann", "bob") * 20, "eve"], 2):
        swept_by = fold.sweep(model_of(revision, territories=but(TERRITORIES, "bay", users=[user])), 100)
        flushed(fold, next(swept_by))
    changes = set_changes(flat(swept(fold, model_of(99, territories=but(TERRITORIES, "bay", users=["eve"])))))
    assert {each for each in changes if each[0] == "-"} == {f"-visible {user} A-1" for user in ("sam", "ann", "bob")}


def test_tombstone_is_the_first_message_under_a_model() -> None:
    """A removal begins the model first: what the model gives may have been granted before the restart (V7)."""
    fold = restored(assignment("A-1", "bay"), model=None)
    changes = set_changes(applied(fold, MODEL, "A-1").changes)
    assert sorted(changes) == sorted(change.replace("+", "-") for change in TO_BAY)


def test_other_organisations_are_not_written_again() -> None:
    """Only the unknown organisation is written again (V8)."""
    fold = restored(assignment("A-1", "bay"), unknown=frozenset({"other"}))
    assert set_changes(flat(swept(fold, MODEL))) == []


# --- orphans ----------------------------------------------------------------------------------


def orphans(fold: AccessFold, kind: Any, user_id: str, *record_ids: str, model: Model | None = MODEL) -> list[str]:
    """Return the orphans among ids that were found in a user's set."""
    models = {} if model is None else {"acme": model}
    return fold.orphans("acme", kind, user_id, "account", record_ids=record_ids, models=models)


def test_orphans_are_what_a_set_holds_and_must_not() -> None:
    """Orphans are removed records, records that the user does not see, and in `editable` those only read (V8)."""
    fold = restored(assignment("A-1", "bay"), assignment("A-2", "east"))
    assert orphans(fold, "visible", "sam", "A-1", "A-2", "A-3") == ["A-2", "A-3"]
    assert orphans(fold, "editable", "sam", "A-1") == ["A-1"]
    assert orphans(fold, "editable", "mia", "A-1", "A-2") == []
    assert orphans(fold, "visible", "root", "A-1") == ["A-1"]


def test_without_a_model_every_entry_is_an_orphan() -> None:
    """Nobody sees anything of an organisation without a model (V1)."""
    fold = restored(assignment("A-1", "bay"), model=None)
    assert orphans(fold, "visible", "sam", "A-1", model=None) == ["A-1"]


def test_orphans_of_other_partitions_are_left_alone() -> None:
    """A partition judges its own records only, in sets and in hashes (V8)."""
    ids = [f"A-{number}" for number in range(8)]
    ours = [each for each in ids if partition_of(record_key("acme", "account", each), 2) == 0]
    assert 0 < len(ours) < len(ids)
    fold = AccessFold(0, 2)
    assert orphans(fold, "visible", "sam", *ids) == ours
    assert [each for each in ids if fold.is_orphan("acme", "account", each)] == ours
    applied(fold, MODEL, assignment(ours[0], "bay"))
    assert not fold.is_orphan("acme", "account", ours[0])
