"""Readers who ask through the client whether users see records, with pauses, until a signal ends it.

At the end a file has the time and duration of every question.

python -m benchmarks.readers ORG QUESTIONS READERS PAUSE FILE READY
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from territory_client import AsyncAccess
from territory_runtime.settings import Settings, read_settings


class Asked(NamedTuple):
    """One question: when, in seconds since the epoch, and how many seconds the answer took."""

    at: float
    took: float


class Subject(NamedTuple):
    """A user and a record to ask about."""

    user_id: str
    object_type: str
    record_id: str


def write_asked(path: Path, asked: Iterable[Asked]) -> None:
    """Write the questions to a file."""
    path.write_text("".join(f"{at!r}\t{took!r}\n" for at, took in asked))


def read_asked(path: Path) -> list[Asked]:
    """Return the questions of a file."""
    return [Asked(*map(float, line.split("\t"))) for line in path.read_text().splitlines()]


async def ask(
    settings: Settings, org_id: str, subjects: list[Subject], *, readers: int, pause: float, ready: Path
) -> list[Asked]:
    """Ask until a signal comes; every reader has its own connection."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    asked: list[Asked] = []

    async def read(number: int) -> None:
        rng = random.Random(number)
        while not stopping.is_set():
            await asyncio.sleep(rng.expovariate(1 / pause))  # spread out, so that readers do not wait for each other
            user_id, object_type, record_id = rng.choice(subjects)
            at, began = time.time(), time.perf_counter()
            await access.can_see(user_id, object_type, record_id)  # type: ignore[arg-type]  # it is one of them
            asked.append(Asked(at, time.perf_counter() - began))

    url = settings.redis_url.get_secret_value()
    async with Redis.from_url(url, max_connections=readers) as client:
        access = AsyncAccess(client, org_id)
        async with asyncio.TaskGroup() as tasks:
            for number in range(readers):
                tasks.create_task(read(number))
            await asyncio.to_thread(ready.touch)
    return asked


if __name__ == "__main__":
    org, questions, readers, pause, file, ready = sys.argv[1:]
    named = [Subject(*line.split("\t")) for line in Path(questions).read_text().splitlines()]
    write_asked(
        Path(file),
        asyncio.run(ask(read_settings(), org, named, readers=int(readers), pause=float(pause), ready=Path(ready))),
    )
