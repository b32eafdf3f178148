"""Validates a model that is written as YAML or JSON, before it is planned or applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from territory.errors import ModelRefused
from territory.model.compiled import Model, compile_model
from territory.model.document import PieceKey, pieces_of, read_text
from territory.wire.codec import JSON, decode, encode
from territory_admin.models.today import of_today

if TYPE_CHECKING:
    from assigner.matching.engines import EngineName


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A whole model without faults."""

    org_id: str
    model: Model
    pieces: dict[PieceKey, JSON]
    """Its pieces, as they are read back from the model topic."""


def check_model(text: str, engine: EngineName = "index") -> CheckedModel:
    """Return the model that a YAML or JSON text describes.

    Args:
        text: The document.
        engine: The assigner's criteria engine. Its workers refuse a model with rules that it can't evaluate,
            while the other services would already use that model.

    Raises: ModelRefused with every fault, with its line and column in the text.
    """
    written = read_text(text)
    try:
        model = compile_model(written.value, 1)
        check_engine(model, engine)
    except ModelRefused as refused:
        raise ModelRefused(written.located(refused.faults)) from refused
    if written.faults:
        raise ModelRefused(written.faults)
    pieces: dict[PieceKey, JSON] = {
        key: decode(encode(value))
        for key, value in pieces_of(written.value).items()  # type: ignore[arg-type]  # a valid document is a mapping
    }
    return CheckedModel(model.org_id, model, pieces)


def check_engine(model: Model, engine: EngineName) -> None:
    """Raises: ModelRefused with every rule that the engine can't evaluate; EngineMissing when it is not installed."""
    if engine == "durable":  # the others evaluate every rule
        from assigner.assignment.policy import AssignmentPolicy  # noqa: PLC0415 -- the matchers take long to import

        AssignmentPolicy(of_today(model), engine)
