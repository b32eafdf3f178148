from __future__ import annotations

import json

import pytest

from territory.errors import ModelRefused
from territory_admin.models.validate import check_model


def test_all_faults_of_a_model_are_reported() -> None:
    """A model is refused as a whole, with every fault by its path."""
    with pytest.raises(ModelRefused) as refused:
        check_model("{org: acme, nonsense: 1, territories: [{id: a, parent: b}]}")
    assert [fault.path for fault in refused.value.faults] == ["nonsense", "territories[a].parent"]


def test_a_piece_that_does_not_fit_into_a_message_is_a_fault() -> None:
    """A piece has to fit into one message; the fault names the piece."""
    document = {"org": "acme", "tables": {"zips": ["x" * 100] * 10_000}}
    with pytest.raises(ModelRefused, match=r"tables\[zips\]: takes"):
        check_model(json.dumps(document))


def test_rules_that_the_engine_cannot_evaluate_are_faults() -> None:
    """They are refused before anything is sent, since the assigner would refuse them later (contracts: exit 1)."""
    pytest.importorskip("durable", reason="the extra durable is not installed")
    rule = {"account": {"field": "name", "contains": "soft"}}
    text = json.dumps(
        {"org": "acme", "fields": {"account": {"name": "text"}}, "territories": [{"id": "t", "rules": rule}]}
    )
    assert check_model(text).org_id == "acme"
    with pytest.raises(ModelRefused) as refused:
        check_model(text, "durable")
    assert [fault.path for fault in refused.value.faults] == ["territories[t].rules.account"]
