"""Times of different processes are put together rightly, and the phases are what they are said to be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.corpus import record_changes
from benchmarks.p4_latency import (
    LOAD_RATE,
    STEADY_RATE,
    WARM_SECONDS,
    Published,
    phases_of,
    samples_of,
    table_of,
    ways_of,
)
from benchmarks.p7_membership import JOINER, MEMBER, TERRITORY, Span, model_document
from benchmarks.pacer import Moment, read_moments, write_moments
from benchmarks.processors import OWN, busy_processes
from benchmarks.readers import Asked, read_asked, write_asked

from access_indexer.core.viewers import AccessAttributes, AccessPolicy
from territory.model.compiled import compile_model
from territory.wire.keys import record_hash_key
from territory_admin.errors import StackFailed

SENT = [Moment(0, 10.0), Moment(1, 10.1), Moment(0, 10.2), Moment(1, 11.0)]
CAME = [Moment(0, 10.01), Moment(0, 10.22), Moment(1, 10.13), Moment(1, 11.04)]


def test_each_message_is_found_again_by_its_partition() -> None:
    """Whatever the partitions' order among each other, the next that came is the next that was sent."""
    assert ways_of(SENT, CAME) == pytest.approx([10, 30, 20, 40])


def test_a_message_that_never_came_is_no_figure() -> None:
    """Times would be those of other messages."""
    with pytest.raises(StackFailed, match="4 messages were sent, and 3 came"):
        ways_of(SENT, CAME[1:])


def test_what_was_seen_is_timed_from_when_it_was_due() -> None:
    """Whenever it was sent: what is late for want of a processor is not left out."""
    published = Published(SENT, seen={3: 11.5, 1: 10.6})
    assert published.waits == pytest.approx([500, 500])
    assert published.seconds == pytest.approx(1)


def test_processors_are_named_by_what_runs() -> None:
    """This process is who watches; one that it starts has the name of its module."""
    with subprocess.Popen(
        (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "0"), stderr=subprocess.PIPE
    ) as child:
        found = busy_processes()
        child.kill()
    assert found[OWN] > 0
    assert "http.server" in found


def test_busiest_process_is_first() -> None:
    """What used next to nothing is left out."""
    assert table_of({"redis": 0.1, "idle": 0.001, "broker": 0.75}).rows == (("broker", "0.75"), ("redis", "0.10"))


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
    """Also one that began before and lasted well into it; none that came later, was over, or all but over."""
    spans = {"first": Span(99.0, 99.9, 0.0), "second": Span(100.0, 101.0, 0.0)}
    elsewhere = [Asked(101.1, 0.5), Asked(97.0, 1.5)]
    pings = [Asked(99.995, 0.02), Asked(100.5, 0.005), Asked(99.5, 0.501), Asked(99.92, 0.05), *elsewhere]
    assert {name: span.pause_ms(pings) for name, span in spans.items()} == pytest.approx({"first": 400, "second": 15})
    assert {name: span.pause_ms([]) for name, span in spans.items()} == {"first": 0, "second": 0}


def test_who_joins_is_a_member_and_nothing_else() -> None:
    """Neither user sees the records in another way (V1, V2)."""
    before, after = (
        AccessPolicy(compile_model(model_document(*members), 1)) for members in ((MEMBER,), (MEMBER, JOINER))
    )
    record = AccessAttributes("account", None, (TERRITORY,), ())
    assert before.viewers_of(record).readers == {MEMBER}
    assert after.viewers_of(record).readers == {MEMBER, JOINER}
