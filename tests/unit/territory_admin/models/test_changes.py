from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from territory.wire.codec import JSON, encode
from territory_admin.models.changes import PieceChanges, changes_between, removed_territories

pieces = st.dictionaries(
    st.tuples(st.sampled_from(["territory", "user"]), st.sampled_from("abcd")),
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 1) | st.sampled_from([0.0, 1.0, "1"]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
        max_leaves=4,
    ),
)


@given(pieces, pieces)
def test_changes_lead_from_one_set_of_pieces_to_the_other(before: dict[Any, JSON], after: dict[Any, JSON]) -> None:
    """Added, changed and removed pieces turn the first set into the second, and no piece is in two of the lists."""
    changes = changes_between(before, after)
    made = {key: value for key, value in before.items() if key not in changes.removed}
    made |= {key: after[key] for key in (*changes.added, *changes.changed)}
    assert encode(sorted(made.items())) == encode(sorted(after.items()))
    assert len({*changes.added, *changes.changed, *changes.removed}) == sum(
        map(len, (changes.added, changes.changed, changes.removed))
    )
    assert not changes_between(after, after)


def test_true_differs_from_one_and_the_order_of_keys_does_not_matter() -> None:
    """A boolean that becomes a number is a change; a mapping written in another order is not."""
    key = ("territory", "a")
    assert changes_between({key: {"x": True}}, {key: {"x": 1}}).changed == (key,)
    assert not changes_between({key: {"x": 1, "y": 2}}, {key: {"y": 2, "x": 1}})


def test_removed_territories_are_named() -> None:
    """Of all removed pieces, the territories are those whose links end (A11)."""
    changes = PieceChanges((), (), (("role", "r"), ("territory", "t"), ("user", "u")))
    assert removed_territories(changes) == ("t",)
