"""Shared by the tests of the language: a small valid model, random values and events, and refusals."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from territory.errors import BadMessage, Fault, ModelRefused
from territory.model.compiled import Model, compile_model
from territory.money import text_of
from territory.wire.codec import decode
from territory.wire.events import (
    SUMS,
    AccessChange,
    AccessForgotten,
    Assignment,
    Attainment,
    Counted,
    DealFacts,
    Frozen,
    FrozenPart,
    FrozenTarget,
    Link,
    ModelActivated,
    ModelPiece,
    Partial,
    Record,
    RecordChange,
    Released,
    SourceSwept,
    Subscription,
    WaitingPatch,
    read_record_change,
)

Document = dict[str, Any]

_Result = TypeVar("_Result")

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
"""The documented example of a change."""

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
        {"id": "bay", "parent": "west", "manager": "bob", "permission": {"deal": "read_write_delete"}},
    ],
    "groups": [{"id": "00G5e000001AbCd", "name": "Leads EMEA", "users": ["bob"], "roles": ["vp"]}],
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
"""A model with every kind of piece."""

RULES: dict[str, Any] = {
    "young": {"account": {"field": "since", "within_last_days": 30}, "deal": {"field": "product", "eq": "x"}},
    "old": {
        "lead": {"not": {"all": [{"field": "seen", "in_period": "this_month"}, {"field": "seen", "le": "2099-01-01"}]}}
    },
    "zips": {"account": {"field": "zip", "in_table": "bay"}},
}
RULED_MODEL: Document = {
    "org": "acme",
    "fiscal_year_start": 4,
    "settings": {"time_zone": "America/New_York"},
    "fields": {"account": {"since": "date", "zip": "text"}, "lead": {"seen": "datetime"}, "deal": {"product": "text"}},
    "tables": {"bay": ["94102", "8AB"]},
    "territories": [{"id": "world"}, *({"id": name, "parent": "world", "rules": rule} for name, rule in RULES.items())],
}
"""A model in New York with relative dates and a table, and the rules of its territories."""

FEW = settings(max_examples=40)
"""Fewer tries, for properties with large examples."""

letters = st.characters(codec="ascii") | st.sampled_from("ÄéßÅＡﬁ½²\u00a0\u0301\u200bİıΣς日🏠")
"""ASCII, and characters that normalisation or case folding changes."""
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
degrees = st.sampled_from([0, 52.5, "52.50", "-13.4", 90, 90.1, -180, "180", None, ""])
written = st.sampled_from(
    [
        "TRUE", "Yes", "y", "no", "N", "0", "1", 0, 1, 1.0, "on", "US;ca", " a ; B;", ";", 12, -7,
        "2016-11-28T10:00:00.000+0000", "2016-11-28 10:00Z", "2016-11-28T10:00+05", "2016-11-28T10:00:00",
        "2016-03-01T02:00:00-0330", 1480327200000, "1480327200000", 1480327200, 20161128, "28.11.2016", "1,234.50",
        "102.389.699,89", {"latitude": 52.5, "longitude": "13.4"}, {"lat": 1, "lng": 2}, {"latitude": None}, {},
    ]
)  # fmt: skip
"""What CRMs write, readable or not."""
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
"""Any JSON value, often one that a field of some type accepts."""


odd_json = json_values | st.sampled_from(
    [[], {}, "ann", "west", "world", "vp", "2017-Q1", 10**30, -1, {"id": "west"}, [{"id": "ceo", "parent": "ceo"}]]
)
"""JSON values and ids that don't belong where they are put."""


def dumps(value: Any) -> bytes:
    """Return JSON as an upstream writes it; numbers that are not finite become null."""
    return json.dumps(_finite(value)).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def compiled(**changes: Any) -> Model:
    """Return the example model with some sections replaced."""
    return compile_model({**MODEL, **changes}, 1)


def faults_of(document: Any) -> dict[str, str]:
    """Return the faults of a refused model by path; several faults of one path are joined."""
    with pytest.raises(ModelRefused) as refused:
        compile_model(document, 1)
    found: dict[str, str] = {}
    for fault in refused.value.faults:
        found[fault.path] = f"{found[fault.path]}; {fault.message}" if fault.path in found else fault.message
    return found


def attempted(action: Callable[[], _Result]) -> tuple[_Result | None, tuple[Fault, ...]]:
    """Return an action's result and no faults, or None and the faults; other errors propagate."""
    try:
        return action(), ()
    except ModelRefused as refused:
        return None, refused.faults


def with_changes(**changes: Any) -> RecordChange:
    """Return the decoded example of a change with some attributes replaced."""
    return read_record_change(json.dumps({**CHANGE, **changes}).encode())


def read_or_code(raw: bytes) -> RecordChange | str:
    """Return a change, or the code of its refusal; other errors propagate."""
    try:
        return read_record_change(raw)
    except BadMessage as refused:
        return refused.code


# --- events -----------------------------------------------------------------------------------

_ids = st.text("aé/:#{}-", min_size=1, max_size=4)
_objects = st.sampled_from(["account", "contact", "lead", "deal"])
_optional = st.none() | _ids
_counts = st.integers(0, 2**63 - 1)
_fields = st.dictionaries(texts, json_values, max_size=3).map(lambda fields: decode(dumps(fields)))
_amounts = long_decimals.map(text_of)
_lines = st.lists(texts, max_size=2).map(tuple)
_links = st.builds(
    Link,
    territory_id=_ids,
    causes=st.lists(st.sampled_from(["rule", "manual", "inherited"]), min_size=1, max_size=2).map(tuple),
    why=_lines,
)
_facts = _fields.map(lambda fields: DealFacts(amount=fields, stage=fields.get(""), probability=list(fields.values())))

_counted = st.builds(
    Counted,
    path=st.lists(_ids, min_size=1, max_size=2).map(tuple), category=st.just("won"), amount=long_decimals,
    weighted=long_decimals, owner_id=_optional, by_others=st.booleans(),
)  # fmt: skip

_waiting = st.builds(
    WaitingPatch,
    version=_counts, event_id=_ids, value=st.binary(max_size=20),
    headers=st.lists(st.tuples(_ids, st.binary(max_size=5)), max_size=2).map(tuple), partition=st.integers(0, 9),
    offset=_counts, broker_ms=_counts,
)  # fmt: skip

EVENTS: dict[type[Any], st.SearchStrategy[Any]] = {
    Record: st.builds(
        Record,
        org_id=_ids, object=_objects, id=_ids, version=_counts, link_version=_counts, deleted=st.booleans(),
        owner_id=_optional, account_id=_optional, contact_id=_optional, fields=_fields,
        links=st.dictionaries(_ids, st.sampled_from(["assign", "exclude"]), max_size=2),
        family=_ids, intake_partition=st.integers(0, 99), event_id=_ids, since_ms=_counts,
        refused=st.lists(_counts, max_size=2).map(tuple), located=st.booleans(),
        source_partition=st.integers(-1, 9), source_offset=st.integers(-1, 2**63 - 1),
        seen=st.lists(_ids, max_size=2).map(tuple), seen_links=st.lists(_ids, max_size=2).map(tuple),
        waiting=st.lists(_waiting, max_size=2).map(tuple), unreadable_occurred_at=_optional,
    ),
    Subscription: st.builds(Subscription, org_id=_ids, object=_objects, id=_ids, subscriber=st.integers(0, 99)),
    Released: st.builds(Released, org_id=_ids, object=_objects, id=_ids, again=st.booleans()),
    Assignment: st.builds(
        Assignment,
        org_id=_ids, object=_objects, id=_ids, version=st.integers(1, 2**63 - 1), model_revision=st.integers(1, 9),
        owner_id=_optional, links=st.lists(_links, max_size=2).map(tuple), cut=_lines, runners_up=_lines,
        dropped=_lines, unassigned=st.none() | texts, deal=st.none() | _facts, family=_ids, event_id=_ids,
        since_ms=_counts, shared=_lines,
    ),
    Partial: st.builds(
        Partial,
        org_id=_ids, territory_id=_ids, period=_ids, user_id=_optional, source=st.integers(0, 99),
        model_revision=st.integers(1, 9), target=st.none() | long_decimals,
        sums=st.fixed_dictionaries(dict.fromkeys(SUMS, long_decimals)), deals=_counts, deals_won=_counts,
        target_mismatch=st.none() | long_decimals,
        frozen=st.none() | st.builds(
            FrozenPart,
            sums=st.fixed_dictionaries(dict.fromkeys(SUMS, long_decimals)), deals_won=_counts,
            target=st.none() | long_decimals, target_mismatch=st.none() | long_decimals,
        ),
    ),
    Frozen: st.builds(
        Frozen,
        org_id=_ids, deal_id=_optional, counted=st.none() | st.dictionaries(_ids, _counted, max_size=2),
        target=st.none() | st.builds(
            FrozenTarget,
            territory_id=_ids, period=_ids, user_id=_optional, amount=long_decimals, mismatch=st.none() | long_decimals,
        ),
        periods=st.none() | _lines,
    ),
    SourceSwept: st.builds(SourceSwept, org_id=_ids, source=st.integers(0, 99), ended=st.booleans()),
    Attainment: st.builds(
        Attainment,
        org_id=_ids, territory_id=_ids, period=_ids, user_id=_optional, model_revision=st.integers(1, 9),
        target=st.none() | _amounts, won=_amounts, pipeline=_amounts, best_case=_amounts, committed=_amounts,
        weighted=_amounts, won_by_others=_amounts, deals_won=_counts,
        attainment_pct=st.none() | st.just("40.00"), gap=st.none() | _amounts, shortage=st.none() | _amounts,
        coverage=st.none() | st.just("1.50"), target_mismatch=st.none() | _amounts, star_performer=st.booleans(),
        frozen=st.booleans(), **{f"adjustment_{name}": st.none() | _amounts for name in ("target", *SUMS)},
        adjustment_deals_won=st.none() | st.integers(-(2**63), 2**63 - 1),
    ),
    AccessChange: st.builds(
        AccessChange,
        org_id=_ids, user_id=_ids, source=st.integers(0, 99), object=_objects,
        revoked=_lines, edit=_lines, read=_lines,
    ),
    AccessForgotten: st.builds(AccessForgotten, org_id=_ids, source=st.integers(0, 99)),
    ModelPiece: st.builds(
        ModelPiece, org_id=_ids, kind=_ids, id=_ids, revision=st.integers(1, 9), value=_fields
    ),
    ModelActivated: st.builds(
        ModelActivated,
        org_id=_ids, revision=st.integers(1, 9), pieces=_counts, digest=_ids,
        activated_at=st.just("2017-03-01T10:00:00Z"),
    ),
}  # fmt: skip
"""Random events of every class that we write ourselves."""
