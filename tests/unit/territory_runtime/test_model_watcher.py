"""Pieces become a model when their activation comes, whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from territory.codec import encode
from territory.documents import pieces_of
from territory.errors import BadMessage, ModelRefused
from territory.events import ACTIVATION, ModelActivated, ModelPiece
from territory.keys import model_key
from territory.model import digest_of
from territory_runtime.model_watcher import Pieces, activated_model

DOCUMENT: dict[str, Any] = {
    "org": "acme",
    "roles": [{"id": "r"}],
    "users": [{"id": "u", "role": "r"}],
    "territories": [{"id": "t", "manager": "u"}],
}


def _take_all(pieces: Pieces, document: dict[str, Any]) -> ModelActivated:
    values = pieces_of(document)
    for (kind, name), value in values.items():
        taken = pieces.take(model_key("acme", kind, name), encode(ModelPiece("acme", kind, name, 1, value)))
        assert taken is None
    activation = ModelActivated("acme", 1, len(values), digest_of(values), "2026-01-01T00:00:00Z")
    taken = pieces.take(model_key("acme", *ACTIVATION), encode(activation))
    assert taken == activation
    return activation


def test_pieces_add_up_to_the_document() -> None:
    """What was applied is what is activated."""
    pieces = Pieces()
    model = activated_model(_take_all(pieces, DOCUMENT), pieces.of("acme"))
    assert list(model.territories) == ["t"]
    assert model.territories["t"].members == {"u"}


def test_a_missing_piece_is_no_model() -> None:
    """An activation whose pieces are not all there activates nothing."""
    pieces = Pieces()
    activation = _take_all(pieces, DOCUMENT)
    pieces.take(model_key("acme", "territory", "t"), None)
    with pytest.raises(ModelRefused):
        activated_model(activation, pieces.of("acme"))


def test_a_piece_of_half_an_apply_changes_nothing_yet() -> None:
    """Pieces mean nothing before the activation that follows them: what was taken earlier stays whole."""
    pieces = Pieces()
    activation = _take_all(pieces, DOCUMENT)
    before = pieces.of("acme")
    pieces.take(model_key("acme", "territory", "t2"), encode(ModelPiece("acme", "territory", "t2", 2, {"id": "t2"})))
    assert activated_model(activation, before).territories.keys() == {"t"}


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("acme", b"{}", "wrong_key"),
        ("acme/territory/t", b"not json", "not_json"),
        ("acme/territory/t", b'{"org_id": 1}', "wrong_type"),
        ("acme/activation/model", b"{}", "wrong_type"),
    ],
)
def test_what_is_no_piece_is_refused(key: str, value: bytes, code: str) -> None:
    """A message that is neither piece nor activation is refused by name."""
    with pytest.raises(BadMessage) as refused:
        Pieces().take(key, value)
    assert refused.value.code == code
