"""What the tests of the shared language share: a small valid model, random values, what is refused and why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from territory.errors import BadMessage, ModelRefused
from territory.events import RecordChange, read_record_change
from territory.model import Model, compile_model

Document = dict[str, Any]

FIELDS: dict[str, str] = {
    "text": "text",
    "number": "number",
    "money": "money",
    "date": "date",
    "datetime": "datetime",
    "boolean": "boolean",
    "set": "set",
    "geo": "geo",
}
"""One field of every type, named for it."""

CHANGE: Document = {
    "event_id": "9f",
    "org_id": "acme",
    "object": "deal",
    "id": "D-1",
    "version": 17,
    "op": "upsert",
    "occurred_at": "2017-03-01T10:00:00Z",
    "owner_id": "u7",
    "account_id": "A-1",
    "contact_id": None,
    "fields": {
        "amount": "1054.50",
        "currency": "USD",
        "stage": "Won",
        "close_date": "2017-03-01",
        "created_at": "2016-10-20",
    },
}
"""The example of the contract."""

MODEL: Document = {
    "org": "acme",
    "currency": "USD",
    "fiscal_year_start": 1,
    "period": "quarter",
    "settings": {"max_territories_per_record": 3, "territory_access_rolls_up_roles": False},
    "fields": {
        "account": {"country": "text", "revenue": "money", "employees": "number", "sector": "text"},
        "deal": {"product": "text"},
    },
    "stages": {"Prospecting": {"category": "pipeline", "probability": "0.1"}, "Won": {"category": "won"}},
    "rates": [{"from": "EUR", "period": "2017-Q1", "rate": "1.08"}],
    "roles": [{"id": "ceo"}, {"id": "vp", "parent": "ceo"}, {"id": "rep", "parent": "vp"}],
    "users": [
        {"id": "ann", "name": "Ann", "role": "ceo", "admin": True},
        {"id": "bob", "role": "rep"},
        {"id": "cleo", "role": "vp", "active": False},
    ],
    "territories": [
        {"id": "world", "name": "World", "manager": "ann"},
        {
            "id": "west",
            "parent": "world",
            "users": ["bob"],
            "permission": "read_write_delete",
            "priority": 10,
            "rules": {
                "account": {"all": [{"field": "country", "in": ["US", "CA"]}, {"field": "revenue", "ge": 1000000}]},
                "deal": {"field": "product", "starts_with": "GTX"},
            },
        },
        {"id": "bay", "parent": "west", "manager": "bob"},
    ],
    "tables": {"bay-area-zips": ["94102", "94103"]},
    "targets": [
        {"territory": "west", "period": "2017-Q1", "amount": "250000"},
        {"territory": "west", "user": "bob", "period": "2017-Q1", "amount": "90000.50"},
    ],
    "frozen_periods": ["2016-Q4"],
    "sharing": [
        {
            "id": "s1",
            "object": "account",
            "criteria": {"field": "sector", "eq": "medical"},
            "to": {"role_and_below": "vp"},
            "level": "read",
        }
    ],
}
"""A model that says something of everything."""

letters = st.characters(codec="ascii") | st.sampled_from("ÄéßÅＡﬁ½²\u00a0\u0301\u200bİıΣς日🏠")
"""ASCII, and letters that normalisation or folding changes."""
texts = st.text(letters, max_size=8)
long_decimals = st.decimals(-(10**29), 10**29, allow_nan=False, places=12)
numbers = (
    st.integers(-(10**31), 10**31)
    | st.floats(allow_nan=True, allow_infinity=True)
    | long_decimals.map(str)
    | st.integers(-20, 20)
)
days = st.dates().map(str)
instants = st.datetimes(timezones=st.just(None)).map(lambda instant: f"{instant.isoformat()}Z")
scalars = (
    st.none()
    | st.booleans()
    | numbers
    | texts
    | days
    | instants
    | st.sampled_from(["", " ", "12", " 12.50 ", "1e3", "NaN", "2017-02-29", "9", "80000", "true"])
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
"""Any JSON value, those among them that a field of some type would take."""


def compiled(**changes: Any) -> Model:
    """Return the example as a model, some of its sections replaced."""
    return compile_model({**MODEL, **changes}, 1)


def faults_of(document: Any) -> dict[str, str]:
    """Return what a model is refused for, by path; more faults of one path are joined."""
    with pytest.raises(ModelRefused) as refused:
        compile_model(document, 1)
    found: dict[str, str] = {}
    for fault in refused.value.faults:
        found[fault.path] = f"{found[fault.path]}; {fault.message}" if fault.path in found else fault.message
    return found


def with_changes(**changes: Any) -> RecordChange:
    """Return the example of a change as it is read, some of its attributes replaced."""
    return read_record_change(json.dumps({**CHANGE, **changes}).encode())


def code_of(raw: bytes) -> str:
    """Return the code that the bytes of a change are refused with."""
    with pytest.raises(BadMessage) as refused:
        read_record_change(raw)
    return refused.value.code
