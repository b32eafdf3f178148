from __future__ import annotations

import asyncio

import pytest

from territory_admin.consistency.rebuild import rebuild
from territory_admin.errors import Refused
from territory_runtime.settings import read_settings


def test_a_rebuild_on_a_cluster_is_refused() -> None:
    """The error says what to do instead, before any server is connected."""
    settings = read_settings({"TERRITORY_REDIS_CLUSTER": "true"})
    with pytest.raises(Refused, match="territory verify --repair"):
        asyncio.run(rebuild(settings, timeout_seconds=1, report=lambda _: None))
