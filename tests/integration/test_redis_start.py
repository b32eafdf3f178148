"""How Docker Compose starts Redis: the file of users is filled in from the environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from territory_control.local.embedded_broker import HOST
from tests.support.servers import RedisServer, program

START = Path(__file__).parents[2] / "deploy" / "redis" / "start.sh"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """Start a Redis by the script."""
    program("redis", "redis-server")
    for name in ("OPERATOR", "WRITER", "READER", "EXPORTER"):
        monkeypatch.setenv(f"{name}_PASSWORD", f"{name.lower()}-pw")
    monkeypatch.setenv("USERS_FILE", str(START.with_name("users.acl")))
    monkeypatch.setenv("FILLED_FILE", str(tmp_path / "territory.acl"))
    with RedisServer(tmp_path / "redis", str(START), ready=answers) as started:
        yield started


def answers(host: str, port: int) -> bool:
    """Whether it answers a user with the password."""
    return can_log_in(port, "operator", "operator-pw")


def can_log_in(port: int, user: str | None, password: str | None) -> bool:
    with closing(redis.Redis(HOST, port, username=user, password=password)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def test_users_have_the_passwords_of_the_environment(server: RedisServer, tmp_path: Path) -> None:
    """Each user logs in with its own password only, and nobody else can read the file of users."""
    for user in ("operator", "territory-writer", "territory-reader", "territory-exporter"):
        password = f"{user.removeprefix('territory-')}-pw"
        assert can_log_in(server.port, user, password)
        assert not can_log_in(server.port, user, "another")
    assert not can_log_in(server.port, None, None)
    filled = tmp_path / "territory.acl"
    assert filled.stat().st_mode & 0o077 == 0
    assert "operator-pw" not in filled.read_text(encoding="utf-8")


def test_a_missing_password_ends_the_start(tmp_path: Path) -> None:
    """A missing or empty password ends the start before Redis runs, and the message names it."""
    environment = {**os.environ, **{f"{name}_PASSWORD": "x" for name in ("OPERATOR", "READER", "EXPORTER")}}
    environment["WRITER_PASSWORD"] = ""
    environment |= {"USERS_FILE": str(START.with_name("users.acl")), "FILLED_FILE": str(tmp_path / "territory.acl")}
    done = subprocess.run((START,), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0
    assert "WRITER_PASSWORD" in done.stderr
