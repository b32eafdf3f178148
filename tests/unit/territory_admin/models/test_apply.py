from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from territory.stage import Message
from territory.wire.codec import encode
from territory.wire.events import ModelActivated
from territory_admin.models.apply import messages_of
from territory_admin.models.changes import changes_between
from territory_admin.models.topic import ModelLog
from territory_admin.models.validate import CheckedModel, check_model
from tests.support.strategies import edited, models

NOW = datetime(2017, 1, 1, tzinfo=UTC)


def sent(log: ModelLog, messages: list[Message], offset: int) -> int:
    """Append messages to the log as the services would read them; return the next offset."""
    for message in messages:
        value = None if message.value is None else encode(message.value)
        log.take(offset, message.key.encode(), value)
        offset += 1
    return offset


def checked(document: Any) -> CheckedModel:
    return check_model(json.dumps(document))


@given(models(), st.lists(st.integers(0, 999), max_size=4))
def test_the_applied_model_is_the_one_that_services_assemble(first: dict[str, Any], seeds: list[int]) -> None:
    """However often a model is edited and applied, the model of the topic is the last one.

    The revision grows by one with every change, and nothing is published without a change.
    """
    log = ModelLog()
    offset = sent(log, messages_of("acme", log, checked(first).pieces, NOW), 0)
    document, revision = first, 1
    for seed in seeds:
        document = edited(document, random.Random(seed))  # noqa: S311 -- not a secret
        after = checked(document)
        is_new = bool(changes_between(log.pieces_of("acme"), after.pieces))
        messages = messages_of("acme", log, after.pieces, NOW)
        assert bool(messages) is is_new
        offset = sent(log, messages, offset)
        revision += is_new
        activated = log.activated("acme")
        assert activated is not None
        assert activated.activation.revision == revision == log.revision_of("acme")
        assert not changes_between(activated.pieces, after.pieces)
        assert log.model_of("acme").targets == after.model.targets
        assert messages_of("acme", log, after.pieces, NOW) == []


def test_only_changes_are_published_and_the_activation_is_last() -> None:
    """Unchanged pieces are not sent again, removed pieces become tombstones, the activation comes last."""
    log = ModelLog()
    first = checked({"org": "acme", "territories": [{"id": "a"}, {"id": "b"}, {"id": "c"}]})
    sent(log, messages_of("acme", log, first.pieces, NOW), 0)
    after = checked({"org": "acme", "territories": [{"id": "a"}, {"id": "b", "priority": 1}, {"id": "d"}]})
    messages = messages_of("acme", log, after.pieces, NOW)
    assert [(message.key, message.value is None) for message in messages] == [
        ("acme/territory/b", False),
        ("acme/territory/d", False),
        ("acme/territory/c", True),
        ("acme/activation/model", False),
    ]
    activation = messages[-1].value
    assert isinstance(activation, ModelActivated)
    assert (activation.revision, activation.pieces) == (2, 4)
    assert activation.activated_at == "2017-01-01T00:00:00.000Z"


def test_a_refused_activation_is_published_again() -> None:
    """If the services refused the activation on the topic, applying the same pieces activates them."""
    log = ModelLog()
    whole = checked({"org": "acme", "territories": [{"id": "a"}]})
    messages = messages_of("acme", log, whole.pieces, NOW)
    wrong = ModelActivated("acme", 1, 0, "no digest", "2017-01-01T00:00:00Z")
    sent(log, [*messages[:-1], Message(messages[-1].topic, messages[-1].key, wrong, 0)], 0)
    again = messages_of("acme", log, whole.pieces, NOW)
    assert [message.key for message in again] == ["acme/activation/model"]
    sent(log, again, 10)
    assert log.model_of("acme").revision == 2


def test_pieces_equal_what_readers_decode() -> None:
    """A number that neither a float nor 64 bits can hold stays text, as the codec decodes it."""
    long = "12345678901234567890123"
    rules = f"{{deal: {{field: x, eq: {long}}}}}"
    model = check_model(f"{{org: acme, fields: {{deal: {{x: number}}}}, territories: [{{id: a, rules: {rules}}}]}}")
    assert model.pieces["territory", "a"] == {"id": "a", "rules": {"deal": {"field": "x", "eq": long}}}
    log = ModelLog()
    sent(log, messages_of("acme", log, model.pieces, NOW), 0)
    assert log.pieces_of("acme") == model.pieces
