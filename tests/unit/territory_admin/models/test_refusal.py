from __future__ import annotations

import pytest

from territory.model.compiled import digest_of
from territory.model.document import pieces_of
from territory.wire.codec import JSON, encode
from territory.wire.events import ACTIVATION, ModelActivated, ModelPiece
from territory.wire.keys import model_key
from territory_admin.models.refusal import refusal_of
from territory_admin.models.topic import ModelLog

SMALL: dict[str, JSON] = {"org": "acme", "territories": [{"id": "world"}]}
SOFT: dict[str, JSON] = {
    "org": "acme",
    "fields": {"account": {"name": "text"}},
    "territories": [{"id": "world", "rules": {"account": {"field": "name", "contains": "soft"}}}],
}


def publish(log: ModelLog, document: dict[str, JSON], revision: int, *, complete: bool = True) -> None:
    """Publish a model's pieces, or all but one of them, and activate all."""
    pieces = pieces_of(document)
    messages = [
        (key, encode(ModelPiece("acme", *key, revision=revision, value=value))) for key, value in sorted(pieces.items())
    ]
    activation = ModelActivated("acme", revision, len(pieces), digest_of(pieces), "2017-01-01T00:00:00Z")
    for key, value in [*messages[: len(messages) if complete else -1], (ACTIVATION, encode(activation))]:
        log.take(revision, model_key("acme", *key).encode(), value)


def test_an_active_model_was_not_refused() -> None:
    """Neither was a model that was never activated."""
    log = ModelLog()
    assert refusal_of(log, "acme", "index") is None
    publish(log, SMALL, 1)
    assert refusal_of(log, "acme", "index") is None


def test_an_activation_with_another_digest_was_refused() -> None:
    """It counts as refused until the next activation that the services accept."""
    log = ModelLog()
    publish(log, SMALL, 1)
    publish(log, SOFT, 2, complete=False)
    refused = refusal_of(log, "acme", "index")
    assert refused is not None
    assert (refused.revision, [fault.path for fault in refused.faults]) == (2, ["activation"])
    publish(log, SOFT, 3)
    assert refusal_of(log, "acme", "index") is None


def test_a_model_with_faults_was_refused() -> None:
    """Another writer may activate a model that `territory apply` would not send."""
    log = ModelLog()
    publish(log, {"org": "acme", "territories": [{"id": "world", "parent": "nowhere"}]}, 1)
    refused = refusal_of(log, "acme", "index")
    assert refused is not None
    assert refused.revision == 1
    assert "nowhere" in str(refused.faults[0])


def test_a_model_that_the_engine_cannot_evaluate_was_refused() -> None:
    """It may have been applied with settings that name another engine."""
    pytest.importorskip("durable", reason="the extra durable is not installed")
    log = ModelLog()
    publish(log, SOFT, 1)
    assert refusal_of(log, "acme", "index") is None
    refused = refusal_of(log, "acme", "durable")
    assert refused is not None
    assert [fault.path for fault in refused.faults] == ["territories[world].rules.account"]
