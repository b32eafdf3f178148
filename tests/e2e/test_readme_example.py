"""The example in README.md, typed as a newcomer would, against `territory up`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.e2e.test_embedded import run, running

pytestmark = pytest.mark.embedded

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def code_block(language: str) -> str:
    """Return the README's only code block in a language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(block)


def test_commands_of_the_readme_print_what_it_shows(tmp_path: Path) -> None:
    """Every command of the README's example succeeds, and prints each line that the README shows below it."""
    files = {"model.yaml": code_block("yaml"), "records.jsonl": code_block("json")}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    commands = re.findall(r"^\$ territory (.*)\n((?:[^$].*\n)*)", code_block("console"), re.MULTILINE)
    assert len(commands) == 5
    with running(tmp_path / "up") as up:
        settings = up.environment | {"TERRITORY_ORG_ID": "demo"}
        for command, shown in commands:
            words = [str(tmp_path / word) if word in files else word for word in shlex.split(command)]
            done = run(*words, given=b"", **settings)
            assert done.returncode == 0, done.stderr.decode()
            printed = [line.strip() for line in done.stdout.decode().splitlines()]
            for line in shown.splitlines():
                assert line.strip() in printed, (command, printed)
