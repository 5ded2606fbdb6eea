"""The idx format of MNIST and its kin."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch


def read_idx(path: Path, item_shape: tuple[int, ...]) -> torch.Tensor:
    """The items of a gzipped idx file of bytes, uint8 (n, *item_shape); ValueError for any other content."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}): put a fresh copy there") from error
    words = 2 + len(item_shape)  # the header: magic, count, size of each further dimension
    magic, *shape = struct.unpack(f">{words}I", content[: 4 * words].ljust(4 * words, b"\xff"))
    size = len(content) - 4 * words
    expected = (0x0800 + words - 1, [shape[0], *item_shape], shape[0] * math.prod(item_shape))
    if (magic, shape, size) != expected:
        raise ValueError(
            f"{path} has idx magic 0x{magic:08x}, shape {shape} and {size} bytes of items, "
            f"expected 0x{expected[0]:08x}, {expected[1]} and {expected[2]}: put a fresh copy there"
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=4 * words).reshape(shape)
