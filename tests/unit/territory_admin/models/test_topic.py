from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.model.compiled import digest_of
from territory.model.document import PieceKey, pieces_of
from territory.wire.codec import JSON, encode
from territory.wire.events import ACTIVATION, ModelActivated, ModelPiece
from territory.wire.keys import model_key
from territory_admin.errors import NotFound
from territory_admin.models.topic import ModelLog
from tests.support.strategies import models

SMALL: dict[str, JSON] = {"org": "acme", "territories": [{"id": "world"}]}


class Topic:
    """A model topic in memory: each message gets the next offset."""

    def __init__(self) -> None:
        self.log = ModelLog()
        self.offset = 0

    def send(self, key: str, value: object) -> None:
        self.log.take(self.offset, key.encode(), None if value is None else encode(value))
        self.offset += 1

    def piece(self, org_id: str, key: PieceKey, value: JSON, revision: int = 1) -> None:
        self.send(model_key(org_id, *key), ModelPiece(org_id, *key, revision=revision, value=value))

    def activate(self, org_id: str, revision: int, pieces: dict[PieceKey, JSON]) -> None:
        activation = ModelActivated(org_id, revision, len(pieces), digest_of(pieces), "2017-01-01T00:00:00Z")
        self.send(model_key(org_id, *ACTIVATION), activation)


@given(models(), st.booleans())
def test_a_model_is_active_from_its_activation_on(document: dict[str, JSON], with_more: bool) -> None:
    """Pieces have no effect before the activation that covers them; later pieces wait for the next activation."""
    topic = Topic()
    pieces = pieces_of(document)
    for key, value in pieces.items():
        topic.piece("acme", key, value)
    assert topic.log.activated("acme") is None
    assert topic.log.position == -1
    topic.activate("acme", 1, pieces)
    if with_more:
        topic.piece("acme", ("territory", "later"), {"id": "later"}, revision=2)
    model = topic.log.model_of("acme")
    assert model.revision == 1
    assert list(model.territories) == list(model.tree)
    assert "later" not in model.territories
    assert topic.log.position == len(pieces)


def test_an_activation_that_the_services_refuse_is_not_active() -> None:
    """An activation with another digest is refused: the model before it stays active, at its own offset."""
    topic = Topic()
    pieces = pieces_of(SMALL)
    for key, value in pieces.items():
        topic.piece("acme", key, value)
    topic.activate("acme", 4, pieces)
    at = topic.log.position
    topic.activate("acme", 5, {("territory", "other"): {"id": "other"}})
    topic.log.take(99, b"no key", b"no json")
    topic.log.take(99, None, None)
    assert topic.log.model_of("acme").revision == 4
    assert topic.log.position == at
    assert topic.log.revision_of("acme") == 5  # the next revision is still a new one


def test_an_organisation_without_a_model_is_reported() -> None:
    """The error names the organisations that have a model."""
    topic = Topic()
    for key, value in pieces_of(SMALL).items():
        topic.piece("acme", key, value)
    topic.activate("acme", 1, pieces_of(SMALL))
    with pytest.raises(NotFound, match=r"'other' has no model \(organisations with one: acme\)"):
        topic.log.model_of("other")
