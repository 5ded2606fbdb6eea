"""Idx files: their values, and the words of the error for each kind of bad content."""

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from companion.data.idx import read_idx


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # the time would be in the names of tests, and differ between processes


def idx(items: np.ndarray) -> bytes:
    return struct.pack(f">{1 + items.ndim}I", 0x0800 + items.ndim, *items.shape) + items.astype(np.uint8).tobytes()


class TestIdx:
    def test_values(self, tmp_path: Path) -> None:
        items = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
        (tmp_path / "items.gz").write_bytes(packed(idx(items)))
        assert np.array_equal(read_idx(tmp_path / "items.gz", (3, 4)), items)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (packed(idx(np.zeros((2, 3, 4))))[:-9], "not a whole gzip file"),
            (b"plain bytes", "not a whole gzip file"),
            (packed(idx(np.zeros((2, 12)))), "idx magic 0x00000802.* expected 0x00000803"),
            (packed(idx(np.zeros((2, 4, 3)))), r"shape \[2, 4, 3\].* expected .*\[2, 3, 4\]"),
            (packed(idx(np.zeros((2, 3, 4)))[:-5]), "19 bytes of items, expected .* 24"),
            (packed(idx(np.zeros((2, 3, 4))) + b"!"), "25 bytes of items, expected .* 24"),
            (packed(b"\0\0"), "idx magic 0x0000ffff"),
            (packed(b""), "idx magic 0xffffffff"),
        ],
    )
    def test_bad_content(self, tmp_path: Path, content: bytes, words: str) -> None:
        file = tmp_path / "items.gz"
        file.write_bytes(content)
        with pytest.raises(ValueError, match=f"{re.escape(str(file))} .*{words}.*: put a fresh copy there"):
            read_idx(file, (3, 4))
