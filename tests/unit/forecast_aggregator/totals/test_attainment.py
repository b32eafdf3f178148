"""The arithmetic of an attainment."""

from __future__ import annotations

import pytest

from forecast_aggregator.totals.attainment import total_of, with_part
from territory.wire.events import Attainment, Partial
from tests.unit.forecast_aggregator.examples import Q1, partial


def total(*parts: Partial) -> Attainment:
    found = total_of({part.source: part for part in parts})
    assert found is not None
    return found


def test_nothing_adds_up_to_nothing() -> None:
    """Without deals and without a target there is no attainment (F6)."""
    assert total_of({}) is None


def test_sums_of_all_sources() -> None:
    """Sums add up over partitions; the newest model revision is shown (F1)."""
    assert total(
        partial(0, won="100.10", weighted="0.5", deals_won=2, revision=4),
        partial(1, won="0.90", pipeline="7", deals_won=1, revision=3),
    ) == Attainment(
        org_id="acme", territory_id="west", period=Q1, user_id=None, model_revision=4, target=None, won="101",
        pipeline="7", best_case="0", committed="0", weighted="0.5", won_by_others="0", deals_won=3,
        attainment_pct=None, gap=None, shortage=None,
    )  # fmt: skip


def test_target_comes_from_one_source() -> None:
    """Only the home partition has the target (F6)."""
    found = total(partial(0, won="50"), partial(1, target="200"), partial(2, won="10"))
    assert (found.target, found.won, found.attainment_pct) == ("200", "60", "30.00")


@pytest.mark.parametrize(
    ("target", "won", "pipeline", "stands"),
    [
        (None, "60", "10", (None, None, None)),
        ("0", "60", "10", (None, "0", "0")),
        ("100", "60", "10", ("60.00", "40", "30")),
        ("100", "60", "60", ("60.00", "40", "0")),
        ("100", "130", "0", ("130.00", "0", "0")),
        ("100", "-10", "0", ("-10.00", "110", "110")),
        ("3", "1", "0", ("33.33", "2", "2")),
        ("800", "1", "0", ("0.12", "799", "799")),
        ("800", "3", "0", ("0.38", "797", "797")),
        ("0.3", "0.1", "0.1", ("33.33", "0.2", "0.1")),
    ],
)
def test_against_a_target(
    target: str | None, won: str, pipeline: str, stands: tuple[str | None, str | None, str | None]
) -> None:
    """Per cent, gap, shortage: no target or 0 is no division, neither is negative, half goes to even (F6, F7)."""
    found = total(partial(target=target, won=won, pipeline=pipeline))
    assert (found.attainment_pct, found.gap, found.shortage) == stands


def test_only_pipeline_covers_a_gap() -> None:
    """Best case and committed do not reduce the shortage (F7)."""
    assert total(partial(target="100", best_case="500", committed="500")).shortage == "100"


def test_no_digit_is_lost() -> None:
    """Sum and gap keep every digit (F10)."""
    found = total(
        partial(0, won="99999999999999999999999999999"), partial(1, won="0.000000000001", target="1" + "0" * 29)
    )
    assert found.won == "99999999999999999999999999999.000000000001"
    assert found.gap == "0.999999999999"


def test_last_partial_of_a_source_counts() -> None:
    """It replaces the source's earlier partial, None removes it, and the input is not modified (F9)."""
    parts = with_part({}, 0, partial(0, won="1"))
    assert with_part(parts, 0, partial(0, won="2")) == {0: partial(0, won="2")}
    assert with_part(parts, 1, partial(1, won="2")) == {0: partial(0, won="1"), 1: partial(1, won="2")}
    assert with_part(parts, 0, None) == {}
    assert with_part(parts, 1, None) == parts == {0: partial(0, won="1")}
