"""The distribution: what its wheel holds, what it asks for, and that it works alone beside torch."""

import email
import platform
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import torch

import cclib
from cclib.functional import kernels

SERVED = sys.platform == "linux" and platform.machine() == "x86_64"  # by kernels
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the project, as a build leaves files in the folder of the sources."""
    for module in ("build", "setuptools", "ziglang"):
        pytest.importorskip(module)
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("cclib", "companion", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", built, source)
    (path,) = built.glob("*.whl")
    return path


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_the_wheel_holds(wheel: Path) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cclib").rglob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    compiled = {f"cclib/functional/{name}" for name in kernels.LIBRARIES.values()} if SERVED else set()
    assert held == {*modules, *compiled, "cclib/py.typed", "cclib/functional/speeds.json"}
    system = "linux_x86_64" if SERVED else "any"
    assert wheel.name == f"continuous_convolution-{cclib.__version__}-py3-none-{system}.whl"


def test_kernels_ask_nothing_of_the_system(wheel: Path) -> None:
    """No library: memcpy and memset are those of the process that opens them, whichever C library it has."""
    if not SERVED:
        pytest.skip("no kernels for this system")
    with zipfile.ZipFile(wheel) as archive:
        for name in kernels.LIBRARIES.values():
            content = archive.read(f"cclib/functional/{name}")
            assert content.startswith(b"\x7fELF")
            assert b".so" not in content


def test_what_the_wheel_asks_for(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    required = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert [re.split(r"[^\w-]", text)[0] for text in required] == ["torch"]
    assert metadata["Name"] == "continuous-convolution"
    assert metadata["Version"] == cclib.__version__
    assert set(metadata.get_all("Provides-Extra", [])) == {"lab", "cluster", "jobqueue", "test"}


def test_an_installed_wheel_runs_the_first_lines_of_the_readme(wheel: Path, tmp_path: Path) -> None:
    """In an environment that has torch and nothing of this project's, and without numpy."""
    venv.create(tmp_path / "env", symlinks=True)
    (python,) = (tmp_path / "env").glob("*/python")
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", wheel)
    # Torch is that of the tests. The .pth files beside it are not read, so that the checkout stays unseen.
    (packages / "torch.pth").write_text(str(Path(torch.__file__).parents[1]), encoding="utf-8")
    lines = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert lines is not None
    script = f"""
import sys, warnings
sys.modules["numpy"] = None
warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
{lines[1]}
from cclib.functional import kernels
print(cclib.__file__, kernels.library() is not None, tuple(layer(x).shape))
try:
    import companion
except ModuleNotFoundError:
    print("alone")
"""
    file, compiled, shape = run(python, "-I", "-c", script, cwd=tmp_path).split(maxsplit=2)
    assert Path(file).is_relative_to(packages)
    assert compiled == str(kernels.library() is not None)
    assert shape == "(8, 32, 21, 21)\nalone\n"
