"""The client's examples, run as they stand on an index like the one that they speak of."""

from __future__ import annotations

import asyncio
import doctest
import re
import shlex
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
    """Give what the examples take as given."""

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
    """Each answers as it says."""
    found = doctest.testmod(module, extraglobs=names)
    assert found.attempted
    assert not found.failed


def test_examples_of_the_readme(names: dict[str, object]) -> None:
    """Each answers as it says."""
    found = doctest.testfile(str(README), module_relative=False, globs={**names}, encoding="utf-8")
    assert found.attempted
    assert not found.failed


def test_commands_of_the_readme(redis_url: str, names: dict[str, object]) -> None:
    """What redis-cli is shown to print is what it prints."""
    redis_cli = program("redis", "redis-cli")
    (session,) = re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    acts = re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", session, re.MULTILINE)
    assert len(acts) == 6
    for command, shown in acts:
        name, *words = shlex.split(command)
        assert name == "redis-cli"
        done = subprocess.run((redis_cli, "-u", redis_url, *words), capture_output=True, text=True, check=True)
        assert done.stdout == shown, command
