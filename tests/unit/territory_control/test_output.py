from __future__ import annotations

import json

import pytest
from rich.text import Text

from territory_control.output import Output


def test_data_is_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` stdout is one line of data; notes go to stderr (contracts: command line)."""
    output = Output(as_json=True)
    with output.bar("working", 2) as bar:
        bar.at(1, title="[still] working")
    output.note("a note")
    output.result({"a": [1, "[bold]"]}, Text("for people"))
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": [1, "[bold]"]}
    assert captured.out.count("\n") == 1
    assert captured.err == "a note\n"


def test_text_has_whole_lines_and_literal_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--json` stdout has the text: lines are not folded, and brackets are no markup."""
    Output(as_json=False).result({"a": 1}, Text("sector in [retail] " + "x" * 300), "[bold]")
    assert capsys.readouterr().out == "sector in [retail] " + "x" * 300 + "\n[bold]\n"
