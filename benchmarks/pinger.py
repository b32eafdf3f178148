"""Sends PING after PING to Redis on one connection, until a signal ends it: what any app waits meanwhile.

At the end the answers that took longer than a millisecond are in a file, as `Asked`s.

python -m benchmarks.pinger FILE READY
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

import redis

from benchmarks.readers import Asked, write_asked
from territory_runtime.settings import Settings, read_settings

PAUSE_SECONDS = 0.0005
"""Seconds between two PINGs, so that the pinger does not keep Redis busy by itself."""
SHORT_SECONDS = 0.001


def ping(settings: Settings, ready: Path) -> list[Asked]:
    """Return the answers that took longer than a millisecond."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    found: list[Asked] = []
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.ping()
        ready.touch()
        while not stopping.is_set():
            at, began = time.time(), time.perf_counter()
            client.ping()
            took = time.perf_counter() - began
            if took > SHORT_SECONDS:
                found.append(Asked(at, took))
            time.sleep(PAUSE_SECONDS)
    return found


if __name__ == "__main__":
    file, ready = map(Path, sys.argv[1:])
    write_asked(file, ping(read_settings(), ready))
