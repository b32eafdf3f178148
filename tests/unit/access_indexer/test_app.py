"""The wiring of the access indexer."""

from __future__ import annotations

import pytest

from access_indexer.app import build
from access_indexer.drift_monitor import DriftMonitor
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.settings import Settings


@pytest.mark.parametrize(("per_second", "watches"), [(50.0, 1), (0.1, 1), (0.0, 0)])
def test_continuous_verification_can_be_switched_off(per_second: float, watches: int) -> None:
    """The drift monitor runs unless its rate is 0."""
    host = build(Settings(verify_records_per_second=per_second), Provisioned(1, ()))
    assert sum(isinstance(service, DriftMonitor) for service in host._services) == watches
