"""What joins the topics to the stages."""

from __future__ import annotations

import sys

import pytest

from assigner.app import build
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.settings import Settings
from territory_runtime.startup_checks import CannotStart


def test_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told at the start, with the setting and what to install."""
    monkeypatch.setitem(sys.modules, "durable.engine", None)
    monkeypatch.setitem(sys.modules, "durable", None)
    monkeypatch.setitem(sys.modules, "durable_rules_engine", None)
    with pytest.raises(CannotStart, match=r"TERRITORY_ASSIGNER_ENGINE.*install"):
        build(Settings(assigner_engine="durable"), Provisioned(1, ()))
