"""What a house of the end-to-end tests says when something does not come through."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from territory_admin.records import wait as progress
from territory_control.local.child_process import until
from tests.support.house import LOG_LINES, House

PRINTS = "import time; [print(f'line {n}', flush=True) for n in range(50)]; time.sleep(60)"


def test_a_wait_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in CI has nothing but its message: what is behind, and each worker's page and last log lines."""

    async def wait(*_: object) -> progress.Waited:
        return progress.Waited(False, 120.0, (), ("territory-intake",))

    monkeypatch.setattr(progress, "wait", wait)
    house = House("127.0.0.1:9", "redis://127.0.0.1:9", tmp_path, lambda *_: (sys.executable, "-c", PRINTS))
    house.launch("assigner")
    try:
        assert until(lambda: "line 49" in house.log_of("assigner"), 30)
        with pytest.raises(AssertionError) as failed:
            house.wait()
    finally:
        house.close()
    said = str(failed.value)
    assert "not through after 120 s" in said
    assert "territory-intake: its group has no members" in said
    assert "--- assigner-1 runs; /ready: 0 " in said
    assert [line for line in said.splitlines() if line.startswith("line ")] == [
        f"line {n}" for n in range(50 - LOG_LINES, 50)
    ]
