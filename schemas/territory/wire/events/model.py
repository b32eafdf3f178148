"""A model on its topic: its pieces, and the message that activates them together."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from territory.wire.events.event import Event

ACTIVATION = ("activation", "model")
"""Kind and id in the key of an activation."""


class ModelPiece(Event, frozen=True):
    """One piece of a model; it takes effect with the activation that follows it.

    Topic: territory.model.v1, written by `territory apply` in one transaction with its
    activation; null when the piece is removed. Key: `<org>/<kind>/<id>`.
    """

    org_id: str
    kind: str
    id: str
    revision: int
    value: Any


class ModelActivated(Event, frozen=True, omit_defaults=True):
    """Makes all pieces before it one model with this revision, or removes the organisation (A12).

    Topic: territory.model.v1. Key: `<org>/activation/model`.
    """

    org_id: str
    revision: Annotated[int, Field(ge=1)]
    pieces: Annotated[int, Field(ge=0, description="Number of pieces in the model.")]
    digest: Annotated[str, Field(description="SHA-256 over the pieces in key order.")]
    activated_at: Annotated[str, Field(description="RFC 3339.")]
    removed: Annotated[
        bool,
        Field(
            description="True: the organisation is removed with all that is of it; its pieces have tombstones. "
            "It stays as the last message of the organisation."
        ),
    ] = False
