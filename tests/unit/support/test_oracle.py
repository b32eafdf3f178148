"""The whole oracle: the order of arrival and repeated messages don't change its answer."""

from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.oracle import links_of, records_after

from .oracle_examples import (
    MUCH,
    Change,
    account,
    link,
    model,
    outcome,
    patch,
    territories,
    upsert,
)

keys = st.sampled_from([("account", "A"), ("account", "B"), ("contact", "C"), ("deal", "D")])
wholes = st.fixed_dictionaries(
    {
        "owner_id": st.sampled_from(["rita", "emma", None]),
        "account_id": st.sampled_from(["A", "B", None]),
        "contact_id": st.sampled_from(["C", None]),
        "fields": st.fixed_dictionaries(
            {
                "country": st.sampled_from(["US", "MX"]),
                "state": st.sampled_from(["CA", "NY"]),
                "amount": st.sampled_from(["1.10", 2]),
                "stage": st.sampled_from(["Won", "Signing"]),
                "close_date": st.just("2017-03-01"),
            }
        ),
    }
)


@st.composite
def histories(draw: st.DrawFn) -> list[list[Change]]:
    """Draw each record's changes in order of arrival: an upsert, then any but deletes."""
    lanes = []
    for object_type, record_id in draw(st.lists(keys, min_size=1, max_size=4, unique=True)):
        lane = [upsert(object_type, record_id, 1, **draw(wholes))]
        for version in range(2, draw(st.integers(2, 5))):
            link_to = link(
                object_type,
                record_id,
                draw(st.sampled_from(["us", "us-west", "bay", "moon"])),
                draw(st.sampled_from(["assign", "exclude", "none"])),
                version,
            )
            lane.append(
                draw(
                    st.sampled_from(
                        [
                            link_to,
                            upsert(object_type, record_id, version, **draw(wholes)),
                            patch(object_type, record_id, version, owner_id="rolf"),
                        ]
                    )
                )
            )
        lanes.append(lane)
    return lanes


@given(histories(), st.randoms(use_true_random=False), st.data())
@MUCH
def test_order_of_records_and_duplicates_change_nothing(
    lanes: list[list[Change]], random: Any, data: st.DataObject
) -> None:
    """Changes of different records may arrive in any order, and copies at any time (A9)."""
    plain = [change for lane in lanes for change in lane]
    with_copies = []
    for lane in lanes:
        copied = list(lane)
        for original in data.draw(st.lists(st.sampled_from(lane), max_size=3)):
            first = copied.index(original)
            copied.insert(data.draw(st.integers(first + 1, len(copied))), original)
        with_copies.append(copied)
    turns = [number for number, lane in enumerate(with_copies) for _change in lane]
    random.shuffle(turns)
    iterators = [iter(lane) for lane in with_copies]
    mixed = [next(iterators[turn]) for turn in turns]
    assert outcome(model(), *mixed) == outcome(model(), *plain)


@given(histories())
@MUCH
def test_redelivery_at_any_moment(lanes: list[list[Change]]) -> None:
    """Delivering all earlier changes again after each change has no effect (A9)."""
    for lane in lanes:
        for past in accumulate(([change] for change in lane), lambda seen, new: seen + new):
            assert records_after([*past, *past]) == records_after(past)


def test_links_of_is_what_expected_says() -> None:
    """Deciding one record alone gives the same answer as deciding all (A9)."""
    history = [account(country="US", state="CA"), upsert("deal", "D", account_id="A")]
    records = records_after(history)
    alone = links_of(records["acme/deal/D"], records, model())
    assert alone.territories == territories(model(), "deal/D", *history) == ["us-west"]
