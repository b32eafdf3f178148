"""Audits the locked libraries: known vulnerabilities and a bill of materials. `make audit`.

    python -m deploy.audit [--bill FILE]

The bill of materials (CycloneDX) is made from uv.lock, without a network. pip-audit looks up known
vulnerabilities on PyPI. If PyPI cannot be reached, or does not know a library, the output says so and the audit
does not fail. Exit code 1: at least one known vulnerability.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AUDIT_SECONDS_MAX = 60
REQUEST_SECONDS_MAX = 10
LOCKED = ("export", "--quiet", "--frozen", "--no-default-groups", "--all-extras", "--no-emit-project")
"""Exports the product's libraries with all extras, without those of tests and benchmarks."""
FOLDER = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Findings:
    """Result of looking up the locked libraries."""

    checked: int
    """How many were looked up and found."""
    unknown: tuple[str, ...]
    """Libraries that PyPI does not know or has no answer for."""
    vulnerable: tuple[str, ...]
    """One line for each known vulnerability: library, version, id, and the versions that fix it."""


def findings_of(report: str) -> Findings | None:
    """Parse the output of pip-audit; None if it could not look anything up."""
    try:
        libraries: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    unknown = tuple(f"{one['name']}: {one['skip_reason']}" for one in libraries if "skip_reason" in one)
    vulnerable = tuple(
        f"{one['name']} {one['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'no version'}"
        for one in libraries
        for known in one.get("vulns", ())
    )
    return Findings(len(libraries) - len(unknown), unknown, vulnerable)


def summary_of(findings: Findings | None) -> tuple[list[str], int]:
    """Return the lines to print, and the exit code."""
    if findings is None:
        return ["known vulnerabilities: not looked up, because PyPI cannot be reached from here"], 0
    lines = [f"known vulnerabilities: {len(findings.vulnerable)} in {findings.checked} libraries that were looked up"]
    if findings.unknown:
        lines.append(f"not looked up, because PyPI does not know them: {len(findings.unknown)}")
        lines.append(f"  for example {findings.unknown[0]}")
    return [*lines, *(f"  {line}" for line in findings.vulnerable)], 1 if findings.vulnerable else 0


def export_lock(*options: str) -> str:
    """Return the locked libraries in one of uv's export formats. Raises: CalledProcessError."""
    command = (str(FOLDER / "uv"), *LOCKED, *options)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 -- our own command


def run_pip_audit(requirements: str) -> str:
    """Return pip-audit's output for pinned requirements; empty if it does not answer in time."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text(requirements, encoding="utf-8")
        command = (
            *(
                str(FOLDER / "pip-audit"),
                "--requirement",
                str(listed),
                "--no-deps",
                "--disable-pip",
                "--require-hashes",
            ),
            *("--format", "json", "--progress-spinner", "off", "--timeout", str(REQUEST_SECONDS_MAX)),
        )
        try:
            done = subprocess.run(  # noqa: S603 -- our own command
                command, capture_output=True, text=True, timeout=AUDIT_SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            return ""
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the bill of materials, print the known vulnerabilities, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bill", type=Path, default=Path(".cache/bill-of-materials.cdx.json"), metavar="FILE")
    bill: Path = parser.parse_args(arguments).bill
    bill.parent.mkdir(parents=True, exist_ok=True)
    text = export_lock("--format", "cyclonedx1.5")
    bill.write_text(text, encoding="utf-8")
    lines, code = summary_of(findings_of(run_pip_audit(export_lock("--format", "requirements.txt"))))
    sys.stdout.write(
        "\n".join((f"{bill}: {len(json.loads(text)['components'])} libraries, with hashes", *lines)) + "\n"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
