"""The assigner's service."""

from __future__ import annotations

import sys

import pytest

from assigner.app import build
from assigner.intake.stage import IntakeFold
from territory.stage import InputMessage
from territory.wire import topics
from territory.wire.events import Record
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.settings import Settings
from territory_runtime.startup_checks import CannotStart


def test_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing engine ends the start, naming the setting and what to install."""
    monkeypatch.setitem(sys.modules, "durable.engine", None)
    monkeypatch.setitem(sys.modules, "durable", None)
    monkeypatch.setitem(sys.modules, "durable_rules_engine", None)
    with pytest.raises(CannotStart, match=r"TERRITORY_ASSIGNER_ENGINE.*install"):
        build(Settings(assigner_engine="durable"), Provisioned(1, ()))


def test_intake_answers_point_queries() -> None:
    """With the record as it was last accepted, and nothing for one that its partition does not have."""
    [queried] = build(Settings(), Provisioned(1, ()))._queried
    fold = IntakeFold(0)
    record = Record(
        org_id="acme", object="deal", id="D-1", version=7, link_version=0, deleted=False, owner_id="u1",
        account_id=None, contact_id=None, fields={}, links={}, family="acme/deal/D-1", intake_partition=0,
        event_id="e", since_ms=0,
    )  # fmt: skip
    fold.restore(InputMessage(topics.RECORD_STATES.name, record.key, record, {}))
    assert queried.name == "assigner-intake"
    assert queried.lookup(fold, record.key) == record
    assert queried.lookup(fold, "acme/deal/D-2") is None
