"""The ports of a stack: those asked for, else those of the last start, else the usual ones, else free ones."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from territory_control.local.embedded_broker import HOST, free_ports

USUAL = {"kafka": 9092, "redis": 6379, "assigner": 9464, "access-indexer": 9465, "forecast-aggregator": 9466}
"""The ports that settings and `territory top` name by default."""


def choose_ports(wanted: Mapping[str, int | None], remembered: Path, taken: Collection[int]) -> dict[str, int]:
    """Return a port for each name, different ones, and note them for the next start.

    Args:
        wanted: By name, the port that was asked for, which is never exchanged; None: any.
        remembered: The file with the ports of the last start; it need not exist.
        taken: Ports that another stack has chosen, also where nobody listens yet.
    """
    last = _read(remembered)
    chosen = {name: port for name, port in wanted.items() if port is not None}
    for name in wanted:
        if name in chosen:
            continue
        unusable = {*taken, *chosen.values()}
        likely = [port for port in (last.get(name), USUAL.get(name)) if port is not None and port not in unusable]
        port = next(filter(is_free, likely), None)
        while port is None or port in unusable:
            (port,) = free_ports(1)
        chosen[name] = port
    with suppress(OSError):  # the next start has other ports then
        remembered.write_text(json.dumps(chosen))
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of the loopback."""
    with socket.socket() as tried:
        # Connections of the last run that linger on the port are no obstacle to a server.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError:
            return False
    return True


def _read(file: Path) -> dict[str, int]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: port for name, port in found.items() if isinstance(port, int) and 0 < port < 65536}
