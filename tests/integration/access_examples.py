"""An index for tests of what apps ask, written by the indexer's own store."""

from __future__ import annotations

import redis.asyncio

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, SetChange
from access_indexer.redis.writer import RedisIndexWriter
from territory_runtime.loop.stage import Progress
from tests.integration.examples import take

STAGE = "access-indexer"


async def write_index(client: redis.asyncio.Redis, org: str) -> None:
    """Write who sees the accounts A-1, A-2 and A-3: u7 and u8 are users, root an administrator.

    The documentation's examples are about these, in the organisation `acme`.
    """
    changes: list[IndexChange] = [
        AdminsState(org, frozenset({"root"})),
        SetChange(org, "visible", "u7", "account", ["A-1"], True),
        SetChange(org, "editable", "u7", "account", ["A-1"], True),
        SetChange(org, "visible", "u8", "account", ["A-2"], True),
        SetChange(org, "visible", "u7", "account", ["A-3"], True),
        SetChange(org, "visible", "u8", "account", ["A-3"], True),
        RecordState(org, "account", "A-1", 3, "u7", ("us-west",), 4),
        RecordState(org, "account", "A-2", 1, None, (), 4),
        RecordState(org, "account", "A-3", 2, "u8", ("us-west", "us-east"), 4),
    ]
    index = RedisIndexWriter(client, STAGE, 1)
    await take(index, 0)
    await index.apply(changes, [Progress(STAGE, 0, 12, {org: 4})])
