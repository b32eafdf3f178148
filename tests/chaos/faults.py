"""What goes wrong, done: each kind of fault, from its beginning until it is made good."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import redis
from aiokafka.errors import KafkaError

from territory_admin.log.topic_reader import started
from territory_admin.records.wait import PIPELINE
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings
from tests.chaos.crew import WORKERS, Crew, Worker
from tests.chaos.history import HistoryMessage, hot_account, raising
from tests.chaos.plan import Fault, Kind
from tests.chaos.publishers import Crms
from tests.chaos.verdict import final_day
from tests.support.house import House
from tests.support.servers import KafkaServer, RedisServer

DAY_SECONDS = 24 * 3600
HOT_EVENTS_PER_SECOND = 150
RAISING_EVENTS_PER_SECOND = 10
ROLLS = 2
RESTORE_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.02
CUT_GAP_SECONDS = 0.02
AFTER_KILL_SECONDS = 0.5
HELD_SECONDS = 0.4
STAYS_SECONDS = (0.1, 1.0)


class Done(NamedTuple):
    """A fault as it came to pass; times in seconds from the beginning of the run."""

    fault: Fault
    began: float
    ended: float

    def __str__(self) -> str:
        return f"{self.began:6.1f} to {self.ended:6.1f} s: {self.fault}"


class Clocks:
    """By how much the clocks of first and second workers are off; each reads its own file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for worker in WORKERS:
            self.set(worker, 0)

    def file(self, worker: int) -> Path:
        """Return the file that a worker's clock reads."""
        return self._folder / f"clock-{worker}"

    def suspended(self, worker: Worker) -> Path:
        """Return the file that tells a worker that it is stopped because its host is suspended."""
        return self._folder / f"suspended-{worker}"

    def set(self, worker: int, days: int) -> None:
        """Set a worker's clock off by some days, all at once for who reads it."""
        new = self._folder / f"clock-{worker}.new"
        new.write_text(str(days * DAY_SECONDS))
        new.replace(self.file(worker))


class Faults:
    """Lets a plan come to pass: each fault in a thread of its own; those about the same thing one after another."""

    def __init__(
        self, house: House, crew: Crew, *, broker: KafkaServer, store: RedisServer, clocks: Clocks, began: float
    ) -> None:
        self._house = house
        self._crew = crew
        self._broker = broker
        self._store = store
        self._clocks = clocks
        self._began = began
        self._broker_lock = threading.Lock()
        self._store_lock = threading.Lock()
        self.done: list[Done] = []
        self.broken: list[str] = []
        """What went wrong with making things go wrong: a fault of the test's own."""
        self.days = 0
        """By how much all clocks are off in the end."""
        self.events = 0
        """Number of messages that faults have published."""

    @property
    def counted(self) -> Counter[Kind]:
        """How many came to pass of each kind."""
        return Counter(done.fault.kind for done in self.done)

    def come_to_pass(self, plan: Sequence[Fault]) -> None:
        """Do all faults of a plan at their times; return when all is made good again."""
        begun: list[tuple[Fault, Future[None]]] = []
        with ThreadPoolExecutor(max(1, len(plan))) as threads:
            for fault in plan:
                time.sleep(max(0.0, self._began + fault.at - time.monotonic()))
                begun.append((fault, threads.submit(self._do, fault)))
        for fault, doing in begun:
            if (trouble := doing.exception()) is not None:
                self.broken.append(f"{fault}: {type(trouble).__name__}: {trouble}")
        for worker in WORKERS:  # the same day for both: the end state has one
            self._clocks.set(worker, self.days)

    def _do(self, fault: Fault) -> None:
        began = time.monotonic()
        try:
            self._ways()[fault.kind](fault)
        finally:
            self.done.append(Done(fault, round(began - self._began, 1), round(time.monotonic() - self._began, 1)))

    def _ways(self) -> Mapping[Kind, Callable[[Fault], None]]:
        return {
            "kill": self._kill,
            "kill_amid": self._kill_amid,
            "restart": self._restart,
            "kill_both": self._kill_both,
            "pause": self._pause,
            "zombie": self._zombie,
            "broker_stop": lambda fault: self._broker_away(fault, self._broker.stop),
            "broker_kill": lambda fault: self._broker_away(fault, self._broker.kill),
            "redis_stop": lambda fault: self._redis_away(fault, self._store.stop),
            "redis_kill": lambda fault: self._redis_away(fault, self._store.kill),
            "redis_lost": lambda fault: self._redis_away(fault, self._store.kill, self._store.forget),
            "redis_hung": self._redis_hung,
            "redis_slow": self._redis_slow,
            "redis_cut": self._redis_cut,
            "redis_emptied": self._redis_emptied,
            "storm": self._storm,
            "clock": self._clock,
            "suspend": self._suspend,
            "hot_account": self._hot_account,
            "fold_raises": self._fold_raises,
            "rolling_restart": self._rolling_restart,
        }

    # --- workers -----------------------------------------------------------------------------

    def _kill(self, fault: Fault) -> None:
        worker = Worker(fault.service, fault.worker)
        with self._crew.held(worker):
            self._house.kill(*worker)
            time.sleep(fault.lasts)
            self._house.launch(*worker)

    def _kill_amid(self, fault: Fault) -> None:
        """A worker waits for an answer, and is killed before there is one: the middle of a turn."""
        worker = Worker(fault.service, fault.worker)
        with self._crew.held(worker):
            if fault.service == "assigner":
                with self._broker_lock:
                    self._broker.pause()
                    time.sleep(fault.lasts)
                    self._house.kill(*worker)
                    self._broker.resume()
            else:
                with self._store_lock, redis.Redis.from_url(self._store.url) as client:
                    # Not held by a signal: it would do afterwards what it was sent before.
                    client.client_pause(int((fault.lasts + AFTER_KILL_SECONDS) * 1000))
                    time.sleep(fault.lasts)
                    self._house.kill(*worker)
                    time.sleep(AFTER_KILL_SECONDS)
            self._house.launch(*worker)

    def _restart(self, fault: Fault) -> None:
        worker = Worker(fault.service, fault.worker)
        with self._crew.held(worker):
            self._house.stop(*worker)
            time.sleep(fault.lasts)
            self._house.launch(*worker)

    def _kill_both(self, fault: Fault) -> None:
        workers = [Worker(fault.service, number) for number in WORKERS]
        with self._crew.held(*workers):
            for worker in workers:
                self._house.kill(*worker)
            time.sleep(fault.lasts)
            for worker in workers:
                self._house.launch(*worker)

    def _zombie(self, fault: Fault) -> None:
        """A worker stands still while others take its partitions, if possible in the middle of what it has begun."""
        if fault.service == "access_indexer":  # has nothing to say to Kafka
            self._pause(fault)
            return
        with self._crew.held(Worker(fault.service, fault.worker)):
            self._stop_amid_a_batch(fault)

    def _suspend(self, fault: Fault) -> None:
        """A host is suspended: its worker stops, and only the clock that counts suspensions shows it afterwards."""
        worker = Worker(fault.service, fault.worker)
        with self._crew.held(worker):
            self._clocks.suspended(worker).touch()
            self._stop_amid_a_batch(fault)

    def _stop_amid_a_batch(self, fault: Fault) -> None:
        """Stop a worker for the fault's time, if possible while it waits for the broker."""
        worker = Worker(fault.service, fault.worker)
        with self._broker_lock:
            self._broker.pause()
            time.sleep(HELD_SECONDS)
            self._house.pause(*worker)
            self._broker.resume()
        try:
            time.sleep(fault.lasts)
        finally:
            self._house.resume(*worker)

    def _rolling_restart(self, fault: Fault) -> None:
        """Every worker of a service is replaced twice, each while the one before restores its partitions."""
        workers = [Worker(fault.service, number) for number in WORKERS]
        with self._crew.held(*workers):
            for worker in workers * ROLLS:
                self._house.stop(*worker)
                self._house.launch(*worker)
                self._await_restore(worker)

    def _await_restore(self, worker: Worker) -> None:
        """Return when a worker has begun to restore, is ready, or has ended."""
        deadline = time.monotonic() + RESTORE_SECONDS_MAX
        while self._house.is_running(*worker) and time.monotonic() < deadline:
            status, page = self._house.page(worker.service, "ready", worker.number)
            if status == HTTPStatus.OK or "restoring" in page:
                return
            time.sleep(LOOK_SECONDS)

    def _pause(self, fault: Fault) -> None:
        worker = Worker(fault.service, fault.worker)
        with self._crew.held(worker):
            self._house.pause(*worker)
            try:
                time.sleep(fault.lasts)
            finally:
                self._house.resume(*worker)

    # --- Kafka -------------------------------------------------------------------------------

    def _broker_away(self, fault: Fault, end: Callable[[], None]) -> None:
        with self._broker_lock:
            end()
            time.sleep(fault.lasts)
            self._broker.start()

    def _storm(self, fault: Fault) -> None:
        """A third member joins every group of a service and leaves again, and again. It does and commits nothing."""
        prefix = fault.service.split("_", maxsplit=1)[0]
        groups = [stage for stage in PIPELINE if stage.name.startswith(prefix)]
        dice = random.Random(str(fault))  # noqa: S311

        async def come_and_go() -> None:
            await asyncio.gather(
                *(_join(self._house.settings, stage.name, [topic.name for topic in stage.topics], fault.lasts, dice)
                  for stage in groups)
            )  # fmt: skip

        asyncio.run(come_and_go())

    # --- Redis -------------------------------------------------------------------------------

    def _redis_away(self, fault: Fault, end: Callable[[], None], meanwhile: Callable[[], None] = lambda: None) -> None:
        with self._store_lock:
            end()
            meanwhile()
            time.sleep(fault.lasts)
            self._store.start()

    def _redis_hung(self, fault: Fault) -> None:
        with self._store_lock:
            self._store.pause()
            try:
                time.sleep(fault.lasts)
            finally:
                self._store.resume()

    def _redis_slow(self, fault: Fault) -> None:
        with self._store_lock, redis.Redis.from_url(self._store.url) as client:
            client.client_pause(int(fault.lasts * 1000))
            time.sleep(fault.lasts)

    def _redis_cut(self, fault: Fault) -> None:
        """Every connection is cut, again and again, in the middle of what goes over it."""
        until = time.monotonic() + fault.lasts
        with self._store_lock, redis.Redis.from_url(self._store.url) as client:
            while time.monotonic() < until:
                client.client_kill_filter(_type="normal", skipme=True)
                time.sleep(CUT_GAP_SECONDS)

    def _redis_emptied(self, fault: Fault) -> None:
        with self._store_lock, redis.Redis.from_url(self._store.url) as client:
            client.flushall()

    # --- messages ----------------------------------------------------------------------------

    def _hot_account(self, fault: Fault) -> None:
        """An account with many deals changes many times in a row."""
        self._publish(hot_account(f"hot-{fault.at}", final_day(0)), HOT_EVENTS_PER_SECOND, fault.lasts)

    def _fold_raises(self, fault: Fault) -> None:
        """Correct messages come on which a fold raises; the other records of their partition go on."""
        self._publish(raising(f"raises-{fault.at}"), RAISING_EVENTS_PER_SECOND, fault.lasts)

    def _publish(self, history: Iterator[HistoryMessage], per_second: int, seconds: float) -> None:
        crms = Crms(self._house, history, per_second)
        crms.publish(time.monotonic() + seconds)
        self.events += crms.events

    # --- clocks ------------------------------------------------------------------------------

    def _clock(self, fault: Fault) -> None:
        for worker in (fault.worker,) if fault.worker else WORKERS:
            self._clocks.set(worker, fault.days)
        self.days = fault.days


async def _join(settings: Settings, group: str, topics: list[str], seconds: float, dice: random.Random) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        consumer = clients.group_consumer(settings, group)
        try:
            async with started(consumer):
                consumer.subscribe(topics)
                await asyncio.sleep(dice.uniform(*STAYS_SECONDS))
        except (KafkaError, OSError):
            continue  # the broker may be away at the same time
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Else nobody cancels it: aiokafka says so where the broker goes while a member joins.
