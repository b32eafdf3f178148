"""Finds out whether the services refused the model that was activated last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from territory.errors import Fault, ModelRefused
from territory.model.compiled import assemble
from territory_admin.models.topic import ModelLog, model_topic
from territory_admin.models.validate import check_engine

if TYPE_CHECKING:
    from assigner.matching.engines import EngineName
    from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Refusal:
    """An activation that the services refused; the model before it stays in effect."""

    revision: int
    faults: tuple[Fault, ...]


async def refusal(settings: Settings) -> Refusal | None:
    """Return why the services refused the newest activation of the settings' organisation; None if they did not.

    Raises: KafkaError.
    """
    async with model_topic(settings) as topic:
        await topic.read_on()
        return refusal_of(topic.log, settings.org_id, settings.assigner_engine)


def refusal_of(log: ModelLog, org_id: str, engine: EngineName) -> Refusal | None:
    """Return why the newest activation was refused; None if it was not, as far as can be known here.

    Services report refusals in their logs and metrics only, so this repeats their checks. A service that
    runs another criteria engine may come to another result.
    """
    from assigner.matching.port import EngineMissing  # noqa: PLC0415 -- the matchers take long to import

    newest, activated = log.newest(org_id), log.activated(org_id)
    if newest is None:
        return None
    if activated is None or activated.activation is not newest:
        fault = Fault("activation", "its digest is not that of the pieces on the topic; apply the model again")
        return Refusal(newest.revision, (fault,))
    try:
        check_engine(assemble(org_id, newest.revision, activated.pieces), engine)
    except ModelRefused as refused:
        return Refusal(newest.revision, refused.faults)
    except EngineMissing:
        return None
    return None
