from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from territory.model.compiled import compile_model
from territory.model.document import OBJECTS
from territory.wire.events import Assignment, Link
from territory_admin.arguments import RecordName
from territory_admin.queries.records import WHOLE, ListedRecord, ListPart, listed, name_of, page_of

RECORDS = st.lists(
    st.builds(
        ListedRecord,
        st.sampled_from(OBJECTS), st.text("ab", min_size=1, max_size=3),
        st.none(), st.none(), st.just(()), st.none(),
    ),
    unique_by=lambda each: (each.object, each.id),
)  # fmt: skip


@given(RECORDS, st.integers(1, 4))
def test_pages_are_the_whole_list_once(records: list[ListedRecord], limit: int) -> None:
    """Page after page every record comes once, in the order of the whole list, and the last page has no next."""
    whole = page_of("acme", records, WHOLE)
    assert (whole.total, whole.next) == (len(records), None)
    found: list[ListedRecord] = []
    after: RecordName | None = None
    while True:
        page = page_of("acme", records, ListPart(after, limit))
        assert page.total == len(records)
        assert len(page.records) <= limit
        found += page.records
        if page.next is None:
            break
        kind, _, record_id = page.next.partition("/")
        after = RecordName(kind, record_id)  # type: ignore[arg-type]  # one of the objects
    assert tuple(found) == whole.records


@given(RECORDS, st.sampled_from(OBJECTS), st.text("ab", min_size=1, max_size=3))
def test_a_cursor_needs_no_record(records: list[ListedRecord], kind: Any, record_id: str) -> None:
    """A record that has left the list meanwhile is still a place to go on from: nothing comes twice or is skipped."""
    whole = page_of("acme", records, WHOLE).records
    later = page_of("acme", records, ListPart(RecordName(kind, record_id))).records
    place = (OBJECTS.index(kind), record_id)
    assert later == tuple(each for each in whole if (OBJECTS.index(each.object), each.id) > place)


def test_an_entry_names_its_owner_user_or_group() -> None:
    """An owner who is in the model, or a group, has a name; one who has left has the id alone (V10)."""
    model = compile_model(
        {
            "org": "acme", "roles": [{"id": "r"}], "users": [{"id": "ann", "name": "Ann", "role": "r"}],
            "groups": [{"id": "q", "name": "Queue", "users": ["ann"]}],
        },
        1,
    )  # fmt: skip
    assert [name_of(model, owner) for owner in ("ann", "q", "left", None)] == ["Ann", "Queue", None, None]
    links = (Link("west", ("rule",), ()),)
    entry = listed(model, Assignment("acme", "account", "A-1", 1, 1, "left", links))
    assert entry == ListedRecord("account", "A-1", "left", None, ("west",), None)
