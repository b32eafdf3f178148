"""Redis users with least rights: those of deploy/redis, on a real server without others."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import redis
import redis.asyncio
import redis.exceptions

from access_indexer.core.changes import RecordState, SetChange
from access_indexer.core.stage import AccessFold
from access_indexer.redis.index_swap import IndexSwap
from access_indexer.redis.writer import RedisIndexWriter
from forecast_aggregator.partials.changes import DealLeftOut
from forecast_aggregator.partials.contribution import LeftOut
from forecast_aggregator.partials.stage import PartialSumsFold
from forecast_aggregator.redis.writer import RedisAttainments, RedisDeals
from forecast_aggregator.totals.stage import AttainmentFold, AttainmentState
from territory.model.compiled import compile_model
from territory.wire.events import Attainment
from territory.wire.keys import HELD_KEY, fence_key, index_key, left_out_key, visible_key
from territory_admin.arguments import RecordName
from territory_admin.queries.redis_reader import open_index
from territory_client import Access, IndexRefused
from territory_control.local.child_process import ChildProcess, until
from territory_control.local.embedded_broker import HOST, free_ports
from territory_runtime.loop.stage import Progress, ReconcileRequest
from territory_runtime.settings import read_settings
from territory_runtime.startup_checks import check_redis
from tests.integration.access_examples import write_index
from tests.integration.examples import redis_client, take
from tests.integration.redis_users import DEPLOY, ORGS, GuardedRedis, filled
from tests.support.servers import START_SECONDS, program

NONE: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedRedis]:
    """Start a server, with an index of each organisation, written by the writer."""
    binary = program("redis", "redis-server")
    one = GuardedRedis(tmp_path_factory.mktemp("guarded"), binary)
    with closing(one.server):
        one.server.start()

        async def write() -> None:
            async with redis_client(one.url("territory-writer", "writer")) as client:
                for org in ORGS:
                    await write_index(client, org)

        asyncio.run(write())
        yield one


def as_writer(guarded: GuardedRedis, acts: Callable[[redis.asyncio.Redis], Any]) -> None:
    async def acted() -> None:
        async with redis_client(guarded.url("territory-writer", "writer")) as client:
            await acts(client)

    asyncio.run(acted())


# --- the writer ---------------------------------------------------------------------------------


def test_writer_may_do_what_the_indexer_does(guarded: GuardedRedis) -> None:
    """The indexer's own sink writes fences, sets, hashes and progress, and removes orphans."""

    async def acts(client: redis.asyncio.Redis) -> None:
        await fill_and_reconcile(client)
        await write_index(client, "acme-2")  # restored for the other tests

    as_writer(guarded, acts)


async def fill_and_reconcile(client: Any) -> None:
    """Write with the indexer's sink, and reconcile an orphan."""
    models = {"acme-2": compile_model({"org": "acme-2"}, 1)}
    store = RedisIndexWriter(client, "access-indexer", 1)
    await take(store, 0)
    orphan = SetChange("acme-2", "visible", "u7", "deal", ["D-1"], True)
    await store.apply([orphan], [Progress("access-indexer", 0, 5, {"acme-2": 1})])
    assert await client.sismember(visible_key("acme-2", "u7", "deal"), "D-1")
    assert await client.hget(index_key("acme-2"), "model_revision") == "1"
    fold = AccessFold(0, 1)
    fold.restored(models, NONE)
    await store.reconcile([ReconcileRequest(0, fold, models, frozenset({"acme-2"}))])
    assert not await client.sismember(visible_key("acme-2", "u7", "deal"), "D-1")


def test_writer_may_do_what_the_aggregator_does(guarded: GuardedRedis) -> None:
    """The forecast's own sinks write and reconcile attainments and the list of deals in no sum (F2)."""
    models = {"acme-2": compile_model({"org": "acme-2"}, 1)}
    attainment = Attainment(
        org_id="acme-2", territory_id="west", period="2017-Q1", user_id=None, model_revision=1, target=None,
        won="1", pipeline="0", best_case="0", committed="0", weighted="0", won_by_others="0", deals_won=1,
        attainment_pct=None, gap=None, shortage=None,
    )  # fmt: skip

    async def acts(client: redis.asyncio.Redis) -> None:
        attainments = RedisAttainments(client, "forecast-totals", 1)
        await take(attainments, 0)
        change = AttainmentState(("acme-2", "west", "2017-Q1", None), attainment)
        await attainments.apply([change], [Progress("forecast-totals", 0, 1, {"acme-2": 1})])
        left_out = RedisDeals(client, "forecast-aggregator")
        await take(left_out, 0)
        why = LeftOut("unassigned", "it names no account")
        await left_out.apply([DealLeftOut("acme-2", "D-1", why)], [Progress("forecast-aggregator", 0, 1, {})])
        async with open_index(
            read_settings({"TERRITORY_REDIS_URL": guarded.url("territory-writer", "writer")}), "acme-2"
        ) as at:
            assert [row.territory_id for row in await at.attainments()] == ["west"]
            assert [deal.id for deal in await at.left_out()] == ["D-1"]
            assert await at.admins() == {"root"}
            assert (await at.membership("u7", RecordName("account", "A-1"))).editable
        totals, sums = AttainmentFold(), PartialSumsFold(0, 1)
        await attainments.reconcile([ReconcileRequest(0, totals, models, frozenset({"acme-2"}))])
        await left_out.reconcile([ReconcileRequest(0, sums, models, frozenset({"acme-2"}))])
        assert not await client.hgetall(left_out_key("acme-2"))

    as_writer(guarded, acts)


def test_writer_may_do_what_a_rebuild_does(guarded: GuardedRedis) -> None:
    """A rebuild writes under a prefix, excludes equal hashes, switches and removes what is left (V7)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        await write_index(client, "rebuilt")
        swap = IndexSwap(client, "access-indexer", "rebuilt", "one")
        assert await swap.begin()
        await swap.write([SetChange("rebuilt", "visible", "u9", "account", ["A-1"], True)])
        await swap.restart()
        await swap.write(
            [
                SetChange("rebuilt", "visible", "u8", "account", ["A-1"], True),
                RecordState("rebuilt", "account", "A-1", 3, "u7", ("us-west",), 4),
            ]
        )
        await swap.collect_live_keys()
        await swap.prune()
        assert await swap.pause_writers()
        assert await swap.switch() is not None
        await swap.end()
        assert await client.smembers(visible_key("rebuilt", "u8", "account")) == {"A-1"}
        assert not await client.exists(HELD_KEY, visible_key("rebuilt", "u7", "account"))

    as_writer(guarded, acts)


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "visible", "x"),
        ("GET", "other:{acme}"),
        ("SADD", "visible-2:{acme:u7}:account", "A-1"),
        ("EVAL", "return 1", "0"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("SCRIPT", "FLUSH"),
        ("PUBLISH", "channel", "x"),
        ("RENAME", "admins:{acme}", "other:{acme}"),  # it may, within its own keys: a rebuild switches so
    ],
)
def test_writer_may_do_nothing_else(guarded: GuardedRedis, command: tuple[str, ...]) -> None:
    """The writer can neither touch other keys nor administer the server."""
    with closing(guarded.client("territory-writer", "writer")) as client:
        refused(client, *command)


def test_scripts_have_the_rights_of_their_user(guarded: GuardedRedis) -> None:
    """Redis checks the keys that a script touches while it runs."""
    with closing(guarded.client("territory-writer", "writer")) as client:
        script = client.script_load("return redis.call('SET', 'other', '1')")
        with pytest.raises(redis.exceptions.ResponseError, match="can't access at least one of the keys"):
            client.evalsha(script, 0)


# --- readers ------------------------------------------------------------------------------------


def refused(client: redis.Redis, *command: str) -> None:
    ask: Any = client.execute_command
    with pytest.raises(redis.exceptions.NoPermissionError):
        ask(*command)


@pytest.mark.parametrize(("user", "password"), [("territory-reader", "reader"), ("territory-reader-acme", "acme")])
def test_reader_may_do_what_the_client_does(guarded: GuardedRedis, user: str, password: str) -> None:
    """Every call of the client library succeeds (V1, V3, V9)."""
    with closing(guarded.client(user, password)) as client:
        access = Access(client, "acme")
        assert access.can_see("u7", "account", "A-1", at_least=3)
        assert access.can_edit("root", "account", "A-1")
        assert access.filter_visible("u7", "account", ["A-1", "A-2"]) == ["A-1"]
        assert set(access.visible("u7", "account").ids) == {"A-1", "A-3"}
        assert access.count("u7", "account", level="edit") == 1
        assert access.viewers("account", "A-3", ["u7", "u8", "u9"]) == ["u7", "u8"]
        assert access.explain("u7", "account", "A-1").is_owner
        assert client.hgetall("attainment:{acme}:west:2017-Q1") == {}
        assert access.freshness().model_revision == 4


@pytest.mark.parametrize(("user", "password"), [("territory-reader", "reader"), ("territory-reader-acme", "acme")])
@pytest.mark.parametrize(
    "command",
    [
        ("SADD", "visible:{acme:u9}:account", "A-1"),
        ("SREM", "visible:{acme:u7}:account", "A-1"),
        ("DEL", "visible:{acme:u7}:account"),
        ("HSET", "record:{acme:account:A-1}", "owner_id", "u9"),
        ("SADD", "admins:{acme}", "u9"),
        ("HGETALL", "left_out:{acme}"),
        ("HGETALL", "adjustments:{acme}"),
        ("HGETALL", "rebuild:{acme}"),
        ("SISMEMBER", "other:{acme}", "x"),
        ("GET", "fence:access-indexer:0"),
        ("GET", "index-held"),
        ("SMEMBERS", "visible:{acme:u7}:account"),  # a large set would block all others
        ("EVAL", "return redis.call('SADD', 'admins:{acme}', 'u9')", "0"),
        ("SCRIPT", "LOAD", "return 1"),
        ("SCAN", "0"),  # it lists keys that the user may not read
        ("KEYS", "*"),
        ("DBSIZE",),
        ("FLUSHALL",),
        ("MONITOR",),
        ("SUBSCRIBE", "channel"),
    ],
)
def test_reader_may_do_nothing_else(guarded: GuardedRedis, user: str, password: str, command: tuple[str, ...]) -> None:
    """A reader can write nothing, and read no key that is not for applications."""
    with closing(guarded.client(user, password)) as client:
        refused(client, *command)


@pytest.mark.parametrize("org", ORGS)
def test_reader_of_one_organisation_sees_no_other(guarded: GuardedRedis, org: str) -> None:
    """A reader of one organisation reads none with a similar name, and none that its name matches as a pattern."""
    with closing(guarded.client(f"territory-reader-{org}", org)) as client:
        assert Access(client, org).can_see("u7", "account", "A-1")
        for other in {*ORGS} - {org}:
            access = Access(client, other)
            with pytest.raises(IndexRefused, match="ermission"):
                access.can_see("u7", "account", "A-1")
            for key in ("visible:{%s:u7}:account", "editable:{%s:u7}:account", "admins:{%s}"):
                refused(client, "SISMEMBER", key % other, "u7")
            for key in ("record:{%s:account:A-1}", "attainment:{%s}:west:2017-Q1", "index:{%s}"):
                refused(client, "HGETALL", key % other)


# --- the exporter -------------------------------------------------------------------------------


def test_exporter_may_do_what_prometheus_needs(guarded: GuardedRedis, tmp_path: Path) -> None:
    """redis_exporter, with its user's rights only, exports the metrics that the alert and the dashboard use."""
    binary = program("prometheus", "prometheus-redis-exporter")
    (port,) = free_ports(1)
    address = f"{HOST}:{port}"
    command = (binary, "-redis.addr", f"redis://{HOST}:{guarded.server.port}", "-web.listen-address", address)
    environment = {**os.environ, "REDIS_USER": "territory-exporter", "REDIS_PASSWORD": "exporter"}
    exporter = ChildProcess("redis_exporter", command, tmp_path / "redis_exporter.log", environment)
    exporter.start(lambda: bool(page_of(address)), START_SECONDS)
    try:
        exported = dict(re.findall(r"^(redis_\w+) (\S+)$", page_of(address), re.MULTILINE))
    finally:
        exporter.stop(START_SECONDS)
    assert exported["redis_up"] == "1"
    assert float(exported["redis_memory_used_bytes"]) > 0
    assert "redis_memory_max_bytes" in exported


def page_of(address: str) -> str:
    """Return the page of an exporter; empty while it does not answer."""
    try:
        with urlopen(f"http://{address}/metrics", timeout=5) as answer:
            page: str = answer.read().decode()
            return page
    except OSError:
        return ""


@pytest.mark.parametrize(
    "command",
    [
        ("SISMEMBER", "visible:{acme:u7}:account", "A-1"),
        ("HGETALL", "record:{acme:account:A-1}"),
        ("CONFIG", "GET", "*"),
        ("SCAN", "0"),
        ("DBSIZE",),
        ("CLIENT", "LIST"),
        ("SET", "x", "y"),
        ("ACL", "LIST"),
    ],
)
def test_exporter_may_do_nothing_else(guarded: GuardedRedis, command: tuple[str, ...]) -> None:
    """The exporter reads no key, no setting and no connection of others."""
    with closing(guarded.client("territory-exporter", "exporter")) as client:
        refused(client, *command)


def test_users_may_ask_for_the_slots_of_a_cluster(tmp_path: Path) -> None:
    """The writer and the reader may run the commands by which redis-py discovers a cluster."""
    binary = program("redis", "redis-server")
    (bus,) = free_ports(1)
    guarded = GuardedRedis(tmp_path, binary, ("--cluster-enabled", "yes", "--cluster-port", str(bus)))
    with closing(guarded.server):
        guarded.server.start()
        operator: Any = guarded.client("operator", "operator")
        with closing(operator):
            operator.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            assert until(lambda: "ok" in operator.cluster("INFO")["cluster_state"], START_SECONDS)
        at = {"TERRITORY_REDIS_URL": guarded.url("territory-writer", "writer"), "TERRITORY_REDIS_CLUSTER": "true"}
        check_redis(read_settings(at))

        async def write() -> None:
            async with redis_client(at) as client:
                await fill_and_reconcile(client)
                await write_index(client, "acme")

        asyncio.run(write())
        with closing(redis.RedisCluster.from_url(guarded.url("territory-reader", "reader"))) as client:
            assert Access(client, "acme").can_see("u7", "account", "A-1")
            assert Access(client, "acme").viewers("account", "A-1", ["u7", "u8"]) == ["u7"]


# --- nobody else ----------------------------------------------------------------------------------


def test_nobody_logs_in_without_a_password(guarded: GuardedRedis) -> None:
    """The default user is off, and a wrong password is refused."""
    with closing(redis.Redis(HOST, guarded.server.port)) as client:
        with pytest.raises(redis.exceptions.AuthenticationError):
            client.ping()
        with pytest.raises(IndexRefused):
            Access(client, "acme").can_see("u7", "account", "A-1")
    with closing(guarded.client("territory-reader", "wrong")) as client, pytest.raises(IndexRefused):
        Access(client, "acme").can_see("u7", "account", "A-1")


def test_readme_fills_the_files_in(tmp_path: Path) -> None:
    """The commands of deploy/redis/README.md fill in the files with which the other tests ran."""
    script, *_ = re.findall(r"```bash\n(.*?)```", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for name in ("users.acl", "organisation.acl"):
        shutil.copy(DEPLOY / name, tmp_path)
    passwords = {f"{user.upper()}_PASSWORD": user for user in ("operator", "writer", "reader", "exporter")}
    environment = {"PATH": os.environ["PATH"], **passwords, "ACME_PASSWORD": "acme"}
    subprocess.run(("bash", "-euc", script), cwd=tmp_path, env=environment, check=True)
    made = (tmp_path / "territory.acl").read_text(encoding="utf-8")
    assert made == filled("users.acl") + filled("organisation.acl", org="acme", reader="acme")


def test_files_hold_no_passwords() -> None:
    """The files have placeholders instead of hashes, so Redis refuses to start with them."""
    for name in ("users.acl", "organisation.acl"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        assert not re.search(r"\s>|nopass", text)
        assert set(re.findall(r"#(\S+)", text)) <= {
            f"@{user}_SHA256@" for user in ("OPERATOR", "WRITER", "READER", "EXPORTER")
        }


def test_every_key_of_ours_has_a_right() -> None:
    """The writer's rights include the pause key and the fences."""
    (writer,) = re.findall(r"^user territory-writer .*", filled("users.acl"), re.MULTILINE)
    for key in (HELD_KEY, fence_key("x", 0).replace("x:0", "*")):
        assert f"~{key} " in writer
