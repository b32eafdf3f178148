from __future__ import annotations

from territory.model.compiled import compile_model
from territory_admin.models.apply import Applied
from territory_admin.models.changes import PieceChanges
from territory_control.views.model import applied, group_warnings, model_size
from tests.unit.territory_control.views.rendering import rendered


def test_a_removed_territory_is_explained() -> None:
    """Whoever removes a territory reads what happens to its records and to manual links (A11)."""
    changes = PieceChanges((("user", "ann"),), (("territory", "a"),), (("territory", "b"),))
    text = rendered(applied(Applied("acme", 3, activated=True, changes=changes)))
    assert text.splitlines()[0] == "revision 3 of acme is activated"
    assert "  added: 1 user\n  changed: 1 territory\n  removed: territory/b\n  no longer in the model: b;" in text


def test_an_unchanged_model_makes_no_revision() -> None:
    """A model without changes is one line that names the revision in effect."""
    assert rendered(applied(Applied("acme", 2, activated=False, changes=PieceChanges((), (), ())))) == (
        "nothing changed: revision 2 of acme stays in effect"
    )


def test_the_size_of_a_model_is_counted_with_the_right_plurals() -> None:
    """One territory is singular, no rules are plural."""
    assert model_size(compile_model({"org": "acme", "territories": [{"id": "world"}]}, 1)) == (
        "1 territory with 0 rules, 0 users, 0 roles, 0 targets"
    )
    keys = (
        ("fields", "deal"),
        ("stage", "Won"),
        ("territory", "a"),
        ("territory", "b"),
        ("user", "ann"),
        ("user", "b"),
    )
    text = rendered(applied(Applied("acme", 3, activated=True, changes=PieceChanges(keys, (("frozen", "2026"),), ()))))
    assert text.splitlines()[1:] == [
        "  added: 1 object's fields, 1 stage, 2 territories, 2 users",
        "  changed: 1 closed period",
    ]


def test_groups_of_a_model_are_counted() -> None:
    """A model with groups has their number; a group without members is a warning (V10)."""
    assert "0 roles, 1 group, 0 targets" in model_size(compile_model({"org": "acme", "groups": [{"id": "queue"}]}, 1))
    assert group_warnings(()) == []
    text = rendered(group_warnings(("left", "queue")))
    assert "2 groups without an active member: left, queue; nobody sees" in " ".join(text.split())
