"""What the tests of reports share: an organisation with targets and fields, and histories of its deals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from territory.model.compiled import Model
from territory.wire.events import Assignment
from territory_admin.reports.deals import LatestDeals, ReportedDeal
from territory_admin.reports.table import Report, ReportTable
from tests.support.oracle_forecast import PlacedDeal
from tests.support.oracle_records import Record
from tests.unit.forecast_aggregator.examples import STAGES, TERRITORIES, deal, model_of

Q1, Q2 = "2017-Q1", "2017-Q2"
TARGETS: list[dict[str, Any]] = [
    {"territory": "world", "period": Q1, "amount": "300"},
    {"territory": "west", "period": Q1, "amount": "100"},
    {"territory": "bay", "period": Q1, "amount": "0"},
    {"territory": "bay", "period": Q1, "user": "bob", "amount": "99.5"},
    {"territory": "bay", "period": Q2, "user": "eve", "amount": "100"},
    {"territory": "west", "period": "2017", "amount": "150"},
]
FIELDS: dict[str, Any] = {
    "deal": {"product": "text", "seats": "number", "tags": "set", "trial": "boolean", "user": "text"},
    "account": {"sector": "text", "since": "date", "seen": "datetime", "place": "geo"},
}
DOCUMENT: dict[str, Any] = {
    "org": "acme", "currency": "USD", "roles": [{"id": "rep"}],
    "users": [{"id": name, "name": name.title(), "role": "rep"} for name in ("ann", "bob", "eve")],
    "territories": TERRITORIES, "stages": STAGES, "rates": [{"from": "EUR", "period": Q1, "rate": "1.08"}],
    "targets": TARGETS, "fields": FIELDS,
}  # fmt: skip
"""The organisation in its contract form, for the oracle too."""

History = list[tuple[str, Assignment | None]]
"""Assignments and tombstones of deals, by key."""

_facts = st.fixed_dictionaries(
    {
        "amount": st.sampled_from(["100", 50, "0.1", "-5", "999999999999999999999999999999", "many", None]),
        "currency": st.sampled_from([None, None, "USD", "EUR", "JPY"]),
        "stage": st.sampled_from(["Won", "Won", "Won", "Prospecting", "Engaging", "Signing", "Lost", "Dreaming"]),
        "close_date": st.sampled_from(["2017-02-28", "2017-03-31", "2017-04-01", "soon", None]),
        "created_at": st.sampled_from(["2017-01-01", "2016-10-20T23:30:00-05:00", "2017-04-01", "once", None]),
        "probability": st.sampled_from([None, "0.25", 1, "2"]),
    }
)
_placed = st.sampled_from([None, "world", "west", "bay", "bay", "east", "gone"])
_owners = st.sampled_from([None, "ann", "bob", "eve", "stranger"])
_ids = st.sampled_from([f"D-{number}" for number in range(6)])


@st.composite
def _message(draw: st.DrawFn) -> tuple[str, Assignment | None]:
    deal_id = draw(_ids)
    key = f"acme/deal/{deal_id}"
    if draw(st.integers(0, 9)) == 0:
        return key, None
    version = draw(st.integers(1, 4))
    return key, deal(draw(_placed), deal_id, version=version, owner_id=draw(_owners), **draw(_facts))


histories: st.SearchStrategy[History] = st.lists(_message(), max_size=20)
"""Assignments and tombstones of few deals, stale ones among them."""


def model() -> Model:
    """Return the organisation."""
    return model_of(**{name: DOCUMENT[name] for name in ("users", "targets", "fields")})


def last_of(history: Iterable[tuple[str, Assignment | None]]) -> dict[str, Assignment]:
    """Return the last assignment of each deal that is not older than the one before it."""
    last: dict[str, Assignment] = {}
    for key, assignment in history:
        if assignment is None:
            last.pop(key, None)
        elif key not in last or assignment.version >= last[key].version:
            last[key] = assignment
    return last


def placed_deals(history: Iterable[tuple[str, Assignment | None]]) -> list[PlacedDeal]:
    """Return the deals after a history, as the oracle counts them."""
    territories = {territory["id"] for territory in TERRITORIES}
    deals: list[PlacedDeal] = []
    for assignment in last_of(history).values():
        assert assignment.deal is not None
        fields = {name: getattr(assignment.deal, name) for name in assignment.deal.__struct_fields__}
        where = (
            assignment.territories[0] if assignment.territories and assignment.territories[0] in territories else None
        )
        deals.append(
            (Record("acme", "deal", assignment.id, 1, alive=True, owner_id=assignment.owner_id, fields=fields), where)
        )
    return deals


def deals_of(history: Iterable[tuple[str, Assignment | None]], of: Model | None = None) -> list[ReportedDeal]:
    """Return the deals after a history, as reports count them."""
    deals = LatestDeals(of or model())
    for key, assignment in history:
        deals.take(key, assignment)
    return list(deals)


def reported(report: Report, deals: Iterable[ReportedDeal]) -> ReportTable:
    """Return a report over deals."""
    for each in deals:
        report.take(each)
    return report.table()


def figures(table: ReportTable, *names: str) -> list[tuple[Any, ...]]:
    """Return some columns of a report, row by row."""
    return [tuple(row[name] for name in names) for row in table.rows]


def assignments(*deals: Assignment) -> History:
    """Return a history with one assignment for each deal."""
    return [(each.key, each) for each in deals]
