"""The forecast aggregator's events: partial sums, frozen figures of closed periods, and attainments."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from territory.model.pieces import Category
from territory.wire.codec import reader_of
from territory.wire.events.event import Event

Amount = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="An exact decimal, as text.")]

SUMS = ("won", "pipeline", "best_case", "committed", "weighted", "won_by_others")
LeftOutReason = Literal["unassigned", "unknown_stage", "no_amount", "no_close_date", "missing_rate"]
OPEN_CATEGORIES: tuple[Category, ...] = ("pipeline", "best_case", "committed")


class Counted(Event, frozen=True):
    """One deal's contribution to one period."""

    path: Annotated[tuple[str, ...], Field(description="The deal's territory and its ancestors.")]
    category: Category
    amount: Decimal
    weighted: Decimal
    owner_id: str | None
    by_others: bool


class FrozenTarget(Event, frozen=True):
    """The target of a territory, or of a user in it, at the time its period was closed."""

    territory_id: str
    period: str
    user_id: str | None
    amount: Decimal
    mismatch: Decimal | None


class Frozen(Event, frozen=True):
    """Figures of closed periods in one partition (F12): of one deal, of one target, or the list of periods.

    Topic: territory.internal.frozen.v1, written by the forecast aggregator for itself in the
    partition of the deals; null when nothing of the key is in a closed period. Figures of a period
    count only while `periods` names that period.
    """

    org_id: str
    deal_id: str | None = None
    counted: Annotated[
        dict[str, Counted] | None, Field(description="By period, the deal's contribution when the period was closed.")
    ] = None
    target: FrozenTarget | None = None
    periods: Annotated[
        tuple[str, ...] | None, Field(description="The closed periods whose deals and targets have all been written.")
    ] = None
    since: Annotated[
        dict[str, int] | None,
        Field(description="By closed period, the model revision that closed it; 0: not known."),
    ] = None


read_frozen = reader_of(Frozen)


class FrozenPart(Event, frozen=True):
    """One partition's contribution to one attainment at the time its period was closed."""

    sums: dict[str, Decimal]
    deals_won: int
    target: Decimal | None
    target_mismatch: Decimal | None


class Partial(Event, frozen=True):
    """One partition's contribution to one attainment, as absolute sums: repeating the message changes nothing.

    Topic: territory.internal.partials.v1, written by the forecast aggregator for itself;
    null when the partition no longer contributes.
    """

    org_id: str
    territory_id: str
    period: str
    user_id: str | None
    source: Annotated[int, Field(description="The partition of territory.assignments.v1 that holds the deals.")]
    model_revision: int
    target: Annotated[Decimal | None, Field(description="Only one partition sends it, the attainment's home.")]
    sums: dict[str, Decimal]
    deals: Annotated[int, Field(description="Number of deals in any of the sums.")]
    deals_won: int
    target_mismatch: Annotated[
        Decimal | None,
        Field(description="Sent with a territory's target: the target less those below it (F5)."),
    ] = None
    frozen: Annotated[
        FrozenPart | None,
        Field(description="The contribution when the period was closed; null while the period is open (F12)."),
    ] = None


class SourceSwept(Event, frozen=True):
    """Marks the start or the end of a source's republication; earlier partials not repeated between are void.

    Topic: territory.internal.partials.v1, sent to every partition.
    """

    org_id: str
    source: int
    ended: bool


_read_partial, _read_swept = reader_of(Partial), reader_of(SourceSwept)


def read_partial(raw: bytes) -> Partial | SourceSwept:
    """Decode either kind of event on territory.internal.partials.v1.

    Raises: BadMessage (not_json, wrong_type).
    """
    event: Partial | SourceSwept = _read_partial(raw) if b'"sums"' in raw else _read_swept(raw)
    return event


class Attainment(Event, frozen=True):
    """The sales figures of a territory, or of a user in it, for one period against the target (F1 to F7).

    Topic: territory.attainments.v1, written by the forecast aggregator; null when it is gone.
    Key: `<org>/<territory>/<period>[/<user>]`. Amounts are in the organisation's currency.
    Figures that need a target are null without one.
    """

    org_id: str
    territory_id: str
    period: str
    user_id: str | None
    model_revision: int
    target: Amount | None
    won: Amount
    pipeline: Amount
    best_case: Amount
    committed: Amount
    weighted: Amount
    won_by_others: Amount
    deals_won: int
    attainment_pct: Annotated[str | None, Field(description="Two decimals; null: no target (F6).")]
    gap: Amount | None
    shortage: Amount | None
    coverage: Annotated[
        str | None, Field(description="Pipeline / gap, two decimals; null: no gap or no target (F7).")
    ] = None
    target_mismatch: Annotated[
        Amount | None,
        Field(
            description="A territory's target less the targets of its children and of its users; 0: they agree; "
            "null: no target (F5)."
        ),
    ] = None
    star_performer: Annotated[
        bool, Field(description="True if there is a target and at least as much was won (F8).")
    ] = False
    frozen: Annotated[
        bool, Field(description="True if the period is closed: the figures are those of the closing (F12).")
    ] = False
    adjustment_target: Annotated[
        Amount | None,
        Field(
            description="The present target less the frozen one. All eight adjustments are null while the period is "
            "open."
        ),
    ] = None
    adjustment_won: Amount | None = None
    adjustment_pipeline: Amount | None = None
    adjustment_best_case: Amount | None = None
    adjustment_committed: Amount | None = None
    adjustment_weighted: Amount | None = None
    adjustment_won_by_others: Amount | None = None
    adjustment_deals_won: int | None = None


read_attainment = reader_of(Attainment)
