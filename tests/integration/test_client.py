"""Both clients, on an index written by the indexer's own sink."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import redis.asyncio

from access_indexer.core.changes import RecordState, SetChange
from access_indexer.redis.writer import RedisIndexWriter
from territory.wire.keys import admins_key, editable_key, index_key, record_hash_key, visible_key
from territory_client import (
    Access,
    AsyncAccess,
    Explanation,
    Freshness,
    IndexBehind,
    IndexedRecord,
    IndexRefused,
    IndexUnavailable,
    Page,
    PartitionFreshness,
)
from territory_control.local.child_process import ChildProcess, until
from territory_control.local.embedded_broker import HOST, free_ports, redis_answers
from tests.integration.access_examples import write_index
from tests.integration.examples import redis_client
from tests.support.servers import START_SECONDS, OfThisMachine, RedisServer, program

Ask = Callable[..., Any]
"""Calls a client's method by name."""
Way = Callable[..., AbstractContextManager[Ask]]


@contextmanager
def asking(url: str, org: str, **options: Any) -> Iterator[Ask]:
    """Give the client, on one connection."""
    with closing(redis.Redis.from_url(url, **options)) as client:
        access = Access(client, org)
        yield lambda method, *args, **named: getattr(access, method)(*args, **named)


@contextmanager
def asking_async(url: str, org: str, **options: Any) -> Iterator[Ask]:
    """Give the client for asyncio, on one connection."""
    with asyncio.Runner() as runner:
        client = redis.asyncio.Redis.from_url(url, **options)
        access = AsyncAccess(client, org)
        try:
            yield lambda method, *args, **named: runner.run(getattr(access, method)(*args, **named))
        finally:
            runner.run(client.aclose())


WAYS: dict[str, tuple[Way, dict[str, Any]]] = {
    "sync, bytes": (asking, {}),
    "sync, texts": (asking, {"decode_responses": True, "protocol": 2}),
    "sync, one connection": (asking, {"single_connection_client": True}),
    "asyncio, bytes": (asking_async, {"protocol": 3}),
    "asyncio, texts": (asking_async, {"decode_responses": True}),
}


@pytest.fixture
def org(redis_url: str, org: str) -> str:
    """Give the organisation of the test's own an index."""

    async def write() -> None:
        async with redis_client(redis_url) as client:
            await write_index(client, org)

    asyncio.run(write())
    return org


@pytest.fixture(params=WAYS)
def ask(request: pytest.FixtureRequest, redis_url: str, org: str) -> Iterator[Ask]:
    """Provide each client in turn, with replies as bytes or text."""
    way, options = WAYS[request.param]
    with way(redis_url, org, **options) as asked:
        yield asked


# --- what is answered ---------------------------------------------------------------------------


def test_who_sees_and_edits(ask: Ask) -> None:
    """Users see their sets, administrators everything, unknown users nothing (V1, V3)."""
    users, ids = ("u7", "u8", "root", "nobody"), ("A-1", "A-2", "A-3")
    seen = {user: [one for one in ids if ask("can_see", user, "account", one)] for user in users}
    assert seen == {"u7": ["A-1", "A-3"], "u8": ["A-2", "A-3"], "root": list(ids), "nobody": []}
    edited = {user: [one for one in ids if ask("can_edit", user, "account", one)] for user in users}
    assert edited == {"u7": ["A-1"], "u8": [], "root": list(ids), "nobody": []}
    assert not ask("can_see", "u7", "deal", "A-1")


def test_pages_are_filtered(ask: Ask) -> None:
    """The order is kept; no ids give no answers (V1)."""
    assert ask("filter_visible", "u7", "account", ["A-3", "A-2", "A-1", "A-9"]) == ["A-3", "A-1"]
    assert ask("filter_visible", "u7", "account", iter(["A-3", "A-1"]), level="edit") == ["A-1"]
    assert ask("filter_visible", "root", "account", ["A-3", "A-9"]) == ["A-3", "A-9"]
    assert ask("filter_visible", "u7", "account", []) == []


def test_counts(ask: Ask) -> None:
    """Counts by level; None for an administrator (V1, V3)."""
    assert [ask("count", user, "account") for user in ("u7", "root", "nobody")] == [2, None, 0]
    assert ask("count", "u7", "account", level="edit") == 1


def test_viewers_among_users(ask: Ask) -> None:
    """The users who see the record, in the given order (V1, V3)."""
    assert ask("viewers", "account", "A-3", ["root", "u9", "u8", "u7"]) == ["root", "u8", "u7"]
    assert ask("viewers", "account", "A-3", ["root", "u8"], level="edit") == ["root"]
    assert ask("viewers", "account", "A-3", []) == []


def test_explanations(ask: Ask) -> None:
    """Level, administrator, owner and the indexed record (V9)."""
    first = IndexedRecord(3, "u7", ("us-west",), 4)
    assert ask("explain", "u7", "account", "A-1") == Explanation("edit", False, True, first)
    assert ask("explain", "root", "account", "A-1") == Explanation("edit", True, False, first)
    assert ask("explain", "u7", "account", "A-3").level == "read"
    assert ask("explain", "u7", "account", "A-2") == Explanation(None, False, False, IndexedRecord(1, None, (), 4))
    assert ask("explain", "u7", "account", "A-9") == Explanation(None, False, False, None)


def test_pages_hold_every_record(ask: Ask, redis_url: str, org: str) -> None:
    """A record that stays is on some page, although other ids are added meanwhile (V1)."""
    ids = {f"D-{number}" for number in range(1_500)}
    change = [SetChange(org, "visible", "u7", "deal", [one], True) for one in ids]

    async def write() -> None:
        async with redis_client(redis_url) as client:
            await RedisIndexWriter(client, "access-indexer", 1).apply([*change], [])

    asyncio.run(write())
    page, pages = ask("visible", "u7", "deal", 0, 100), 1
    found = set(page.ids)
    while page.next_cursor is not None:
        page, pages = ask("visible", "u7", "deal", page.next_cursor, 100), pages + 1
        found |= set(page.ids)
    assert found == ids
    assert pages > 5
    assert ask("visible", "nobody", "deal") == Page((), None)
    assert ask("visible", "root", "deal") == Page((), None, everything=True)
    assert ask("visible", "u7", "account", level="edit") == Page(("A-1",), None)


def test_an_index_that_is_at_least_as_new(ask: Ask, redis_url: str, org: str) -> None:
    """IndexBehind until the index has the version, then an answer (V8)."""
    assert ask("can_see", "u7", "account", "A-1", at_least=3)
    assert not ask("can_edit", "u8", "account", "A-1", at_least=2)
    for at_least, record_id, found in ((4, "A-1", 3), (1, "A-9", None)):
        with pytest.raises(IndexBehind) as caught:
            ask("can_see", "u7", "account", record_id, at_least=at_least)
        assert caught.value.found == found
    asyncio.run(write_version(redis_url, org, 4))
    assert not ask("can_see", "u7", "account", "A-1", at_least=4)


async def write_version(url: str, org: str, version: int) -> None:
    """Have the indexer take A-1 from u7, under a version."""
    async with redis_client(url) as client:
        gone = SetChange(org, "visible", "u7", "account", ["A-1"], False)
        stands = RecordState(org, "account", "A-1", version, "u8", (), 4)
        await RedisIndexWriter(client, "access-indexer", 1).apply([gone, stands], [])


@pytest.mark.parametrize("asked", ["can_see", "can_edit"])
def test_a_version_is_waited_for(redis_url: str, org: str, asked: str) -> None:
    """The version arrives during the third pause, and the answer includes it (V8)."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) >= 3:
            asyncio.run(write_version(redis_url, org, len(pauses) + 1))

    with closing(redis.Redis.from_url(redis_url)) as client:
        access = Access(client, org, clock=lambda: 0.0, sleep=sleep)
        assert getattr(access, asked)("u7", "account", "A-1", at_least=3, within=5)
        assert not pauses
        seen = getattr(access, asked)("u7", "account", "A-1", at_least=4, within=5)
        assert (seen, len(pauses)) == (asked == "can_edit", 3)  # the indexer of this test leaves `editable` as it is


def test_waiting_for_a_version_has_an_end(redis_url: str, org: str) -> None:
    """IndexBehind names the version found; a deleted record never gets one (V8, V7)."""
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds

    with closing(redis.Redis.from_url(redis_url)) as client:
        access = Access(client, org, clock=lambda: passed[0], sleep=sleep)
        for record_id, found in (("A-1", 3), ("A-9", None)):
            passed[0] = 0.0
            with pytest.raises(IndexBehind) as caught:
                access.can_see("u7", "account", record_id, at_least=4, within=0.5)
            assert (caught.value.found, caught.value.at_least) == (found, 4)
            assert passed[0] == pytest.approx(0.5)
        with pytest.raises(ValueError, match="expected seconds"):
            access.can_see("u7", "account", "A-1", at_least=3, within=-1)


@pytest.mark.parametrize("asked", ["can_see", "can_edit"])
def test_waiting_does_not_block_the_event_loop(redis_url: str, org: str, asked: str) -> None:
    """One task waits while another task of the same loop writes the version (V8)."""

    async def play() -> bool:
        waiting = asyncio.Event()

        async def sleep(seconds: float) -> None:
            waiting.set()
            await asyncio.sleep(seconds)

        async def write() -> None:
            await waiting.wait()
            await write_version(redis_url, org, 4)

        async with redis.asyncio.Redis.from_url(redis_url) as client, asyncio.TaskGroup() as tasks:
            access = AsyncAccess(client, org, sleep=sleep)
            tasks.create_task(write())
            answer: bool = await getattr(access, asked)("u7", "account", "A-1", at_least=4, within=START_SECONDS)
        return answer

    assert asyncio.run(play()) is (asked == "can_edit")


def test_waiting_for_a_version_has_an_end_with_asyncio(redis_url: str, org: str) -> None:
    """The same for asyncio, with a clock that the pauses advance (V8)."""

    async def play() -> float:
        passed = [0.0]

        async def sleep(seconds: float) -> None:
            passed[0] += seconds

        async with redis.asyncio.Redis.from_url(redis_url) as client:
            access = AsyncAccess(client, org, clock=lambda: passed[0], sleep=sleep)
            with pytest.raises(IndexBehind, match="at version 3"):
                await access.can_see("u7", "account", "A-1", at_least=4, within=0.5)
        return passed[0]

    assert asyncio.run(play()) == pytest.approx(0.5)


def test_freshness(ask: Ask) -> None:
    """In total and by partition (V8)."""
    assert ask("freshness") == Freshness(4, {0: PartitionFreshness(12, 4)})


# --- what can't be answered -----------------------------------------------------------------------


@pytest.mark.parametrize("way", [asking, asking_async])
def test_unreachable_redis(way: Way) -> None:
    """IndexUnavailable, neither yes nor no."""
    (port,) = free_ports(1)
    with way(f"redis://{HOST}:{port}", "acme", retry=None) as ask, pytest.raises(IndexUnavailable, match="be asked"):
        ask("can_see", "u7", "account", "A-1")
    with way(f"redis://{HOST}:{port}", "acme", retry=None) as ask, pytest.raises(IndexUnavailable):
        ask("can_see", "u7", "account", "A-1", at_least=1, within=START_SECONDS)  # a fault ends the wait


def test_refused_command(ask: Ask, redis_url: str, org: str) -> None:
    """If one of two commands is refused there is no answer, and the connection stays usable."""
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.set(visible_key(org, "u9", "account"), "not a set")
    for _ in range(2):
        with pytest.raises(IndexRefused, match="WRONGTYPE"):
            ask("can_see", "u9", "account", "A-1")
        assert ask("can_see", "u7", "account", "A-1")


def test_a_refusal_keeps_its_connection(redis_url: str, org: str) -> None:
    """All replies are read, so a missing right does not cost a new connection for every question."""
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.set(visible_key(org, "u9", "account"), "not a set")
        before = client.client_id()
        with pytest.raises(IndexRefused):
            Access(client, org).can_see("u9", "account", "A-1")
        assert client.client_id() == before


class Interrupting(redis.Connection):
    """A connection on which the second reply is not waited for, once, as when a user hits Ctrl-C."""

    reads = 2  # greetings are not interrupted

    def read_response(self, *args: Any, **options: Any) -> Any:
        type(self).reads += 1
        if type(self).reads == 2:
            raise KeyboardInterrupt
        return super().read_response(*args, **options)


def test_an_interrupted_question_leaves_no_answer_for_the_next(redis_url: str, org: str) -> None:
    """Unread replies are dropped with their connection, so nobody gets another user's answer."""
    pool: Any = redis.ConnectionPool.from_url(redis_url, connection_class=Interrupting, max_connections=1)
    with closing(redis.Redis(connection_pool=pool)) as client:
        access = Access(client, org)
        client.ping()
        Interrupting.reads = 0
        with pytest.raises(KeyboardInterrupt):
            access.can_see("root", "account", "A-1")
        assert not access.can_see("u8", "account", "A-1")
        assert access.can_see("u8", "account", "A-2")
    pool.disconnect()


def test_broken_connection_is_replaced(redis_url: str, org: str) -> None:
    """redis-py retries as the app configured it, and the answer is right."""
    with closing(redis.Redis.from_url(redis_url)) as client, closing(redis.Redis.from_url(redis_url)) as other:
        access = Access(client, org)
        assert access.can_see("u7", "account", "A-1")
        other.client_kill_filter(_id=None, _type="normal", skipme=True)
        assert access.can_see("u7", "account", "A-1")
        assert not access.can_see("u7", "account", "A-2")


# --- other shapes of Redis ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Provide a port of a Redis Cluster with three nodes."""
    binary = program("redis", "redis-server")
    with ExitStack() as stack:
        ports: list[tuple[int, int]] = []
        nodes: list[Any] = []
        for number in range(3):
            (bus,) = free_ports(1)
            options = ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "5000")
            folder: Path = tmp_path_factory.mktemp(f"node-{number}")
            server = stack.enter_context(closing(RedisServer(folder, binary, options)))
            server.start()
            ports.append((server.port, bus))
            nodes.append(stack.enter_context(closing(redis.Redis(port=server.port, decode_responses=True))))
        for number, node in enumerate(nodes):
            node.execute_command("CLUSTER ADDSLOTSRANGE", 16384 * number // 3, 16384 * (number + 1) // 3 - 1)
            node.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for port, bus in ports[1:]:
            nodes[0].execute_command("CLUSTER MEET", HOST, port, bus)
        ready = until(lambda: all("cluster_state:ok" in _cluster_info(node) for node in nodes), START_SECONDS)
        assert ready, "the nodes never formed a cluster"
        yield ports[0][0]


def _cluster_info(node: Any) -> str:
    info: Any = node.execute_command("CLUSTER INFO")
    return info if isinstance(info, str) else "".join(f"{name}:{value} " for name, value in info.items())


def fill(client: Any, org: str) -> set[str]:
    """Write sets of many users; return the nodes that hold them."""
    for number in range(20):
        client.sadd(visible_key(org, f"u{number}", "account"), f"A-{number}", "A-all")
        client.sadd(editable_key(org, f"u{number}", "account"), f"A-{number}")
        client.hset(record_hash_key(org, "account", f"A-{number}"), "version", "2")
    client.sadd(admins_key(org), "root")
    client.hset(index_key(org), mapping={"access-indexer:0:offset": "12", "model_revision": "4"})
    keys = [visible_key(org, f"u{number}", "account") for number in range(20)]
    return {str(client.get_node_from_key(key)) for key in keys}


def test_cluster(cluster: int, org: str) -> None:
    """A user's sets are on one node, the administrators and records on others; the answers are the same."""
    client: Any  # redis-py has no types for what tells slots
    with closing(redis.RedisCluster(host=HOST, port=cluster)) as client:
        assert len(fill(client, org)) == 3
        same = {client.keyslot(key_of(org, "u1", "account")) for key_of in (visible_key, editable_key)}
        assert len(same) == 1
        access = Access(client, org)
        assert all(access.can_see(f"u{number}", "account", f"A-{number}") for number in range(20))
        assert not any(access.can_see(f"u{number}", "account", f"A-{number + 1}") for number in range(20))
        assert access.can_edit("root", "account", "A-1")
        assert access.filter_visible("u3", "account", ["A-1", "A-3"]) == ["A-3"]
        assert set(access.visible("u3", "account").ids) == {"A-3", "A-all"}
        assert access.count("u3", "account") == 2
        users = [f"u{number}" for number in range(20)]
        assert access.viewers("account", "A-all", users) == users
        assert access.viewers("account", "A-4", [*users, "root"]) == ["u4", "root"]
        assert access.explain("u3", "contact", "A-3") == Explanation(None, False, False, None)
        assert all(access.can_edit(f"u{number}", "account", f"A-{number}", at_least=2) for number in range(20))
        with pytest.raises(IndexBehind):
            access.can_see("u3", "account", "A-3", at_least=3, within=0.01)
        assert access.freshness() == Freshness(4, {0: PartitionFreshness(12, None)})


def test_cluster_with_asyncio(cluster: int, org: str) -> None:
    """The same answers with asyncio."""
    with closing(redis.RedisCluster(host=HOST, port=cluster)) as client:
        fill(client, org)

    async def play() -> None:
        async with redis.asyncio.RedisCluster(host=HOST, port=cluster) as client:
            access = AsyncAccess(client, org)
            assert await access.can_see("u1", "account", "A-1")
            assert not await access.can_see("u1", "account", "A-2")
            assert await access.can_see("root", "account", "A-2")
            assert await access.viewers("account", "A-4", ["u3", "u4", "root"]) == ["u4", "root"]
            assert await access.filter_visible("u1", "account", []) == []
            assert (await access.explain("u3", "contact", "A-3")).level is None
            assert await access.can_edit("u3", "account", "A-3", at_least=2)
            with pytest.raises(IndexBehind):
                await access.can_see("u3", "account", "A-3", at_least=3, within=0.01)
            assert await access.freshness() == Freshness(4, {0: PartitionFreshness(12, None)})

    asyncio.run(play())


def test_unreachable_cluster() -> None:
    """IndexUnavailable, neither yes nor no."""
    (port,) = free_ports(1)

    async def play() -> None:
        client = redis.asyncio.RedisCluster(host=HOST, port=port)
        try:
            await AsyncAccess(client, "acme").can_see("u1", "account", "A-1")
        finally:
            await client.aclose()

    with pytest.raises(IndexUnavailable):
        asyncio.run(play())


def test_sentinel(redis_url: str, org: str, tmp_path: Path) -> None:
    """A Sentinel client works like any other; without a known master there is no answer."""
    binary = program("redis", "redis-server")
    address = urlsplit(redis_url)
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"sentinel monitor index {address.hostname} {address.port} 1\n")
    (port,) = free_ports(1)
    command = (binary, str(configuration), "--sentinel", "--port", str(port), "--bind", HOST, "--dir", str(tmp_path))
    process = ChildProcess("Sentinel", command, tmp_path / "sentinel.log")
    with closing(OfThisMachine(process, lambda: redis_answers(HOST, port))) as server:
        server.start()
        sentinel_at: Any = redis.Sentinel  # redis-py has no types for it
        sentinel = sentinel_at([(HOST, port)], socket_timeout=5)
        with closing(sentinel.master_for("index")) as client:
            assert Access(client, org).can_see("u7", "account", "A-1")
        with closing(sentinel.master_for("other", retry=None)) as client, pytest.raises(IndexUnavailable):
            Access(client, org).can_see("u7", "account", "A-1")
        for one in sentinel.sentinels:
            one.close()
