"""What chaos is drawn from: histories that can be read or can't, models that are valid, plans that come again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from territory.errors import BadMessage
from territory.wire.events import read_record_change
from territory_admin.errors import StackFailed
from territory_admin.models.validate import check_model
from tests.chaos.crew import WORKERS, Worker
from tests.chaos.faults import DAY_SECONDS, Clocks, Faults
from tests.chaos.guards import GuardUnknown, take_away
from tests.chaos.history import HOT_DEALS, ORGS, RAISING_KEY, HistoryMessage, hot_account, messages, models, raising
from tests.chaos.plan import GAP_SECONDS, KINDS, LOSSES, OUTAGES, WEIGHTS, Fault, plan
from tests.chaos.run import SESSION_SECONDS
from tests.chaos.verdict import _is_refused
from tests.support.oracle import Record

TODAY = date(2017, 3, 1)
ROOT = Path(__file__).parents[3]
SEEDS = range(4)


def can_be_read(said: HistoryMessage) -> bool:
    """Whether the product takes a message for a change of the record that it is keyed by."""
    try:
        return said.value is not None and read_record_change(said.value).key == said.key
    except BadMessage:
        return False


@pytest.mark.parametrize("seed", SEEDS)
def test_a_history_says_what_it_says(seed: int) -> None:
    """What is called a change can be read, and what is called poison can't."""
    for said in islice(messages(seed, TODAY), 1_000):
        assert can_be_read(said) == said.is_change, said


def test_a_hot_account_has_many_deals_and_changes_in_a_row() -> None:
    """Its deals come first; then each change of the account is newer than the one before."""
    found = [json.loads(one.value or b"") for one in islice(hot_account("hot", TODAY), HOT_DEALS + 100)]
    deals, changes = found[:HOT_DEALS], found[HOT_DEALS:]
    assert {(deal["object"], deal["account_id"]) for deal in deals} == {("deal", "A-hot")}
    assert len({deal["id"] for deal in deals}) == HOT_DEALS
    assert {(each["object"], each["id"]) for each in changes} == {("account", "A-hot")}
    versions = [each["version"] for each in changes]
    assert versions == sorted(set(versions))


def test_messages_on_which_a_fold_raises_are_correct() -> None:
    """Nothing but the exception keeps them from being processed."""
    for one in islice(raising("r"), 3):
        assert (can_be_read(one), one.key, one.is_change) == (True, RAISING_KEY, False)


SUSPENSION = """
import os, signal, sys, time
from pathlib import Path
from tests.chaos import worker
worker.SUSPENDED_SECONDS_MIN = 0.5
flag = Path(sys.argv[1])
worker.suspend_with_host(flag)
gone = []
for is_suspended in (True, False):
    if is_suspended:
        flag.touch()
    before = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)  # the helper may stop us at once
    if (helper := os.fork()) == 0:
        os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(os.getppid(), signal.SIGCONT)
        os._exit(0)
    os.waitpid(helper, 0)
    gone.append((time.monotonic() - before[0], time.clock_gettime(time.CLOCK_BOOTTIME) - before[1]))
assert gone[0][0] < 0.5 < 0.9 < gone[0][1], gone
assert min(gone[1]) > 0.9, gone
assert not flag.exists()
"""


def test_a_suspended_host_stops_the_monotonic_clock_alone(tmp_path: Path) -> None:
    """The clock that counts suspensions goes on; a stop without the file stops no clock."""
    command = (sys.executable, "-c", SUSPENSION, str(tmp_path / "flag"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_history_has_everything() -> None:
    """All operations, both organisations, all objects, late arrivals, copies and poison come up."""
    said = list(islice(messages(1, TODAY), 5_000))
    assert said == list(islice(messages(1, TODAY), 5_000))
    changes = [json.loads(one.value) for one in said if one.is_change and one.value is not None]
    for word, wanted in (
        ("op", {"upsert", "patch", "delete", "link"}),
        ("org_id", set(ORGS)),
        ("object", {"account", "contact", "lead", "deal"}),
    ):
        assert Counter(change[word] for change in changes).keys() == wanted
    assert any(not one.is_change for one in said)
    newest: dict[tuple[str, bool], int] = {}
    late = again = 0
    for one, change in zip((one for one in said if one.is_change), changes, strict=True):
        place = (one.key, change["op"] == "link")
        late += change["version"] < newest.get(place, 0)
        again += change["version"] == newest.get(place, 0)
        newest[place] = max(newest.get(place, 0), change["version"])
    assert late > 50
    assert again > 50


@pytest.mark.parametrize("seed", SEEDS)
def test_models_are_valid(seed: int) -> None:
    """Every model can be applied, and the first ones are of each organisation."""
    documents = list(islice(models(seed), 5))
    assert tuple(document["org"] for document in documents[: len(ORGS)]) == ORGS
    for document in documents:
        check_model(json.dumps(document))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_comes_again(seed: int) -> None:
    """A seed has one plan, in order, with every kind in it once it is long enough."""
    faults = plan(seed, 240)
    assert faults == plan(seed, 240)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert all(0 < fault.at < 240 for fault in faults)
    deck = sum(WEIGHTS.get(kind, 1) for kind in KINDS)
    assert deck * GAP_SECONDS[1] < 240
    assert {fault.kind for fault in faults} == set(KINDS)
    assert all(fault.at <= 120 for fault in faults if fault.kind in LOSSES)


def test_the_broker_is_away_for_longer_than_the_session_in_some_seeds() -> None:
    """Then groups begin anew when it is back, and leases have ended; in the other seeds members stay."""
    lengths = {seed: [fault.lasts for fault in plan(seed, 240) if fault.kind in OUTAGES] for seed in range(1, 11)}
    assert {seed for seed, each in lengths.items() if min(each) > SESSION_SECONDS} == {5, 10}
    assert {seed for seed, each in lengths.items() if max(each) < SESSION_SECONDS} == set(lengths) - {5, 10}


def test_a_plan_has_what_is_asked_for() -> None:
    """A plan of some kinds has these alone."""
    assert {fault.kind for fault in plan(1, 240, ("kill", "zombie"))} == {"kill", "zombie"}
    assert plan(1, 240, ()) == ()


def test_what_must_be_refused() -> None:
    """A link of a deleted record is refused; a patch waits, a late copy is dropped without a word (A4, A13)."""
    known: dict[str, Record] = {}
    change = {"org_id": "o", "object": "lead", "id": "L"}
    link = {"op": "link", "territory_id": "t", "kind": "assign"}

    def refused(**more: object) -> bool:
        return _is_refused(known, {"event_id": repr(more), **change, **more})

    assert not refused(op="patch", version=1)
    assert not refused(version=1, **link)  # waits for its record
    assert not refused(op="upsert", version=2, owner_id="u")
    assert not refused(op="patch", version=3)
    assert not refused(op="patch", version=3)  # a copy
    assert not refused(op="delete", version=4)
    assert not refused(op="patch", version=5)
    assert refused(version=2, **link)
    assert not refused(op="patch", version=4)  # late
    assert not refused(version=1, **link)


def test_no_such_guard() -> None:
    """A guard that there is none of is refused, and those are named that there are."""
    with pytest.raises(GuardUnknown, match="expected one of versions"):
        take_away("angel")


TAKE_EACH_AWAY = """
import os, sys
from tests.chaos.guards import GUARDS, take_away
for name in GUARDS:
    if (child := os.fork()) == 0:
        take_away(name)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(name)
"""


def test_guards_are_where_they_were() -> None:
    """Everything that a guard is made of is still in the product; each is taken away in a process of its own."""
    done = subprocess.run((sys.executable, "-c", TAKE_EACH_AWAY), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class NobodyThere:
    """A crew that nothing can be done to."""

    def held(self, *workers: Worker) -> None:
        raise StackFailed(f"{workers[0].service} is not there")


def test_a_fault_that_can_not_be_done_is_told(tmp_path: Path) -> None:
    """It fails the run, and the others come to pass all the same."""
    nothing: Any = None
    crew: Any = NobodyThere()
    clocks = Clocks(tmp_path)
    faults = Faults(nothing, crew, broker=nothing, store=nothing, clocks=clocks, began=time.monotonic())
    kill, clock = Fault(0, "kill", 0, "assigner", 1, 0), Fault(0, "clock", 0, "assigner", 0, 2)
    faults.come_to_pass([kill, clock])
    assert faults.broken == [f"{kill}: StackFailed: assigner is not there"]
    assert faults.counted == {"kill": 1, "clock": 1}
    assert [clocks.file(worker).read_text() for worker in WORKERS] == [str(2 * DAY_SECONDS)] * 2
