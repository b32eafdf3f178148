"""The note beside a committed offset: what was said under which models."""

from __future__ import annotations

import pytest

from territory.codec import JSON
from territory.model import Model, compile_model
from territory_runtime.in_effect import InEffect, Moment, Note, unknown_under

DAILY: JSON = {"account": {"field": "since", "within_last_days": 7}}


@pytest.mark.parametrize(
    ("note", "text"),
    [
        (Note(Moment(12), Moment(12)), "12"),
        (Note(), "-1"),
        (Note(Moment(12, 1488283200), Moment(12, 1488283200)), "12 1488283200"),
        (Note(Moment(12), Moment(15)), "12 > 15"),
        (Note(Moment(-1, -5), Moment(15, 9), 3, 8), "-1 -5 > 15 9 : 3 of 8"),
        (Note(Moment(12), Moment(12, 9), 0, 8), "12 > 12 9 : 0 of 8"),
        (Note(Moment(12), Moment(12), term=3, written=40), "12 # 3 40"),
        (Note(Moment(12), Moment(15, 9), 3, 8, 1, 0), "12 > 15 9 : 3 of 8 # 1 0"),
    ],
)
def test_a_note_is_read_as_it_was_written(note: Note, text: str) -> None:
    """What one worker writes the next one reads; digits alone are an older worker's (A9)."""
    assert str(note) == text
    assert Note.read(text) == note


@pytest.mark.parametrize("text", ["", "x", "12 > ", "12 3 4", "1.5", "12 > 15 : 3", "² ", "12 # 3"])
def test_what_is_no_note_says_that_nothing_is_known(text: str) -> None:
    """Then everything is said again, which is harmless (A9)."""
    assert Note.read(text) == Note()


def model_of(org: str, rules: JSON) -> Model:
    """Return a model of one territory."""
    territory: JSON = {"id": "t", "rules": rules}
    fields: JSON = {"account": {"since": "date"}}
    return compile_model({"org": org, "fields": fields, "roles": [], "users": [], "territories": [territory]}, 1)


PLAIN, DATED = model_of("plain", {}), model_of("dated", DAILY)
ACTIVATED_AT = {"plain": 4, "dated": 9}
NOW = InEffect({"plain": PLAIN, "dated": DATED}, ACTIVATED_AT, Moment(9, 1488283200))
UNDATED = InEffect({"plain": PLAIN, "dated": DATED}, ACTIVATED_AT, Moment(9))


@pytest.mark.parametrize(
    ("swept", "now", "is_gapless", "unknown"),
    [
        (Moment(9, 5), NOW, True, set()),
        (Moment(8, 5), NOW, True, {"dated"}),
        (Moment(3, 5), NOW, True, {"plain", "dated"}),
        (Moment(9, 5), NOW, False, {"plain", "dated"}),
        (Moment(9), NOW, True, {"dated"}),
        (Moment(9), UNDATED, True, set()),
    ],
    ids=["all swept", "activated since", "both", "the log has gaps", "a note without a day", "no day is asked for"],
)
def test_unknown_is_what_the_note_does_not_cover(
    swept: Moment, now: InEffect, is_gapless: bool, unknown: set[str]
) -> None:
    """What was activated since; all, after gaps; and what needs a day, if the note has none (A9, C7)."""
    assert unknown_under(Note(swept, swept), now, is_gapless=is_gapless) == unknown
