"""What a removal publishes, and what it deletes from Redis (A12)."""

from __future__ import annotations

import asyncio
import fnmatch
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from territory.model.compiled import pieces_of_model
from territory.wire.codec import encode
from territory.wire.events import ModelActivated
from territory_admin.errors import NotFound
from territory_admin.models.apply import messages_of
from territory_admin.models.removal import clean_redis, removal_messages, require_known
from territory_admin.models.topic import ModelLog

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
PIECES = pieces_of_model({"org": "acme", "roles": [{"id": "ceo"}], "users": [{"id": "ann", "role": "ceo"}]})


def send(log: ModelLog, messages: list[Any], offset: int) -> int:
    for message in messages:
        value = None if message.value is None else encode(message.value)
        log.take(offset, message.key.encode(), value)
        offset += 1
    return offset


def test_a_removal_takes_every_piece_and_leaves_itself() -> None:
    """Tombstones of all pieces, then the removal, which counts as the newest position; revisions go on rising."""
    log = ModelLog()
    end = send(log, messages_of("acme", log, PIECES, NOW), 0)
    removal = removal_messages("acme", log, NOW)
    assert len(removal) == len(PIECES) + 1
    assert all(message.value is None for message in removal[:-1])
    assert isinstance(removal[-1].value, ModelActivated)
    assert removal[-1].value.removed
    end = send(log, removal, end)
    assert (log.position, log.removed_at("acme"), log.revision_of("acme")) == (end - 1, end - 1, 2)
    assert log.activated("acme") is None
    with pytest.raises(NotFound, match="has no model"):
        log.required("acme")
    send(log, messages_of("acme", log, PIECES, NOW), end)
    assert log.removed_at("acme") is None
    assert log.required("acme").activation.revision == 3


def test_an_organisation_that_was_never_there_is_not_found() -> None:
    """A typing error removes nothing; a removed organisation can be removed again, to end an interrupted run."""
    log = ModelLog()
    end = send(log, messages_of("acme", log, PIECES, NOW), 0)
    with pytest.raises(NotFound, match="'acne' is unknown"):
        require_known(log, "acne")
    send(log, removal_messages("acme", log, NOW), end)
    require_known(log, "acme")


class Keys:
    """Redis with keys alone."""

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)

    async def execute_command(self, name: str, *arguments: Any) -> Any:
        assert name == "SCAN"
        pattern = re.sub(r"\\(.)", r"\1", str(arguments[2]))
        return 0, sorted(fnmatch.filter(self.keys, pattern))

    async def unlink(self, key: str) -> int:
        self.keys.remove(key)
        return 1


def test_all_keys_of_the_organisation_go_and_no_others() -> None:
    """Every key with its hash tag; not those of organisations whose ids begin or end alike, and no fence."""
    others = {"visible:{acme2:ann}:deal", "index:{my.acme}", "index:{acme-2}", "fence:{7}:indexer:1", "fence:x:1"}
    client: Any = Keys(
        *others, "visible:{acme:ann}:deal", "editable:{acme:a:b}:deal", "admins:{acme}", "record:{acme:deal:1}",
        "attainment:{acme}:w:2017", "index:{acme}", "left_out:{acme}", "adjustments:{acme}", "rebuild:{acme}:1:x",
    )  # fmt: skip
    assert asyncio.run(clean_redis(client, "acme")) == 9
    assert client.keys == others
