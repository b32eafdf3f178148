"""The list of values that cannot be read (C6, F1)."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from territory.criteria.values import FOUND_CHARACTERS_MAX
from territory.model.compiled import compile_model
from territory.wire.events import Record
from territory_admin.queries.unreadable import UnreadableRecords, UnreadableValue, unreadable_in
from tests.support.memory import dice
from tests.support.oracle import read
from tests.support.oracle_values import UNREADABLE
from tests.support.strategies import FIELDS, VALUES
from tests.unit.support.oracle_examples import model

MODEL = compile_model(
    model([{"id": "world"}]) | {"fields": FIELDS, "settings": {"time_zone": "America/Los_Angeles"}}, 1
)


def record(name: str, version: int = 1, *, deleted: bool = False, **fields: Any) -> Record:
    kind, _, record_id = name.partition("/")
    key = f"acme/{name}"
    return Record("acme", kind, record_id, version, 0, deleted, None, None, None, fields, {}, key, 0, "e", 0)  # type: ignore[arg-type]


@given(st.sampled_from(["account", "contact", "lead"]), st.integers(0, 2**32))
def test_every_unreadable_value_of_a_declared_field_is_listed(kind: str, seed: int) -> None:
    """Exactly the values that the oracle can't read are listed, with what was found and expected (C6)."""
    random = dice(seed)
    fields = {name: random.choice(VALUES[of]) for name, of in FIELDS[kind].items() if random.random() < 0.8}
    found = unreadable_in(record(f"{kind}/R", **fields, other=["?"]), MODEL)
    assert [(value.record, value.field, value.expected) for value in found] == [
        (f"{kind}/R", name, f"a {FIELDS[kind][name]}")
        for name in sorted(fields)
        if read(FIELDS[kind][name], fields[name], "America/Los_Angeles") is UNREADABLE
    ]


def test_fields_of_deals_that_forecasts_use() -> None:
    """A deal's amount, date, probability and category are listed, too, each field once (F1, C6)."""
    deal = record("deal/D", amount="1,000", close_date="soon", probability="x", stage="Won", product=["x" * 1000])
    found = {value.field: (value.found, value.expected) for value in unreadable_in(deal, MODEL)}
    assert found.keys() == {"amount", "close_date", "probability", "product"}
    assert found["amount"] == ('"1,000"', "a money")
    assert found["close_date"][0] == '"soon"'
    assert len(found["product"][0]) == FOUND_CHARACTERS_MAX


def test_an_unreadable_time_of_a_change_is_listed() -> None:
    """`occurred_at` that can't be read is listed beside the fields, and beside one of its name (A13, C6)."""
    mine = msgspec.structs.replace(record("account/A", vip="on"), unreadable_occurred_at="yesterday")
    assert unreadable_in(mine, MODEL) == [
        UnreadableValue("account/A", "occurred_at", '"yesterday"', "a date and time such as 2017-03-31T08:00:00Z"),
        UnreadableValue("account/A", "vip", '"on"', "a boolean"),
    ]
    records = UnreadableRecords(MODEL)
    records.take("acme/account/A", mine)
    records.end_partition()
    assert [(field.field, field.values) for field in records.page(10, None).fields] == [("occurred_at", 1), ("vip", 1)]
    named_so = compile_model(model([{"id": "world"}]) | {"fields": {"account": {"occurred_at": "boolean"}}}, 1)
    mine = msgspec.structs.replace(record("account/A", occurred_at="on"), unreadable_occurred_at="yesterday")
    assert {value.found for value in unreadable_in(mine, named_so)} == {'"on"', '"yesterday"'}


def test_entries_vanish_when_the_value_is_mended_or_the_record_is_gone() -> None:
    """A mended value, a deletion and a tombstone remove entries; of two families the newer version counts (C6)."""
    records = UnreadableRecords(MODEL)
    for name in ("account/A", "account/B", "account/C", "account/D"):
        records.take(f"acme/{name}", record(name, vip="on", revenue="much"))
    records.take("acme/account/B", record("account/B", 2, vip="Y"))
    records.take("acme/account/C", record("account/C", 2, deleted=True))
    records.take("acme/account/D", None)
    records.end_partition()
    records.take("acme/account/A", record("account/A", 2, vip="perhaps"))
    records.end_partition()
    assert records.page(10, None).values == (UnreadableValue("account/A", "vip", '"perhaps"', "a boolean"),)


def test_pages() -> None:
    """Pages are in the order of records, end with whole records, and count all values (C6)."""
    records = UnreadableRecords(MODEL)
    for number in range(5):
        records.take(f"acme/account/A{number}", record(f"account/A{number}", vip="on", revenue="much"))
    records.end_partition()
    seen: list[str] = []
    after: str | None = None
    for _ in range(3):
        page = records.page(3, after)
        assert page.total == 10
        assert [(field.object, field.field, field.values) for field in page.fields] == [
            ("account", "revenue", 5), ("account", "vip", 5)
        ]  # fmt: skip
        seen += [value.record for value in page.values]
        after = page.next
    assert after is None
    assert seen == [f"account/A{number}" for number in range(5) for _ in range(2)]
    assert records.page(10, "account/A9").values == ()
