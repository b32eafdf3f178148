"""The text beside a committed offset: which models the partition's output was produced under."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from territory_runtime.loop.model_snapshot import NOTHING_ACTIVATED, ModelSnapshot, SnapshotId

_SNAPSHOT = r"(-?\d+)(?: (-?\d+))?"
_METADATA = re.compile(rf"{_SNAPSHOT}(?: > {_SNAPSHOT}(?: : (\d+) of (\d+))?)?(?: # (\d+) (\d+))?(?: @ (\d+))?")


class CommitMetadata(NamedTuple):
    """What a worker writes beside each committed offset.

    All output up to that offset follows from the models of `applied`, or, where a sweep has passed already, from
    those of `target`. The text is `12 1488283200 > 13 1488283200 : 40 of 100 # 3 7 @ 1`: both snapshots, the sweep's
    progress, the epoch and the write sequence, and the edition.
    """

    applied: SnapshotId = SnapshotId()
    target: SnapshotId = SnapshotId()
    """The same as `applied` where no sweep is under way."""
    remaining: int = 0
    """At most so many records are still to be swept."""
    total: int = 0
    """Of how many when the sweep began."""
    epoch: int = 0
    """How often the partition was assigned to a worker (redis/fencing.py)."""
    write_sequence: int = 0
    """How many writes the partition's sink has had."""
    edition: int = 0
    """The edition of the stage that produced the output (`Stage.edition`)."""

    def __str__(self) -> str:
        text = str(self.applied)
        if self.target != self.applied:
            text += f" > {self.target}" + (f" : {self.remaining} of {self.total}" if self.total else "")
        if self.epoch:
            text += f" # {self.epoch} {self.write_sequence}"
        return f"{text} @ {self.edition}" if self.edition else text

    @classmethod
    def read(cls, text: str) -> CommitMetadata:
        """Return the metadata of a text. A text in another form is read as "nothing is known"."""
        found = _METADATA.fullmatch(text)
        if found is None:
            return cls()
        position, instant, target, target_instant, remaining, total, epoch, sequence, edition = (
            None if group is None else int(group) for group in found.groups()
        )
        applied = SnapshotId(NOTHING_ACTIVATED if position is None else position, instant)
        aimed_at = applied if target is None else SnapshotId(target, target_instant)
        return cls(applied, aimed_at, remaining or 0, total or 0, epoch or 0, sequence or 0, edition or 0)


def common_metadata(texts: Sequence[str]) -> CommitMetadata:
    """Return what the texts beside the offsets of one partition's inputs say; they are committed together.

    Where they differ, a worker of a version with fewer inputs has had the partition since. Nothing is known of its
    output under what the other inputs had brought before, so everything will be emitted again.

    Args:
        texts: Of the inputs that have a commit, the first one first.
    """
    if not texts:
        return CommitMetadata()
    metadata = CommitMetadata.read(texts[0])
    if any(text != texts[0] for text in texts):
        return metadata._replace(applied=SnapshotId(), target=SnapshotId(), remaining=0, total=0)
    return metadata


def orgs_to_resync(
    metadata: CommitMetadata, target: ModelSnapshot, *, is_gapless: bool, edition: int = 0
) -> frozenset[str]:
    """Return the organisations whose emitted output a restored partition cannot know.

    These are: organisations activated after the last sweep; all of them where compaction may have removed something,
    or where another edition of the stage produced the output; and, where the metadata comes from a version that knew
    no days, those whose rules use relative dates.
    """
    return frozenset(
        org
        for org, model in target.models.items()
        if not is_gapless
        or metadata.edition != edition
        or target.activated_at[org] > metadata.applied.position
        or (model.uses_relative_dates and target.id.instant is not None and metadata.applied.instant is None)
    )
