"""Runs benchmarks, prints what they found beside their baselines, and writes it to benchmarks/results.

It exits 0 whether or not a promise is reached, and 1 when an answer was wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import p2_assigner, p3_pipeline
from benchmarks.results import Report, say, table, write

BENCHMARKS = {"p2": p2_assigner.run, "p3": p3_pipeline.run}


def main(arguments: list[str]) -> int:
    """Run the benchmarks that are named, or all; return the exit code."""
    given = _read(arguments)
    reports: list[Report] = []
    for name in given.names or list(BENCHMARKS):
        say(f"{name}: making {given.records:,} changes of records and a model of {given.territories:,} territories")
        with tempfile.TemporaryDirectory(prefix="territory-bench-") as folder:
            report = BENCHMARKS[name](
                Path(folder),
                records=given.records,
                territories=given.territories,
                runs=given.runs,
                embedded=given.embedded,
            )
        reports.append(report)
        write(report, ["python", "-m", "benchmarks.run", *arguments])
    print(table(reports))
    for report in reports:
        for fault in report.faults:
            say(f"{report.name}: wrong: {fault}")
    return 1 if any(report.faults for report in reports) else 0


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)}; all unless named")
    parser.add_argument("--records", type=int, default=100_000, help="changes of records (default %(default)s)")
    parser.add_argument("--territories", type=int, default=1_000, help="territories (default %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="times, of which the median counts (default %(default)s)")
    parser.add_argument("--embedded", action="store_true", help="on the embedded broker, not on Apache Kafka")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    return given


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
