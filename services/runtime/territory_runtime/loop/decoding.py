"""From a message's bytes to what a fold takes."""

from __future__ import annotations

from territory.errors import BadMessage
from territory.stage import InputMessage
from territory_runtime.loop.ports import ConsumedMessage
from territory_runtime.loop.stage import Reader


def decode_message(message: ConsumedMessage, read: Reader) -> InputMessage:
    """Return a decoded message. Raises: BadMessage."""
    key = (message.key or b"").decode(errors="replace")
    if key.count("/") < 2:
        raise BadMessage("wrong_key", f"found key {key[:100]!r}, expected <org>/<object>/<id>")
    headers = (
        {name: (value or b"").decode(errors="replace") for name, value in message.headers} if message.headers else {}
    )
    event = None if message.value is None else read(message.value)
    size = len(message.value or b"")
    return InputMessage(message.topic, key, event, headers, message.timestamp, size, message.offset)
