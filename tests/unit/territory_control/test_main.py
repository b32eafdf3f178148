from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from territory_control.__main__ import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text("org: acme\nterritories: [{id: world}]\n")
    return path


def test_a_valid_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`validate` needs no broker; a valid model ends with exit code 0."""
    assert run("validate", str(model)) == 0
    assert capsys.readouterr().out == (
        "valid: acme: 1 territory with 0 rules, 0 users, 0 roles, 0 targets\n"
        "warning: 1 territory without an active user: world: nobody sees their records by territory. "
        "Add users or a manager\n"
    )
    assert run("validate", str(model), "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["valid"], result["org_id"], result["faults"], result["on_records"]) == (True, "acme", [], None)
    assert result["rules"]["rules"] == {"account": 0, "lead": 0, "deal": 0}


def test_rules_that_never_or_always_match_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning leaves the model valid and the exit code 0; with `--strict` the exit code is 1."""
    path = tmp_path / "model.yaml"
    path.write_text(
        "org: acme\nfields: {account: {country: text}}\nterritories:\n"
        "  - {id: us, rules: {account: {field: country, eq: US}}}\n"
        "  - {id: paris, parent: us, rules: {account: {field: country, eq: FR}}}\n"
    )
    assert run("validate", str(path)) == 0
    assert "country eq US (of us) and country eq FR can't both hold" in capsys.readouterr().out
    assert run("validate", str(path), "--strict", "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert result["valid"] is True
    assert [rule["territory_id"] for rule in result["rules"]["impossible"]] == ["paris"]
    path.write_text(
        "org: acme\nfields: {account: {country: text}}\n"
        "territories: [{id: us, rules: {account: {not: {all: [{field: country, eq: X}, {field: country, eq: Y}]}}}}]\n"
    )
    assert run("validate", str(path), "--strict") == 1
    assert "warning: 1 rule matches everything" in capsys.readouterr().out


def test_groups_without_members_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A group without an active member leaves the model valid: a queue may be empty (V10)."""
    path = tmp_path / "model.yaml"
    path.write_text("org: acme\ngroups: [{id: queue}]\n")
    assert run("validate", str(path), "--strict") == 0
    assert "warning: 1 group without an active member: queue" in capsys.readouterr().out
    assert run("validate", str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["groups_without_members"] == ["queue"]


def test_strict_finds_nothing_in_a_sound_model(model: Path) -> None:
    """A model without warnings passes `--strict`."""
    assert run("validate", str(model), "--strict") == 0


def test_records_on_the_log_need_a_broker(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only `--on-records` needs a broker; without one there is a line on stderr, exit code 1 and no partial result."""
    with socket.socket() as unused:  # bound, and nobody listens
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("TERRITORY_KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{unused.getsockname()[1]}")
        assert run("validate", str(model)) == 0
        capsys.readouterr()
        assert run("validate", str(model), "--on-records", "--json") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("territory: Kafka at TERRITORY_KAFKA_BOOTSTRAP_SERVERS failed: ")


def test_one_fault_is_not_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The count of faults has the right plural."""
    path = tmp_path / "model.yaml"
    path.write_text("org: acme\nterritories: [{id: a, parent: b}]\n")
    assert run("validate", str(path)) == 1
    assert capsys.readouterr().err == "refused: 1 fault; nothing was changed\n"


@pytest.mark.parametrize("command", ["validate", "apply"])
def test_a_model_with_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Every fault is listed with its place and path, exit code 1; `apply` does not even connect to a broker."""
    path = tmp_path / "model.yaml"
    path.write_text("org: acme\nusers: [{id: ann, role: none}]\nterritories: [{id: a, parent: b}]\n")
    assert run(command, str(path), "--json") == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["valid"] is False
    assert [(fault["path"], fault["line"], fault["column"]) for fault in result["faults"]] == [
        ("users[ann].role", 2, 25),
        ("territories[a].parent", 3, 31),
    ]
    assert captured.err == "refused: 2 faults; nothing was changed\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("show", "account"),
        ("show", "order/1"),
        ("link", "account/A", "world"),
        ("link", "account/A", "world", "--assign", "--none"),
        ("visible", "ann", "--object", "order"),
        ("visible", "ann", "--level", "admin"),
        ("wait", "--timeout", "-1"),
        ("up", "--kafka-port", "0"),
        ("explain", "nothing"),
        ("dead-letters", "show", "3"),
        ("dead-letters", "list", "--since", "yesterday"),
        ("dead-letters", "redrive"),
        ("dead-letters", "redrive", "3/x"),
        ("dead-letters", "redrive", "3/17", "--all"),
        ("dead-letters", "redrive", "--code", "no_record", "--all"),
        ("attainment", "--history", "--users"),
        ("records",),
        ("records", "--owner", "ann", "--unassigned"),
        ("records", "--owner", "ann", "--own"),
        ("records", "--left-out", "--object", "account"),
        ("records", "--owner", "ann", "--after", "A-1"),
        ("records", "--owner", "ann", "--limit", "0"),
        ("records", "--owner", "ann", "--format", "xlsx"),
        ("records", "--owner", "ann", "--output", "x.csv"),
        ("report", "revenue", "--format", "xlsx", "--json"),
        ("apply", "model.yaml", "--expect-revision", "-1"),
        ("report", "losses"),
        ("report", "revenue", "--format", "xml"),
        ("report", "revenue", "--format", "csv", "--json"),
        ("report", "custom", "--measure", "won"),
        ("unheard-of",),
    ],
)
def test_contradicting_arguments_are_wrong_usage(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage ends with exit code 2, a text on stderr and nothing on stdout."""
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_an_unknown_setting_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown setting is refused before anything is done, exit code 2, with the likely name."""
    monkeypatch.setenv("TERRITORY_REDIS_ULR", "redis://secret@host")
    assert run("wait") == 2
    assert capsys.readouterr().err == (
        "territory: unknown setting TERRITORY_REDIS_ULR; did you mean TERRITORY_REDIS_URL?\n"
    )


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file is an expected failure: one line, exit code 1."""
    for command in ("validate", "publish"):
        assert run(command, str(tmp_path / "none")) == 1
        assert capsys.readouterr().err == f"territory: can't read {tmp_path / 'none'}: No such file or directory\n"


def test_an_unreachable_redis_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names the server, the error and what to check; there is no traceback."""
    with socket.socket() as unused:  # bound, and nobody listens
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("TERRITORY_REDIS_URL", f"redis://127.0.0.1:{unused.getsockname()[1]}/0")
        assert run("show", "account/A-1", "--json") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("territory: Redis at TERRITORY_REDIS_URL failed: ConnectionError")
    assert captured.err.count("\n") == 1


def test_an_invalid_address_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An invalid address ends with exit code 2 and is not printed, because it may hold a password."""
    monkeypatch.setenv("TERRITORY_REDIS_URL", "http://:secret@host")
    assert run("show", "account/A-1") == 2
    error = capsys.readouterr().err
    assert error.startswith("territory: TERRITORY_REDIS_URL: ")
    assert "secret" not in error
