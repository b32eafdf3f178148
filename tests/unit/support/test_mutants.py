"""The table of mutants follows the code."""

from __future__ import annotations

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_lines_of_mutants_are_in_the_code(mutant: Mutant) -> None:
    """Each mutant changes a text that is in its file once, and its tests exist; else `make mutants` proves less."""
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.line) == 1
    assert all((ROOT / path.partition("::")[0]).exists() for path in mutant.tests)
