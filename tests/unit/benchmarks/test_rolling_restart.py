"""How P9b measures the wait of a change."""

from __future__ import annotations

from benchmarks.p9b_rolling_restart import LAST_SECONDS_MAX, PARTITIONS, Probes

from territory.wire.keys import partition_of


def test_one_probe_a_partition() -> None:
    """Each probe's changes and assignments are in the partition that it stands for."""
    keys = Probes().keys
    assert sorted(keys.values()) == list(range(PARTITIONS))
    assert all(partition_of(key, PARTITIONS) == number for key, number in keys.items())


def test_an_assignment_answers_the_changes_before_it() -> None:
    """A batch emits the last of several changes: the others waited as long, and one without an answer the most."""
    probes = Probes()
    probes.due = {(0, 1): 10.0, (0, 2): 11.0, (0, 3): 12.0, (0, 4): 13.0, (1, 1): 10.0}
    probes.assigned(0, 1, 10.5)
    probes.assigned(0, 3, 14.0)
    assert probes.waits == {(0, 1): 0.5, (0, 2): 3.0, (0, 3): 2.0}
    found = probes.longest(10.0, 12.0)
    assert (found[0], found[1], found[2]) == (3.0, LAST_SECONDS_MAX, 0.0)
