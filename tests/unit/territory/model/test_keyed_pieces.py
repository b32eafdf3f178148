"""A document split into keyed pieces, put together again, and its digest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from territory.model.document import read_document
from territory.model.keyed_pieces import document_of, pieces_of, target_id
from tests.support.strategies import models
from tests.unit.territory.examples import FEW, MODEL, Document


@given(models())
@example(MODEL)
@FEW
def test_pieces_make_the_same_document(document: Document) -> None:
    """The pieces of a document make an equal document, apart from the order of its lists."""
    pieces = pieces_of(document)
    again = document_of(document["org"], pieces)
    assert pieces_of(again) == pieces
    for name, section in document.items():
        if section and isinstance(section, list):
            assert sorted(map(repr, again[name])) == sorted(map(repr, section))  # type: ignore[arg-type]
        elif section:
            assert again[name] == section


def test_kinds_of_pieces() -> None:
    """Every part of a model becomes a piece with its own kind and id."""
    assert set(pieces_of(MODEL)) == {
        ("organisation", "settings"),
        *(("fields", name) for name in ("account", "deal")),
        *(("stage", name) for name in ("Prospecting", "Won")),
        ("rate", "EUR.2017-Q1"),
        *(("role", name) for name in ("ceo", "vp", "rep")),
        *(("user", name) for name in ("ann", "bob", "cleo")),
        *(("territory", name) for name in ("world", "west", "bay")),
        ("group", "00G5e000001AbCd"),
        ("table", "bay-area-zips"),
        ("target", "west:2017-Q1"),
        ("target", "west:2017-Q1:bob"),
        ("frozen", "2016-Q4"),
        ("sharing", "s1"),
    }


@given(st.tuples(*[st.text("ab-.#", min_size=1, max_size=3)] * 2, st.none() | st.text("ab-.#", min_size=1, max_size=3)))
def test_target_ids(target: tuple[str, str, str | None]) -> None:
    """The id of a target's piece determines its territory, period and user."""
    territory, period, *user = target_id(*target).split(":")
    assert (territory, period, user[0] if user else None) == target


@pytest.mark.parametrize("value", [None, [1], "x", {"org": "beta"}, {"roles": 5}, {"currency": "USD", "x": 1}])
def test_the_organisation_piece_can_not_replace_other_sections(value: Any) -> None:
    """Unknown keys in the organisation piece are faults; they never replace the id or a section."""
    document = document_of("acme", {("organisation", "settings"): value, ("role", "ceo"): {"id": "ceo"}})
    assert document["org"] == "acme"
    assert document["roles"] == [{"id": "ceo"}]
    _, faults = read_document(document)
    assert [fault.path for fault in faults] == ["organisation"]
