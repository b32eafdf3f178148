from __future__ import annotations

import inspect

import pytest
from typer.testing import CliRunner

from territory_control.__main__ import app
from territory_control.commands.registry import COMMANDS, load_command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_has_each_command_with_its_own_help(name: str) -> None:
    """`territory --help` takes its lines from the table: each is the first paragraph of the command's own help."""
    command = load_command(name)
    paragraph = inspect.cleandoc(command.help).partition("\n\n")[0]
    assert " ".join(paragraph.split()) == COMMANDS[name].help


def test_the_help_lists_every_command_in_its_section() -> None:
    """Sections are in the order of the table, each command below its own."""
    text = CliRunner().invoke(app, ["--help"]).stdout
    expected = []
    for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
        expected += [f"{section}:", *(name for name, entry in COMMANDS.items() if entry.section == section)]
    found = [
        line.split("  ")[0] if line.endswith(":") else line.split()[0] for line in text.splitlines() if line.strip()
    ]
    assert [word for word in found if word in expected] == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name: str) -> None:
    """The help of a command is printed with exit code 0, without a broker and without settings."""
    result = CliRunner().invoke(app, [name, "--help"])
    assert (result.exit_code, name in result.stdout) == (0, True)


def test_a_misspelt_command_is_answered_with_a_suggestion() -> None:
    """The suggestion comes from the table, so no command's module is imported for it."""
    result = CliRunner().invoke(app, ["vizible"])
    assert result.exit_code == 2
    assert "Did you mean 'visible'?" in result.output
