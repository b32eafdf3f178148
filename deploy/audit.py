"""What the locked libraries are known to suffer from, and the list of them all: `make audit`.

    python -m deploy.audit [--bill FILE]

The bill of materials (CycloneDX) is made from uv.lock alone, without a network. Whether a library has a known
vulnerability is asked of PyPI by pip-audit; where that can't be reached, or does not know a library, this is
said and no failure. Exit 1: at least one vulnerability is known.
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

PATIENCE_SECONDS = 60
ANSWER_SECONDS = 10
LOCKED = ("export", "--quiet", "--frozen", "--no-default-groups", "--all-extras", "--no-emit-project")
"""What the product runs on, extras included; not what only tests and benchmarks use."""
FOLDER = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of the locked libraries."""

    asked: int
    """How many were looked up and found."""
    unknown: tuple[str, ...]
    """Those that the service does not know, or could not say anything of."""
    vulnerable: tuple[str, ...]
    """A line for each known vulnerability: library, version, its id, and where it is mended."""


def findings_of(report: str) -> Findings | None:
    """Return what pip-audit reports; None where that is no report, since it could not ask."""
    try:
        libraries: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    unknown = tuple(f"{one['name']}: {one['skip_reason']}" for one in libraries if "skip_reason" in one)
    vulnerable = tuple(
        f"{one['name']} {one['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or 'no version'}"
        for one in libraries
        for known in one.get("vulns", ())
    )
    return Findings(len(libraries) - len(unknown), unknown, vulnerable)


def told(findings: Findings | None) -> tuple[list[str], int]:
    """Return what is said of the findings, and the exit code."""
    if findings is None:
        return ["known vulnerabilities: not looked up, the service can't be reached from here"], 0
    lines = [f"known vulnerabilities: {len(findings.vulnerable)} in {findings.asked} libraries that were looked up"]
    if findings.unknown:
        lines.append(f"not looked up, since the service does not know them: {len(findings.unknown)}")
        lines.append(f"  for instance {findings.unknown[0]}")
    return [*lines, *(f"  {line}" for line in findings.vulnerable)], 1 if findings.vulnerable else 0


def exported(*options: str) -> str:
    """Return the locked libraries in one of uv's forms. Raises: CalledProcessError."""
    command = (str(FOLDER / "uv"), *LOCKED, *options)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 -- our own command


def reported(requirements: str) -> str:
    """Return what pip-audit says of libraries by version and hash; nothing where it does not answer in time."""
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
            *("--format", "json", "--progress-spinner", "off", "--timeout", str(ANSWER_SECONDS)),
        )
        try:
            done = subprocess.run(  # noqa: S603 -- our own command
                command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return ""
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the bill of materials, say what is known of the libraries, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bill", type=Path, default=Path(".cache/bill-of-materials.cdx.json"), metavar="FILE")
    bill: Path = parser.parse_args(arguments).bill
    bill.parent.mkdir(parents=True, exist_ok=True)
    text = exported("--format", "cyclonedx1.5")
    bill.write_text(text, encoding="utf-8")
    said, code = told(findings_of(reported(exported("--format", "requirements.txt"))))
    sys.stdout.write("\n".join((f"{bill}: {len(json.loads(text)['components'])} libraries, with hashes", *said)) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
