"""Records that are alike, together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from access_indexer.core.record_table import RecordTable
from access_indexer.core.viewers import Viewers
from tests.unit.access_indexer.core.examples import assignment

SEEN = [None, *(Viewers(frozenset(users), frozenset()) for users in ("", "a", "ab"))]

steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "remove", "move"]),
        st.integers(0, 5),
        st.sampled_from(SEEN),
        st.sampled_from(["bay", "west"]),
    ),
    max_size=40,
)


@given(steps)
def test_records_are_where_they_were_put(done: list[tuple[str, int, Viewers | None, str]]) -> None:
    """Grouped or not, each has what was last said of it, and every group its members."""
    holdings, plain = RecordTable(), dict[str, tuple[str, Viewers | None, int]]()
    for number, (step, name, viewers, territory) in enumerate(done):
        key = f"acme/account/{name}"
        if step == "put":
            about = holdings.about(assignment(str(name), territory))
            holdings.put(key, about, number, number, viewers)
            plain[key] = (territory, viewers, number)
        elif step == "remove" and key in plain:
            holdings.remove(key)
            del plain[key]
        elif step == "move" and viewers is not None and holdings.groups():
            moved = holdings.move(holdings.groups()[0], viewers, 1 + name)
            for each in holdings.keys_of(moved):
                plain[each] = (plain[each][0], viewers, plain[each][2])
    assert {key: holdings.get(key) is not None for key in plain} == dict.fromkeys(plain, True)
    found = {key: (*holdings[key].about.territories, holdings[key].viewers, holdings[key].version) for key in plain}
    assert found == plain
    assert len(holdings) == len(plain)
    assert sorted(holdings.keys()) == sorted(plain)
    members = [
        (key, group.about.territories[0], group.viewers)
        for group in holdings.groups()
        for key in holdings.keys_of(group.members)
    ]
    assert sorted(key for key, _, _ in members) == sorted(plain)
    assert all(plain[key][:2] == (territory, viewers) for key, territory, viewers in members)
    assert all(group.members for group in holdings.groups())
