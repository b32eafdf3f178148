"""Reads the files that commands take."""

from __future__ import annotations

import codecs
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
        raise Refused(f"{path} is not UTF-8: {_why(raw, fault.start)}; save it as UTF-8") from fault


def _why(raw: bytes, start: int) -> str:
    """Return what the first byte that is not UTF-8 probably is: most such files come from Windows."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it begins like UTF-16"
    before = raw[:start].decode("utf-8", "replace")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    character = raw[start : start + 1].decode("cp1252", "ignore")
    meaning = f", which is {character!r} in Windows-1252" if character else ""
    return f"line {line}, column {column} has the byte 0x{raw[start]:02X}{meaning}"
