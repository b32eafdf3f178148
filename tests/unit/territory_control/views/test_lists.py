from __future__ import annotations

from territory_admin.queries.records import ListedRecord, RecordPage
from territory_control.views.lists import records, rows
from tests.unit.territory_control.views.rendering import lines_of, rendered

PAGE = RecordPage(
    "acme",
    (
        ListedRecord("account", "A-1", "ann", "Ann [b]", ("west", "key"), None),
        ListedRecord("deal", "D-1", "left", None, (), "unassigned: it names no account"),
    ),
    5,
    "deal/D-1",
)


def test_a_list_is_a_table_with_its_total_and_the_next_page() -> None:
    """Owners have their names where the model has them; the text below says how to go on."""
    assert lines_of(records(PAGE)) == [
        "record owner territories why",
        "account/A-1 Ann [b] west, key",
        "deal/D-1 left unassigned: it names no account",
        "5 records",
        "more: --after deal/D-1",
    ]
    assert lines_of(records(RecordPage("acme", (), 0, None))) == ["no record"]


def test_ids_are_whole_in_80_columns() -> None:
    """However long the other columns are, the column that identifies a record is not cut."""
    name = "0065e00000AbCdEfGhIjKlMnOpQrSt"
    page = RecordPage(
        "acme", (ListedRecord("deal", name, "u", "Name " * 9, ("territory-" * 4,), "why " * 30),), 1, None
    )
    assert f"deal/{name}" in rendered(records(page), 80)


def test_rows_have_one_cell_for_all_territories() -> None:
    """A record is one row, with its territories separated by blanks; what it lacks is None."""
    assert next(iter(rows(PAGE))) == {
        "object": "account", "id": "A-1", "owner_id": "ann", "owner": "Ann [b]", "territories": "west key",
        "reason": None,
    }  # fmt: skip
