"""Computes what a deployment needs from measured figures, and writes the tables of docs/scaling.md.

The arithmetic is the page's, one function for each paragraph.

python -m benchmarks.sizing            # prints the tables
python -m benchmarks.sizing --write    # writes them into the page
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.results import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
GB = 10**9

BUSY_SHARE = 0.5
"""Share of a worker's processor for live changes: the rest is for sweeps and for catching up."""
FULL_SHARE = 0.75
"""Share of a worker's memory for records: the rest is for Python, models and the current batch."""
WORKER_BYTES = 4 * GB
REDIS_SPARE = 1.3
"""Redis needs this many times its data: fragmentation, client and replica buffers, pages copied during a save."""
TERRITORIES_MEASURED = 1_000
"""Number of territories the assigner was measured with; more territories cost more in its rules."""
RESTORE_SECONDS_MAX = 60.0
"""Longest acceptable restore of one partition."""
PARTITIONS_A_WORKER = 4
"""Partitions for each of today's workers, so that there can be four times as many without new topics."""
PARTITIONS_MIN = 8


class Fact(NamedTuple):
    """One measured figure."""

    what: str
    value: float
    unit: str
    source: str

    def row(self) -> tuple[str, ...]:
        """Return its row of the table of measured figures."""
        return self.what, f"{_shown(self.value)} {self.unit}", self.source


@dataclass(frozen=True, slots=True)
class Measured:
    """The measured figures that everything is computed from."""

    pipeline_rate: Fact
    pipeline_us: Fact
    assigner_us: Fact
    more_rules_us: Fact
    record_bytes: Fact
    intake_bytes: Fact
    assignment_bytes: Fact
    indexing_bytes: Fact
    membership_bytes: Fact
    hash_bytes: Fact
    intake_restore: Fact
    assignment_restore: Fact
    indexing_restore: Fact
    summing_restore: Fact
    sweep_rate: Fact

    def facts(self) -> tuple[Fact, ...]:
        """Return all figures, in the order of the page."""
        return tuple(getattr(self, name) for name in self.__slots__)

    @property
    def others_us(self) -> float:
        """Microseconds of a processor that the access indexer and the forecast aggregator use together."""
        return self.pipeline_us.value - self.assigner_us.value

    @property
    def assigner_bytes(self) -> float:
        """Bytes of an assigner for a record: it holds each record twice, once in each stage."""
        return self.intake_bytes.value + self.assignment_bytes.value


class Load(NamedTuple):
    """The load of a deployment."""

    records: int
    users: int
    territories: int
    changes_a_second: int
    memberships_a_record: int
    """Entries in users' sets, `visible` and `editable` together."""


class Need(NamedTuple):
    """What a deployment needs."""

    partitions: int
    assigners: int
    indexers: int
    worker_bytes: float
    """Memory for records of the fullest assigner, without Python and models."""
    redis_bytes: float
    restore_seconds: float
    """Seconds until a started assigner has restored all of its partitions."""
    sweep_seconds: float
    """Processor seconds in each assigner, for a new rule that moves few records."""


# --- arithmetic -------------------------------------------------------------------------------


def need_of(load: Load, found: Measured) -> Need:
    """Return what a load needs."""
    assigners = workers_for(load, assigner_us(load, found), found.assigner_bytes)
    indexers = workers_for(load, found.others_us, found.indexing_bytes.value)
    partitions = partitions_for(load, max(assigners, indexers), found)
    each = load.records * ceil(partitions / assigners) / partitions
    return Need(
        partitions=partitions,
        assigners=assigners,
        indexers=indexers,
        worker_bytes=each * found.assigner_bytes,
        redis_bytes=redis_bytes(load, found),
        restore_seconds=each / found.intake_restore.value + each / found.assignment_restore.value,
        sweep_seconds=each / found.sweep_rate.value,
    )


def assigner_us(load: Load, found: Measured) -> float:
    """Return the microseconds of a processor that a change takes in an assigner."""
    more = found.more_rules_us.value if load.territories > TERRITORIES_MEASURED else 0.0
    return found.assigner_us.value + more


def workers_for(load: Load, microseconds: float, record_bytes: float) -> int:
    """Return how many workers of a service a load needs, by processor or by memory, whichever is more."""
    by_processor = load.changes_a_second * microseconds / 1e6 / BUSY_SHARE
    by_memory = load.records * record_bytes / (WORKER_BYTES * FULL_SHARE)
    return max(1, ceil(by_processor), ceil(by_memory))


def partitions_for(load: Load, workers: int, found: Measured) -> int:
    """Return the number of partitions, a power of two: it cannot grow later."""
    slowest = min(found.indexing_restore.value, found.summing_restore.value)
    by_restore = load.records / (slowest * RESTORE_SECONDS_MAX)
    least = max(PARTITIONS_MIN, PARTITIONS_A_WORKER * workers, by_restore)
    return int(2 ** ceil(log2(least)))


def redis_bytes(load: Load, found: Measured) -> float:
    """Return the memory that Redis should have."""
    each = load.memberships_a_record * found.membership_bytes.value + found.hash_bytes.value
    return load.records * each * REDIS_SPARE


# --- what was measured ------------------------------------------------------------------------

MORE_RULES = "index, 1,000 to 25,000 territories"
HASH_BYTES = 215.0
"""By hand: growth of `used_memory`, 20 000 of them with ids of 18 characters, as the indexer writes; 2026-11-22."""


def read_measured(folder: Path = RESULTS) -> Measured:
    """Read the benchmarks' results. Raises: KeyError naming the missing figure."""
    p1, p2, p3, p6, p9 = (_document(folder, name) for name in ("p1", "p2", "p3", "p6", "p9"))
    rules = _figure(p1, MORE_RULES)
    intake, assignment, indexing, membership = _bytes(folder)
    return Measured(
        pipeline_rate=_fact("one worker of each service, record to Redis", p3, "pipeline, record to Redis"),
        pipeline_us=_fact("processor time of a change, all services", p3, "pipeline, processor time"),
        assigner_us=_fact("processor time of a change, the assigner", p2, "assigner, processor time"),
        more_rules_us=Fact(
            "additional for 25 000 territories instead of 1 000",
            rules["value"] - rules["baseline"],
            "µs a record",
            "P1",
        ),
        record_bytes=Fact("a change as JSON", p3["parameters"]["bytes_each"], "B", "P3"),
        intake_bytes=intake,
        assignment_bytes=assignment,
        indexing_bytes=indexing,
        membership_bytes=membership,
        hash_bytes=Fact("a record's hash in Redis", HASH_BYTES, "B", "by hand"),
        intake_restore=_fact("restore, assigner's intake", p9, "restore, assigner-intake"),
        assignment_restore=_fact("restore, assigner's families", p9, "restore, assigner-assignment"),
        indexing_restore=_fact("restore, access indexer", p9, "restore, access-indexer"),
        summing_restore=_fact("restore, forecast aggregator", p9, "restore, forecast-aggregator"),
        sweep_rate=_fact("sweep for a new rule that moves few records, processor time", p6, "sweep, processor time"),
    )


def _bytes(folder: Path) -> tuple[Fact, Fact, Fact, Fact]:
    """Return the bytes of a record in each stage, and of a membership in Redis."""
    p8 = _document(folder, "p8")
    [table] = [one for one in p8["tables"] if one["name"] == "memory of workers"]
    fold, each = table["columns"].index("fold"), table["columns"].index("B a record")
    found = {row[fold]: float(row[each].replace(",", "")) for row in table["rows"]}
    return (
        Fact("a record in an assigner, intake", found["intake"], "B", "P8"),
        Fact("a record in an assigner, families", found["assignment"], "B", "P8"),
        Fact("a record in an access indexer", found["indexing"], "B", "P8"),
        _fact("a membership in Redis", p8, "Redis a membership, all"),
    )


def _fact(what: str, document: Mapping[str, Any], figure: str) -> Fact:
    found = _figure(document, figure)
    return Fact(what, found["value"], found["unit"], document["name"].upper())


def _figure(document: Mapping[str, Any], begins: str) -> Mapping[str, Any]:
    for figure in document["figures"]:
        if figure["what"].startswith(begins):
            found: Mapping[str, Any] = figure
            return found
    raise KeyError(f"{document['name']}.json has no figure {begins!r}; run python -m benchmarks.run {document['name']}")


def _document(folder: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode((folder / f"{name}.json").read_bytes())
    return document


# --- the page ---------------------------------------------------------------------------------

LOADS = (
    Load(100_000, 1_000, 1_000, 100, 40),
    Load(1_000_000, 5_000, 10_000, 500, 40),
    Load(10_000_000, 50_000, 25_000, 2_000, 40),
)


def tables_of(found: Measured) -> dict[str, str]:
    """Return the page's tables, by name."""
    measured = _table(("measured", "value", "by"), [fact.row() for fact in found.facts()])
    computed = _table(
        ("records", "users", "territories", "changes/s", "partitions", "assigners", "memory of each",
         "access indexers", "Redis", "an assigner starts in", "sweep, few moved"),
        [_need_row(load, need_of(load, found)) for load in LOADS],
    )  # fmt: skip
    one = _table(("one worker", "arithmetic", "comes to"), list(_one_worker(found)))
    return {"measured": measured, "one worker": one, "computed": computed}


def _one_worker(found: Measured) -> Iterator[tuple[str, str, str]]:
    """Yield the limits of one worker."""
    for name, cost in (("assigner", found.assigner_us.value), ("access indexer and aggregator", found.others_us)):
        rate = BUSY_SHARE * 1e6 / cost
        yield f"{name}, half busy", f"{BUSY_SHARE:g} × 1 000 000 µs ÷ {_shown(cost)} µs", f"{_about(rate)} changes/s"
    full = FULL_SHARE * WORKER_BYTES
    for name, each in (("assigner", found.assigner_bytes), ("access indexer", found.indexing_bytes.value)):
        room = f"{FULL_SHARE:g} × {WORKER_BYTES // GB} GB ÷ {_shown(each)} B"
        yield f"{name} of {WORKER_BYTES // GB} GB", room, f"{_about(full / each)} records"
    records, speeds = full / found.assigner_bytes, (found.intake_restore.value, found.assignment_restore.value)
    read = " + ".join(f"{_about(records)} ÷ {_shown(speed)}/s" for speed in speeds)
    yield "restart of such an assigner", read, f"{_shown(sum(records / speed for speed in speeds))} s"
    swept = f"{_about(records)} ÷ {_shown(found.sweep_rate.value)}/s"
    yield "sweep of such an assigner, few moved", swept, f"{_shown(records / found.sweep_rate.value)} s"
    slowest = min(found.indexing_restore.value, found.summing_restore.value)
    room = f"{_shown(RESTORE_SECONDS_MAX)} s × {_shown(slowest)}/s"
    yield "a partition that restores in a minute", room, f"{_about(slowest * RESTORE_SECONDS_MAX)} records"


def _need_row(load: Load, need: Need) -> tuple[str, ...]:
    return (
        _shown(load.records), _shown(load.users), _shown(load.territories), _shown(load.changes_a_second),
        str(need.partitions),
        str(need.assigners), f"{need.worker_bytes / GB:.1f} GB", str(need.indexers), f"{need.redis_bytes / GB:.1f} GB",
        f"{need.restore_seconds:.0f} s", f"{need.sweep_seconds:.0f} s",
    )  # fmt: skip


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")


def _about(number: float) -> str:
    """Format a computed number with three digits: more would feign precision."""
    return _shown(float(f"{number:.3g}"))


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """Return a page with its tables replaced. Raises: ValueError for a table that has no place on it."""
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page, count = place.subn(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", page)  # type: ignore[misc]
        if count != 1:
            raise ValueError(
                f"found {count} places for the table {name!r}, expected one: <!-- {name} -->, <!-- end -->"
            )
    return page


def _lines(tables: Mapping[str, str]) -> Iterator[str]:
    for name, table in tables.items():
        yield f"{name}:\n{table}\n"


if __name__ == "__main__":
    rendered = tables_of(read_measured())
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(with_tables(PAGE.read_text(), rendered))
    else:
        print("\n".join(_lines(rendered)))
