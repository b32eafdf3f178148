"""The assigner as one would first write it with Faust: an agent with two Tables.

One Table keeps the whole records, the other the accounts' assignments, both with changelog topics.
`benchmarks.peers` lists what is left out; this app also has these advantages:

- There is no second stage: a contact looks its account up in this worker's memory, whatever partition it came from.
  With a second worker half of the accounts would be missing, and `group_by` would be needed.
- Tables are in memory (`memory://`) and never written to disk; RocksDB costs more.
- Changelogs are encoded by our codecs, and messages are sent in batches.

python -m benchmarks.faust_assigner MODEL READY
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
from faust.serializers import codecs
from yarl import URL

from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from benchmarks.peers import COMMIT_SECONDS, FAUST, account_key_of, decide, merged, read_linker, said
from territory.wire.codec import encode, reader_of
from territory.wire.events import read_record, read_record_change
from territory_runtime.kafka.embedded_broker_workaround import pause_after_empty_fetches
from territory_runtime.settings import Settings, read_settings

LINGER_SECONDS = 0.02
"""Without it nearly every message is a request of its own, which took a third more processor time."""


class _Coded(codecs.Codec):
    """Serialises values of one kind with our codec."""

    def __init__(self, read: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._read = read

    def _dumps(self, obj: Any) -> bytes:
        return encode(obj)

    def _loads(self, s: bytes) -> Any:
        return self._read(s)


def build(settings: Settings, linker: AssignmentPolicy, ready: Path) -> faust.App:
    """Return the app; it creates the file when it is ready."""
    app = faust.App(
        FAUST.stages[0].name,
        broker=[URL(f"kafka://{address}") for address in settings.kafka_bootstrap_servers.split(",")],
        store=URL("memory://"),
        datadir=tempfile.mkdtemp(prefix="faust-", dir=ready.parent),
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=settings.kafka_partitions,
        topic_replication_factor=1,
        broker_commit_interval=COMMIT_SECONDS,
        producer_max_batch_size=256 * 1024,
        producer_linger=LINGER_SECONDS,
        key_serializer="raw",
        value_serializer="raw",
    )
    codecs.register("record", _Coded(read_record))
    codecs.register("standing", _Coded(reader_of(AssignmentDecision)))
    changes = app.topic(FAUST.input.name)
    assignments = app.topic(FAUST.output.name)
    records = app.Table("records", key_type=str)
    accounts = app.Table("accounts", key_type=str)
    # Without a known type Faust would encode the same objects as JSON, more slowly.
    for table, codec in ((records, "record"), (accounts, "standing")):
        table.value_serializer = codec  # type: ignore[attr-defined]  # it is there, but not on what Faust says a Table is

    @app.agent(changes)
    async def assign(stream: Any) -> None:
        async for raw in stream:
            change = read_record_change(raw)
            key = change.key
            record = merged(change, records.get(key))
            if record is None:
                continue
            records[key] = record
            if record.deleted:
                if record.object == "account":
                    accounts.pop(key, None)
                await assignments.send(key=key.encode(), value=None)
                continue
            above = account_key_of(record)
            standing = decide(linker, record, accounts.get(above) if above is not None else None)
            if record.object == "account":
                accounts[key] = standing
            await assignments.send(key=key.encode(), value=said(linker, record, standing))

    @app.task  # type: ignore[untyped-decorator]  # Faust types it for its own use
    async def tell_that_it_is_ready() -> None:
        await asyncio.to_thread(ready.touch)

    return app


if __name__ == "__main__":
    logging.disable(logging.INFO)  # the clients' debug records would be created and then dropped
    given = read_settings()
    pause_after_empty_fetches(given.kafka_fetch_pause_seconds)
    model, ready = (Path(argument) for argument in sys.argv[1:])
    faust.Worker(
        build(given, read_linker(model), ready), loglevel="WARNING", redirect_stdouts=False
    ).execute_from_commandline()
