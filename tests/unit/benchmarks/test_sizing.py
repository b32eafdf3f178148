"""What a deployment needs follows from what was measured, and the page has a place for all of it."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from benchmarks.sizing import (
    BUSY_SHARE,
    FULL_SHARE,
    PAGE,
    PARTITIONS_MIN,
    WORKER_BYTES,
    Fact,
    Load,
    Measured,
    need_of,
    read_measured,
    tables_of,
    with_tables,
)

LOAD = Load(records=1_000, users=10, territories=10, changes_a_second=1, memberships_a_record=40)


def measured(**values: float) -> Measured:
    """Return facts of which each is 1, unless another is given."""
    named = {one.name: values.get(one.name, 1.0) for one in fields(Measured)}
    return Measured(**{name: Fact(name, value, "", "") for name, value in named.items()})


def test_processor_or_memory_decides_how_many_workers() -> None:
    """Whichever asks for more; of each a share is left."""
    by_processor = measured(assigner_us=1_000, pipeline_us=1_500)
    busy = LOAD._replace(changes_a_second=int(3 * BUSY_SHARE * 1_000))
    assert (need_of(busy, by_processor).assigners, need_of(busy, by_processor).indexers) == (3, 2)
    by_memory = measured(intake_bytes=400, assignment_bytes=600, indexing_bytes=200)
    full = LOAD._replace(records=int(5 * FULL_SHARE * WORKER_BYTES / 1_000))
    need = need_of(full, by_memory)
    assert (need.assigners, need.indexers) == (5, 1)


def test_partitions_can_not_be_halved() -> None:
    """Of 16 partitions one of three assigners has six; what it remembers is what a worker has to hold."""
    found = measured(
        assigner_us=1_000, intake_bytes=400, assignment_bytes=600, indexing_restore=1e6, summing_restore=1e6
    )
    need = need_of(LOAD._replace(records=1_600, changes_a_second=1_500), found)
    assert (need.assigners, need.partitions) == (3, 16)
    assert need.worker_bytes == 1_600 * 6 / 16 * 1_000


def test_rules_cost_more_where_there_are_more() -> None:
    """The assigner was measured with 1 000 territories."""
    found = measured(assigner_us=1_000, more_rules_us=500)
    busy = LOAD._replace(changes_a_second=1_000)
    assert [need_of(busy._replace(territories=count), found).assigners for count in (1_000, 1_001)] == [2, 3]


def test_partitions_are_a_power_of_two_with_room() -> None:
    """Eight at the least, four times the workers, and none that takes longer than a minute to read back."""
    quick = {"indexing_restore": 1e6, "summing_restore": 1e6}
    assert need_of(LOAD, measured(**quick)).partitions == PARTITIONS_MIN
    busy = LOAD._replace(changes_a_second=1_000)
    assert need_of(busy, measured(assigner_us=1_500, pipeline_us=1_600, **quick)).partitions == 16
    assert need_of(LOAD, measured(indexing_restore=1.0, summing_restore=0.5)).partitions == 64


def test_redis_holds_memberships_and_hashes() -> None:
    """1 000 records with 40 memberships of 80 bytes and a hash of 300, and three tenths more."""
    assert need_of(LOAD, measured(membership_bytes=80, hash_bytes=300)).redis_bytes == pytest.approx(4_550_000)


def test_an_assigner_reads_each_record_twice() -> None:
    """It is ready when both of its stages are; then it sweeps at its own rate."""
    need = need_of(LOAD, measured(intake_restore=500, assignment_restore=250, sweep_rate=100))
    assert (need.restore_seconds, need.sweep_seconds) == (6, 10)


def test_the_page_has_these_tables() -> None:
    """Of the numbers it may have those of another day: whoever measures writes them anew."""
    page = PAGE.read_text()
    fresh = with_tables(page, tables_of(read_measured()))
    digits = re.compile(r"[\d .,]+")
    assert [digits.sub("#", line) for line in page.splitlines()] == [
        digits.sub("#", line) for line in fresh.splitlines()
    ]


def test_a_page_without_a_place_is_refused() -> None:
    """A table that is left out is not left out silently."""
    with pytest.raises(ValueError, match="found 0 places for the table 'computed'"):
        with_tables("<!-- measured -->\n<!-- end -->", {"measured": "| |", "computed": "| |"})
