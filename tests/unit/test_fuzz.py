"""Fuzzing of everything that comes from outside: input is read or refused, and no other error escapes.

HYPOTHESIS_PROFILE=thorough tries ten times as much; the figures of a long run are in docs/security.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from territory.errors import BadMessage
from territory.model.compiled import compile_model, digest_of, pieces_of_model
from territory.model.document import parse_text, pieces_of
from territory.wire import events
from territory.wire.codec import MESSAGE_LEVELS_MAX, decode, encode, reader_of
from territory.wire.events import Event, ModelActivated, ModelPiece
from territory.wire.keys import model_key
from territory_runtime.loop.model_pieces import Pieces
from territory_runtime.loop.model_watcher import activated_model
from tests.support.memory import MemoryHouse, dice
from tests.support.strategies import models
from tests.unit.territory.examples import CHANGE, EVENTS, FEW, MODEL, attempted, dumps, json_values

CODES = {"not_json", "too_large", "wrong_type", "unknown_object", "unknown_op", "missing_id", "bad_version"}
PARTS = {"Link", "DealFacts", "Counted", "FrozenTarget", "FrozenPart", "WaitingPatch"}
"""Events that are parts of others and never messages by themselves."""

READERS: dict[str, Callable[[bytes], Any]] = {
    name: read for name, read in vars(events).items() if name.startswith("read_") and callable(read)
} | {
    kind.__name__: reader_of(kind)
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event and kind.__name__ not in PARTS
}

TOKENS = (
    b"[", b"]", b"{", b"}", b'"', b",", b":", b"\\", b"\\ud800", b"\\u0000", b"\xff", b"\xed\xa0\x80", b"\x00", b"null",
    b"true", b"-", b"1e999", b"-0", b"NaN", b"Infinity", b"9" * 400, b"0." + b"1" * 400, b"1e" + b"9" * 30,
    b"[" * 2_000, b'{"a":' * 2_000, b"[" * 127 + b"]" * 127, b"\xef\xbb\xbf", b'"id":7,', b'"sums":', b'"user_id":',
)  # fmt: skip
"""Byte sequences that parsers often handle wrongly."""

ODD_NUMBERS = (
    2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**29, 10**30, 10**400, 0, -1, 1e308, 5e-324, -0.0, float("inf"), 0.1
)  # fmt: skip
ODD_TEXTS = (
    "", " ", "\x00", "\u2028", "İ", "ﬁ" * 60, "1e999", "9" * 70, "-", "NaN", "2017-02-29", "9999-12-31T23:59:59-01:00",
    "0001-01-01T00:00:00+01:00", "a/b", "{a}", "a:b", "x" * 5_000, "2017-Q5", "0000-Q1", "Europe/../etc/passwd", "=",
)  # fmt: skip


def nested(levels: int) -> Any:
    """Return nested lists and mappings."""
    value: Any = "x"
    for level in range(levels):
        value = [value] if level % 2 else {"all": value}
    return value


odd = (
    json_values
    | st.sampled_from([*ODD_NUMBERS, *ODD_TEXTS])
    | st.sampled_from([1, 31, 33, MESSAGE_LEVELS_MAX - 1, MESSAGE_LEVELS_MAX + 1, 300]).map(nested)
    | st.integers(0, 3_000).map(lambda count: ["x"] * count)
    | st.integers(0, 3_000).map(lambda count: {f"f{number}": number for number in range(count)})
)
"""Unexpected values: of the wrong type, huge, deep or many."""

harmless = json_values.map(dumps).map(json.loads)
"""JSON values that any reader can skip."""

changes = st.dictionaries(st.text(max_size=8), harmless, max_size=3).map(lambda fields: {**CHANGE, "fields": fields})
"""Valid changes, with fields of any kind."""


def damaged(whole: bytes, data: st.DataObject) -> bytes:
    """Return bytes with up to four spans removed, doubled or replaced by odd bytes."""
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(whole)))
        end = min(len(whole), start + data.draw(st.integers(0, 40)))
        put = data.draw(st.sampled_from(TOKENS) | st.binary(max_size=4) | st.just(whole[start:end] * 2))
        whole = whole[:start] + put + whole[end:]
    return whole


def paths_in(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(inner_path for key, value in inner for inner_path in paths_in(value, (*path, key)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a document with another value at a path."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = replaced(document[path[0]], path[1:], value)
    return copy


def with_odd_values(document: Any, data: st.DataObject) -> Any:
    """Return a document with up to three values anywhere replaced by odd ones."""
    for _ in range(data.draw(st.integers(0, 3))):
        path = data.draw(st.sampled_from(paths_in(document)))
        document = replaced(document, path, data.draw(odd))
    return document


def written(value: Any) -> bytes:
    """Return JSON as anyone might send it, with huge and infinite numbers."""
    return json.dumps(value).encode()


def is_read_or_refused(read: Callable[[bytes], Any], raw: bytes) -> bool:
    """Whether the bytes were read; False if they were refused. Any other error propagates."""
    event, refused = None, None
    try:
        event = read(raw)
    except BadMessage as bad:
        refused = bad
    if refused is not None:
        assert refused.code in CODES
        assert len(str(refused)) < 2_000
    else:
        assert encode(event if isinstance(event, Struct) else event.model_dump())  # type: ignore[union-attr]  # a model
    return refused is None


ACCEPTED_SHARE_MIN = 0.05
"""The least share of fuzzed inputs that a reader must accept: one that refuses everything proves nothing."""


def fuzz(attempt: Callable[[st.DataObject], bool], profile: settings | None = None) -> None:
    """Try many inputs; `attempt` returns whether its input was accepted. Require a fair share of them."""
    outcomes: Counter[bool] = Counter()

    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        outcomes[attempt(data)] += 1

    (profile(run) if profile else run)()
    assert outcomes[True] >= ACCEPTED_SHARE_MIN * outcomes.total()


each_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)
each_event = pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)


def test_every_event_has_a_reader_here() -> None:
    """The readers above cover every class of event."""
    named = {name for name in READERS if name.startswith("read_")}
    assert READERS.keys() - named == {kind.__name__ for kind in EVENTS}
    assert named >= {"read_record_change", "read_record", "read_assignment", "read_partial", "read_access_change"}


@each_reader
@given(st.binary(max_size=300))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 100_000)
@example(b'{"sums":' + b"[" * 5_000)
def test_random_bytes_are_refused(read: Callable[[bytes], Any], raw: bytes) -> None:
    """Every reader refuses random bytes as a bad message; none of them is an event."""
    assert not is_read_or_refused(read, raw)


@each_event
@given(data=st.data())
def test_unknown_attributes_are_ignored(kind: Any, data: st.DataObject) -> None:
    """An event is read as before if an attribute that the reader does not know is added, whatever its value."""
    event = data.draw(EVENTS[kind])
    read = reader_of(kind)
    document = json.loads(encode(event))
    assert read(written({"unknown": data.draw(harmless), **document})) == event


@given(unknown=harmless, order=st.permutations(list(CHANGE)))
def test_unknown_attributes_of_changes_are_ignored(unknown: Any, order: list[str]) -> None:
    """A change from upstream is read in any order of attributes, with unknown ones among them."""
    read = READERS["read_record_change"]
    whole = {name: CHANGE[name] for name in order}
    assert read(written({"unknown": unknown, **whole})) == read(written(CHANGE))


@each_event
def test_damaged_events(kind: Any) -> None:
    """An event damaged in transit is read as something else or refused, by every reader."""

    def attempt(data: st.DataObject) -> bool:
        raw = damaged(encode(data.draw(EVENTS[kind])), data)
        for read in READERS.values():
            is_read_or_refused(read, raw)
        return is_read_or_refused(reader_of(kind), raw)

    fuzz(attempt)


@each_event
def test_events_with_odd_values(kind: Any) -> None:
    """An event with values of other types, huge numbers, deep or long values anywhere is read or refused."""
    fuzz(
        lambda data: is_read_or_refused(
            reader_of(kind), written(with_odd_values(json.loads(encode(data.draw(EVENTS[kind]))), data))
        )
    )


def test_damaged_changes() -> None:
    """A change damaged in transit is read or refused."""
    fuzz(lambda data: is_read_or_refused(READERS["read_record_change"], damaged(written(data.draw(changes)), data)))


def test_changes_with_odd_values() -> None:
    """A change from upstream with odd values anywhere is read or refused."""
    read = READERS["read_record_change"]
    fuzz(lambda data: is_read_or_refused(read, written(with_odd_values(data.draw(changes), data))))


def is_accepted(text: str) -> bool:
    """Whether a text is a model without faults; False if it is refused with some. Any other error propagates."""
    model, faults = attempted(lambda: compile_model(parse_text(text), 1))
    assert bool(faults) is (model is None)
    if model is not None:
        assert pieces_of_model(parse_text(text))
    return model is not None


def test_models_with_odd_values() -> None:
    """A model with odd values anywhere is accepted, or refused with its faults."""
    fuzz(lambda data: is_accepted(written(with_odd_values(data.draw(models()), data)).decode()), FEW)


def test_damaged_models() -> None:
    """A damaged YAML or JSON text of a model is accepted, or refused with its faults."""

    def attempt(data: st.DataObject) -> bool:
        document = data.draw(models())
        text = yaml.safe_dump(document) if data.draw(st.booleans()) else json.dumps(document)
        return is_accepted(damaged(text.encode(), data).decode(errors="replace"))

    fuzz(attempt, FEW)


def test_odd_pieces_of_models() -> None:
    """A piece from another writer makes a model or is refused; it stops no reader of the model topic."""
    values = pieces_of(MODEL)

    def attempt(data: st.DataObject) -> bool:
        pieces = Pieces()
        for (kind, name), value in values.items():
            pieces.take(model_key("acme", kind, name), encode(ModelPiece("acme", kind, name, 1, value)))
        kind, name = data.draw(st.sampled_from(sorted(values)))
        document = {"org_id": "acme", "kind": kind, "id": name, "revision": 2, "value": values[kind, name]}
        raw = damaged(written(document), data) if data.draw(st.booleans()) else written(with_odd_values(document, data))
        refused = None
        try:
            pieces.take(model_key("acme", kind, name), raw)
        except BadMessage as bad:
            refused = bad
        assert refused is None or refused.code in CODES
        found = pieces.of("acme")
        activation = ModelActivated("acme", 2, len(found), digest_of(found), "2026-11-22T10:00:00Z")
        model, faults = attempted(lambda: activated_model(activation, found, {}))
        assert bool(faults) is (model is None)
        return refused is None and model is not None

    fuzz(attempt, FEW)


@given(data=st.data())
@FEW
def test_odd_changes_stop_no_service(data: st.DataObject) -> None:
    """Every stage can process whatever the reader accepts: no value in a record stops a worker or gets lost."""
    house = MemoryHouse(partitions=2)
    house.apply_model(MODEL)
    account = {**CHANGE, "object": "account", "id": "A-1", "account_id": None, "fields": {"country": "US"}}
    house.publish(account)
    for version in range(18, 18 + data.draw(st.integers(1, 3))):
        whole: Mapping[str, Any] = {**CHANGE, "version": version, "op": data.draw(st.sampled_from(["upsert", "patch"]))}
        change = with_odd_values(whole, data)
        house.publish(written(change), "acme/deal/D-1")
    house.run(dice(0))
    house.restart_all()
    house.run(dice(0))
    for raw in house.last_values("territory.assignments.v1").values():
        assert decode(raw)
