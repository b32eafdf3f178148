"""What keeps a worker from doing wrong, each to be taken away alone: chaos must then find it out.

Only the launcher of tests (`worker.py`) does so, in a process of its own; the product has no switch for it.
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
    """Raised for a guard that there is none of: names those that there are."""


class NoSuchPlace(AttributeError):
    """Raised when the product has no longer what a guard is made of: guards.py is to follow it."""


def _versions() -> None:
    """A change that is not newer than what is known is dropped (A4, A9)."""
    _replace(intake, "is_stale", lambda change, before: False)


def _send_before_commit() -> None:
    """Offsets are committed after what follows from their messages is sent and stored."""
    run = Checkpoint.run

    async def commit_first(self: Checkpoint, batch: Batch) -> None:
        await self.commit({number: task.metadata for number, task in batch.tasks.items()}, batch.tasks)
        await run(self, batch)

    _replace(Checkpoint, "run", commit_first)


def _restore() -> None:
    """A partition's memory is restored before its first turn."""

    async def nothing(*_: Any, **__: Any) -> bool:
        return True

    _replace(restore, "restore_fold", nothing)


def _release() -> None:
    """The family that a record is in speaks last, after the one that it left has let go (A8, A9)."""
    _replace(intake.IntakeFold, "_forward_again", lambda self, released, effects: None)


def _seek() -> None:
    """A worker that is given partitions seeks to where it goes on."""
    seek = AIOKafkaConsumer.seek

    def only_alone(self: AIOKafkaConsumer, *args: Any) -> None:
        if self._group_id is None:
            seek(self, *args)

    _replace(AIOKafkaConsumer, "seek", only_alone)


def _repeats() -> None:
    """No other model before what the one before may have said without a commit is repeated."""
    _replace(PartitionTask, "is_repeating", property(lambda self: False))


def _note() -> None:
    """What is begun under other models is written down before a word is said of it."""
    _replace(PartitionTask, "target_uncommitted", property(lambda self: False))


def _fence() -> None:
    """Redis refuses who was taken for dead, and whose partitions another worker has."""
    # As who is not refused, but without moving the fence back: its present holder would take Redis for rewound.
    _change_script("return {'fenced', epoch} end", "fenced = true end")
    _change_script("if not epoch or", "if not fenced and (not epoch or")
    _change_script("tonumber(ARGV[n + 1]) then", "tonumber(ARGV[n + 1])) then")
    _change_script("late = late or", "late = late or not fenced and")
    _change_script("for i = 2, #KEYS do\n  local n", "for i = 2, fenced and 1 or #KEYS do\n  local n")
    _replace(redis_pipe, "WRITE", f"local fenced = false\n{redis_pipe.WRITE}")


def _lease() -> None:
    """A worker that may have been taken for dead sends nothing to Kafka before the group has confirmed it."""
    _replace(Lease, "require", lambda self: None)


def _fencing() -> None:
    """Both of these."""
    _fence()
    _lease()


def _rewound() -> None:
    """A Redis that lacks what was written is seen at the next write."""
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
    """Take one guard away in this process. Raises: GuardUnknown, NoSuchPlace."""
    if guard not in GUARDS:
        raise GuardUnknown(f"no guard {guard!r}: expected one of {', '.join(GUARDS)}")
    GUARDS[guard]()


def _change_script(line: str, instead: str) -> None:
    if line not in redis_pipe.WRITE:
        raise NoSuchPlace(f"the script of writes has no {line!r} any more: guards.py is to follow the product")
    redis_pipe.WRITE = redis_pipe.WRITE.replace(line, instead)


def _replace(owner: object, name: str, instead: object) -> None:
    if not hasattr(owner, name):
        raise NoSuchPlace(f"{owner!r} has no {name!r} any more: guards.py is to follow the product")
    setattr(owner, name, instead)
