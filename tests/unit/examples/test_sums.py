"""The sums of the example's deals by the product's own two steps, beside a few lines over the CSV file."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from forecast_aggregator.partials.stage import PartialSumsFold
from forecast_aggregator.totals.stage import AttainmentFold
from territory.model.compiled import compile_model
from territory.stage import Effects, InputMessage
from territory.wire import topics
from territory.wire.events import Assignment, Attainment, DealFacts, Link
from tests.support import oracle

Table = list[dict[str, str]]
Rows = dict[tuple[str, str, str | None], Attainment]


@pytest.fixture(scope="module")
def placed(changes: list[dict[str, Any]], model: dict[str, Any]) -> list[oracle.PlacedDeal]:
    """Every deal, and the territory that the rules put it in."""
    records = oracle.records_after(changes)
    deals = {key: record for key, record in records.items() if record.object == "deal"}
    return [(deal, next(iter(oracle.links_of(deal, records, model).territories), None)) for deal in deals.values()]


@pytest.fixture(scope="module")
def rows(placed: list[oracle.PlacedDeal], model: dict[str, Any]) -> Rows:
    """Every attainment as the product sums it, deals in two partitions."""
    compiled, totals, effects = compile_model(model, 1), AttainmentFold(), Effects()
    folds = [PartialSumsFold(number, 2) for number in range(2)]
    for number, (deal, territory) in enumerate(placed):
        links = () if territory is None else (Link(territory, ("rule",), ()),)
        said = Assignment(
            deal.org, "deal", deal.id, deal.version, 1, deal.owner_id, links, deal=DealFacts.of(dict(deal.fields))
        )
        folds[number % 2].apply(InputMessage(topics.ASSIGNMENTS.name, said.key, said, {}), {}, Effects())
    for fold in folds:
        for swept in fold.sweep(compiled, 1_000):
            fold.flush({compiled.org_id: compiled}, swept)
            effects.add(swept)
    for message in effects.messages:
        totals.apply(InputMessage(message.topic, message.key, message.value, {}), {}, Effects())
    found: Rows = {}
    for place in totals.keys(compiled.org_id):
        attainment = totals.attainment(place)
        assert attainment is not None
        found[place[1:]] = attainment
    return found


def quarter_of(row: dict[str, str]) -> str:
    _, month, year = row["close_date"].split("-")
    return f"{year}-Q{(int(month) + 2) // 3}"


def test_every_quarter_is_that_of_the_file(rows: Rows, tables: dict[str, Table]) -> None:
    """The root has won what the file's won deals come to, 10 005 534 in 4 238 deals (F1, F2)."""
    won: dict[str, list[Decimal]] = defaultdict(list)
    for row in tables["sales_pipeline"]:
        if row["deal_stage"] == "Won":
            won[quarter_of(row)].append(Decimal(row["close_value"]))
    for quarter, amounts in won.items():
        world = rows["world", quarter, None]
        assert (Decimal(world.won), world.deals_won) == (sum(amounts), len(amounts))
    assert (sum(map(sum, won.values())), sum(map(len, won.values()))) == (10_005_534, 4_238)


def test_every_regional_office_is_that_of_the_file(rows: Rows, tables: dict[str, Table], model: dict[str, Any]) -> None:
    """What its agents won in all territories, each deal in one of them (F2, F4)."""
    offices = {row["sales_agent"]: row["regional_office"] for row in tables["sales_teams"]}
    wanted: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in tables["sales_pipeline"]:
        if row["deal_stage"] == "Won":
            wanted[offices[row["sales_agent"]], quarter_of(row)] += Decimal(row["close_value"])
    names = {user["id"]: user["name"] for user in model["users"]}
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (_, quarter, user), attainment in rows.items():
        if user is not None and attainment.deals_won and "-" in quarter:
            found[offices[names[user]], quarter] += Decimal(attainment.won)
    assert found == wanted


def test_every_territory_is_the_oracles(rows: Rows, placed: list[oracle.PlacedDeal], model: dict[str, Any]) -> None:
    """Quarter by quarter, with what is open, and against its target (F1 to F8)."""
    wanted = oracle.attainments(placed, model)
    assert rows.keys() == wanted.keys()
    for place, figures in wanted.items():
        for name, figure in figures.items():
            found = getattr(rows[place], name)
            assert (found if figure is None or not isinstance(figure, Decimal) else Decimal(found)) == figure
