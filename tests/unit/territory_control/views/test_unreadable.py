"""The list of unreadable values as people see it."""

from __future__ import annotations

from territory_admin.queries.unreadable import UnreadableField, UnreadableValue, UnreadableValues
from territory_control.views.unreadable import of_record, unreadable
from tests.unit.territory_control.views.rendering import rendered

VALUE = UnreadableValue("account/A-1", "vip", '"[bold]on"', "a boolean")


def test_values_are_listed_with_their_fields() -> None:
    """Counts by field come first, then the values of the page as they were found, and how to get the next page."""
    fields = (UnreadableField("account", "vip", 1_200),)
    text = rendered(unreadable(UnreadableValues("acme", 1, 1_200, fields, (VALUE,), "account/A-1")))
    for part in (
        "1,200 unreadable values",
        "account.vip",
        "account/A-1",
        '"[bold]on"',
        "a boolean",
        "--after account/A-1",
    ):
        assert part in text


def test_nothing_to_list() -> None:
    """Where every value can be read, the list says so."""
    assert "can be read" in rendered(unreadable(UnreadableValues("acme", 1, 0, (), (), None)))


def test_values_of_one_record() -> None:
    """A record's values are named with what was found and expected (C6)."""
    assert rendered(of_record([VALUE])).strip() == 'vip can\'t be read: found "[bold]on", expected a boolean'
