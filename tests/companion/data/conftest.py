"""For the tests of data: downloads go to a folder of the test, and past any proxy."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _scratch_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
