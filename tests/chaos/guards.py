"""What keeps a worker from doing wrong, each to be taken away alone: chaos must then find it out.

Only the launcher of tests (`worker.py`) does so, in a process of its own; the product has no switch for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer

from assigner.core import intake
from territory_runtime import partition_loop
from territory_runtime.held import Held
from territory_runtime.partition_loop import PartitionLoop


class GuardUnknown(ValueError):
    """Raised for a guard that there is none of: names those that there are."""


class NoSuchPlace(AttributeError):
    """Raised when the product has no longer what a guard is made of: guards.py is to follow it."""


def _versions() -> None:
    """A change that is not newer than what is known is dropped (A4, A9)."""
    _replace(intake, "_is_stale", lambda change, before: False)


def _send_before_commit() -> None:
    """Offsets are committed after what follows from their messages is sent and stored."""
    perform, commit = PartitionLoop._perform, PartitionLoop._commit

    async def commit_first(self: PartitionLoop, effects: Any, held: Any, touched: Any, offsets: Any) -> None:
        await commit(self, held, touched, offsets)
        await perform(self, effects, held, touched, offsets)

    _replace(PartitionLoop, "_perform", commit_first)


def _restore() -> None:
    """A partition's memory is restored before its first turn."""

    async def nothing(*_: Any, **__: Any) -> bool:
        return True

    _replace(partition_loop, "read_state", nothing)


def _release() -> None:
    """The family that a record is in speaks last, after the one that it left has let go (A8, A9)."""
    _replace(intake.Intake, "_forward_again", lambda self, released, effects: None)


def _seek() -> None:
    """A worker that is given partitions seeks to where it goes on."""
    seek = AIOKafkaConsumer.seek

    def only_alone(self: AIOKafkaConsumer, *args: Any) -> None:
        if self._group_id is None:
            seek(self, *args)

    _replace(AIOKafkaConsumer, "seek", only_alone)


def _repeats() -> None:
    """No other model before what the one before may have said without a commit is repeated."""

    async def never(*_: Any) -> bool:
        return False

    _replace(PartitionLoop, "_is_repeating", never)


def _note() -> None:
    """What is begun under other models is written down before a word is said of it."""
    _replace(Held, "is_untold", property(lambda self: False))


def _fencing() -> None:
    """A worker that was taken for dead writes nothing any more. Its place in the product goes here when it is there."""
    raise NoSuchPlace("fencing is not in the product yet")


GUARDS: Mapping[str, Callable[[], None]] = {
    "versions": _versions,
    "fencing": _fencing,
    "send-before-commit": _send_before_commit,
    "restore": _restore,
    "release": _release,
    "seek": _seek,
    "repeats": _repeats,
    "note": _note,
}
AWAITED_GUARDS = ("fencing",)
"""Those that are not in the product yet."""


def take_away(guard: str) -> None:
    """Take one guard away in this process. Raises: GuardUnknown, NoSuchPlace."""
    if guard not in GUARDS:
        raise GuardUnknown(f"no guard {guard!r}: expected one of {', '.join(GUARDS)}")
    GUARDS[guard]()


def _replace(owner: object, name: str, instead: object) -> None:
    if not hasattr(owner, name):
        raise NoSuchPlace(f"{owner!r} has no {name!r} any more: guards.py is to follow the product")
    setattr(owner, name, instead)
