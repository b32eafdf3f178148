"""P18: what a command costs before it has done anything: `territory --help` and `territory show`, in processor time.

The baseline is a Python that starts and ends. All take turns, since the machine's speed varies.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import Report, Table, figure, say
from benchmarks.stack import running_stack
from territory_admin.errors import StackFailed

ORG = "bench"
TERRITORY = (sys.executable, "-m", "territory_control")
PASS = (sys.executable, "-c", "pass")
SHOWN = "account/A-1"
HELP_MS_MAX = 400
SHOW_MS_MAX = 800


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended."""

    cpu_ms: float
    """User and system time."""
    code: int
    output: str


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool) -> Report:
    """Publish so many records under a model of so many territories, then ask for the help and for one record.

    Records and territories: at least 2, since the second record is shown, in the second territory.
    """
    records, territories = max(2, records), max(2, territories)
    model, changes = folder / "model.json", folder / "changes.jsonl"
    model.write_text(json.dumps(_model(territories)))
    changes.write_text("".join(json.dumps(_change(number)) + "\n" for number in range(records)))
    with running_stack(embedded=embedded) as stack:
        environment = stack.environment | {"TERRITORY_ORG_ID": ORG}
        stack.provision(_model(territories), [])
        for service in ("assigner", "access_indexer", "forecast_aggregator"):
            stack.start_service(service)
        for arguments in (("publish", str(changes)), ("wait",)):
            _must(finished((*TERRITORY, *arguments), environment))
        measured = _measure(runs, environment)
        others = [
            (name, _must(finished((*TERRITORY, *arguments), environment)).cpu_ms)
            for name, arguments in (
                ("validate", ("validate", str(model))),
                ("explain assignment", ("explain", "assignment", SHOWN)),
                ("attainment", ("attainment",)),
                ("wait", ("wait",)),
            )
        ]
        surroundings = {"broker": stack.broker, "redis": stack.redis}
    helps = [(done.cpu_ms, bare.cpu_ms) for bare, done, _ in measured]
    shows = [(done.cpu_ms, bare.cpu_ms) for bare, _, done in measured]
    return Report(
        name="p18",
        title="processor time of a command, beside a Python that does nothing",
        parameters={"records": records, "territories": territories},
        surroundings=surroundings,
        figures=(
            figure("territory --help", "ms", helps, value_max=HELP_MS_MAX),
            figure("territory show", "ms", shows, value_max=SHOW_MS_MAX),
        ),
        faults=tuple(fault for _, shown_help, shown in measured for fault in _faults(shown_help, shown)),
        checked={"answers": 2 * len(measured)},
        tables=(
            Table("others", ("for orientation, once", "processor ms"), tuple((one, f"{ms:.0f}") for one, ms in others)),
        ),
    )


def _measure(runs: int, environment: Mapping[str, str]) -> list[tuple[Finished, Finished, Finished]]:
    """Return each round's bare Python, help and record; the round before the first one fills the system's caches."""
    rounds = []
    for number in range(runs + 1):
        bare, helped, shown = (
            finished(command, environment)
            for command in (PASS, (*TERRITORY, "--help"), (*TERRITORY, "show", SHOWN, "--json"))
        )
        if number:
            rounds.append((bare, helped, shown))
            say(f"run {number}: pass {bare.cpu_ms:.0f} ms, help {helped.cpu_ms:.0f} ms, show {shown.cpu_ms:.0f} ms")
    return rounds


def finished(command: Sequence[str], environment: Mapping[str, str]) -> Finished:
    """Run a process to its end, and return what it cost and printed."""
    before = _cpu_ms_of_ended_children()
    done = subprocess.run(command, capture_output=True, check=False, env=environment, text=True)
    return Finished(_cpu_ms_of_ended_children() - before, done.returncode, done.stdout)


def _cpu_ms_of_ended_children() -> float:
    """Return the processor time of all children that have ended; the services, which still run, are not in it."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1_000 * (usage.ru_utime + usage.ru_stime)


def _must(done: Finished) -> Finished:
    if done.code:
        raise StackFailed(f"a command ended with exit code {done.code}: {done.output}")
    return done


def _faults(helped: Finished, shown: Finished) -> list[str]:
    faults = []
    if helped.code or "\nQuestions:\n" not in helped.output:
        faults.append(f"territory --help: exit code {helped.code}, found {helped.output[:100]!r}")
    record: dict[str, Any] = {} if shown.code else json.loads(shown.output)
    found = (record.get("record"), record.get("territories"), record.get("viewers"))
    if found != (SHOWN, ["t1"], 2):
        faults.append(f"territory show: exit code {shown.code}, found {found}, expected {SHOWN} in t1, seen by 2 users")
    return faults


def _model(territories: int) -> dict[str, Any]:
    """Return a root and territories below it, each with a rule and a member; the root has a manager."""
    return {
        "org": ORG,
        "fields": {"account": {"region": "number"}},
        "roles": [{"id": "ceo"}, {"id": "rep", "parent": "ceo"}],
        "users": [{"id": "ann", "role": "ceo"}, *({"id": f"u{n}", "role": "rep"} for n in range(1, territories))],
        "territories": [
            {"id": "t0", "manager": "ann"},
            *(
                {
                    "id": f"t{n}",
                    "parent": "t0",
                    "users": [f"u{n}"],
                    "rules": {"account": {"field": "region", "eq": n}},
                }
                for n in range(1, territories)
            ),
        ],
    }


def _change(number: int) -> dict[str, Any]:
    return {
        "event_id": f"account-{number}", "org_id": ORG, "object": "account", "id": f"A-{number}", "version": 1,
        "op": "upsert", "occurred_at": "2017-01-01T00:00:00Z", "fields": {"region": number},
    }  # fmt: skip
