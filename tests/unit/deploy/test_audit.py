"""The audit of the locked libraries: known vulnerabilities fail it, unreachable services do not."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from deploy.audit import Findings, export_lock, findings_of, summary_of

from tests.support.watched import ROOT

FINE: dict[str, Any] = {"name": "redis", "version": "8.1.0", "vulns": []}
UNKNOWN: dict[str, Any] = {"name": "noida-db", "skip_reason": "Dependency not found on PyPI"}
VULNERABLE: dict[str, Any] = {
    "name": "aiohttp",
    "version": "3.0.0",
    "vulns": [
        {"id": "PYSEC-1", "fix_versions": ["3.0.1", "3.1.0"], "aliases": [], "description": "…"},
        {"id": "PYSEC-2", "fix_versions": [], "aliases": [], "description": "…"},
    ],
}


def report(*libraries: dict[str, Any]) -> str:
    return json.dumps({"dependencies": libraries, "fixes": []})


def test_a_known_vulnerability_fails() -> None:
    """The audit fails, and names the versions that fix it."""
    findings = findings_of(report(FINE, VULNERABLE, UNKNOWN))
    assert findings is not None
    assert (findings.checked, len(findings.unknown)) == (2, 1)
    lines, code = summary_of(findings)
    assert code == 1
    assert lines[0] == "known vulnerabilities: 2 in 2 libraries that were looked up"
    assert "  aiohttp 3.0.0: PYSEC-1, fixed in 3.0.1, 3.1.0" in lines
    assert "  aiohttp 3.0.0: PYSEC-2, fixed in no version" in lines


def test_unknown_libraries_are_listed_and_do_not_fail() -> None:
    """A library that PyPI does not know is listed, and the audit does not fail."""
    lines, code = summary_of(findings_of(report(FINE, UNKNOWN)))
    assert code == 0
    assert lines[1:] == [
        "not looked up, because PyPI does not know them: 1",
        "  for example noida-db: Dependency not found on PyPI",
    ]


@pytest.mark.parametrize("output", ["", "Traceback (most recent call last):", "{}", "[]"])
def test_without_a_network_it_says_so(output: str) -> None:
    """Output that is no report does not fail the audit; a line says that nothing was looked up."""
    assert findings_of(output) is None
    lines, code = summary_of(None)
    assert code == 0
    assert "cannot be reached" in lines[0]


def test_no_known_vulnerability_passes() -> None:
    """All libraries were looked up and none has a known vulnerability."""
    assert summary_of(findings_of(report(FINE))) == (["known vulnerabilities: 0 in 1 libraries that were looked up"], 0)
    assert summary_of(Findings(1, (), ()))[1] == 0


def test_the_bill_of_materials_equals_the_lock() -> None:
    """It lists every library the product needs, with the version and hashes of uv.lock, without a network."""
    bill = json.loads(export_lock("--format", "cyclonedx1.5", "--offline"))
    assert bill["bomFormat"] == "CycloneDX"
    listed = {(one["name"], one["version"]): one for one in bill["components"]}
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    locked = {(one["name"], one["version"]): one for one in lock["package"] if "version" in one}
    assert listed.keys() <= locked.keys()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {line.split("[")[0].split(">")[0] for line in project["dependencies"]}
    assert needed <= {name for name, _ in listed}
    for one in listed.values():
        hashes = [each for reference in one["externalReferences"] for each in reference.get("hashes", ())]
        assert hashes, one["name"]
        assert {each["alg"] for each in hashes} == {"SHA-256"}


def test_the_lock_has_a_hash_for_every_file() -> None:
    """uv.lock has a SHA-256 of every file, so only locked files are installed."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    files = [
        file
        for one in lock["package"]
        if "registry" in one["source"]
        for file in [*one.get("wheels", ()), *([one["sdist"]] if "sdist" in one else [])]
    ]
    assert len(files) > 500
    assert all(file["hash"].startswith("sha256:") for file in files)
