"""Runs benchmarks, prints their results beside their baselines, and writes them to benchmarks/results.

The exit code is 0 whether or not an aim is reached, and 1 when an answer was wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks import (
    p1_matching,
    p2_assigner,
    p3_pipeline,
    p4_latency,
    p5_client,
    p6_sweep,
    p7_membership,
    p8_memory,
    p9_restore,
    p9b_rolling_restart,
    p11_forecast,
    p12_fairness,
    p13_workers,
    p18_command_line,
    p20_refused,
)
from benchmarks.results import Report, say, table, write


class Benchmark(NamedTuple):
    """One benchmark and its default options."""

    run: Callable[..., Report]
    records: int
    territories: int
    runs: int


BENCHMARKS = {
    "p1": Benchmark(p1_matching.run, records=20_000, territories=100_000, runs=7),
    "p2": Benchmark(p2_assigner.run, records=100_000, territories=10_000, runs=3),
    "p3": Benchmark(p3_pipeline.run, records=100_000, territories=1_000, runs=3),
    "p4": Benchmark(p4_latency.run, records=90_000, territories=1_000, runs=1),
    "p5": Benchmark(p5_client.run, records=100_000, territories=1, runs=7),
    "p6": Benchmark(p6_sweep.run, records=1_000_000, territories=1_000, runs=1),
    "p7": Benchmark(p7_membership.run, records=1_000_000, territories=1, runs=1),
    "p8": Benchmark(p8_memory.run, records=250_000, territories=1_000, runs=3),
    "p9": Benchmark(p9_restore.run, records=1_000_000, territories=1_000, runs=1),
    "p9b": Benchmark(p9b_rolling_restart.run, records=1_000_000, territories=1_000, runs=1),
    "p11": Benchmark(p11_forecast.run, records=100_000, territories=20_000, runs=4),
    "p12": Benchmark(p12_fairness.run, records=1_000_000, territories=1_000, runs=1),
    "p13": Benchmark(p13_workers.run, records=100_000, territories=1_000, runs=3),
    "p18": Benchmark(p18_command_line.run, records=1_000, territories=20, runs=11),
    "p20": Benchmark(p20_refused.run, records=110_000, territories=1_000, runs=3),
}


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all; return the exit code."""
    given = _read(arguments)
    reports: list[Report] = []
    for name in given.names or list(BENCHMARKS):
        benchmark = BENCHMARKS[name]
        records, territories = given.records or benchmark.records, given.territories or benchmark.territories
        say(f"{name}: {records:,} changes of records, {territories:,} territories")
        with tempfile.TemporaryDirectory(prefix="territory-bench-") as folder:
            report = benchmark.run(
                Path(folder),
                records=records,
                territories=territories,
                runs=given.runs or benchmark.runs,
                embedded=given.embedded,
            )
        reports.append(report)
        write(report, ["python", "-m", "benchmarks.run", *arguments])
    print(table(reports))
    for report in reports:
        for name, reason in report.surroundings.items():
            say(f"{report.name}: {name}: {reason}")
        for fault in report.faults:
            say(f"{report.name}: wrong: {fault}")
    return 1 if any(report.faults for report in reports) else 0


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)}; all unless named")
    parser.add_argument("--records", type=int, help=f"changes of records ({_defaults('records')})")
    parser.add_argument("--territories", type=int, help=f"territories ({_defaults('territories')})")
    parser.add_argument("--runs", type=int, help=f"times, of which the median counts ({_defaults('runs')})")
    parser.add_argument("--embedded", action="store_true", help="on the embedded broker, not on Apache Kafka")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    return given


def _defaults(option: str) -> str:
    return ", ".join(f"{name}: {getattr(benchmark, option):,}" for name, benchmark in BENCHMARKS.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
