"""Runs asyncio code step by step: every call to the outside waits at a gate until a test opens it.

So a test decides what happens next among all workers, can stop one anywhere for any time, and can end it there.
"""

from __future__ import annotations

import asyncio
import atexit
import random
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, NamedTuple

Dice = random.Random


class Gate(NamedTuple):
    """A call to the outside that waits to be let through."""

    label: str
    opened: asyncio.Future[None]


class Process:
    """Everything that runs on behalf of one worker: its asyncio tasks, and the gates at which they wait."""

    def __init__(self) -> None:
        self.gates: list[Gate] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self.is_dead = False
        self.passed = 0
        """How many gates were opened."""

    def start(self, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin to run, up to the first gate."""
        token = _PROCESS.set(self)
        try:
            task = _LOOP.create_task(main)
        finally:
            _PROCESS.reset(token)
        run_until_blocked()
        return task

    async def gate(self, label: str) -> None:
        """Wait until a test lets this call through. A dead process ends here."""
        if self.is_dead:
            raise asyncio.CancelledError
        gate = Gate(label, _LOOP.create_future())
        self.gates.append(gate)
        try:
            await gate.opened
        finally:
            if gate in self.gates:
                self.gates.remove(gate)

    def open(self, gate: Gate) -> None:
        """Let a call through, and run until everything waits again."""
        self.gates.remove(gate)
        self.passed += 1
        gate.opened.set_result(None)
        run_until_blocked()

    def kill(self) -> None:
        """End the process as SIGKILL does: nothing that it has begun reaches the outside any more."""
        self.is_dead = True
        while pending := [task for task in self.tasks if not task.done()]:
            for task in pending:
                task.cancel()
            run_until_blocked()
        for task in self.tasks:
            if not task.cancelled():
                task.exception()  # it was retrieved
        self.gates.clear()


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


def _make_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
    process = _PROCESS.get()
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task


_LOOP = asyncio.new_event_loop()
atexit.register(_LOOP.close)
_LOOP.set_task_factory(_make_task)


def run_until_blocked() -> None:
    """Run all asyncio tasks until each waits at a gate or for another."""
    while _LOOP._ready:  # type: ignore[attr-defined]  # nothing public tells whether anything can run
        _LOOP.call_soon(_LOOP.stop)
        _LOOP.run_forever()


def run_to_end(main: Coroutine[Any, Any, Any]) -> Any:
    """Run something that waits at no gate."""
    return _LOOP.run_until_complete(main)
