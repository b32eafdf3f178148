"""`territory organisation remove` asks for the organisation's id, and removes nothing without it (A12)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from territory_admin.errors import NotFound
from territory_admin.models.removal import Removed
from territory_control.__main__ import main
from territory_control.commands import organisation as command
from territory_control.output import Output


class Removing:
    """Stands for the use case."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.outcome = Removed("acme", 8, done=True, keys=2)

    async def check_known(self, settings: Any, org_id: str) -> None:
        if org_id != "acme":
            raise NotFound(f"organisation {org_id!r} is unknown")

    async def remove(self, settings: Any, org_id: str, timeout_seconds: float, report: Any) -> Removed:
        self.removed.append(org_id)
        return self.outcome


@pytest.fixture
def removing(monkeypatch: pytest.MonkeyPatch) -> Removing:
    found = Removing()
    monkeypatch.setattr(command, "check_known", found.check_known)
    monkeypatch.setattr(command, "remove", found.remove)
    return found


def run(*options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["organisation", "remove", *options])
    return int(ended.value.code or 0)


def seen_by(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    """Put a person in front of the terminal, who answers."""
    monkeypatch.setattr(Output, "can_ask", property(lambda self: answer is not None and not self.as_json))
    monkeypatch.setattr("sys.stdin.readline", lambda: answer, raising=False)


def test_without_a_terminal_it_is_refused(
    removing: Removing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script without --yes, and --json without it, get exit code 1 and a message."""
    seen_by(monkeypatch, None)
    for options in ((), ("--json",)):
        assert run("acme", *options) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "nothing was changed; with --yes it does not ask" in captured.err
    assert removing.removed == []


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "\n", "", "ACME\n", "acme2\n"])
def test_only_the_id_confirms(answer: str, removing: Removing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A yes is not enough: the organisation's id has to be typed."""
    seen_by(monkeypatch, answer)
    assert run("acme") == 1
    assert removing.removed == []


def test_the_typed_id_removes(
    removing: Removing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The id is typed as it is."""
    seen_by(monkeypatch, "acme\n")
    assert run("acme") == 0
    assert removing.removed == ["acme"]
    assert "acme is removed" in capsys.readouterr().out


def test_a_script_says_yes(
    removing: Removing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --yes nobody is asked; --json prints the outcome."""
    seen_by(monkeypatch, None)
    assert run("acme", "--yes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["org_id"], found["revision"], found["done"], found["keys"]) == ("acme", 8, True, 2)


def test_an_unknown_organisation_is_refused_before_it_asks(
    removing: Removing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 with a message, with --yes as well."""
    seen_by(monkeypatch, "acne\n")
    for options in ((), ("--yes",)):
        assert run("acne", *options) == 1
        assert "'acne' is unknown" in capsys.readouterr().err
    assert removing.removed == []


def test_what_is_not_at_its_end_fails(
    removing: Removing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stage that nobody runs: exit code 1, and what to do."""
    seen_by(monkeypatch, None)
    removing.outcome = Removed("acme", 8, done=False, absent=("access-indexer",))
    assert run("acme", "--yes") == 1
    assert "no service runs access-indexer; start the services, and run this again" in capsys.readouterr().out
