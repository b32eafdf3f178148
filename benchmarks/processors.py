"""Reads how much processor time each process of a benchmark has used."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

OWN = "who watches"
BY_PROGRAM = {"java": "broker", "redis-server": "Redis"}
PROC = Path("/proc")


def cpu_seconds(pid: int) -> float:
    """Return a process's processor seconds since its start; 0 where the system does not report it."""
    try:
        return _cpu_seconds(_stat(PROC / str(pid)))
    except OSError:
        return 0.0


def busy_processes() -> dict[str, float]:
    """Return the processor seconds of this process and its children, by name; {} where no system reports it.

    Services and modules have the names of their modules.
    """
    found: dict[str, float] = defaultdict(float)
    for folder in PROC.glob("[0-9]*"):
        try:
            fields = _stat(folder)
            command = (folder / "cmdline").read_text().split("\0")
        except OSError:  # the process has ended
            continue
        is_own = int(folder.name) == os.getpid()
        if is_own or int(fields[1]) == os.getpid():
            found[OWN if is_own else _name_of(command)] += _cpu_seconds(fields)
    return dict(found)


def _stat(folder: Path) -> list[str]:
    """Return the fields behind a process's name in /proc. Raises: OSError."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def _cpu_seconds(fields: list[str]) -> float:
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _name_of(command: list[str]) -> str:
    if "-m" in command:
        return command[command.index("-m") + 1]
    program = Path(command[0]).name
    return BY_PROGRAM.get(program, program)
