"""Downloads: made once, verified, and what is said when they fail."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from companion.data.downloads import fetch
from companion.files import cache_folder

NOWHERE = "http://127.0.0.1:9/"  # the discard port: a connection is refused at once


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


class TestFetch:
    def test_downloads_once(self, served: tuple[Path, str]) -> None:
        folder, address = served
        (folder / "a.bin").write_bytes(b"right")
        path = fetch(address + "a.bin", sha256(b"right"))
        assert path == cache_folder() / "data" / "a.bin"
        (folder / "a.bin").unlink()
        assert fetch(address + "a.bin", sha256(b"right")).read_bytes() == b"right"

    def test_server_sends_something_else(self, served: tuple[Path, str]) -> None:
        folder, address = served
        (folder / "a.bin").write_bytes(b"wrong")
        with pytest.raises(ValueError, match=r"a\.bin could not be downloaded") as caught:
            fetch(address + "a.bin", sha256(b"right"))
        assert sha256(b"right") in str(caught.value)
        assert sha256(b"wrong") in str(caught.value)
        assert list((cache_folder() / "data").iterdir()) == []

    def test_file_put_by_hand_is_used_or_refused(self) -> None:
        path = cache_folder() / "data" / "a.bin"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"right")
        assert fetch(NOWHERE + "a.bin", sha256(b"right")) == path
        assert fetch(NOWHERE + "a.bin", sha256(b"packed otherwise"), sha256(b"right")) == path
        with pytest.raises(ValueError, match="altered or truncated") as caught:
            fetch(NOWHERE + "a.bin", sha256(b"other"), sha256(b"packed otherwise"))
        for words in (str(path), sha256(b"right"), sha256(b"other"), NOWHERE, "by hand"):
            assert words in str(caught.value)
