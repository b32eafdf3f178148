from __future__ import annotations

from territory.wire.events import read_record_change
from territory_admin.models.validate import check_model
from territory_control.local.demo import ACCOUNT, NOT_IN, USERS, VIEWER
from territory_control.local.example import example_folder, example_lines, example_model


def test_the_example_has_everything_that_the_demo_asks_about() -> None:
    """The users, the territory and the account of the demo are in the example."""
    folder = example_folder()
    model = check_model(example_model(folder)).model
    assert {*USERS, VIEWER} <= set(model.people)
    assert USERS[0] in model.admins
    assert NOT_IN in model.territories
    lines = example_lines(folder)
    assert len(lines) == 8885
    first = [read_record_change(line) for line in lines[:85]]
    assert (ACCOUNT.object, ACCOUNT.id) in {(change.object, change.id) for change in first}
