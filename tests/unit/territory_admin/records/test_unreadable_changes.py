"""What `publish` says of values that the active model can't read (C6, C9, F1)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.wire.events import RecordChange, read_record_change
from territory_admin.models.apply import messages_of
from territory_admin.models.topic import ModelLog
from territory_admin.records.publish import Census, message_of
from territory_admin.records.unreadable_changes import UnreadableChanges
from tests.support.memory import dice
from tests.support.oracle import read
from tests.support.oracle_values import UNREADABLE
from tests.support.strategies import FIELDS, VALUES
from tests.unit.territory_admin.models.test_apply import NOW, checked, sent

MODEL: dict[str, Any] = {
    "org": "acme",
    "currency": "EUR",
    "settings": {"time_zone": "America/Los_Angeles"},
    "fields": FIELDS,
    "rates": [{"from": "USD", "period": "2017-Q1", "rate": 0.9}],
    "stages": {"Won": {"category": "won", "probability": 1}},
}


def log_of(model: dict[str, Any]) -> ModelLog:
    log = ModelLog()
    sent(log, messages_of("acme", log, checked(model).pieces, NOW), 0)
    return log


LOG = log_of(MODEL)


def line(object_type: str, op: str = "upsert", record_id: str = "R", **changed: Any) -> bytes:
    document = {
        "event_id": "e", "org_id": "acme", "object": object_type, "id": record_id, "version": 1, "op": op,
        "occurred_at": "2017-03-01T10:00:00Z",
    }  # fmt: skip
    return json.dumps(document | changed).encode()


def change(object_type: str, op: str = "upsert", record_id: str = "R", **changed: Any) -> RecordChange:
    return read_record_change(line(object_type, op, record_id, **changed))


def named(*changes: RecordChange, log: ModelLog = LOG) -> tuple[int, list[str]]:
    """Return how many changes carry unreadable values, and the fields of the examples."""
    found = UnreadableChanges(log)
    for each in changes:
        found.count(each)
    return found.changes, [value.field for value in found.examples]


@given(st.sampled_from(["account", "contact", "lead"]), st.sampled_from(["upsert", "patch"]), st.integers(0, 2**32))
def test_a_change_is_counted_if_the_oracle_cannot_read_it(kind: str, op: str, seed: int) -> None:
    """A change is counted once if a declared field can't be read; three values are examples (C6)."""
    random = dice(seed)
    fields = {name: random.choice(VALUES[of]) for name, of in FIELDS[kind].items() if random.random() < 0.8}
    wrong = [
        name for name in sorted(fields) if read(FIELDS[kind][name], fields[name], "America/Los_Angeles") is UNREADABLE
    ]
    assert named(change(kind, op, fields=fields)) == (bool(wrong), wrong[:3])


def test_examples_are_the_first_and_bounded() -> None:
    """All changes are counted, and the first three values are examples with record, field, found and expected (C6)."""
    census = Census("acme", LOG)
    for number in range(5):
        message_of(line("account", record_id=f"A{number}", fields={"vip": "on", "revenue": "much"}), 8, census)
    message_of(line("account", record_id="fine", fields={"vip": True, "other": ["?"]}), 8, census)
    assert census.unreadable.changes == 5
    assert [(value.record, value.field, value.found, value.expected) for value in census.unreadable.examples] == [
        ("acme/account/A0", "revenue", '"much"', "a money"),
        ("acme/account/A0", "vip", '"on"', "a boolean"),
        ("acme/account/A1", "revenue", '"much"', "a money"),
    ]


def test_what_forecasts_use_and_the_time_are_read() -> None:
    """A deal's amount, date and category are read without a declaration, and so is `occurred_at` (F1, A13)."""
    deal = {"amount": "1,0", "close_date": "soon", "forecast_category": "??"}
    assert named(change("deal", fields=deal), log=log_of({"org": "acme"})) == (1, list(deal))
    assert named(change("account", occurred_at="yesterday")) == (1, ["occurred_at"])
    assert named(change("account", "delete", occurred_at="yesterday", fields={"vip": "on"})) == (1, ["occurred_at"])
    assert named(change("account", "delete", fields={"vip": "on"})) == (0, [])


@pytest.mark.parametrize(
    ("op", "fields", "wrong"),
    [
        ("upsert", {"amount": 5, "currency": "USD"}, ["amount"]),
        ("upsert", {"amount": 5, "currency": "USD", "close_date": "2017-03-01"}, []),
        ("patch", {"amount": 5, "currency": "USD"}, []),
        ("patch", {"amount": 5, "currency": "XXX", "close_date": "2017-03-01"}, ["amount"]),
        ("upsert", {"forecast_category": "Closed"}, ["forecast_category"]),
        ("patch", {"forecast_category": "Closed"}, []),
        ("patch", {"forecast_category": "Closed", "stage": "Won"}, []),
        ("patch", {"forecast_category": "??", "stage": "Won"}, ["forecast_category"]),
    ],
)
def test_a_patch_is_not_blamed_for_what_it_leaves_out(op: str, fields: dict[str, Any], wrong: list[str]) -> None:
    """A patch without close date or stage says nothing of money and category that depend on them (C9, F1)."""
    assert named(change("deal", op, fields=fields)) == (bool(wrong), wrong)


def test_without_a_model_nothing_is_said() -> None:
    """Changes of an organisation without a model are not read: no field has a type."""
    assert named(change("account", fields={"vip": "on"}, org_id="beta", occurred_at="yesterday")) == (0, [])
