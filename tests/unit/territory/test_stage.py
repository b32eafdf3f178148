"""Effects of a stage, and collapsing of messages."""

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
def test_only_the_last_message_of_a_key_is_sent(emitted: list[Message]) -> None:
    """Of several messages with one key and route only the last remains, as after compaction (A9)."""
    left = collapse(emitted)
    slots = [(message.topic, message.key, message.route) for message in left]
    assert len(set(slots)) == len(slots)
    last = {(message.topic, message.key, message.route): message for message in emitted}
    assert dict(zip(slots, left, strict=True)) == last


@given(messages)
def test_collapsing_keeps_order(emitted: list[Message]) -> None:
    """The remaining messages keep their order, and collapsing again changes nothing."""
    left = collapse(emitted)
    positions = [max(index for index, message in enumerate(emitted) if message is each) for each in left]
    assert positions == sorted(positions)
    assert collapse(left) == left


def test_messages_to_different_partitions_do_not_replace_each_other() -> None:
    """A tombstone for the old family and a state for the new one have the same key but both remain (A8)."""
    old, new = Message("families", "k", None, "A"), Message("families", "k", 1, "B")
    assert collapse([old, new]) == [old, new]
    assert collapse([new, old, new]) == [old, new]


def test_parts_are_never_replaced() -> None:
    """Messages that add up for their key all remain: one user gets records from many partitions (V8)."""
    one, two = Message("a", "x", 1, "x", is_part=True), Message("a", "x", 2, "x", is_part=True)
    whole = Message("a", "x", 3, "x")
    assert collapse([whole, one, two, whole]) == [one, two, whole]


@given(messages, messages)
def test_effects_add_up(first: list[Message], second: list[Message]) -> None:
    """`add` appends the effects of a later step in order, and sums the outcomes."""
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
    """New effects are empty and share no lists."""
    one, other = Effects(), Effects()
    one.messages.append(Message("a", "k", 1, "k"))
    assert other == Effects()
