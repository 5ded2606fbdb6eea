"""The data sets: values of what is read, and the words of the error for each kind of bad file."""

import gzip
import hashlib
import io
import re
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from companion import data
from companion.data import datasets
from companion.files import cache_folder

NOWHERE = "http://127.0.0.1:9/"  # the discard port: a connection is refused at once


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the embedded files that a test may spoil."""
    folder = tmp_path / "embedded"
    shutil.copytree(datasets.EMBEDDED, folder)
    monkeypatch.setattr(datasets, "EMBEDDED", folder)
    return folder


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # the time would be in the names of tests, and differ between processes


def idx(items: np.ndarray) -> bytes:
    return struct.pack(f">{1 + items.ndim}I", 0x0800 + items.ndim, *items.shape) + items.astype(np.uint8).tobytes()


class TestEmbedded:
    def test_sizes_types_and_stratification(self) -> None:
        dataset = data.load()
        assert dataset.name == "fashion-mnist-subset"
        assert len(dataset.classes) == 10
        for split, per_class in ((dataset.train, 1000), (dataset.validation, 200), (dataset.test, 500)):
            assert split.images.shape == (10 * per_class, 1, 28, 28)
            assert (split.images.dtype, split.labels.dtype) == (torch.uint8, torch.int64)
            assert split.labels.bincount().tolist() == [per_class] * 10

    def test_labels_belong_to_their_images(self) -> None:
        # The nearest class mean of train is right for two in three test images, by chance for one in ten.
        dataset = data.load()
        train, test = dataset.train, dataset.test
        means = torch.stack([train.images[train.labels == label].float().mean(0).flatten() for label in range(10)])
        nearest = torch.cdist(test.images.float().flatten(1), means).argmin(1)
        assert (nearest == test.labels).float().mean() > 0.6

    def test_no_image_is_in_two_splits(self) -> None:
        dataset = data.load()
        seen = [
            {image.numpy().tobytes() for image in s.images} for s in (dataset.train, dataset.validation, dataset.test)
        ]
        assert len(set.union(*seen)) == sum(map(len, seen)) == 17_000

    def test_files_are_those_of_the_sums_and_small(self) -> None:
        lines = [line.split("  ") for line in (datasets.EMBEDDED / "SHA256SUMS").read_text().splitlines()]
        files = sorted((datasets.EMBEDDED / data.SUBSET).iterdir())
        assert sorted(datasets.EMBEDDED / file for _, file in lines) == files
        assert all(sha256((datasets.EMBEDDED / file).read_bytes()) == total for total, file in lines)
        assert sum(file.stat().st_size for file in files) < 12e6

    def test_loads_without_network_and_always_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "socket", None)
        first, second = data.load(), data.load("fashion-mnist-subset")
        assert first.fingerprint == second.fingerprint
        assert torch.equal(first.train.images, second.train.images)

    @pytest.mark.parametrize(
        "spoil", [lambda b: b[:-1], lambda b: b[:99] + b"?" + b[100:]], ids=["truncated", "altered"]
    )
    def test_spoilt_file(self, embedded: Path, spoil: Callable[[bytes], bytes]) -> None:
        file = embedded / data.SUBSET / "validation-images-idx3-ubyte.gz"
        content = file.read_bytes()
        file.write_bytes(spoil(content))
        with pytest.raises(ValueError, match="altered or truncated") as caught:
            data.load()
        for words in (
            str(file),
            sha256(content),
            sha256(spoil(content)),
            "git checkout -- data",
            "make_subset.py",
        ):
            assert words in str(caught.value)

    @pytest.mark.parametrize("file", ["SHA256SUMS", f"{data.SUBSET}/test-labels-idx1-ubyte.gz"])
    def test_missing_file(self, embedded: Path, file: str) -> None:
        (embedded / file).unlink()
        with pytest.raises(FileNotFoundError, match=rf"{re.escape(str(embedded / file))} is missing.*git checkout"):
            data.load()

    def test_script_refuses_other_full_files(self, embedded: Path, tmp_path: Path) -> None:
        with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb") as file:
            file.write(b"something else")
        command = [sys.executable, str(embedded / "make_subset.py"), str(tmp_path)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode != 0
        assert "train-images-idx3-ubyte.gz: the decompressed SHA-256 is" in result.stderr


class TestArguments:
    def test_unknown_name(self) -> None:
        with pytest.raises(ValueError, match="name is 'mnist', but must be one of 'fashion-mnist-subset', 'fashion-"):
            data.load("mnist")

    def test_folder_only_with_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="name is 'folder' and folder is None, but 'folder', and only it"):
            data.load("folder")
        with pytest.raises(ValueError, match=r"name is 'cifar10' and folder is .*, but 'folder', and only it"):
            data.load("cifar10", folder=tmp_path)


class TestFashionMnist:
    """The full set, with small files in the place of the official ones, put into the cache by hand."""

    @pytest.fixture
    def put(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray, np.ndarray], None]:
        def put(images: np.ndarray, labels: np.ndarray) -> None:
            folder = cache_folder() / "data"
            folder.mkdir(parents=True, exist_ok=True)
            for name in datasets.FASHION_MNIST_SHA256:
                content = packed(idx(images if "images" in name else labels))
                (folder / name).write_bytes(content)
                monkeypatch.setitem(datasets.FASHION_MNIST_SHA256, name, (sha256(b"another packing"), sha256(content)))

        monkeypatch.setattr(datasets, "FASHION_MNIST_URL", NOWHERE)
        return put

    def test_values_and_held_out_validation(self, put: Callable[..., None]) -> None:
        labels = np.arange(240) * 7 % 10
        put(np.arange(240)[:, None, None] * np.ones((28, 28)), labels)
        dataset = data.load("fashion-mnist")
        assert len(dataset.train.labels) == 220
        assert dataset.validation.labels.bincount().tolist() == [2] * 10  # 24 per class, a twelfth of them
        together = torch.cat([dataset.train.images, dataset.validation.images])[:, 0, 0, 0]
        assert together.sort().values.tolist() == list(range(240))
        for split in (dataset.train, dataset.validation, dataset.test):
            assert split.labels.tolist() == [labels[i] for i in split.images[:, 0, 5, 7]]

    def test_more_labels_than_images(self, put: Callable[..., None]) -> None:
        put(np.zeros((20, 28, 28)), np.zeros(21))
        with pytest.raises(ValueError, match=r"train-labels\S+ holds 21 labels, expected 20, .*train-images"):
            data.load("fashion-mnist")

    def test_label_that_is_no_class(self, put: Callable[..., None]) -> None:
        put(np.zeros((20, 28, 28)), np.full(20, 10))
        with pytest.raises(ValueError, match=r"train-labels\S+ holds label 10, expected 0 to 9"):
            data.load("fashion-mnist")

    def test_other_size_of_images(self, put: Callable[..., None]) -> None:
        put(np.zeros((20, 32, 32)), np.zeros(20))
        with pytest.raises(ValueError, match=r"train-images\S+ has .*shape \[20, 32, 32\].* expected .*\[20, 28, 28\]"):
            data.load("fashion-mnist")


class TestCifar10:
    """The binary archive, with twenty images in each of its files."""

    @pytest.fixture
    def archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
        monkeypatch.setattr(datasets, "CIFAR10_BATCH", 20)

        def write(**changed: bytes | None) -> Path:
            rng = np.random.default_rng(0)
            path = cache_folder() / "data" / "cifar-10-binary.tar.gz"
            path.parent.mkdir(parents=True)
            with tarfile.open(path, "w:gz", compresslevel=1) as tar:
                for part in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6)), "readme"):
                    records = rng.integers(0, 256, (20, 3073), dtype=np.uint8)
                    records[:, 0] = np.arange(20) % 10
                    content = changed.get(part, records.tobytes())
                    if content is not None:
                        member = tarfile.TarInfo(f"cifar-10-batches-bin/{part}.bin")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
            monkeypatch.setattr(datasets, "CIFAR10_SHA256", sha256(path.read_bytes()))
            return path

        return write

    def test_values(self, archive: Callable[..., Path]) -> None:
        record = bytes([7, *(c for c in (10, 20, 30) for _ in range(1024))])
        ramp = bytes([3, *(i % 32 for i in range(3072))])  # grows along the width
        path = archive(test_batch=record + ramp + record * 18)
        train, test = datasets.read_cifar10(path)
        assert test.labels.tolist()[:3] == [7, 3, 7]
        assert test.images[0].flatten(1).unique(dim=1).flatten().tolist() == [10, 20, 30]
        assert test.images[1, 2, 17].tolist() == list(range(32))
        assert (train.images.shape, train.labels.dtype) == ((100, 3, 32, 32), torch.int64)
        dataset = data.load("cifar10")
        assert dataset.classes[7] == "horse"
        assert dataset.train.labels.bincount().tolist() == [9] * 10
        assert dataset.validation.labels.bincount().tolist() == [1] * 10

    @pytest.mark.parametrize("content", [None, b"short"])
    def test_missing_or_resized_file(self, archive: Callable[..., Path], content: bytes | None) -> None:
        path = archive(data_batch_3=content)
        words = rf"{re.escape(str(path))} holds no \S+/data_batch_3\.bin of 61460 bytes: put http"
        with pytest.raises(ValueError, match=words):
            datasets.read_cifar10(path)

    def test_truncated_archive(self, archive: Callable[..., Path]) -> None:
        path = archive()
        path.write_bytes(path.read_bytes()[:200_000])
        with pytest.raises(ValueError, match=r"is not a whole tar\.gz archive"):
            datasets.read_cifar10(path)

    def test_label_that_is_no_class(self, archive: Callable[..., Path]) -> None:
        with pytest.raises(ValueError, match="holds label 12, expected 0 to 9"):
            datasets.read_cifar10(archive(data_batch_1=bytes([12] + [0] * 3072) * 20))


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Two classes of grey 5x4 images (height x width) that count up; 12 train, 2 test each."""
        for part, count in (("train", 12), ("test", 2)):
            for place, name in enumerate(("b-second", "a-first")):
                (tmp_path / "set" / part / name).mkdir(parents=True)
                for i in range(count):
                    pixels = np.full((5, 4), 100 * place + i, np.uint8)
                    Image.fromarray(pixels).save(tmp_path / "set" / part / name / f"{i:02}.png")
        return tmp_path / "set"

    def test_values(self, folder: Path) -> None:
        (folder / "train" / "a-first" / ".hidden").write_text("passed over")
        (folder / "train" / ".hidden").write_text("passed over")
        dataset = data.load("folder", folder=folder)
        assert dataset.classes == ("a-first", "b-second")
        assert dataset.test.images.shape == (4, 1, 5, 4)
        # Mixed, always in this way: of four the last two change places.
        assert dataset.test.images[:, 0, 0, 0].tolist() == [100, 101, 1, 0]
        assert dataset.test.labels.tolist() == [0, 0, 1, 1]
        assert dataset.validation.images[:, 0, 4, 3].tolist() == [100, 110, 10, 0]
        assert dataset.validation.labels.tolist() == [0, 0, 1, 1]
        assert dataset.train.labels.bincount().tolist() == [10, 10]
        assert set(dataset.train.labels[:10].tolist()) == {0, 1}
        assert torch.equal(data.load("folder", folder=folder).train.images, dataset.train.images)

    def test_fingerprint_follows_pixels_and_class_names(self, folder: Path) -> None:
        prints = [data.load("folder", folder=str(folder)).fingerprint]
        Image.fromarray(np.full((5, 4), 9, np.uint8)).save(folder / "test" / "a-first" / "00.png")
        prints.append(data.load("folder", folder=folder).fingerprint)
        for part in ("train", "test"):
            (folder / part / "a-first").rename(folder / part / "a-renamed")
        prints.append(data.load("folder", folder=folder).fingerprint)
        assert len(set(prints)) == 3

    def test_colour_and_jpeg(self, tmp_path: Path) -> None:
        for part in ("train", "test"):
            (tmp_path / part / "only").mkdir(parents=True)
            for name in ("a.jpg", "b.JPEG", "c.png"):
                Image.new("RGB", (8, 16), (200, 100, 50)).save(tmp_path / part / "only" / name)
        test = data.load("folder", folder=tmp_path).test
        assert test.images.shape == (3, 3, 16, 8)
        assert (test.images.float().mean((2, 3)) - torch.tensor([200, 100, 50])).abs().max() < 3

    @pytest.mark.parametrize(
        ("file", "make", "words"),
        [
            ("99.txt", lambda path: path.write_text("x"), "99.txt is not a PNG or JPEG file"),
            ("99.png", lambda path: path.mkdir(), "99.png is not a PNG or JPEG file"),
            ("99.png", lambda path: path.write_text("x"), "99.png is not a whole PNG or JPEG image"),
            (
                "99.png",
                lambda path: Image.new("L", (4, 6)).save(path),
                r"99.png has .* \(1, 6, 4\), expected \(1, 5, 4\)",
            ),
            (
                "99.png",
                lambda path: Image.new("RGB", (4, 5)).save(path),
                r"99.png has .* \(3, 5, 4\).*size and colour",
            ),
            (
                "99.png",
                lambda path: Image.new("RGBA", (4, 5)).save(path),
                "99.png has Pillow mode 'RGBA', expected",
            ),
        ],
    )
    def test_bad_file(self, folder: Path, file: str, make: Callable[[Path], object], words: str) -> None:
        make(folder / "train" / "b-second" / file)
        with pytest.raises(ValueError, match=words):
            data.load("folder", folder=folder)

    def test_truncated_image(self, folder: Path) -> None:
        path = folder / "test" / "b-second" / "01.png"
        path.write_bytes(path.read_bytes()[:50])
        with pytest.raises(ValueError, match=f"{re.escape(str(path))} is not a whole PNG or JPEG image"):
            data.load("folder", folder=folder)

    def test_missing_folders(self, folder: Path) -> None:
        shutil.rmtree(folder / "test")
        with pytest.raises(FileNotFoundError, match=r"test is missing: expected <class>/\*\.png"):
            data.load("folder", folder=folder)

    def test_classes_differ(self, folder: Path) -> None:
        (folder / "test" / "b-second").rename(folder / "test" / "c-third")
        with pytest.raises(ValueError, match=r"same classes, but only one of them has \['b-second', 'c-third'\]"):
            data.load("folder", folder=folder)

    def test_empty_class_no_class_and_stray_file(self, folder: Path) -> None:
        (folder / "train" / "empty").mkdir()
        with pytest.raises(ValueError, match="empty holds no images: expected"):
            data.load("folder", folder=folder)
        (folder / "train" / "empty").rmdir()
        (folder / "train" / "stray.png").write_bytes(b"")
        with pytest.raises(ValueError, match=r"stray\.png is not a class folder"):
            data.load("folder", folder=folder)
        shutil.rmtree(folder / "train")
        (folder / "train").mkdir()
        with pytest.raises(ValueError, match="<class> holds no images: expected"):
            data.load("folder", folder=folder)

    def test_class_too_small_to_hold_one_out(self, folder: Path) -> None:
        for path in list((folder / "train" / "a-first").iterdir())[1:]:
            path.unlink()
        with pytest.raises(ValueError, match="class 'a-first' has one train image, expected two or more"):
            data.load("folder", folder=folder)


class TestDownloads:
    @pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
    def test_no_network(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(datasets, "FASHION_MNIST_URL", NOWHERE)
        monkeypatch.setattr(datasets, "CIFAR10_URL", NOWHERE + "cifar-10-binary.tar.gz")
        file, (total, *_) = {
            "fashion-mnist": next(iter(datasets.FASHION_MNIST_SHA256.items())),
            "cifar10": ("cifar-10-binary.tar.gz", (datasets.CIFAR10_SHA256,)),
        }[name]
        with pytest.raises(FileNotFoundError, match="could not be downloaded") as caught:
            data.load(name)
        for words in (NOWHERE + file, total, str(cache_folder() / "data" / file), "needs no network"):
            assert words in str(caught.value)
