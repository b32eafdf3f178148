"""The audit of the locked libraries: what is known is told, what can't be asked is no failure."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from deploy.audit import Findings, exported, findings_of, told

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
    """It is told with where it is mended, and the audit fails."""
    findings = findings_of(report(FINE, VULNERABLE, UNKNOWN))
    assert findings is not None
    assert (findings.asked, len(findings.unknown)) == (2, 1)
    lines, code = told(findings)
    assert code == 1
    assert lines[0] == "known vulnerabilities: 2 in 2 libraries that were looked up"
    assert "  aiohttp 3.0.0: PYSEC-1, mended in 3.0.1, 3.1.0" in lines
    assert "  aiohttp 3.0.0: PYSEC-2, mended in no version" in lines


def test_what_the_service_does_not_know_is_told() -> None:
    """It is no failure, and not passed over in silence either."""
    lines, code = told(findings_of(report(FINE, UNKNOWN)))
    assert code == 0
    assert lines[1:] == [
        "not looked up, since the service does not know them: 1",
        "  for instance noida-db: Dependency not found on PyPI",
    ]


@pytest.mark.parametrize("said", ["", "Traceback (most recent call last):", "{}", "[]"])
def test_without_a_network_it_says_so(said: str) -> None:
    """No report is no failure: the rest goes on."""
    assert findings_of(said) is None
    lines, code = told(None)
    assert code == 0
    assert "can't be reached" in lines[0]


def test_nothing_known_is_fine() -> None:
    """All looked up and nothing found."""
    assert told(findings_of(report(FINE))) == (["known vulnerabilities: 0 in 1 libraries that were looked up"], 0)
    assert told(Findings(1, (), ()))[1] == 0


def test_the_bill_of_materials_has_what_the_lock_has() -> None:
    """Every library that the product needs, by the version and hashes of uv.lock; made without a network."""
    bill = json.loads(exported("--format", "cyclonedx1.5", "--offline"))
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
    """What is installed is what was locked: each file by its hash."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    files = [
        file
        for one in lock["package"]
        if "registry" in one["source"]
        for file in [*one.get("wheels", ()), *([one["sdist"]] if "sdist" in one else [])]
    ]
    assert len(files) > 500
    assert all(file["hash"].startswith("sha256:") for file in files)
