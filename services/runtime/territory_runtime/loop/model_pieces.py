"""The pieces of every organisation's model, as the model topic has them; no I/O.

Workers read them through `model_watcher.py`, administrators' use cases on their own.
"""

from __future__ import annotations

from territory.errors import BadMessage
from territory.model.document import PieceKey
from territory.wire.codec import JSON, reader_of
from territory.wire.events import ACTIVATION, ModelActivated, ModelPiece


class Pieces:
    """The latest value of each piece, fed with the messages of the model topic in order."""

    def __init__(self) -> None:
        self._pieces: dict[str, dict[PieceKey, JSON]] = {}
        self._closed_since: dict[str, dict[str, int]] = {}
        self._read_piece = reader_of(ModelPiece)
        self._read_activation = reader_of(ModelActivated)

    def take(self, key: str, value: bytes | None) -> ModelActivated | None:
        """Add one message; return the activation if it is one. Raises: BadMessage."""
        parts = key.split("/", 2)
        if len(parts) != 3:
            raise BadMessage("wrong_key", f"found key {key[:60]!r}, expected <org>/<kind>/<id>")
        org_id, kind, name = parts
        if (kind, name) == ACTIVATION:
            return self._read_activation(value) if value is not None else None
        pieces = self._pieces.setdefault(org_id, {})
        closed_since = self._closed_since.setdefault(org_id, {})
        if value is None:
            pieces.pop((kind, name), None)
            if kind == "frozen":
                closed_since.pop(name, None)
        else:
            piece = self._read_piece(value)
            pieces[kind, name] = piece.value
            if kind == "frozen":  # published when the period was closed, and not again while it stays closed
                closed_since[name] = piece.revision
        return None

    def of(self, org_id: str) -> dict[PieceKey, JSON]:
        """Return a copy of an organisation's pieces."""
        return dict(self._pieces.get(org_id, {}))

    def closed_since(self, org_id: str) -> dict[str, int]:
        """Return a copy of the revisions in which an organisation's closed periods were closed (F12)."""
        return dict(self._closed_since.get(org_id, {}))
