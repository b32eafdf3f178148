"""What the pages name exists: links, headings, paths, make targets, commands, settings, log lines, benchmarks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

from territory_control.__main__ import app
from territory_runtime.settings import PREFIX, Settings
from tests.support.watched import ROOT, anchors

FOLDERS = ("docs", "schemas", "services", "benchmarks", "deploy", "examples", "tests")
PAGES = [ROOT / "README.md", *(page for folder in FOLDERS for page in sorted((ROOT / folder).rglob("*.md")))]
SHELL = frozenset({"", "bash", "console"})
"""Languages of code blocks that hold commands; pictures are `text`."""


class Named(NamedTuple):
    """Something that a page names."""

    page: Path
    name: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.name}"


def named(pattern: str) -> Iterator[Named]:
    """Yield each match of a pattern on the pages."""
    for page in PAGES:
        for found in re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE):
            yield Named(page, found)


def command_lines() -> Iterator[Named]:
    """Yield the shell lines in code blocks, and the code in running text, without comments and prompts."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        shell = [line for language, block in blocks if language in SHELL for line in block.splitlines()]
        running = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for line in [*shell, *re.findall(r"`([^`\n]+)`", running)]:
            yield Named(page, line.split(" #")[0].strip().removeprefix("$ ").removeprefix(".venv/bin/"))


def test_links_lead_somewhere() -> None:
    """A relative link names a file that exists, and a heading that the file has."""
    checked = 0
    for link in named(r"\]\((?!https?:)([^)\s]+)\)"):
        path, _, anchor = link.name.partition("#")
        target = (link.page.parent / path).resolve() if path else link.page
        assert target.exists(), str(link)
        if anchor:
            assert anchor in anchors(target), str(link)
        checked += 1
    assert checked > 100


def test_paths_exist() -> None:
    """A path in code that begins with one of our folders exists, with or without `.py`."""
    pattern = r"`((?:docs|schemas|services|tests|benchmarks|deploy|examples)/[\w./-]+)`"
    for path in named(pattern):
        assert (ROOT / path.name).exists() or (ROOT / f"{path.name}.py").exists(), str(path)


def test_make_targets_exist() -> None:
    """`make X` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in command_lines():
        if found := re.match(r"(?:\w+=\S+ )*make ([a-z0-9-]+)", line.name):
            assert found[1] in targets, str(line)


def test_commands_exist() -> None:
    """`territory …` names a command, and options that it has."""
    checked = 0
    for line in command_lines():
        if not line.name.startswith("territory "):
            continue
        words = shlex.split(re.split(r" [|&>…]|…", line.name)[0])[1:]
        command: Any = typer.main.get_command(app)
        while hasattr(command, "get_command") and words and not words[0].startswith("-"):
            context = command.make_context("territory", [], resilient_parsing=True)
            command = command.get_command(context, words.pop(0))
            assert command is not None, str(line)
        options = {one for parameter in command.params for one in (*parameter.opts, *parameter.secondary_opts)}
        for word in words:
            if word.startswith("-") and word not in {"-", "--help"}:
                assert word.split("=")[0] in options, str(line)
        checked += 1
    assert checked > 50


def test_settings_exist() -> None:
    """A TERRITORY_ name is a setting, or the beginning of a group of them."""
    known = {name.upper() for name in Settings.model_fields}
    for setting in named(rf"\b{PREFIX}([A-Z][A-Z_]*[A-Z])"):
        assert setting.name in known, str(setting)


def test_log_lines_exist() -> None:
    """Every log line in the runbook's table is logged by a service."""
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    table = runbook[runbook.index("| log line |") : runbook.index("**Always safe**")]
    lines = {
        line for row in re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE) for line in re.findall(r"`([^`]+)`", row)
    }
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py"))
    assert len(lines) > 5
    assert {line for line in lines if f'"{line}"' not in sources} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_benchmarks_exist(page: Path) -> None:
    """`benchmarks.run pN` names a benchmark."""
    for name in re.findall(r"benchmarks\.run (p\d+)", page.read_text(encoding="utf-8")):
        assert list((ROOT / "benchmarks").glob(f"{name}_*.py")), name
