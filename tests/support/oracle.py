"""The oracle: the end state that a history and a model imply, computed from scratch.

It is slow and obvious on purpose, follows the numbered rules one by one, uses the standard library and
for the shape of the Earth geographiclib, and shares no code with the product. Tests compare the product
with it.

It takes models that are valid already. `expected` knows no frozen periods, which need a history of models
(`oracle_forecast.after_closing`). A model whose rules depend on the
day (C7) has that day, a date, as `today` beside the rest of the document.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from .oracle_assignment import Links, links_of, qualifies, rank, territories_by_rule
from .oracle_criteria import Setting, criteria_holds
from .oracle_forecast import PlacedDeal, attainment_pct, attainments, left_out, period_of
from .oracle_records import Record, key_of, record_after, records_after
from .oracle_tree import Model
from .oracle_values import read
from .oracle_visibility import Level, admins_of, is_admin, paths_of, viewers_of

__all__ = [
    "Expected",
    "Level",
    "Links",
    "Model",
    "PlacedDeal",
    "Record",
    "Setting",
    "admins_of",
    "attainment_pct",
    "attainments",
    "criteria_holds",
    "expected",
    "key_of",
    "left_out",
    "links_of",
    "paths_of",
    "period_of",
    "qualifies",
    "rank",
    "read",
    "record_after",
    "records_after",
    "territories_by_rule",
    "viewers_of",
]

AccessKey = tuple[str, str, str]
AttainmentKey = tuple[str, str, str, str | None]


@dataclass(frozen=True)
class Expected:
    """The end state as plain data, directly comparable.

    Only organisations with a model are in it. Nothing in it is an empty set.
    """

    assignments: dict[str, dict[str, Any]]
    """By key `<org>/<object>/<id>`, every live record: `version owner_id territories causes cut
    runners_up dropped`."""

    visible: dict[AccessKey, set[str]]
    """By (org, user, object) the record ids that the user may at least read; no administrators."""

    editable: dict[AccessKey, set[str]]
    """The subset of `visible` that the user may edit."""

    admins: dict[str, set[str]]
    """By org the active administrators."""

    attainments: dict[AttainmentKey, dict[str, Decimal | int | str | None]]
    """By (org, territory, period, user or None)."""

    left_out: dict[tuple[str, str], str]
    """By (org, deal id) the reason why a deal is in no sum."""


def expected(models: Mapping[str, Mapping[str, Any]], history: Iterable[Mapping[str, Any]]) -> Expected:
    """Return the end state of all organisations that have a model (A9).

    `models` has the last model applied by organisation. `history` has the changes in order of
    arrival per record, duplicates, stale and refused ones included.
    """
    state = Expected({}, {}, {}, {}, {}, {})
    records = records_after(history)
    for org, model in models.items():
        own = {key: record for key, record in records.items() if record.org == org}
        links = {key: links_of(record, own, model) for key, record in own.items()}
        for key, record in own.items():
            state.assignments[key] = _assignment(record, links[key])
            _let_in(state, record, links[key], model)
        if admins_of(model):
            state.admins[org] = admins_of(model)
        deals = [(record, _only(links[key])) for key, record in own.items() if record.object == "deal"]
        for (territory, period, user), row in attainments(deals, model).items():
            state.attainments[org, territory, period, user] = row
        for deal_id, reason in left_out(deals, model).items():
            state.left_out[org, deal_id] = reason
    return state


def _assignment(record: Record, links: Links) -> dict[str, Any]:
    return {"version": record.version, "owner_id": record.owner_id, **asdict(links)}


def _let_in(state: Expected, record: Record, links: Links, model: Model) -> None:
    """Add one record to the sets of every user who sees it; administrators have no sets (V1)."""
    for user, level in viewers_of(record, links.territories, model).items():
        if is_admin(user, model):
            continue
        key = (record.org, user, record.object)
        state.visible.setdefault(key, set()).add(record.id)
        if level == "edit":
            state.editable.setdefault(key, set()).add(record.id)


def _only(links: Links) -> str | None:
    """Return a deal's one territory, if it has one (A3)."""
    return links.territories[0] if links.territories else None
