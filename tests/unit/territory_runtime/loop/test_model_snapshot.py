"""The metadata beside a committed offset: what was said under which models."""

from __future__ import annotations

import pytest

from territory.model.compiled import Model, compile_model
from territory.wire.codec import JSON
from territory_runtime.loop.commit_metadata import CommitMetadata, common_metadata, orgs_to_resync
from territory_runtime.loop.model_snapshot import ModelSnapshot, SnapshotId

DAILY: JSON = {"account": {"field": "since", "within_last_days": 7}}


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (CommitMetadata(SnapshotId(12), SnapshotId(12)), "12"),
        (CommitMetadata(), "-1"),
        (CommitMetadata(SnapshotId(12, 1488283200), SnapshotId(12, 1488283200)), "12 1488283200"),
        (CommitMetadata(SnapshotId(12), SnapshotId(15)), "12 > 15"),
        (CommitMetadata(SnapshotId(-1, -5), SnapshotId(15, 9), 3, 8), "-1 -5 > 15 9 : 3 of 8"),
        (CommitMetadata(SnapshotId(12), SnapshotId(12, 9), 0, 8), "12 > 12 9 : 0 of 8"),
        (CommitMetadata(SnapshotId(12), SnapshotId(12), epoch=3, write_sequence=40), "12 # 3 40"),
        (CommitMetadata(SnapshotId(12), SnapshotId(15, 9), 3, 8, 1, 0), "12 > 15 9 : 3 of 8 # 1 0"),
        (CommitMetadata(SnapshotId(12), SnapshotId(12), epoch=3, write_sequence=40, edition=2), "12 # 3 40 @ 2"),
    ],
)
def test_commit_metadata_is_read_as_it_was_written(metadata: CommitMetadata, text: str) -> None:
    """A worker reads its predecessor's metadata; digits alone are an older version's (A9)."""
    assert str(metadata) == text
    assert CommitMetadata.read(text) == metadata


@pytest.mark.parametrize("text", ["", "x", "12 > ", "12 3 4", "1.5", "12 > 15 : 3", "² ", "12 # 3"])
def test_unreadable_commit_metadata_means_that_nothing_is_known(text: str) -> None:
    """Then everything is emitted again, which is harmless (A9)."""
    assert CommitMetadata.read(text) == CommitMetadata()


def model_of(org: str, rules: JSON) -> Model:
    """Return a model of one territory."""
    territory: JSON = {"id": "t", "rules": rules}
    fields: JSON = {"account": {"since": "date"}}
    return compile_model({"org": org, "fields": fields, "roles": [], "users": [], "territories": [territory]}, 1)


PLAIN, DATED = model_of("plain", {}), model_of("dated", DAILY)
ACTIVATED_AT = {"plain": 4, "dated": 9}
NOW = ModelSnapshot({"plain": PLAIN, "dated": DATED}, ACTIVATED_AT, SnapshotId(9, 1488283200))
UNDATED = ModelSnapshot({"plain": PLAIN, "dated": DATED}, ACTIVATED_AT, SnapshotId(9))


@pytest.mark.parametrize(
    ("swept", "now", "is_gapless", "unknown"),
    [
        (SnapshotId(9, 5), NOW, True, set()),
        (SnapshotId(8, 5), NOW, True, {"dated"}),
        (SnapshotId(3, 5), NOW, True, {"plain", "dated"}),
        (SnapshotId(9, 5), NOW, False, {"plain", "dated"}),
        (SnapshotId(9), NOW, True, {"dated"}),
        (SnapshotId(9), UNDATED, True, set()),
    ],
    ids=["all swept", "activated since", "both", "the log has gaps", "a metadata without a day", "no day is asked for"],
)
def test_organisations_that_the_metadata_does_not_cover_are_unknown(
    swept: SnapshotId, now: ModelSnapshot, is_gapless: bool, unknown: set[str]
) -> None:
    """Those activated since; all, after gaps; and those with relative dates, if the metadata has no day (A9, C7)."""
    assert orgs_to_resync(CommitMetadata(swept, swept), now, is_gapless=is_gapless) == unknown


def test_output_of_another_edition_is_unknown() -> None:
    """A stage that says something else about the same input since a release says everything once more (A9)."""
    swept = CommitMetadata(NOW.id, NOW.id)
    assert orgs_to_resync(swept, NOW, is_gapless=True) == set()
    assert orgs_to_resync(swept, NOW, is_gapless=True, edition=1) == {"plain", "dated"}
    assert orgs_to_resync(swept._replace(edition=1), NOW, is_gapless=True, edition=1) == set()
    assert orgs_to_resync(swept._replace(edition=2), NOW, is_gapless=True, edition=1) == {"plain", "dated"}


def test_inputs_that_were_not_committed_together_leave_the_output_unknown() -> None:
    """A worker of a version with fewer inputs had the partition meanwhile: what it emitted lacks the other's (A9)."""
    text, other = "12 > 13 : 4 of 9 # 3 40 @ 2", "12 # 2 40 @ 2"
    assert common_metadata([]) == CommitMetadata()
    assert common_metadata([text]) == common_metadata([text, text]) == CommitMetadata.read(text)
    assert common_metadata([text, other]) == CommitMetadata(epoch=3, write_sequence=40, edition=2)
