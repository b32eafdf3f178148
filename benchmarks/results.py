"""Results of a benchmark: figures beside their baselines, and where and how they were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

RESULTS = Path(__file__).parent / "results"
LIBRARIES = (
    "territory", "aiokafka", "faust-streaming", "msgspec", "pydantic", "redis", "hiredis", "noida-db",
    "pyroaring", "durable-rules", "quixstreams", "rule-engine", "zen-engine",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, the median of some runs.

    Attributes:
        ratio: Value divided by baseline, the median of the runs' own ratios.
        promise: The aim, in words; none: shown for orientation.
        reached: Whether the aim is reached; none without an aim.
    """

    what: str
    unit: str
    value: float
    baseline: float | None = None
    ratio: float | None = None
    promise: str | None = None
    reached: bool | None = None
    runs: tuple[tuple[float, float | None], ...] = ()
    """Value and baseline of each run."""


def figure(
    what: str,
    unit: str,
    runs: Sequence[tuple[float, float | None]],
    *,
    ratio_min: float | None = None,
    ratio_max: float | None = None,
    value_min: float | None = None,
    value_max: float | None = None,
) -> Figure:
    """Return the median of some runs, each with its value and its baseline, beside its aim.

    Args:
        what: What was measured.
        unit: Of value and baseline.
        runs: Value and baseline of each run; a baseline that is None in one is None in all.
        ratio_min: The least ratio aimed at.
        ratio_max: The ratio to stay below.
        value_min: The least value aimed at.
        value_max: The value to stay below.
    """
    beside = [(one, other) for one, other in runs if other is not None]
    value = median(one for one, _ in runs)
    baseline = median(other for _, other in beside) if beside else None
    ratio = median(one / other for one, other in beside) if beside else None
    promise = reached = None
    if ratio_min is not None and ratio is not None:
        promise, reached = f"≥ {ratio_min:g} × baseline", ratio >= ratio_min
    if ratio_max is not None and ratio is not None:
        promise, reached = f"< {ratio_max:g} × baseline", ratio < ratio_max
    if value_min is not None:
        promise, reached = f"≥ {value_min:,.0f} {unit}", value >= value_min
    if value_max is not None:
        promise, reached = f"< {value_max:,.0f} {unit}", value < value_max
    return Figure(what, unit, value, baseline, ratio, promise, reached, tuple(runs))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of further results; its rows are in the columns' order."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Results of one benchmark.

    Attributes:
        parameters: Its options, and what its corpus is like.
        surroundings: The servers it ran on; what was skipped, and why.
        faults: Wrong answers, at most some of them.
    """

    name: str
    title: str
    parameters: dict[str, Any]
    surroundings: dict[str, str]
    figures: tuple[Figure, ...]
    faults: tuple[str, ...] = ()
    checked: dict[str, int] = field(default_factory=dict)
    """Number of answers compared with the expected ones, by kind."""
    tables: tuple[Table, ...] = ()


def write(report: Report, command: Sequence[str]) -> Path:
    """Write a report to its file, replacing the last one."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report.name}.json"
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": " ".join(command),
        "machine": machine(),
        "versions": versions(),
        **asdict(report),
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(_rounded(document)), indent=2) + b"\n")
    return path


def _rounded(value: Any) -> Any:
    """Round every measured number to four digits: the others are noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def machine() -> dict[str, Any]:
    """Describe the machine and its load."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def versions() -> dict[str, str]:
    """Describe the measured commit and the versions of its libraries."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


COLUMNS = ("", "value", "baseline", "ratio", "promise", "reached")


def table(reports: Sequence[Report]) -> str:
    """Format the figures as a table, each value beside its baseline, and below it the reports' own tables."""
    figures = _lines(COLUMNS, [_row(report.name, one) for report in reports for one in report.figures])
    tables = [_lines(one.columns, one.rows) for report in reports for one in report.tables]
    return "\n\n".join([figures, *tables])


def _lines(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    )


def _row(name: str, one: Figure) -> tuple[str, ...]:
    return (
        f"{name} {one.what}",
        f"{_shown(one.value)} {one.unit}",
        "" if one.baseline is None else _shown(one.baseline),
        "" if one.ratio is None else f"{one.ratio:.3f}",
        one.promise or "",
        "" if one.reached is None else "yes" if one.reached else "no",
    )


def _shown(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def say(text: str) -> None:
    """Print progress on stderr."""
    print(text, file=sys.stderr, flush=True)
