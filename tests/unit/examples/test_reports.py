"""Reports over the example's records, decided and counted by the product, against sums straight from its CSV files."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from assigner.assignment.stage import AssignmentFold
from assigner.intake.stage import IntakeFold
from territory.model.compiled import Model, compile_model
from territory.model.document import parse_text
from territory.stage import Effects, InputMessage, Message
from territory.wire.events import Assignment, Record, read_record_change
from territory.wire.topics import FAMILIES, RECORDS
from territory_admin.reports.custom import Custom, grouping_of
from territory_admin.reports.deals import LatestDeals
from territory_admin.reports.fields import DealFields
from territory_admin.reports.standard import Revenue, SalesCycle
from territory_admin.reports.table import Report, ReportTable, Scope

Tables = dict[str, list[dict[str, str]]]
QUARTERS = ("2017-Q1", "2017-Q2", "2017-Q3", "2017-Q4")


@pytest.fixture(scope="module")
def compiled(example: Path) -> Model:
    return compile_model(parse_text((example / "model.yaml").read_text(encoding="utf-8")), 1)


@pytest.fixture(scope="module")
def families(mapping: ModuleType, changes: list[dict[str, Any]]) -> list[Message]:
    """Whole records, as intake says them of the example's changes."""
    intake, effects = IntakeFold(0), Effects()
    for offset, change in enumerate(changes):
        event = read_record_change(mapping.line(change))
        intake.apply(InputMessage(RECORDS.name, event.key, event, {}, 0, 0, offset), {}, effects)
    return [message for message in effects.messages if message.topic == FAMILIES.name]


@pytest.fixture(scope="module")
def deals(compiled: Model, families: list[Message]) -> LatestDeals:
    """The deals as they were assigned."""
    assigning, effects, found = AssignmentFold(), Effects(), LatestDeals(compiled)
    for offset, message in enumerate(families):
        incoming = InputMessage(FAMILIES.name, message.key, message.value, {}, 0, 0, offset)
        assigning.apply(incoming, {compiled.org_id: compiled}, effects)
    for said in effects.messages:
        if isinstance(said.value, Assignment) and said.value.object == "deal":
            found.take(said.key, said.value)
    return found


def reported(report: Report, deals: LatestDeals) -> ReportTable:
    for deal in deals:
        report.take(deal)
    return report.table()


def test_revenue_by_quarter_office_and_product(
    compiled: Model, families: list[Message], deals: LatestDeals, tables: Tables, mapping: ModuleType
) -> None:
    """The same as five lines straight from the CSV: 10 005 534 in 4 238 deals over all quarters (F1, F13)."""
    offices = {mapping.slug(row["sales_agent"]): row["regional_office"] for row in tables["sales_teams"]}
    grouping = grouping_of(compiled, ["period", "user", "product"])
    fields = DealFields(grouping.fields)
    for message in families:
        assert isinstance(message.value, Record)
        fields.take(message.key, message.value)
    fields.end_partition()
    table = reported(Custom(Scope(compiled), ["won", "deals_won"], grouping, fields), deals)
    found: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in table.rows:
        found[str(row["period"]), offices[str(row["user"])], str(row["product"])] += Decimal(row["won"] or 0)

    expected: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for line in (line for line in tables["sales_pipeline"] if line["deal_stage"] == "Won"):
        quarter = f"2017-Q{(int(line['close_date'][3:5]) + 2) // 3}"
        product = line["product"].replace("GTXPro", "GTX Pro")
        expected[quarter, offices[mapping.slug(line["sales_agent"])], product] += int(line["close_value"])

    assert found == expected
    assert {quarter for quarter, _, _ in found} == set(QUARTERS)
    assert table.totals == {"won": "10005534", "deals_won": 4238}


def test_revenue_by_territory_is_that_of_its_accounts(compiled: Model, deals: LatestDeals, tables: Tables) -> None:
    """The top of the tree has what the file has, quarter by quarter, and its areas add up to it (F1, F2)."""
    table = reported(Revenue(Scope(compiled)), deals)
    won = {(row["territory_id"], row["period"]): Decimal(row["won"] or 0) for row in table.rows}
    expected: Counter[str] = Counter()
    for line in tables["sales_pipeline"]:
        if line["deal_stage"] == "Won":
            expected[f"2017-Q{(int(line['close_date'][3:5]) + 2) // 3}"] += int(line["close_value"])
    assert {quarter: won["world", quarter] for quarter in QUARTERS} == expected
    areas = compiled.tree.children_of("world")
    assert {quarter: sum(won[area, quarter] for area in areas) for quarter in QUARTERS} == expected
    assert table.left_out == {"no_close_date": 163, "unassigned": 1425}


def test_sales_cycles_are_those_of_the_file(compiled: Model, deals: LatestDeals, tables: Tables) -> None:
    """Days from engaged to won: number, mean, median and 90th percentile (F13)."""

    def day(text: str) -> date:
        return datetime.strptime(text, "%d-%m-%Y").date()  # noqa: DTZ007 -- a day has no zone

    won = [row for row in tables["sales_pipeline"] if row["deal_stage"] == "Won"]
    days = sorted((day(row["close_date"]) - day(row["engage_date"])).days for row in won)
    table = reported(SalesCycle(Scope(compiled)), deals)
    assert table.totals["deals"] == len(days) == 4238
    assert abs(Fraction(str(table.totals["mean_days"])) - Fraction(sum(days), len(days))) <= Fraction(1, 200)
    assert Decimal(str(table.totals["median_days"])) == Decimal(statistics.median(days))
    assert table.totals["p90_days"] == days[3814]  # the 3815th of 4 238: 0.9 of them is 3 814.2
