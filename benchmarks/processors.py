"""How long each process of a benchmark has used a processor."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

OWN = "who watches"
BY_PROGRAM = {"java": "broker", "redis-server": "Redis"}
PROC = Path("/proc")


def busy_processes() -> dict[str, float]:
    """Return the processor seconds of this process and of those it started, by name; {} where no system says it.

    Services and modules have the names of their modules.
    """
    found: dict[str, float] = defaultdict(float)
    for folder in PROC.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text().split("\0")
        except OSError:  # it has ended meanwhile
            continue
        is_own = int(folder.name) == os.getpid()
        if is_own or int(fields[1]) == os.getpid():
            seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            found[OWN if is_own else _name_of(command)] += seconds
    return dict(found)


def _name_of(command: list[str]) -> str:
    if "-m" in command:
        return command[command.index("-m") + 1]
    program = Path(command[0]).name
    return BY_PROGRAM.get(program, program)
