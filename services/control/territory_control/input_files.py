"""Reads the files that commands take."""

from __future__ import annotations

import sys
from pathlib import Path

from territory_admin.errors import NotFound, Refused

STDIN = "-"


def read_text(path: str) -> str:
    """Return the text of a file, `-` for stdin. Raises: NotFound; Refused if it is not UTF-8."""
    try:
        raw = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except OSError as fault:
        raise NotFound(f"can't read {path}: {fault.strerror or fault}") from fault
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise Refused(f"{path} is not UTF-8: {fault.reason} at byte {fault.start}") from fault
