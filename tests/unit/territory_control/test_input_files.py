from __future__ import annotations

from pathlib import Path

import pytest

from territory_admin.errors import NotFound, Refused
from territory_control.input_files import read_text


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """A missing file and one that is not UTF-8 are ordinary errors; a byte order mark is accepted."""
    with pytest.raises(NotFound, match="No such file"):
        read_text(str(tmp_path / "none.yaml"))
    (tmp_path / "latin.yaml").write_bytes(b"org: \xe9")
    with pytest.raises(Refused, match="not UTF-8"):
        read_text(str(tmp_path / "latin.yaml"))
    (tmp_path / "marked.yaml").write_bytes(b"\xef\xbb\xbforg: acme")
    assert read_text(str(tmp_path / "marked.yaml")) == "org: acme"
