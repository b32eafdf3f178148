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
    """A model topic as a list of what was sent to it."""

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
def test_a_model_is_in_effect_with_its_activation_and_not_before(document: dict[str, JSON], with_more: bool) -> None:
    """Pieces mean nothing before the activation that speaks of them; those after it wait for the next."""
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


def test_what_the_services_refuse_is_not_in_effect_here_either() -> None:
    """An activation that speaks of other pieces is refused, and the model before it stays; so do its numbers."""
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


def test_an_organisation_without_a_model_is_said_so() -> None:
    """The message names the organisations that have one."""
    topic = Topic()
    for key, value in pieces_of(SMALL).items():
        topic.piece("acme", key, value)
    topic.activate("acme", 1, pieces_of(SMALL))
    with pytest.raises(NotFound, match=r"'other' has no model \(organisations with one: acme\)"):
        topic.log.model_of("other")
