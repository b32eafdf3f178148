"""Territories that a model would empty are named first, with the reason."""

from __future__ import annotations

from typing import Any

from territory.model.compiled import Model, compile_model
from territory.wire.events import Record
from territory_admin.planning.emptied import EmptiedTerritory
from tests.unit.territory_admin.planning.examples import plan_of, record


def spain(south_below: str | None = "spain", *, south: Any = ("41", "29"), east: Any = ("08", "46")) -> Model:
    """Return a model of Spain by postal codes."""

    def rule(codes: Any) -> Any:
        return {"account": {"field": "zip", "starts_with": list(codes)}}

    territories: list[Any] = [
        {"id": "spain"},
        {"id": "es-east", "parent": "spain", "rules": rule(east)},
        {"id": "es-south", **({"parent": south_below} if south_below else {}), "rules": rule(south)},
        {"id": "seville", "parent": "es-south", "rules": rule(["410"])},
    ]
    return compile_model({"org": "acme", "fields": {"account": {"zip": "text"}}, "territories": territories}, 1)


def account(number: int, code: str) -> Record:
    return record("account", f"A-{number}", {"zip": code})


RECORDS = [account(1, "41001"), account(2, "29001"), account(3, "08001"), account(4, "41002")]
WHY = "zip starts_with [08, 46] (of es-east) and zip starts_with [41, 29] can't both hold"


def test_a_territory_moved_below_one_that_excludes_it() -> None:
    """A territory whose rule excludes that of its new parent is named with its records, and all below it (A1)."""
    for before, parent in ((spain(), "spain"), (spain(None), "")):
        assert plan_of(before, spain("es-east"), *RECORDS).emptied == (
            EmptiedTerritory("seville", 2, 0, WHY, None),
            EmptiedTerritory("es-south", 1, 0, WHY, parent),
        )


def test_a_rule_that_no_longer_matches_any_record() -> None:
    """A territory that loses all records is named also where its rule could match others."""
    found = plan_of(spain(), spain(east=["07"]), *RECORDS).emptied
    assert found == (EmptiedTerritory("es-east", 1, 0, None, None),)


def test_a_broken_rule_without_records() -> None:
    """A rule that can no longer match is named also where there are no records; one that never could is not."""
    assert plan_of(spain(), spain("es-east")).emptied == (
        EmptiedTerritory("es-south", 0, 0, WHY, "spain"),
        EmptiedTerritory("seville", 0, 0, WHY, None),
    )
    assert plan_of(spain("es-east"), spain("es-east"), *RECORDS).emptied == ()


def test_nothing_is_emptied() -> None:
    """A first model empties nothing, a territory that is removed is told elsewhere, and some records may stay."""
    assert plan_of(None, spain("es-east"), *RECORDS).emptied == ()
    less = compile_model({"org": "acme", "territories": [{"id": "spain"}, {"id": "es-east", "parent": "spain"}]}, 1)
    assert [each.territory_id for each in plan_of(spain(), less, *RECORDS).emptied] == ["es-east"]
    assert plan_of(spain(), spain(south=["41", "29", "28"]), *RECORDS).emptied == ()
    # The record of es-south is gone, but those of seville below it are not.
    assert plan_of(spain(), spain(south=["41", "28"]), *RECORDS).emptied == ()
