"""Decodes a consumed Kafka message into the input of a fold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from territory.errors import BadMessage
from territory.stage import InputMessage
from territory.wire.codec import text_of

if TYPE_CHECKING:  # the command line decodes messages, and starts fast
    from territory_runtime.loop.ports import ConsumedMessage


def decode_message(message: ConsumedMessage, read: Callable[[bytes], Any]) -> InputMessage:
    """Return a decoded message; `read` decodes its value. Raises: BadMessage."""
    key = text_of(message.key or b"")
    if key.count("/") < 2:
        raise BadMessage("wrong_key", f"found key {key[:100]!r}, expected <org>/<object>/<id>")
    headers = (
        {name: (value or b"").decode(errors="surrogateescape") for name, value in message.headers}
        if message.headers
        else {}
    )
    event = None if message.value is None else read(message.value)
    size = len(message.value or b"")
    return InputMessage(message.topic, key, event, headers, message.timestamp, size, message.offset, message.value)
