"""The form of the decision records in docs/adr."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "adr"
FILES = sorted(FOLDER.glob("[0-9]*.md"))
PARTS = ["context", "decision", "what would change it"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_decision_has_a_title_a_date_and_three_parts(path: Path) -> None:
    """Number and title, a date, then Context, Decision, perhaps Consequences, What would change it: none empty."""
    text = path.read_text(encoding="utf-8")
    assert re.match(rf"# {path.stem[:4]}: \S", text), "the first line is `# NNNN: Title`"
    assert re.search(r"^Date: 20\d\d-[01]\d-[0-3]\d\b", text, re.MULTILINE), "a line `Date: YYYY-MM-DD`"
    parts = re.findall(r"^## (.+)\n+(?=[^#\s])", text, re.MULTILINE)
    assert [part.lower() for part in parts if part != "Consequences"] == PARTS


def test_no_number_is_given_twice() -> None:
    """A number names one decision."""
    assert FILES
    assert set(Counter(path.name[:4] for path in FILES).values()) == {1}


def test_the_list_has_every_decision() -> None:
    """The README's list has a line for every file, in order, with its title, and nothing else."""
    listed = re.findall(r"^- \[\d{4}\].*$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    expected = [
        f"- [{path.stem[:4]}]({path.name}) {path.read_text(encoding='utf-8').splitlines()[0][len('# 0000: ') :]}"
        for path in FILES
    ]
    assert listed == expected, "the list of docs/adr/README.md should be:\n" + "\n".join(expected)
