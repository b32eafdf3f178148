"""The wiring of the forecast aggregator."""

from __future__ import annotations

import pytest

from forecast_aggregator.app import build
from forecast_aggregator.drift_monitor import SumsMonitor
from forecast_aggregator.partials.audit import DRIFT_KINDS
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.metrics import REGISTRY
from territory_runtime.settings import Settings


@pytest.mark.parametrize(("per_second", "monitors"), [(50.0, 1), (0.0, 0)])
def test_continuous_verification_can_be_switched_off(per_second: float, monitors: int) -> None:
    """The drift monitor runs unless its rate is 0."""
    host = build(Settings(verify_records_per_second=per_second), Provisioned(1, ()))
    assert sum(isinstance(service, SumsMonitor) for service in host._services) == monitors


def test_drift_metric_starts_at_zero() -> None:
    """A series that starts above 0 shows no increase, so the first drift would raise no alert."""
    build(Settings(), Provisioned(1, ()))
    for kind in DRIFT_KINDS:
        assert REGISTRY.get_sample_value("territory_forecast_drift_total", {"kind": kind}) is not None
