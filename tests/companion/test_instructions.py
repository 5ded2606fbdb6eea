"""Which instructions a process is given, and that those are what it computes with."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_project import ROOT

from companion import instructions
from companion.instructions import NATIVE, SETTINGS, SHARED, SWITCH

needs_avx2 = pytest.mark.skipif(not instructions.can_share(), reason="an x86 processor with AVX2")


@pytest.fixture(autouse=True)
def unsettled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SETTINGS, SWITCH):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [("x86_64", "sse2 avx avx2", True), ("AMD64", "avx2", True), ("x86_64", "avx", False), ("aarch64", "avx2", False)],
)
def test_what_can_share(
    machine: str, flags: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert instructions.can_share(tmp_path / "cpuinfo") is expected
    assert not instructions.can_share(tmp_path / "none")


@needs_avx2
def test_the_switch_and_what_measures_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert instructions.wanted() == instructions.wanted("03-drop-in") == SHARED
    assert instructions.wanted("11-efficiency") == NATIVE
    monkeypatch.setenv(SWITCH, NATIVE)
    assert instructions.wanted() == NATIVE
    monkeypatch.setenv(SWITCH, "fast")
    with pytest.raises(ValueError, match="CCLIB_INSTRUCTIONS must be 'shared' or 'native', got 'fast'"):
        instructions.wanted()


@needs_avx2
def test_an_environment_is_settled_and_unsettled(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"OMP_NUM_THREADS": "2", "HOME": "here"}
    instructions.settle("11-efficiency", environment)
    assert environment == {"OMP_NUM_THREADS": "2", "HOME": "here"}  # the user's own
    instructions.settle("03-drop-in", environment)
    assert environment == SETTINGS | {"HOME": "here"}
    instructions.settle("11-efficiency", environment)
    assert environment == {"HOME": "here"}


@needs_avx2
@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_libraries_do_as_they_are_told(library: str) -> None:
    """No warning, one thread, nothing beyond AVX2."""
    code = {
        "torch": "import torch; print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())",
        "numpy": "from numpy._core._multiarray_umath import __cpu_features__ as f; print('AVX2', 1 + f['X86_V4'])",
    }
    start = f"from companion import instructions; instructions.settle(); {code[library]}"
    command = [sys.executable, "-W", "error", "-c", start]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert (done.stdout.split(), done.stderr) == (["AVX2", "1"], "")


@needs_avx2
def test_a_process_knows_what_it_computes_with(monkeypatch: pytest.MonkeyPatch) -> None:
    assert instructions.in_use() == NATIVE
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    assert instructions.in_use() == SHARED
