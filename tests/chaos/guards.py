"""The guards that keep a worker from doing wrong. Chaos removes one at a time, and must then find a difference.

Only the launcher of tests (`worker.py`) removes guards, in a process of its own; the product has no switch for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer

from assigner.intake import stage as intake
from territory_runtime.kafka.lease import Lease
from territory_runtime.loop import restore
from territory_runtime.loop.batch import Batch
from territory_runtime.loop.checkpoint import Checkpoint
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.redis import pipe as redis_pipe


class GuardUnknown(ValueError):
    """Raised for an unknown guard; names the known ones."""


class NoSuchPlace(AttributeError):
    """Raised when the product no longer has what a guard is made of: guards.py has to follow it."""


def _versions() -> None:
    """Changes that are not newer than the known version are dropped (A4, A9)."""
    replace_in(intake, "is_stale", lambda change, before, origin: False)


def _send_before_commit() -> None:
    """Offsets are committed after the output of their messages is published and written to the sink."""
    run = Checkpoint.run

    async def commit_first(self: Checkpoint, batch: Batch) -> None:
        await self.commit({number: task.metadata for number, task in batch.tasks.items()}, batch.tasks)
        await run(self, batch)

    replace_in(Checkpoint, "run", commit_first)


def _restore() -> None:
    """A partition is restored before its first batch."""

    async def nothing(*_: Any, **__: Any) -> bool:
        return True

    replace_in(restore, "restore_fold", nothing)


def _release() -> None:
    """A moved record is emitted last by its present family, after the old one has released it (A8, A9)."""
    replace_in(intake.IntakeFold, "_apply_release", lambda self, message, released, effects: None)


def _seek() -> None:
    """A worker that is assigned a partition seeks to its committed offset."""
    seek = AIOKafkaConsumer.seek

    def only_alone(self: AIOKafkaConsumer, *args: Any) -> None:
        if self._group_id is None:
            seek(self, *args)

    replace_in(AIOKafkaConsumer, "seek", only_alone)


def _repeats() -> None:
    """A partition moves to another snapshot only after repeating what a predecessor may not have committed."""
    replace_in(PartitionTask, "is_repeating", property(lambda self: False))


def _note() -> None:
    """The target snapshot is committed before any output is produced under it."""
    replace_in(PartitionTask, "target_uncommitted", property(lambda self: False))


def _fence() -> None:
    """Redis refuses the writes of a worker whose partition has a later epoch."""
    # The write is executed, but the fence is not moved back: its present owner would take Redis for rolled back.
    _change_script("return {'fenced', epoch} end", "fenced = true end")
    _change_script("if not epoch or", "if not fenced and (not epoch or")
    _change_script("tonumber(ARGV[n + 1]) then", "tonumber(ARGV[n + 1])) then")
    _change_script("late = late or", "late = late or not fenced and")
    _change_script("for i = 2, #KEYS do\n  local n", "for i = 2, fenced and 1 or #KEYS do\n  local n")
    replace_in(redis_pipe, "WRITE", f"local fenced = false\n{redis_pipe.WRITE}")


def _lease() -> None:
    """A worker whose session may be over sends nothing to Kafka before the group has confirmed it."""
    replace_in(Lease, "require", lambda self: None)


def _fencing() -> None:
    """The fence and the lease."""
    _fence()
    _lease()


def _rewound() -> None:
    """The next write detects a Redis that lacks earlier writes."""
    _change_script("if not epoch or", "if false and (not epoch or")
    _change_script("tonumber(ARGV[n + 1]) then", "tonumber(ARGV[n + 1])) then")


GUARDS: Mapping[str, Callable[[], None]] = {
    "versions": _versions,
    "fencing": _fencing,
    "fence": _fence,
    "lease": _lease,
    "rewound": _rewound,
    "send-before-commit": _send_before_commit,
    "restore": _restore,
    "release": _release,
    "seek": _seek,
    "repeats": _repeats,
    "note": _note,
}


def take_away(guard: str) -> None:
    """Remove one guard in this process. Raises: GuardUnknown, NoSuchPlace."""
    if guard not in GUARDS:
        raise GuardUnknown(f"no guard {guard!r}: expected one of {', '.join(GUARDS)}")
    GUARDS[guard]()


def _change_script(line: str, instead: str) -> None:
    if line not in redis_pipe.WRITE:
        raise NoSuchPlace(f"the script of writes has no {line!r} any more: guards.py has to follow the product")
    redis_pipe.WRITE = redis_pipe.WRITE.replace(line, instead)


def replace_in(owner: object, name: str, instead: object) -> None:
    """Replace an attribute of the product in this process. Raises: NoSuchPlace."""
    if not hasattr(owner, name):
        raise NoSuchPlace(f"{owner!r} has no {name!r} any more: guards.py has to follow the product")
    setattr(owner, name, instead)
