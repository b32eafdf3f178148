"""The client, and the progress in `index:{org}`, with a Redis that is a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis.asyncio

from territory.wire.keys import index_key
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.connection import connect
from territory_runtime.redis.store import ProgressWriter
from territory_runtime.settings import read_settings

STAGE = "access-indexer"
NOTHING: frozenset[str] = frozenset()


class Hashes:
    """The part of a Redis client that a progress writer uses; its pipeline executes at once."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.writes: list[str] = []

    def register_script(self, script: str) -> None:
        """Return nothing: scripts are not executed here."""

    def hset(self, key: str, field: str, value: str) -> Hashes:
        """Set a field, and remember that it was written."""
        self.hashes.setdefault(key, {})[field] = value
        self.writes.append(field)
        return self


def progress(partition: int = 0, offset: int = 5, revisions: Mapping[str, int] | None = None) -> Progress:
    """Return a partition's progress."""
    return Progress(STAGE, partition, offset, {"acme": 3} if revisions is None else revisions)


def fields_written(
    writer: ProgressWriter, store: Hashes, one: Progress, changed: frozenset[str] = NOTHING
) -> list[str]:
    """Return the fields that are written of one progress."""
    store.writes.clear()
    pipeline: Any = store
    writer.add(pipeline, one, changed)
    writer.remember([one])
    return list(store.writes)


def writer_on(store: Any) -> ProgressWriter:
    """Return a progress writer on a fake client."""
    return ProgressWriter(store)


def test_revision_is_written_once() -> None:
    """A revision is written when it changes, an offset also when records of the organisation change (V8)."""
    store = Hashes()
    writer = writer_on(store)
    both = [f"{STAGE}:0:offset", f"{STAGE}:0:model_revision"]
    assert fields_written(writer, store, progress()) == both
    assert fields_written(writer, store, progress(offset=6)) == []
    assert fields_written(writer, store, progress(offset=7), frozenset({"acme"})) == both[:1]
    assert fields_written(writer, store, progress(offset=8, revisions={"acme": 4})) == both
    assert store.hashes == {index_key("acme"): {both[0]: "8", both[1]: "4"}}


def test_forgotten_progress_is_written_again() -> None:
    """After an assignment nothing of that partition is taken for written (A9)."""
    store = Hashes()
    writer = writer_on(store)
    both = [f"{STAGE}:0:offset", f"{STAGE}:0:model_revision"]
    for partition in (0, 1):
        fields_written(writer, store, progress(partition))
    writer.forget(0)
    assert fields_written(writer, store, progress(0)) == both
    assert fields_written(writer, store, progress(1)) == []


def test_client_of_a_cluster() -> None:
    """The address of any node is enough, and the client does not connect before it is used (contracts: Settings)."""
    given = {"TERRITORY_REDIS_URL": "redis://:s3cret@127.0.0.1:1/0", "TERRITORY_REDIS_CLUSTER": "true"}
    client: Any = connect(read_settings(given))
    assert isinstance(client, redis.asyncio.RedisCluster)
    options = client.get_connection_kwargs()
    assert (options["decode_responses"], options["password"], options["socket_timeout"]) == (True, "s3cret", 15)
    assert [(node.host, node.port) for node in client.nodes_manager.startup_nodes.values()] == [("127.0.0.1", 1)]


def test_client_takes_and_gives_text() -> None:
    """Answers are decoded, and the client does not connect before it is used (contracts: Settings)."""
    client: Any = connect(read_settings({"TERRITORY_REDIS_URL": "rediss://:s3cret@127.0.0.1:1/2"}))
    options = client.get_connection_kwargs()
    assert options["decode_responses"] is True
    assert (options["host"], options["port"], options["db"], options["password"]) == ("127.0.0.1", 1, 2, "s3cret")
