"""A Redis with the users of deploy/redis, for tests of their rights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import redis
import redis.exceptions

from territory_control.local.embedded_broker import HOST
from tests.support.servers import RedisServer

DEPLOY = Path(__file__).parents[2] / "deploy" / "redis"
STARRED = "ac*"
"""An organisation whose id is a pattern that would match keys of acme."""
ORGS = ("acme", "acme-2", STARRED)


def sha256(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def filled(name: str, *, org: str = "", reader: str = "reader") -> str:
    """Return a file of deploy/redis with the passwords filled in; each is the name of the role."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    words = {
        "@OPERATOR_SHA256@": "operator",
        "@WRITER_SHA256@": "writer",
        "@READER_SHA256@": reader,
        "@EXPORTER_SHA256@": "exporter",
    }
    for placeholder, password in words.items():
        text = text.replace(placeholder, sha256(password))
    user, rights = text.split(" on ", 1)
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", org)
    return user.replace("@ORG@", org) + " on " + rights.replace("@ORG@", pattern)


class GuardedRedis:
    """A Redis with the users of deploy/redis and no others."""

    def __init__(self, folder: Path, binary: str, options: Sequence[str] = ()) -> None:
        users = folder / "users.acl"
        users.write_text(filled("users.acl") + "".join(filled("organisation.acl", org=org, reader=org) for org in ORGS))
        self.server = RedisServer(folder, binary, ("--aclfile", str(users), *options), self._ready)

    def url(self, user: str, password: str) -> str:
        return f"redis://{user}:{password}@{HOST}:{self.server.port}/0"

    def client(self, user: str, password: str) -> redis.Redis:
        return redis.Redis.from_url(self.url(user, password), decode_responses=True, retry=None)

    def _ready(self, host: str, port: int) -> bool:
        try:
            with closing(self.client("operator", "operator")) as client:
                return bool(client.ping())
        except redis.exceptions.ConnectionError:
            return False
