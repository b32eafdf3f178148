from __future__ import annotations

from territory_admin.consistency.comparing import Verified
from territory_admin.consistency.comparison import Drift
from territory_admin.consistency.rebuild import Rebuilt
from territory_control.views.consistency import rebuilt, verified
from tests.unit.territory_control.views.rendering import rendered


def test_differences_are_counted_by_kind_and_the_first_are_named() -> None:
    """The text counts the differences, names examples, and says whether they were repaired (V8)."""
    found = Verified("acme", 7, looked_at=1_500, seconds=2.0)
    found.add(Drift("extra_member", "visible:{acme:ann}:account A-1", "the topics do not have it"))
    assert rendered(verified(found)).splitlines() == [
        "1 entry differs from what the topics imply; 1,500 entries compared in 2.0 s",
        "  extra_member: 1",
        "    extra_member: visible:{acme:ann}:account A-1: the topics do not have it",
        "nothing was repaired; --repair does it",
    ]
    found.mended = 1
    assert rendered(verified(found)).endswith("repaired: 1")


def test_a_clean_comparison_is_one_line() -> None:
    """Without differences the text has the revision and how much was compared."""
    assert rendered(verified(Verified("acme", 7, looked_at=1, seconds=2.0))) == (
        "Redis has what the topics imply under revision 7: 1 entry compared in 2.0 s"
    )


def test_an_unfinished_comparison_is_never_called_clean() -> None:
    """The reason why it ended early, or entries that kept changing, are in the text."""
    ended_early = Verified("acme", 7, not_compared="another model was activated")
    assert rendered(verified(ended_early)) == "not comparable now: another model was activated"
    assert "2 entries kept changing" in rendered(verified(Verified("acme", 7, unsettled=2)))


def test_a_rebuild_says_how_long_it_blocked_others() -> None:
    """The text has the size of the new index, and the seconds without writes and without reads."""
    text = rendered(rebuilt(Rebuilt("acme", 7, records=10, keys=1, held_seconds=0.5, switch_seconds=0.01, seconds=3.0)))
    assert "10 records under revision 7, 1 key replaced, in 3.0 s" in text
    assert "writes were blocked for 0.50 s, and reads for 0.01 s of them" in text
