from __future__ import annotations

import os
from pathlib import Path

import pytest

from territory_admin.errors import Refused
from territory_control.output_files import write_text


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    """The new content stands where the old did, with the same rights, and nothing is left beside it."""
    file = tmp_path / "model.yaml"
    write_text(file, "one")
    file.chmod(0o600)
    write_text(file, "zwei ä")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == ("zwei ä".encode(), 0o600)
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file that a symbolic link names is replaced, not the link."""
    file, link = tmp_path / "model.yaml", tmp_path / "link.yaml"
    link.symlink_to(file)
    write_text(link, "one")
    assert (link.is_symlink(), file.read_text()) == (True, "one")


def test_a_file_that_can_not_be_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure on the way leaves the old content, and no other file."""
    file = tmp_path / "model.yaml"
    write_text(file, "one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Refused, match=r"model[.]yaml: No space left on device"):
        write_text(file, "two")
    assert (file.read_text(), list(tmp_path.iterdir())) == ("one", [file])
    with pytest.raises(Refused, match="No such file or directory"):
        write_text(tmp_path / "none" / "model.yaml", "two")
