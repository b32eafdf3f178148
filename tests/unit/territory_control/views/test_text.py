from __future__ import annotations

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


def test_money_is_exact() -> None:
    """Amounts are grouped by thousands and never rounded."""
    assert money("1234567.891") == "1,234,567.891"
    assert money(None) == ""
