"""Files arrive whole or not at all."""

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from companion import files


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CCLIB_OUTPUT", raising=False)
    monkeypatch.delenv("CCLIB_CACHE", raising=False)
    assert files.folder() == files.project_root() / "scratch"
    assert files.cache_folder() == files.project_root() / ".cache"
    monkeypatch.setenv("CCLIB_OUTPUT", str(tmp_path / "new"))
    monkeypatch.setenv("CCLIB_CACHE", str(tmp_path / "cache"))
    assert files.folder() == tmp_path / "new"
    assert files.folder().is_dir()
    assert files.cache_folder() == tmp_path / "cache"


def test_atomic_write_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.atomic_write(path, "old")
    files.atomic_write(path, "é\n")
    assert path.read_bytes() == b"\xc3\xa9\n"
    files.atomic_write(path, b"\x00")
    assert path.read_bytes() == b"\x00"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_alone(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    files.atomic_write(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        files.atomic_write(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_record_machine_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCLIB_OUTPUT", str(tmp_path))
    files.record_machine(seconds_per_epoch=1.5)
    files.record_machine(seconds_per_epoch=2, model="conv")
    recorded = json.loads((tmp_path / "machine.json").read_text())
    assert recorded == {"seconds_per_epoch": 2, "model": "conv"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("seconds", math.nan, "seconds must be finite, got nan"),
        ("seconds", [1], r"seconds must be a number or text, got \[1\]"),
        ("wall_seconds", 1, "wall_seconds is measured of every notebook"),
    ],
)
def test_record_machine_refuses(
    name: str, value: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCLIB_OUTPUT", str(tmp_path))
    with pytest.raises(ValueError, match=words):
        files.record_machine(**{name: value})
    assert not list(tmp_path.iterdir())
