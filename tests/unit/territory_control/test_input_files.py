from __future__ import annotations

from pathlib import Path

import pytest

from territory_admin.errors import NotFound, Refused
from territory_control.input_files import read_text


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """A missing file and one that is not UTF-8 are ordinary errors; a byte order mark is accepted."""
    with pytest.raises(NotFound, match="No such file"):
        read_text(str(tmp_path / "none.yaml"))
    for raw, why in (
        (
            b"org: acme\n\xc3\xa9\xe9",
            "line 2, column 2 has the byte 0xE9, which is 'é' in Windows-1252; save it as UTF-8",
        ),
        (b"org: \x81", "line 1, column 6 has the byte 0x81; save it as UTF-8"),
        ("org: acme".encode("utf-16"), "it begins like UTF-16; save it as UTF-8"),
    ):
        (tmp_path / "latin.yaml").write_bytes(raw)
        with pytest.raises(Refused, match=f"latin.yaml is not UTF-8: {why}"):
            read_text(str(tmp_path / "latin.yaml"))
    (tmp_path / "marked.yaml").write_bytes(b"\xef\xbb\xbforg: acme")
    assert read_text(str(tmp_path / "marked.yaml")) == "org: acme"
