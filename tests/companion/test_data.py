"""Tests of companion.data: values of what is read, and the words of the error for each kind of bad file."""

import functools
import gzip
import hashlib
import http.server
import io
import re
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from companion import data

NOWHERE = "http://127.0.0.1:9/"  # the discard port: a connection is refused at once


@pytest.fixture(autouse=True)
def _scratch_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the embedded files that a test may spoil."""
    folder = tmp_path / "embedded"
    shutil.copytree(data.EMBEDDED, folder)
    monkeypatch.setattr(data, "EMBEDDED", folder)
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a local server of its files."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


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
        lines = [line.split("  ") for line in (data.EMBEDDED / "SHA256SUMS").read_text().splitlines()]
        files = sorted((data.EMBEDDED / data.SUBSET).iterdir())
        assert sorted(data.EMBEDDED / file for _, file in lines) == files
        assert all(sha256((data.EMBEDDED / file).read_bytes()) == total for total, file in lines)
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
        command = [sys.executable, embedded / "make_subset.py", tmp_path]
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


class TestIdx:
    def test_values(self, tmp_path: Path) -> None:
        items = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
        (tmp_path / "items.gz").write_bytes(packed(idx(items)))
        assert np.array_equal(data.read_idx(tmp_path / "items.gz", (3, 4)), items)

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
            data.read_idx(file, (3, 4))


class TestFashionMnist:
    """The full set, with small files in the place of the official ones, put into the cache by hand."""

    @pytest.fixture
    def put(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray, np.ndarray], None]:
        def put(images: np.ndarray, labels: np.ndarray) -> None:
            folder = data.cache_folder() / "data"
            folder.mkdir(parents=True, exist_ok=True)
            for name in data.FASHION_MNIST_SHA256:
                content = packed(idx(images if "images" in name else labels))
                (folder / name).write_bytes(content)
                monkeypatch.setitem(data.FASHION_MNIST_SHA256, name, sha256(content))

        monkeypatch.setattr(data, "FASHION_MNIST_URL", NOWHERE)
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


class TestFetch:
    @pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
    def test_no_network(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(data, "FASHION_MNIST_URL", NOWHERE)
        monkeypatch.setattr(data, "CIFAR10_URL", NOWHERE + "cifar-10-binary.tar.gz")
        file, total = {
            "fashion-mnist": next(iter(data.FASHION_MNIST_SHA256.items())),
            "cifar10": ("cifar-10-binary.tar.gz", data.CIFAR10_SHA256),
        }[name]
        with pytest.raises(FileNotFoundError, match="could not be downloaded") as caught:
            data.load(name)
        for words in (NOWHERE + file, total, str(data.cache_folder() / "data" / file), "needs no network"):
            assert words in str(caught.value)

    def test_downloads_once(self, served: tuple[Path, str]) -> None:
        folder, address = served
        (folder / "a.bin").write_bytes(b"right")
        path = data.fetch(address + "a.bin", sha256(b"right"))
        assert path == data.cache_folder() / "data" / "a.bin"
        (folder / "a.bin").unlink()
        assert data.fetch(address + "a.bin", sha256(b"right")).read_bytes() == b"right"

    def test_server_sends_something_else(self, served: tuple[Path, str]) -> None:
        folder, address = served
        (folder / "a.bin").write_bytes(b"wrong")
        with pytest.raises(ValueError, match=r"a\.bin could not be downloaded") as caught:
            data.fetch(address + "a.bin", sha256(b"right"))
        assert sha256(b"right") in str(caught.value)
        assert sha256(b"wrong") in str(caught.value)
        assert list((data.cache_folder() / "data").iterdir()) == []

    def test_file_put_by_hand_is_used_or_refused(self) -> None:
        path = data.cache_folder() / "data" / "a.bin"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"right")
        assert data.fetch(NOWHERE + "a.bin", sha256(b"right")) == path
        with pytest.raises(ValueError, match="altered or truncated") as caught:
            data.fetch(NOWHERE + "a.bin", sha256(b"other"))
        for words in (str(path), sha256(b"right"), sha256(b"other"), NOWHERE, "by hand"):
            assert words in str(caught.value)


class TestCifar10:
    """The binary archive, with twenty images in each of its files."""

    @pytest.fixture
    def archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
        monkeypatch.setattr(data, "CIFAR10_BATCH", 20)

        def write(**changed: bytes | None) -> Path:
            rng = np.random.default_rng(0)
            path = data.cache_folder() / "data" / "cifar-10-binary.tar.gz"
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
            monkeypatch.setattr(data, "CIFAR10_SHA256", sha256(path.read_bytes()))
            return path

        return write

    def test_values(self, archive: Callable[..., Path]) -> None:
        record = bytes([7, *(c for c in (10, 20, 30) for _ in range(1024))])
        ramp = bytes([3, *(i % 32 for i in range(3072))])  # grows along the width
        path = archive(test_batch=record + ramp + record * 18)
        train, test = data.read_cifar10(path)
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
            data.read_cifar10(path)

    def test_truncated_archive(self, archive: Callable[..., Path]) -> None:
        path = archive()
        path.write_bytes(path.read_bytes()[:200_000])
        with pytest.raises(ValueError, match=r"is not a whole tar\.gz archive"):
            data.read_cifar10(path)

    def test_label_that_is_no_class(self, archive: Callable[..., Path]) -> None:
        with pytest.raises(ValueError, match="holds label 12, expected 0 to 9"):
            data.read_cifar10(archive(data_batch_1=bytes([12] + [0] * 3072) * 20))


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


class TestPhotographs:
    def test_are_those_of_scikit_image_and_need_no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "socket", None)
        images = data.photographs()
        assert list(images) == sorted(images)
        assert {"astronaut", "camera", "chelsea", "coffee"} < set(images)
        for name, image in images.items():
            assert image.dtype == torch.float32
            assert image.shape[0] in (1, 3)
            assert min(image.shape[1:]) >= 200
            assert 0 <= image.min() < image.max() <= 1
            assert f"{name} ({'RGB' if len(image) == 3 else 'grey'} {image.shape[1]}x{image.shape[2]})" in " ".join(
                str(data.photographs.__doc__).split()
            )

    def test_values(self) -> None:
        from skimage import data as skimage_data

        images = data.photographs()
        assert np.array_equal((images["chelsea"] * 255).round().permute(1, 2, 0), skimage_data.chelsea())
        assert np.array_equal((images["camera"][0] * 255).round(), skimage_data.camera())

    def test_each_is_in_one_split(self) -> None:
        names = [name for split in data.PHOTOGRAPHS.values() for name in split]
        assert sorted(names) == sorted(data.photographs())

    def test_missing_or_other_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(data.PHOTOGRAPHS_SHA256, "camera.png", "0" * 64)
        with pytest.raises(ValueError, match=r"camera\.png is altered.* expected 0{64}: install the pinned version"):
            data.photographs()
        monkeypatch.setattr(data, "PHOTOGRAPHS_SHA256", {"nothing.png": "0" * 64})
        with pytest.raises(FileNotFoundError, match=r"nothing\.png is missing.*install the pinned version"):
            data.photographs()


class TestNormalisation:
    def test_statistics_by_hand(self) -> None:
        images = torch.tensor([[[[0, 255]], [[51, 51]]], [[[0, 255]], [[102, 102]]]], dtype=torch.uint8)
        mean, std = data.channel_statistics(data.Split(images, torch.zeros(2, dtype=torch.int64)))
        torch.testing.assert_close(mean, torch.tensor([0.5, 0.3]))
        torch.testing.assert_close(std, torch.tensor([0.5, 0.1]))

    def test_normalised_has_mean_zero_and_deviation_one(self) -> None:
        split = data.load().validation
        images = data.normalised(split.images, *data.channel_statistics(split))
        assert images.dtype == torch.float32
        assert abs(images.double().mean()) < 1e-6
        assert abs(images.double().std() - 1) < 1e-6

    def test_bad_arguments(self) -> None:
        one, images = torch.ones(1), torch.zeros(2, 1, 3, 3, dtype=torch.uint8)
        with pytest.raises(TypeError, match=r"images is torch\.float32 \(2, 1, 3, 3\), but must be uint8"):
            data.normalised(images.float(), one, one)
        with pytest.raises(ValueError, match=r"mean has shape \(3,\), but must be \(1,\)"):
            data.normalised(images, torch.ones(3), one)
        with pytest.raises(ValueError, match=r"std is \[0\.0\], but must be positive"):
            data.normalised(images, one, torch.zeros(1))
