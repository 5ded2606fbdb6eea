"""Data sets as tensors: the embedded default, verified downloads, and a folder of images.

Owns where the files are, that they are the right ones, and how they split into train, validation and test. Batches are
made by `companion.tasks`. Nothing here unpickles, and no archive is unpacked to disk.
"""

import gzip
import hashlib
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

from companion.data.downloads import fetch, verify
from companion.data.idx import read_idx
from companion.data.pictures import class_files, read_image
from companion.files import project_root

EMBEDDED = project_root() / "data"
SUBSET = "fashion-mnist-subset"
NAMES = (SUBSET, "fashion-mnist", "cifar10", "folder")

FASHION_MNIST_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MNIST_SHA256 = {  # as its authors packed each file, and as Debian's package dataset-fashion-mnist does
    "train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    ),
    "train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    ),
    "t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    ),
}
FASHION_MNIST_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CIFAR10_BATCH = 10_000  # images in each of the six files of the archive


@dataclass(frozen=True)
class Split:
    """Images, uint8 (n, channels, height, width), and their labels, int64 (n,), indices into the classes."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Dataset:
    """A named data set; `fingerprint`, a part of a run's key, is a SHA-256 over pixels, labels and classes."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    fingerprint: str

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load(name: str = SUBSET, *, folder: str | Path | None = None) -> Dataset:
    """Reads a data set into memory; the same call gives the same tensors, in the same order.

    name: "fashion-mnist-subset", embedded: 10 000 train, 2 000 validation, 5 000 test, grey 28x28;
        "fashion-mnist": 55 000, 5 000, 10 000, grey 28x28, and "cifar10": 45 000, 5 000, 10 000, RGB 32x32,
        both downloaded once into `cache_folder()`/data; or "folder".
    folder: only for "folder": holds `train/<class>/*` and `test/<class>/*`, PNG or JPEG, all of one size and
        all grey or all RGB, with the same classes in both; classes are numbered in the sorted order of their names.
    Where the source has no validation split, a tenth (Fashion-MNIST: a twelfth) of each class is held out.

    Raises ValueError for arguments that break these rules and for files with unexpected content, and FileNotFoundError
    for files that are missing and cannot be downloaded; the messages say how to get the right ones.
    """
    if name not in NAMES:
        raise ValueError(f"name is {name!r}, but must be one of {', '.join(map(repr, NAMES))}")
    if (folder is not None) != (name == "folder"):
        raise ValueError(f"name is {name!r} and folder is {folder!r}, but 'folder', and only it, needs one")
    classes: tuple[str, ...] = FASHION_MNIST_CLASSES
    if name == SUBSET:
        train, validation, test = _embedded()
    elif name == "fashion-mnist":
        paths = [fetch(FASHION_MNIST_URL + file, *sums) for file, sums in FASHION_MNIST_SHA256.items()]
        train, validation = _hold_out(_read_idx_pair(paths[0], paths[1]), classes, every=12)
        test = _read_idx_pair(paths[2], paths[3])
    elif name == "cifar10":
        train, test = read_cifar10(fetch(CIFAR10_URL, CIFAR10_SHA256))
        classes = CIFAR10_CLASSES
        train, validation = _hold_out(train, classes, every=10)
    else:
        train, test, classes = read_folder(Path(folder or ""))
        train, validation = _hold_out(train, classes, every=10)
        train, validation, test = _shuffled(train), _shuffled(validation), _shuffled(test)
    fingerprint = hashlib.sha256(repr(classes).encode())
    for tensor in (t for split in (train, validation, test) for t in (split.images, split.labels)):
        fingerprint.update(repr(tuple(tensor.shape)).encode())
        fingerprint.update(tensor.numpy().data)
    return Dataset(name, train, validation, test, classes, fingerprint.hexdigest())


def _embedded() -> list[Split]:
    """Train, validation and test of the embedded subset, verified against SHA256SUMS."""
    remedy = "restore it with `git checkout -- data`, or make it with `python data/make_subset.py`"
    sums_file = EMBEDDED / "SHA256SUMS"
    if not sums_file.is_file():
        raise FileNotFoundError(f"{sums_file} is missing, expected the sums of the embedded files: {remedy}")
    lines = (line.split() for line in sums_file.read_text(encoding="utf-8").splitlines())
    sums = {file: sha256 for sha256, file in lines}
    splits = []
    for split in ("train", "validation", "test"):
        files = [f"{SUBSET}/{split}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        for file in files:
            verify(EMBEDDED / file, sums.get(file, f"(not in {sums_file})"), remedy)
        splits.append(_read_idx_pair(EMBEDDED / files[0], EMBEDDED / files[1]))
    return splits


def _read_idx_pair(images_path: Path, labels_path: Path) -> Split:
    """A split of Fashion-MNIST from its file of images and its file of labels."""
    images, labels = read_idx(images_path, (28, 28)), read_idx(labels_path, ())
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_path} holds {len(labels)} labels, expected {len(images)}, the number of images in "
            f"{images_path}: put fresh copies there"
        )
    return Split(images[:, None], _class_labels(labels, len(FASHION_MNIST_CLASSES), labels_path))


def _class_labels(labels: torch.Tensor, classes: int, source: Path) -> torch.Tensor:
    """The labels as int64; ValueError, naming the source, for a label that is not a class."""
    if (labels >= classes).any():
        raise ValueError(f"{source} holds label {labels.max()}, expected 0 to {classes - 1}: put a fresh copy there")
    return labels.to(torch.int64)


def read_cifar10(path: Path) -> tuple[Split, Split]:
    """Train and test of the official binary archive; ValueError when a file in it is missing or resized."""
    parts = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    names = [f"cifar-10-batches-bin/{part}.bin" for part in parts]
    record = 1 + 3 * 32 * 32  # a label and three planes of pixels
    batches = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:  # one pass: finding files by name would decompress the archive for each
                file = archive.extractfile(member) if member.name in names else None
                if file is not None and member.size == CIFAR10_BATCH * record:
                    batches[member.name] = file.read()
    except (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a whole tar.gz archive ({error}): put a fresh copy there") from error
    for name in names:
        if name not in batches:
            raise ValueError(f"{path} holds no {name} of {CIFAR10_BATCH * record} bytes: put {CIFAR10_URL} there")

    def split(files: list[str]) -> Split:
        content = bytearray(b"".join(batches[name] for name in files))
        records = torch.frombuffer(content, dtype=torch.uint8).reshape(-1, record)
        images = records[:, 1:].reshape(-1, 3, 32, 32).contiguous()
        return Split(images, _class_labels(records[:, 0], len(CIFAR10_CLASSES), path))

    return split(names[:-1]), split(names[-1:])


def read_folder(folder: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """Train, test and classes of a folder of images as `load` describes it; hidden files are ignored."""
    files = {part: class_files(folder / part) for part in ("train", "test")}
    classes = tuple(files["train"])
    unmatched = sorted(set(classes) ^ set(files["test"]))
    if unmatched:
        raise ValueError(f"{folder}: train and test must have the same classes, but only one of them has {unmatched}")
    first: tuple[Path, torch.Size] | None = None
    splits = []
    for by_class in files.values():
        images = []
        for path in (path for paths in by_class.values() for path in paths):
            image = read_image(path)
            first = first or (path, image.shape)
            if image.shape != first[1]:
                raise ValueError(
                    f"{path} has (channels, height, width) {tuple(image.shape)}, expected {tuple(first[1])} "
                    f"as in {first[0]}: all images must share size and colour"
                )
            images.append(image)
        counts = torch.tensor([len(paths) for paths in by_class.values()])
        splits.append(Split(torch.stack(images), torch.arange(len(classes)).repeat_interleave(counts)))
    return splits[0], splits[1], classes


def _shuffled(split: Split) -> Split:
    """The images in a random order, the same one every time, so that the first n are of all classes."""
    order = torch.randperm(len(split.labels), generator=torch.Generator().manual_seed(0))
    return Split(split.images[order], split.labels[order])


def _hold_out(split: Split, classes: tuple[str, ...], every: int) -> tuple[Split, Split]:
    """Train and validation: the first image of each class, and each `every`-th after it, are held out."""
    held_out = torch.zeros(len(split.labels), dtype=torch.bool)
    for label, name in enumerate(classes):
        members = (split.labels == label).nonzero().squeeze(1)
        if len(members) < 2:
            raise ValueError(f"class {name!r} has one train image, expected two or more, to hold one out")
        held_out[members[::every]] = True
    return (
        Split(split.images[~held_out], split.labels[~held_out]),
        Split(split.images[held_out], split.labels[held_out]),
    )
