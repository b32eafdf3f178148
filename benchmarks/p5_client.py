"""P5: what apps ask, through the client, beside the bare redis-py command.

The bare command asks for the set only; the client asks for the administrators as well, in the same round trip. Both
take turns in small batches, because the machine's speed varies.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import redis
from tests.support.servers import find_redis

from benchmarks.results import Report, figure, say
from territory.wire.keys import admins_key, visible_key
from territory_admin.errors import StackFailed
from territory_client import Access

ORG, USER = "bench", "u7"
PAGE, LISTED = 100, 1_000
BATCHES = 40
RATIO_MAX = 1.2

Call = Callable[[], Any]


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Ask about a user who sees this many records; territories and the broker play no part."""
    found = find_redis()
    if found.make is None:
        raise StackFailed(found.says)
    with closing(found.make(folder)) as server:
        server.start()
        with closing(redis.Redis.from_url(server.url, decode_responses=True)) as client:
            key, ids = visible_key(ORG, USER, "account"), [f"A-{number:016}" for number in range(records)]
            for start in range(0, records, LISTED):
                client.sadd(key, *ids[start : start + LISTED])
            client.sadd(admins_key(ORG), "root")
            access, page = Access(client, ORG), [*ids[: PAGE // 2], *(f"X-{number}" for number in range(PAGE // 2))]
            asked: dict[str, tuple[int, Call, Call]] = {  # with the calls in a batch of some milliseconds
                "can_see": (
                    25,
                    lambda: access.can_see(USER, "account", ids[1]),
                    lambda: bool(client.sismember(key, ids[1])),
                ),
                f"page filter of {PAGE}": (
                    10,
                    lambda: access.filter_visible(USER, "account", page),
                    lambda: [one for one, seen in zip(page, client.smismember(key, page), strict=True) if seen],
                ),
                f"list page of {LISTED:,}": (
                    2,
                    lambda: [*access.visible(USER, "account", 0, LISTED).ids],
                    lambda: _scanned(client, key),
                ),
            }
            faults = [name for name, (_, ours, bare) in asked.items() if ours() != bare()]
            figures = []
            for name, (calls, ours, bare) in asked.items():
                took = [_in_turns(calls, ours, bare) for _ in range(runs)]
                figures.append(figure(f"{name}, by the clock", "µs", [one for one, _ in took], ratio_max=RATIO_MAX))
                figures.append(figure(f"{name}, of our processor", "µs", [one for _, one in took]))
                say(f"p5: {name} is measured")
    return Report(
        name="p5",
        title="questions of apps through the client, beside the bare command",
        parameters={"records": records, "batches": BATCHES},
        surroundings={"redis": "one server, on this machine"},
        figures=tuple(figures),
        faults=tuple(f"{name}: the client and the bare command differ" for name in faults),
        checked={"questions": len(asked)},
    )


def _scanned(client: redis.Redis, key: str) -> list[str]:
    reply: Any = client.sscan(key, 0, count=LISTED)
    return list(reply[1])


def _in_turns(calls: int, ours: Call, bare: Call) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return microseconds a call, the client's and the bare command's: wall clock and processor time."""
    clock, processor = [0, 0], [0, 0]
    for _ in range(BATCHES):
        for which, call in enumerate((ours, bare)):
            began, used = time.perf_counter_ns(), time.process_time_ns()
            for _ in range(calls):
                call()
            clock[which] += time.perf_counter_ns() - began
            processor[which] += time.process_time_ns() - used
    in_all = BATCHES * calls * 1_000
    return (clock[0] / in_all, clock[1] / in_all), (processor[0] / in_all, processor[1] / in_all)
