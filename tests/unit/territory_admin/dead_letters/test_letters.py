from __future__ import annotations

from datetime import UTC, datetime

import pytest

from territory_admin.dead_letters.letters import LetterId, letter_id, since_of

NOW = datetime(2017, 3, 1, 12, tzinfo=UTC)


def test_a_letter_id_is_parsed() -> None:
    """A letter is named by its partition and offset, as `list` prints them; anything else is refused."""
    assert letter_id("3/17") == LetterId(3, 17)
    assert str(letter_id("3/17")) == "3/17"
    for word in ("3", "3/", "/17", "a/17", "3/17/1", "-3/17", "3/1e3"):
        with pytest.raises(ValueError, match="expected PARTITION/OFFSET"):
            letter_id(word)


@pytest.mark.parametrize(
    ("word", "instant"),
    [
        ("90s", datetime(2017, 3, 1, 11, 58, 30, tzinfo=UTC)),
        ("30m", datetime(2017, 3, 1, 11, 30, tzinfo=UTC)),
        ("12h", datetime(2017, 3, 1, tzinfo=UTC)),
        ("7d", datetime(2017, 2, 22, 12, tzinfo=UTC)),
        ("2017-02-03", datetime(2017, 2, 3, tzinfo=UTC)),
        ("2017-02-03T01:00:00+01:00", datetime(2017, 2, 3, tzinfo=UTC)),
    ],
)
def test_an_age_a_day_or_an_instant_is_parsed(word: str, instant: datetime) -> None:
    """Ages count back from now; days begin at midnight UTC."""
    assert since_of(word, NOW) == instant


@pytest.mark.parametrize("word", ["", "yesterday", "7w", "-7d", "999999d", "2017-13-01"])
def test_other_texts_are_no_instant(word: str) -> None:
    """An unknown unit, a negative age, or an instant out of range is refused."""
    with pytest.raises(ValueError, match="expected an age"):
        since_of(word, NOW)
