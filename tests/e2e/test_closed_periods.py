"""Closed periods on real servers: their figures stay through crashes, and what changes since is told."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import redis

from tests.e2e.test_faults import MODEL, ORG, histories
from tests.support.house import House

pytestmark = [pytest.mark.kafka]

FIGURES = ("target", "won", "pipeline", "best_case", "committed", "weighted", "won_by_others", "deals_won")


def figures(house: House, period: str) -> dict[Any, list[Any]]:
    """Return the figures of all territories and people in a period, as Redis has them."""
    return {
        place: [row.get(name) for name in FIGURES if name in row]
        for place, row in house.found(ORG).attainments.items()
        if place[1] == period
    }


def test_closed_period_outlives_crashes(kafka_house: House) -> None:
    """Figures stay while deals change and the aggregator is killed; open again, they are the live ones (F12)."""
    house, changes = kafka_house, histories(seed=5)
    house.apply(MODEL)
    house.start_all()
    house.publish(list(islice(changes, 2_000)))
    house.wait()
    places = sorted({place[1] for place in house.found(ORG).attainments if "-" in place[1]})  # no fiscal years
    period = max(places, key=lambda each: len(figures(house, each)))
    then = figures(house, period)
    house.apply(MODEL | {"frozen_periods": [period]})
    house.wait()
    assert figures(house, period) == then
    house.publish(list(islice(changes, 1_000)))
    house.kill("forecast_aggregator")
    house.publish(list(islice(changes, 500)))
    house.start("forecast_aggregator")
    house.wait()
    now = figures(house, period)
    assert {place: now[place] for place in then} == then
    rows = house.found(ORG).attainments
    assert any(row["adjustment_won"] not in (None, "0") for place, row in rows.items() if place[1] == period)
    with redis.Redis.from_url(house.settings.redis_url.get_secret_value(), decode_responses=True) as client:
        assert client.hlen(f"adjustments:{{{ORG}}}") > 0
        house.apply(MODEL)
        house.wait()
        assert not client.exists(f"adjustments:{{{ORG}}}")
    assert figures(house, period) != then
