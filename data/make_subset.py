"""Makes the embedded subset of Fashion-MNIST, and SHA256SUMS, from the full files.

    python data/make_subset.py FOLDER_WITH_FULL_FILES

`companion.data` reads the subset; this script needs only Python and numpy.
"""

import gzip
import hashlib
import struct
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SUBSET = HERE / "fashion-mnist-subset"
SEED = 0
CLASSES = 10
TRAIN, VALIDATION, TEST = 10_000, 2_000, 5_000

# SHA-256 of the decompressed files: distributors rewrite the gzip header, which changes the packed bytes.
FULL_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def read_full(folder: Path, name: str) -> np.ndarray:
    """The items of a full file, uint8 (n, 28, 28) or (n,); ValueError when its content is not the known one."""
    path = folder / f"{name}.gz"
    content = gzip.decompress(path.read_bytes())
    actual = hashlib.sha256(content).hexdigest()
    if actual != FULL_FILES[name]:
        raise ValueError(f"{path}: the decompressed SHA-256 is {actual}, expected {FULL_FILES[name]}")
    shape = (-1, 28, 28) if "images" in name else (-1,)
    return np.frombuffer(content, np.uint8, offset=16 if "images" in name else 8).reshape(shape)


def draw(labels: np.ndarray, part: str, counts: list[int]) -> list[np.ndarray]:
    """Disjoint sets of indices, in increasing order, of `counts` items each, every class equally often.

    A hash of the seed and the index decides the order of drawing, so that no change of a library's generator can.
    """

    def rank(index: int) -> bytes:
        return hashlib.sha256(f"{SEED} {part} {index}".encode()).digest()

    drawn: list[list[int]] = [[] for _ in counts]
    for label in range(CLASSES):
        candidates = iter(sorted(np.flatnonzero(labels == label).tolist(), key=rank))
        for chosen, count in zip(drawn, counts, strict=True):
            chosen.extend(next(candidates) for _ in range(count // CLASSES))
    return [np.sort(chosen) for chosen in drawn]


def write_idx(path: Path, items: np.ndarray) -> None:
    """Writes uint8 items as gzipped idx, without name and time in the gzip header."""
    header = struct.pack(f">{1 + items.ndim}I", 0x0800 + items.ndim, *items.shape)
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(header + items.tobytes())


def main(folder: Path) -> None:
    full = {name: read_full(folder, name) for name in FULL_FILES}
    train, validation = draw(full["train-labels-idx1-ubyte"], "train", [TRAIN, VALIDATION])
    (test,) = draw(full["t10k-labels-idx1-ubyte"], "test", [TEST])

    SUBSET.mkdir(exist_ok=True)
    sums = []
    for split, source, indices in (
        ("train", "train", train),
        ("validation", "train", validation),
        ("test", "t10k", test),
    ):
        for kind in ("images-idx3", "labels-idx1"):
            path = SUBSET / f"{split}-{kind}-ubyte.gz"
            write_idx(path, full[f"{source}-{kind}-ubyte"][indices])
            sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(HERE).as_posix()}\n")
    (HERE / "SHA256SUMS").write_text("".join(sums), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
