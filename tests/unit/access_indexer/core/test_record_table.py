"""The table of records, grouped by who sees them."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from access_indexer.core.record_table import RecordTable, attributes_of
from access_indexer.core.viewers import Viewers
from tests.unit.access_indexer.core.examples import assignment

VIEWERS = [None, *(Viewers(frozenset(users), frozenset()) for users in ("", "a", "ab"))]

Steps = list[tuple[str, int, Viewers | None, str]]
steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "remove", "move", "assume"]),
        st.integers(0, 5),
        st.sampled_from(VIEWERS),
        st.sampled_from(["bay", "west"]),
    ),
    max_size=40,
)


@given(steps)
def test_table_agrees_with_a_plain_dictionary(done: Steps) -> None:
    """Every record has what was stored last, every group has its members, and no group is empty."""
    table, plain = RecordTable(), dict[str, tuple[str, Viewers | None, int]]()
    for number, (step, name, viewers, territory) in enumerate(done):
        key = f"acme/account/{name}"
        groups = table.groups()
        if step == "put":
            table.put(key, attributes_of(assignment(str(name), territory)), number, number, viewers)
            plain[key] = (territory, viewers, number)
        elif step == "remove" and key in plain:
            table.remove(key)
            del plain[key]
        elif step == "move" and viewers is not None and groups:
            for each in table.keys_of(table.move(groups[0], viewers, 1 + name)):
                plain[each] = (plain[each][0], viewers, plain[each][2])
        elif step == "assume" and viewers is not None and groups:
            revision_max = number - name
            for each in list(table.keys_of(groups[0].members)):
                if plain[each][2] <= revision_max:
                    plain[each] = (plain[each][0], viewers, plain[each][2])
            table.assume_viewers(groups[0], viewers, revision_max)
    assert {key: table.get(key) is not None for key in plain} == dict.fromkeys(plain, True)
    found = {key: (*table[key].attributes.territories, table[key].viewers, table[key].version) for key in plain}
    assert found == plain
    assert len(table) == len(plain)
    assert sorted(table.keys()) == sorted(plain)
    members = [
        (key, group.attributes.territories[0], group.viewers)
        for group in table.groups()
        for key in table.keys_of(group.members)
    ]
    assert sorted(key for key, _, _ in members) == sorted(plain)
    assert all(plain[key][:2] == (territory, viewers) for key, territory, viewers in members)
    assert all(group.members for group in table.groups())


class Tracked(str):
    """A text whose end of life a test can see."""

    __slots__ = ("__weakref__",)


def test_superseded_attributes_are_freed() -> None:
    """A record that changes its owner ten thousand times leaves nothing of the former owners in memory."""
    table, owners = RecordTable(), list[weakref.ref[Tracked]]()
    for version in range(10_000):
        owner = Tracked(f"owner-{version}")
        owners.append(weakref.ref(owner))
        table.put("acme/account/A-1", attributes_of(assignment("A-1", "bay", owner_id=owner)), version, 1, None)
        del owner
    gc.collect()
    assert sum(ref() is not None for ref in owners) == 1
    assert len(table.groups()) == 1


def test_removed_record_leaves_no_references() -> None:
    """The free ordinal of a removed record keeps neither its key, nor its attributes, nor its viewers."""
    table, key, owner = RecordTable(), Tracked("acme/account/A-1"), Tracked("ann")
    references = [weakref.ref(key), weakref.ref(owner)]
    viewers = Viewers(frozenset({owner}), frozenset())
    table.put(key, attributes_of(assignment("A-1", "bay", owner_id=owner)), 1, 1, viewers)
    table.remove(key)
    del key, owner, viewers
    gc.collect()
    assert [ref() for ref in references] == [None, None]


def test_ordinals_of_removed_records_are_used_again() -> None:
    """Upserts and deletes that alternate don't make the columns longer."""
    table = RecordTable()
    for number in range(100):
        key = f"acme/account/A-{number}"
        table.put(key, attributes_of(assignment(f"A-{number}", "bay")), 1, 1, None)
        assert list(table.groups()[0].members) == [0]
        table.remove(key)
    assert table.groups() == []
