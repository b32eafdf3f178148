"""How far the index is, with a Redis that is a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis.asyncio

from territory.wire.keys import index_key
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.connection import connect
from territory_runtime.redis.store import ProgressBook
from territory_runtime.settings import read_settings

STAGE = "access-indexer"
NOTHING: frozenset[str] = frozenset()


class Hashes:
    """As much of a Redis client as a progress book uses; its pipeline does everything at once."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.writes: list[str] = []

    def register_script(self, script: str) -> None:
        """Give nothing: what the script does is tested on a real Redis."""

    def pipeline(self, *, transaction: bool) -> Hashes:
        return self

    def hset(self, key: str, field: str, value: str) -> Hashes:
        self.hashes.setdefault(key, {})[field] = value
        self.writes.append(field)
        return self


def progress(partition: int = 0, offset: int = 5, revisions: Mapping[str, int] | None = None) -> Progress:
    return Progress(STAGE, partition, offset, {"acme": 3} if revisions is None else revisions)


def written(book: ProgressBook, store: Hashes, one: Progress, touched: frozenset[str] = NOTHING) -> list[str]:
    """Return the fields that are written of one progress."""
    store.writes.clear()
    pipeline: Any = store.pipeline(transaction=False)
    book.add(pipeline, one, touched)
    book.note([one])
    return list(store.writes)


def book_on(store: Any) -> ProgressBook:
    return ProgressBook(store)


def test_revision_is_written_once() -> None:
    """It says that all of the partition is there under it (V8)."""
    store = Hashes()
    book = book_on(store)
    both = [f"{STAGE}:0:offset", f"{STAGE}:0:model_revision"]
    assert written(book, store, progress()) == both
    assert written(book, store, progress(offset=6)) == []
    assert written(book, store, progress(offset=7), frozenset({"acme"})) == both[:1]
    assert written(book, store, progress(offset=8, revisions={"acme": 4})) == both
    assert store.hashes == {index_key("acme"): {both[0]: "8", both[1]: "4"}}


def test_what_is_forgotten_is_written_again() -> None:
    """After a partition was taken over nothing is taken for written, of this partition alone (A9)."""
    store = Hashes()
    book = book_on(store)
    both = [f"{STAGE}:0:offset", f"{STAGE}:0:model_revision"]
    for partition in (0, 1):
        written(book, store, progress(partition))
    book.forget(0)
    assert written(book, store, progress(0)) == both
    assert written(book, store, progress(1)) == []


def test_client_of_a_cluster() -> None:
    """The address is of any of its nodes; neither does it connect before it is used (contracts: Settings)."""
    given = {"TERRITORY_REDIS_URL": "redis://:s3cret@127.0.0.1:1/0", "TERRITORY_REDIS_CLUSTER": "true"}
    client: Any = connect(read_settings(given))
    assert isinstance(client, redis.asyncio.RedisCluster)
    options = client.get_connection_kwargs()
    assert (options["decode_responses"], options["password"], options["socket_timeout"]) == (True, "s3cret", 15)
    assert [(node.host, node.port) for node in client.nodes_manager.startup_nodes.values()] == [("127.0.0.1", 1)]


def test_client_takes_and_gives_text() -> None:
    """And does not connect before it is used (contracts: Settings)."""
    client: Any = connect(read_settings({"TERRITORY_REDIS_URL": "rediss://:s3cret@127.0.0.1:1/2"}))
    options = client.get_connection_kwargs()
    assert options["decode_responses"] is True
    assert (options["host"], options["port"], options["db"], options["password"]) == ("127.0.0.1", 1, 2, "s3cret")
