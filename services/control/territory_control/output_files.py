"""Writes the files that commands produce: a file is replaced whole, or stays as it was."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from territory_admin.errors import Refused


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text in UTF-8. Raises: Refused."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file by other content. Raises: Refused."""
    written: Path | None = None
    try:
        if path.exists() and not path.is_file():  # a device such as /dev/stdout can't be replaced
            path.write_bytes(content)
            return
        target = path.resolve()  # a link stays one
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as temporary:
            written = Path(temporary.name)
            temporary.write(content)
            temporary.flush()
            os.fsync(temporary.fileno())
        written.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        written.replace(target)
    except OSError as fault:
        if written is not None:
            with suppress(OSError):
                written.unlink()
        raise Refused(f"can't write {path}: {fault.strerror or fault}") from fault


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
