from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from territory_admin.models.apply import Applied, Terms
from territory_admin.models.changes import PieceChanges
from territory_admin.planning.handover import Share
from territory_admin.planning.model_comparison import Plan
from territory_admin.planning.plan import Planned
from territory_admin.planning.safeguard import NeedsConsent
from territory_control.__main__ import main
from territory_control.commands import model as command
from territory_control.output import Output

NO_CHANGES = PieceChanges((), (), ())
PLAN = Plan(20, {"account": 3}, (), (), (), (), (), (), {}, {})
HELD = NeedsConsent(Planned("acme", 7, PieceChanges((), (("territory", "west"),), ()), PLAN), Share(3, 20), Share(1, 9))


class Applying:
    """Stands for the use case: refuses with a safeguard, applies without."""

    def __init__(self) -> None:
        self.terms: list[Terms] = []

    async def __call__(self, settings: Any, checked: Any, terms: Terms) -> Applied:
        self.terms.append(terms)
        if terms.with_safeguard:
            raise HELD
        return Applied("demo", 8, activated=True, changes=NO_CHANGES)


@pytest.fixture
def applying(monkeypatch: pytest.MonkeyPatch) -> Applying:
    found = Applying()
    monkeypatch.setattr(command, "activate", found)
    return found


def apply(tmp_path: Path, *options: str) -> int:
    path = tmp_path / "model.yaml"
    path.write_text("org: demo\n")
    with pytest.raises(SystemExit) as ended:
        main(["apply", str(path), "--no-wait", *options])
    return int(ended.value.code or 0)


def seen_by(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    """Put a person in front of the terminal, who answers."""
    monkeypatch.setattr(Output, "can_ask", property(lambda self: answer is not None and not self.as_json))
    monkeypatch.setattr("sys.stdin.readline", lambda: answer, raising=False)


def test_without_a_terminal_it_is_refused_with_the_figures(
    tmp_path: Path, applying: Applying, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script gets one line with the figures and exit code 1; nothing is applied."""
    seen_by(monkeypatch, None)
    for options in ((), ("--json",)):
        assert apply(tmp_path, *options) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert "3 of 20 records would be in other territories, 1 of 9 memberships of users would change" in captured.err
    assert all(terms.with_safeguard for terms in applying.terms)


def test_json_never_asks(tmp_path: Path, applying: Applying, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--json` a program reads stdout, so even on a terminal it is refused instead of asked."""
    seen_by(monkeypatch, "y\n")
    assert apply(tmp_path, "--json") == 1
    assert len(applying.terms) == 1


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yess\n"])
def test_only_yes_is_a_yes(
    answer: str,
    tmp_path: Path,
    applying: Applying,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The plan is shown and the figures are asked about; any other answer than yes applies nothing."""
    seen_by(monkeypatch, answer)
    assert apply(tmp_path) == 1
    captured = capsys.readouterr()
    assert "changed: territory/west" in captured.out
    assert "3 of 20 records" in captured.err
    assert "[y/N]" in captured.err
    assert len(applying.terms) == 1


def test_a_yes_replaces_the_revision_that_was_shown(
    tmp_path: Path, applying: Applying, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a yes the model is applied only if the revision is still the one that the plan was made for."""
    seen_by(monkeypatch, "Yes\n")
    assert apply(tmp_path) == 0
    assert [(terms.with_safeguard, terms.expected_revision) for terms in applying.terms] == [(True, None), (False, 7)]
    assert "revision 8 of demo is activated" in capsys.readouterr().out


def test_yes_and_the_expected_revision_are_passed_on(tmp_path: Path, applying: Applying) -> None:
    """`--yes` turns the safeguard off; `--expect-revision` holds with it, too."""
    assert apply(tmp_path, "--yes", "--expect-revision", "3") == 0
    assert [(terms.with_safeguard, terms.expected_revision) for terms in applying.terms] == [(False, 3)]
