"""Runs the client's documented examples against an index with the data that they assume."""

from __future__ import annotations

import asyncio
import doctest
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import redis
import redis.asyncio

import territory_client
from territory_client import Access, AsyncAccess, access, async_access
from tests.integration.access_examples import write_index
from tests.integration.examples import redis_client
from tests.support.servers import program

README = Path(__file__).parents[2] / "services" / "client" / "README.md"


@pytest.fixture
def names(redis_url: str) -> dict[str, object]:
    """Provide the names that the examples use."""

    async def write() -> None:
        async with redis_client(redis_url) as client:
            await write_index(client, "acme")

    asyncio.run(write())
    client = redis.Redis.from_url(redis_url)
    return {
        "REDIS_URL": redis_url,
        "access": Access(client, "acme"),
        "asyncio": asyncio,
        "redis": redis,
        "Access": Access,
        "AsyncAccess": AsyncAccess,
    }


@pytest.mark.parametrize("module", [territory_client, access, async_access], ids=lambda module: module.__name__)
def test_examples_of_the_docstrings(module: ModuleType, names: dict[str, object]) -> None:
    """Each example prints the documented output."""
    found = doctest.testmod(module, extraglobs=names)
    assert found.attempted
    assert not found.failed


def test_examples_of_the_readme(names: dict[str, object]) -> None:
    """Each example prints the documented output."""
    found = doctest.testfile(str(README), module_relative=False, globs={**names}, encoding="utf-8")
    assert found.attempted
    assert not found.failed


def test_commands_of_the_readme(redis_url: str, names: dict[str, object]) -> None:
    """redis-cli prints the documented output."""
    redis_cli = program("redis", "redis-cli")
    (session,) = re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    acts = re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", session, re.MULTILINE)
    assert len(acts) == 6
    for command, shown in acts:
        name, *words = shlex.split(command)
        assert name == "redis-cli"
        done = subprocess.run((redis_cli, "-u", redis_url, *words), capture_output=True, text=True, check=True)
        assert done.stdout == shown, command


QUESTIONS_OF_NODE = """
const asked = [];
for (const [user, id] of [["u7", "A-1"], ["u7", "A-2"], ["root", "A-2"]]) {
  asked.push(await canSee("acme", user, "account", id));
}
for (const user of ["u7", "root"]) asked.push(await filterVisible("acme", user, "account", ["A-3", "A-2", "A-1"]));
asked.push(await filterVisible("acme", "u7", "account", []));
for (const [id, version] of [["A-1", 3], ["A-1", 4], ["A-9", 1]]) {
  asked.push(await hasVersion("acme", "account", id, version, 5));
}
console.log(JSON.stringify(asked));
await redis.close();
"""


@pytest.mark.usefixtures("names")
def test_example_for_node(redis_url: str, tmp_path: Path) -> None:
    """It answers like the client, through a stand-in for node-redis on a real Redis (V1, V8)."""
    node = program("node", "node")
    (code,) = re.findall(r"```javascript\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.mjs").write_text(code + QUESTIONS_OF_NODE, encoding="utf-8")
    shutil.copytree(Path(__file__).with_name("node_redis"), tmp_path / "node_modules" / "redis")
    done = subprocess.run(
        (node, "example.mjs"),
        cwd=tmp_path,
        env={**os.environ, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        *(True, False, True),
        *(["A-3", "A-1"], ["A-3", "A-2", "A-1"], []),
        *(True, False, False),
    ]
