"""What a step wants done, as data."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from territory.stage import Effects, InputMessage, Message, collapse

messages = st.lists(
    st.builds(
        Message,
        topic=st.sampled_from(["a", "b"]),
        key=st.sampled_from(["x", "y"]),
        value=st.none() | st.integers(0, 9),
        route=st.sampled_from(["x", "y", 0, 1]),
        is_part=st.just(False),
    ),
    max_size=12,
)


@given(messages)
def test_only_the_last_word_is_sent(said: list[Message]) -> None:
    """Of several messages to one key in one place the last is left, and a compacted topic ends the same (A9)."""
    left = collapse(said)
    places = [(message.topic, message.key, message.route) for message in left]
    assert len(set(places)) == len(places)
    last = {(message.topic, message.key, message.route): message for message in said}
    assert dict(zip(places, left, strict=True)) == last


@given(messages)
def test_order_stays(said: list[Message]) -> None:
    """What is left is in the order in which it was said, and collapsing it again changes nothing."""
    left = collapse(said)
    positions = [max(index for index, message in enumerate(said) if message is each) for each in left]
    assert positions == sorted(positions)
    assert collapse(left) == left


def test_routes_are_places() -> None:
    """One key may be in two partitions: a tombstone to the old family is not lost to the new one's state (A8)."""
    old, new = Message("families", "k", None, "A"), Message("families", "k", 1, "B")
    assert collapse([old, new]) == [old, new]
    assert collapse([new, old, new]) == [old, new]


def test_parts_all_stay() -> None:
    """What says different things of its key is not replaced: a user is given records by many partitions (V8)."""
    one, two = Message("a", "x", 1, "x", is_part=True), Message("a", "x", 2, "x", is_part=True)
    whole = Message("a", "x", 3, "x")
    assert collapse([whole, one, two, whole]) == [one, two, whole]


@given(messages, messages)
def test_effects_add_up(first: list[Message], second: list[Message]) -> None:
    """Effects of one step follow those of the step before, in order; outcomes are counted together."""
    refused = InputMessage("crm.records.v1", "k", None, {})
    whole = Effects(messages=list(first), changes=[1], outcomes=Counter(decided=1, stale=2))
    more = Effects(
        messages=list(second), state=list(second), changes=[2], refused=[(refused, "no_record", "why")],
        outcomes=Counter(decided=3),
    )  # fmt: skip
    whole.add(more)
    assert whole.messages == first + second
    assert (whole.state, whole.changes, whole.refused) == (second, [1, 2], [(refused, "no_record", "why")])
    assert whole.outcomes == {"decided": 4, "stale": 2}
    assert more.messages == second


def test_effects_are_not_shared() -> None:
    """New effects are empty, and nothing that is added to one is in another."""
    one, other = Effects(), Effects()
    one.messages.append(Message("a", "k", 1, "k"))
    assert other == Effects()
