"""Two workers of every service; one that ends by itself is started again, as an orchestrator would."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from territory_admin.errors import StackFailed
from tests.support.house import SERVICES, House

WORKERS = (1, 2)
LOOK_SECONDS = 0.5
BACKOFF_SECONDS = 3.0
"""Pause before a worker that ended by itself is started again: Kafka or Redis may be down for a while."""
READY_SECONDS = 240.0
"""On a busy machine, all at once; seconds when it is idle."""
TAIL_LINES = 30


class Worker(NamedTuple):
    """One process of a service."""

    service: str
    number: int

    def __str__(self) -> str:
        return f"{self.service}-{self.number}"


EVERYONE = tuple(Worker(service, number) for service in SERVICES for number in WORKERS)


class Ended(NamedTuple):
    """A worker that ended by itself."""

    worker: Worker
    at: float
    """By the monotonic clock, or in seconds from the beginning of a run."""
    said: str
    """The end of its log."""

    def __str__(self) -> str:
        return f"{self.worker} ended by itself at {self.at:.1f} s: {self.said.splitlines()[-1] if self.said else ''}"


class Crew:
    """All workers of a run. A fault reserves the workers it acts on, so that no other fault acts on them meanwhile."""

    def __init__(self, house: House) -> None:
        """Start all workers, wait until they are ready, and keep them running until closed. Raises: StackFailed."""
        self._house = house
        self._locks = {worker: threading.Lock() for worker in EVERYONE}
        self._off = threading.Event()
        self._watch = threading.Thread(target=self._watching, name="watch")
        self._starts_at: dict[Worker, float] = {}
        self.ended: list[Ended] = []
        """Workers that ended by themselves, including those that could not start during an outage."""
        for worker in EVERYONE:
            house.launch(*worker)
        self._watch.start()
        late = self.not_ready()
        if late:
            self.close()
            raise StackFailed("\n".join(late))

    def close(self) -> None:
        """Start no more workers."""
        self._off.set()
        self._watch.join()

    @contextmanager
    def held(self, *workers: Worker) -> Iterator[None]:
        """Reserve some workers."""
        with ExitStack() as stack:
            for worker in sorted(workers):
                stack.enter_context(self._locks[worker])
            yield

    def not_ready(self) -> list[str]:
        """Return the workers that are not ready in time, with the reasons."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            pages = {worker: self._house.page(worker.service, "ready", worker.number) for worker in EVERYONE}
            late = [f"{worker} is not ready: {said}" for worker, (status, said) in pages.items() if status != 200]
            if not late or time.monotonic() > deadline:
                return late
            self._off.wait(LOOK_SECONDS)

    def _watching(self) -> None:
        while not self._off.wait(LOOK_SECONDS):
            for worker, lock in self._locks.items():
                if lock.acquire(blocking=False):
                    try:
                        self._look_after(worker)
                    finally:
                        lock.release()

    def _look_after(self, worker: Worker) -> None:
        if self._house.is_running(*worker):
            self._starts_at.pop(worker, None)
        elif worker not in self._starts_at:
            log = self._house.log_of(*worker).splitlines()[-TAIL_LINES:]
            self.ended.append(Ended(worker, time.monotonic(), "\n".join(log)))
            self._starts_at[worker] = time.monotonic() + BACKOFF_SECONDS
        elif time.monotonic() >= self._starts_at[worker]:
            del self._starts_at[worker]
            self._house.launch(*worker)
