"""The assigner's output: the territories of each record and the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from territory.model.pieces import ObjectType
from territory.wire.codec import reader_of
from territory.wire.events.event import Event
from territory.wire.keys import record_key

Cause = Literal["rule", "manual", "inherited"]


class Link(Event, frozen=True):
    """A record's membership in one territory, and the reason for it (A10)."""

    territory_id: str
    causes: Annotated[
        tuple[Cause, ...], Field(description="One or more: the same link can come from a rule and from a person.")
    ]
    why: Annotated[
        tuple[str, ...],
        Field(
            description="For a rule, the leaves that held, including those of ancestors, as `territory: leaf`; "
            "otherwise a sentence."
        ),
    ]


class DealFacts(Event, frozen=True):
    """The fields of a deal that forecasts use, unchanged from the upstream CRM."""

    amount: Any = None
    currency: Any = None
    stage: Any = None
    close_date: Any = None
    created_at: Any = None
    probability: Any = None
    forecast_category: Any = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> DealFacts:
        """Pick the facts from a deal's fields."""
        return cls(*map(fields.get, cls.__struct_fields__))


class Assignment(Event, frozen=True):
    """The territories and the owner of one record, and the reasons.

    Topic: territory.assignments.v1, written by the assigner; null when the record is gone.
    Key: `<org>/<object>/<id>`, which also decides the partition.
    """

    org_id: str
    object: ObjectType
    id: str
    version: Annotated[int, Field(ge=1, description="Version of the record that was decided.")]
    model_revision: Annotated[int, Field(ge=1, description="Revision of the model that decided it.")]
    owner_id: str | None
    links: Annotated[tuple[Link, ...], Field(description="In the order of A3; at most one for a deal.")]
    cut: Annotated[tuple[str, ...], Field(description="Territories over max_territories_per_record (A3).")] = ()
    runners_up: Annotated[tuple[str, ...], Field(description="A deal's candidates that were not chosen (A6).")] = ()
    dropped: Annotated[
        tuple[str, ...], Field(description="Manual links to territories that are not in the model (A11).")
    ] = ()
    unassigned: Annotated[str | None, Field(description="For a deal without a link, the reason.")] = None
    deal: DealFacts | None = None
    family: str = ""
    event_id: Annotated[str, Field(description="The upstream event that led to this assignment.")] = ""
    since_ms: Annotated[int, Field(description="When that event happened; 0 for a change of the model.")] = 0
    shared: Annotated[
        tuple[str, ...],
        Field(
            description="Marks of the sharing rules whose criteria hold for the record, sorted (V6): `<rule>#<digest "
            "of the criteria>`. Ignore a mark that the model does not have."
        ),
    ] = ()

    @property
    def key(self) -> str:
        """The record's key."""
        return record_key(self.org_id, self.object, self.id)

    @property
    def territories(self) -> tuple[str, ...]:
        """The linked territories, in order."""
        return tuple(link.territory_id for link in self.links)


read_assignment = reader_of(Assignment)
