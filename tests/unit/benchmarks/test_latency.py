"""Times of different processes are put together rightly, and the phases are what they are said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.corpus import record_changes
from benchmarks.p4_latency import LOAD_RATE, STEADY_RATE, WARM_SECONDS, Published, phases_of, samples_of, waits_of
from benchmarks.p7_membership import JOINER, MEMBER, TERRITORY, Span, model_document
from benchmarks.pacer import Moment, read_moments, write_moments
from benchmarks.readers import Asked, read_asked, write_asked

from access_indexer.core.viewers import Access
from territory.keys import record_hash_key
from territory.model import compile_model
from territory_control.errors import StackFailed

FIRST = Published([Moment(0, 10.0), Moment(1, 10.1), Moment(0, 10.2)], seen={1: 10.6, 2: 10.5})
SECOND = Published([Moment(1, 11.0), Moment(0, 11.5)], seen={0: 11.25})
CAME = [Moment(0, 10.01), Moment(0, 10.22), Moment(1, 10.13), Moment(1, 11.04), Moment(0, 11.56)]


def test_each_message_is_found_again_by_its_partition() -> None:
    """Whatever the partitions' order among each other, the next that came is the next that was sent."""
    first, second = waits_of([FIRST, SECOND], CAME)
    assert first.visible == pytest.approx([500, 300])
    assert first.consumed == pytest.approx([30, 20])
    assert second.visible == pytest.approx([250])
    assert second.consumed == pytest.approx([40])
    assert SECOND.rate == pytest.approx(2)


def test_a_message_that_never_came_is_no_figure() -> None:
    """Times would be those of other messages."""
    with pytest.raises(StackFailed, match="5 messages were sent, and 4 came"):
        waits_of([FIRST, SECOND], CAME[1:])


def test_both_phases_last_equally_long() -> None:
    """All changes are published, none twice."""
    steady, load = phases_of(90_000)
    assert (steady.first, steady.records, load.first, load.records) == (0, 30_000, 30_000, 60_000)
    assert steady.records / STEADY_RATE == load.records / LOAD_RATE


def test_samples_can_be_seen() -> None:
    """They are changes of their phase, after its beginning, of records that stay."""
    changes = list(record_changes(40_000, seed=1, deletes=0.05))
    gone = {record_hash_key("bench", one["object"], one["id"]) for one in changes if one["op"] == "delete"}
    for phase in phases_of(len(changes)):
        samples = samples_of(changes, phase)
        assert len(samples) > 100
        assert samples[0].place >= WARM_SECONDS * phase.rate
        for sample in samples:
            change = changes[phase.first + sample.place]
            assert sample.key == record_hash_key("bench", change["object"], change["id"])
            assert sample.version == change["version"]
            assert sample.key not in gone


def test_times_are_kept_as_they_are(tmp_path: Path) -> None:
    """To the last digit: a millisecond is what is measured, in seconds since 1970."""
    moments, asked = [Moment(3, 1795334400.1234567)], [Asked(1795334400.1234567, 1e-05)]
    write_moments(tmp_path / "moments", moments)
    write_asked(tmp_path / "asked", asked)
    assert read_moments(tmp_path / "moments") == moments
    assert read_asked(tmp_path / "asked") == asked


def test_a_pause_belongs_to_what_was_done_meanwhile() -> None:
    """Also one that began before and lasted into it; none that came later or was over."""
    span = Span(100.0, 101.0, 0.0)
    assert span.pause_ms([Asked(99.99, 0.02), Asked(100.5, 0.005), Asked(101.1, 0.5), Asked(98.0, 1.5)]) == 20
    assert span.pause_ms([]) == 0


def test_who_joins_is_a_member_and_nothing_else() -> None:
    """Neither user sees the records in another way (V1, V2)."""
    before, after = (Access(compile_model(model_document(*members), 1)) for members in ((MEMBER,), (MEMBER, JOINER)))
    assert before.viewers_of(None, (TERRITORY,), ()).readers == {MEMBER}
    assert after.viewers_of(None, (TERRITORY,), ()).readers == {MEMBER, JOINER}
