"""The assigner as one would first write it with Quix Streams: two stateful steps, with a group_by between them.

State can be read by the message's own key only, so the repartitioning by account cannot be left out: the first step
keeps whole records by record, the second the accounts' decisions by family. State is in RocksDB with changelog
topics, the default, and is committed with the offsets. `benchmarks.peers` lists what is left out; this app also has
these advantages:

- State and messages are bytes that our codecs wrote; a record that is kept and passed on is encoded once.
- A record that moves to another account stays in its old family, which holds accounts only.

python -m benchmarks.quix_assigner MODEL READY
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from quixstreams import Application
from quixstreams.models import Serializer

from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from benchmarks.peers import COMMIT_SECONDS, QUIX, QUIX_GROUP, decide, merged, read_linker, said
from territory.wire.codec import encode, reader_of
from territory.wire.events import read_record, read_record_change
from territory_runtime.settings import Settings, read_settings

_read_standing = reader_of(AssignmentDecision)


class Sent(NamedTuple):
    """A message between the steps: a family and a record, or a record's key and its assignment."""

    key: str
    value: bytes | None


class _Value(Serializer):  # type: ignore[misc]  # its types are not asked for, see pyproject.toml
    def __call__(self, value: Sent, ctx: Any) -> Any:
        return value.value


class _App(Application):  # type: ignore[misc]  # as above
    """Creates a file when it has partitions."""

    def __init__(self, ready: Path, **options: Any) -> None:
        super().__init__(**options)
        self._ready = ready

    def _on_assign(self, consumer: Any, partitions: Any) -> None:
        super()._on_assign(consumer, partitions)
        self._ready.touch()


def merge(raw: bytes, state: Any) -> Sent | None:
    """Keep the whole record; pass it on to its family."""
    known = state.get_bytes("record")
    record = merged(read_record_change(raw), None if known is None else read_record(known))
    if record is None:
        return None
    value = encode(record)
    state.set_bytes("record", value)
    return Sent(record.family, value)


def assign(linker: AssignmentPolicy, raw: bytes, state: Any) -> Sent:
    """Decide one record of a family, from its account's decision."""
    record = read_record(raw)
    if record.deleted:
        if record.object == "account":
            state.delete("account")
        return Sent(record.key, None)
    known = state.get_bytes("account") if record.object in ("contact", "deal") else None
    standing = decide(linker, record, None if known is None else _read_standing(known))
    if record.object == "account":
        state.set_bytes("account", encode(standing))
    return Sent(record.key, said(linker, record, standing))


def build(settings: Settings, linker: AssignmentPolicy, ready: Path) -> Application:
    """Return the app; it creates the file when it is ready."""
    app = _App(
        ready,
        broker_address=settings.kafka_bootstrap_servers,
        consumer_group=QUIX_GROUP,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_SECONDS,
        state_dir=tempfile.mkdtemp(prefix="quix-", dir=ready.parent),
        producer_extra_config={"compression.type": "zstd", "acks": "all"},
        loglevel="WARNING",
    )
    changes = app.topic(QUIX.input.name, key_deserializer="str", value_deserializer="bytes")
    assignments = app.topic(QUIX.output.name, key_serializer="str", value_serializer=_Value())
    (
        app.dataframe(changes)
        .apply(merge, stateful=True)
        .filter(lambda sent: sent is not None)
        .group_by(
            lambda sent: sent.key,
            name="family",
            key_serializer="str",
            value_serializer=_Value(),
            key_deserializer="str",
            value_deserializer="bytes",
        )
        .apply(lambda raw, state: assign(linker, raw, state), stateful=True)
        .to_topic(assignments, key=lambda sent: sent.key)
    )
    return app


if __name__ == "__main__":
    model, ready = (Path(argument) for argument in sys.argv[1:])
    build(read_settings(), read_linker(model), ready).run()
