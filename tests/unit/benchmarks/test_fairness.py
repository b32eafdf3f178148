"""What is timed amid a sweep was sent amid it, and a worker's share is counted by service."""

from __future__ import annotations

import pytest
from benchmarks.corpus import model_document, record_changes
from benchmarks.p4_latency import WARM_SECONDS, Published
from benchmarks.p12_fairness import (
    LARGE,
    QUIET_SECONDS,
    RATE,
    STEADY_SECONDS,
    SWEEP_RECORDS_A_SECOND,
    families_of,
    narrowed_of,
    phases_of,
    waits_within,
)
from benchmarks.p13_workers import Divided, Part, table_of
from benchmarks.pacer import Moment

from territory.model.compiled import compile_model


def test_only_what_was_sent_amid_the_sweep_is_timed() -> None:
    """Also what was seen after it has ended; not what was sent before or after."""
    sent = [Moment(0, 9.9), Moment(0, 10.0), Moment(1, 11.0), Moment(0, 12.1)]
    published = Published(sent, seen={0: 10.5, 1: 10.25, 2: 13.0, 3: 12.2})
    assert waits_within(published, 10.0, 12.0) == pytest.approx([250, 2_000])


def test_changes_last_as_long_as_the_sweep() -> None:
    """The small organisation's changes are in phases that follow each other: quiet, at P4's rate, during the sweep."""
    quiet, steady, swept = phases_of(1_000_000)
    assert (quiet.first, quiet.records) == (0, (WARM_SECONDS + QUIET_SECONDS) * RATE)
    assert (steady.first, steady.records) == (quiet.records, (WARM_SECONDS + STEADY_SECONDS) * steady.rate)
    assert (swept.first, swept.rate) == (steady.first + steady.records, quiet.rate)
    assert swept.records / swept.rate == 2 * WARM_SECONDS + 1_000_000 / SWEEP_RECORDS_A_SECOND


def test_the_other_model_moves_many_and_shows_all() -> None:
    """It asks one thing more right below the root, somebody joins the root; and the one before is as it was."""
    document = model_document(100, seed=1) | {"org": LARGE}
    before = repr(document)
    narrowed = narrowed_of(document)
    assert repr(document) == before
    assert compile_model(narrowed, 2).org_id == LARGE
    changed = [
        after
        for one, after in zip(document["territories"], narrowed["territories"], strict=True)
        if one["rules"] != after["rules"]
    ]
    root = document["territories"][0]
    assert changed
    assert {one["parent"] for one in changed} == {root["id"]}
    assert len(narrowed["territories"][0]["users"]) == len(root["users"]) + 1


def test_families_are_whole() -> None:
    """What names one of the first accounts is there, and nothing that names another."""
    changes = list(record_changes(2_000, seed=1, updates=0, deletes=0))
    some = list(families_of(iter(changes), 5))
    accounts = [one["id"] for one in changes if one["object"] == "account"][:5]
    assert [one["id"] for one in some if one["object"] == "account"] == accounts
    others = [one for one in changes if one["object"] != "account" and one.get("account_id") in accounts]
    assert [one for one in some if one["object"] != "account"] == others
    assert others


def test_the_largest_share_is_of_its_own_service() -> None:
    """Services take differently many messages; an even share is that of one of the service's own workers."""
    parts = (Part("a", 30, 1.0), Part("a", 10, 0.5), Part("b", 500, 2.0), Part("b", 500, 2.0))
    divided = Divided(1.0, parts)
    assert divided.largest_share == pytest.approx(1.5)
    assert divided.cpu_seconds == pytest.approx(5.5)
    assert [row[:3] for row in table_of({2: divided}).rows][:2] == [("2", "a 1", "30"), ("2", "a 2", "10")]
