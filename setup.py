"""Compiles the kernels of ``cclib``, where there are any for the system; all else is in ``pyproject.toml``.

The compiler is clang as ``ziglang`` brings it, the same one everywhere, and nothing of the system is needed.
"""

import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCE = "cclib/functional/kernels.c"
LEVELS = {"avx2": "x86_64_v3", "avx512": "x86_64_v4"}  # clang's name of the processor
SERVED = sys.platform == "linux" and platform.machine() == "x86_64"


class BuildKernels(build_ext):
    """A shared library for each level, which ``ctypes`` opens: it knows neither Python nor torch."""

    def get_ext_filename(self, fullname: str) -> str:
        *package, name = fullname.split(".")
        return os.path.join(*package, name.replace("_", "."))

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        processor = LEVELS[ext.name.rpartition("_")[2]]
        made_from = hashlib.sha256(Path(SOURCE).read_bytes()).hexdigest()
        options = [f"-mcpu={processor}", "-O3", "-std=c11", "-shared", "-fPIC", "-nostdlib", "-s"]
        options.append(f'-DMADE_FROM="{made_from}"')
        cache = {f"ZIG_{kind}_CACHE_DIR": str(Path(self.build_temp).resolve()) for kind in ("LOCAL", "GLOBAL")}
        if importlib.util.find_spec("ziglang") is None:
            raise CompileError("ziglang, which has the compiler, is not installed; pip's own build environment has it")
        command = [sys.executable, "-m", "ziglang", "cc", *options, "-o", str(target), *ext.sources]
        subprocess.run(command, check=True, env=os.environ | cache)


class PlatformWheel(bdist_wheel):
    """A wheel for any Python on this system."""

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


setup(
    ext_modules=[Extension(f"cclib.functional.kernels_{level}", [SOURCE]) for level in LEVELS] if SERVED else [],
    cmdclass={"build_ext": BuildKernels} | ({"bdist_wheel": PlatformWheel} if SERVED else {}),
)
