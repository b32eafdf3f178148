"""Runs asyncio code step by step: every call to the outside waits at a gate until a test opens it.

So a test decides what happens next among all workers, can stop one anywhere for any time, and can end it there.
"""

from __future__ import annotations

import asyncio
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
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

    def any_gate(self, dice: Dice, *, but: str | None = None) -> Gate:
        """Return one of the gates; one with a certain label only if there is no other."""
        gates = self.gates
        if len(gates) > 1 and but is not None:
            gates = [gate for gate in gates if gate.label != but] or gates
        return gates[0] if len(gates) == 1 else dice.choice(gates)

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


class _SteppedLoop(asyncio.AbstractEventLoop):
    """An event loop that only runs what is ready: it has no network, and no clock, so timers never go off.

    A general event loop looks at sockets and timers before every callback, which costs more than the callback.
    """

    def __init__(self) -> None:
        self._ready: deque[tuple[Context, Callable[..., object], tuple[Any, ...]]] = deque()

    def call_soon(  # type: ignore[override]  # no caller cancels what is ready
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> None:
        self._ready.append((copy_context() if context is None else context, callback, args))

    def call_at(self, *timer: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override]  # unused
        return _NO_TIMER

    def call_later(self, *timer: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override]  # unused
        return _NO_TIMER

    def time(self) -> float:
        return 0.0

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        process = _PROCESS.get()
        if process is not None:
            process.tasks.add(task)
            task.add_done_callback(process.tasks.discard)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise AssertionError(context["message"]) from context.get("exception")

    def run_until_blocked(self) -> None:
        """Run whatever is ready, until nothing is."""
        ready = self._ready
        if not ready:
            return
        events._set_running_loop(self)
        try:
            while ready:
                context, callback, args = ready.popleft()
                context.run(callback, *args)
        finally:
            events._set_running_loop(None)


class _NoTimer(asyncio.TimerHandle):
    """What a timer is on a loop without a clock."""

    def cancel(self) -> None: ...


_LOOP = _SteppedLoop()  # type: ignore[abstract]  # what is missing is never called
_NO_TIMER = _NoTimer(0.0, lambda: None, (), _LOOP)
run_until_blocked = _LOOP.run_until_blocked
"""Run all asyncio tasks until each waits at a gate or for another."""
