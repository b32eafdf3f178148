"""The stacks that run on this machine: where each listens, so that a second one keeps off and `top` finds them.

Each running stack has a file, which it holds locked; the lock ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from territory_admin.errors import StackFailed


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack of this user that runs on this machine."""

    pid: int
    kafka: str
    redis: str
    metrics: dict[str, str]
    """By service, the base address of its metrics page."""
    data_dir: str

    @property
    def ports(self) -> frozenset[int]:
        """The ports of this machine that it listens on, or has chosen and is about to."""
        addresses = (*self.kafka.split(","), self.redis.split("/0")[0], *self.metrics.values())
        numbers = (address.rpartition(":")[2].rstrip("/") for address in addresses)
        return frozenset(int(number) for number in numbers if number.isdigit())


def registry_folder() -> Path:
    """Return this user's folder for running stacks, made if it is missing.

    It is the same for every terminal, whatever TMPDIR and HOME say there.

    Raises: StackFailed when somebody else has made a folder of that name.
    """
    base = Path("/tmp")  # noqa: S108 -- the folder's owner and rights are checked below
    folder = (base if base.is_dir() else Path(tempfile.gettempdir())) / f"territory-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError as fault:
        raise StackFailed(f"{folder} can't be made, where running stacks are noted: {fault.strerror}") from fault
    if not folder.is_dir() or folder.is_symlink() or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise StackFailed(f"{folder} is not a folder that only this user can write; remove it")
    return folder


def running_stacks() -> list[RunningStack]:
    """Return this user's running stacks; none where there is no folder for them and none can be made."""
    try:
        return StackRegistry(registry_folder()).running()
    except StackFailed:  # a container without a writable /tmp, for one
        return []


class StackRegistry:
    """The running stacks of one user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other stacks from choosing their ports while the block runs."""
        with (self._folder / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def running(self) -> list[RunningStack]:
        """Return the stacks that run, and forget those that have ended."""
        found = []
        for file in sorted(self._folder.glob("*.json")):
            with suppress(FileNotFoundError), file.open("r+b") as entry:
                if _locked(entry):
                    file.unlink()  # its process has ended
                    continue
                with suppress(ValueError, TypeError):  # of another version
                    found.append(RunningStack(**json.loads(entry.read())))
        return found

    def enter(self, stack: RunningStack, cleanup: ExitStack) -> None:
        """Note a stack of this process until the cleanup."""
        file = self._folder / f"{stack.pid}-{os.urandom(4).hex()}.json"
        entry = cleanup.enter_context(file.open("xb"))
        cleanup.callback(file.unlink, missing_ok=True)
        fcntl.flock(entry, fcntl.LOCK_EX)
        entry.write(json.dumps(asdict(stack)).encode())
        entry.flush()


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other stacks from using a data directory while the block runs. Raises: StackFailed when one does."""
    with (folder / "lock").open("a+b") as lock:
        if not _locked(lock):
            lock.seek(0)
            raise StackFailed(
                f"the data directory {folder} is in use by process {lock.read().decode(errors='replace').strip()}, "
                "another territory up: use that one, stop it, or choose another --data-dir"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())
        lock.flush()
        yield


def _locked(file: IO[bytes]) -> bool:
    """Lock a file for this process; return False if another has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
