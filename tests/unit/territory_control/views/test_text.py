from __future__ import annotations

import pytest

from territory_control.views.text import LINE_CHARACTERS_MAX, clipped, counted, money, named


def test_long_lists_are_cut_short() -> None:
    """A list of ids shows the first ten, and how many more there are."""
    assert named(["a", "b"]) == "a, b"
    assert named([str(n) for n in range(12)]).endswith("9, … 2 more")


def test_counts_agree_with_their_noun() -> None:
    """One is singular, none and many are plural, also where the plural is irregular."""
    assert [counted(count, "fault") for count in (0, 1, 1_234)] == ["0 faults", "1 fault", "1,234 faults"]
    assert [counted(count, "entry", "entries") for count in (1, 2)] == ["1 entry", "2 entries"]


def test_a_long_line_shows_both_ends() -> None:
    """A line with a very long text of a record keeps its beginning and its end."""
    line = clipped("begin" + "x" * 5_000 + "end")
    assert (line.startswith("begin"), line.endswith("end")) == (True, True)
    assert len(line) < LINE_CHARACTERS_MAX + 10


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("2534207.47996", "2,534,207.48"), ("10005534", "10,005,534.00"), ("0.005", "0.00"), ("0.015", "0.02"),
        ("-0.001", "0.00"), ("-1234.5", "-1,234.50"), ("1e3", "1,000.00"), (None, ""),
        ("999999999999999999999999999999.994", "999,999,999,999,999,999,999,999,999,999.99"),
    ],
)  # fmt: skip
def test_money_has_two_decimals(amount: str | None, text: str) -> None:
    """Amounts are grouped by thousands and have two decimals, half to even; also those beyond 28 digits."""
    assert money(amount) == text
