"""The instructions that results are computed with: the same on every x86 processor with AVX2, for the same bits.

Libraries pick their code by the processor and by the number of threads, and each choice rounds in its own way. Results
are computed with what every such processor has: no wider instructions than AVX2, in torch, oneDNN, numpy and OpenBLAS;
the code of MKL that is the same for all makers; one thread. ``CCLIB_INSTRUCTIONS=native`` takes the processor's own
instead, which is faster on some, and other bits.

All of it is read by the libraries when they first compute: it must be set before, and is passed on to child processes.
"""

from __future__ import annotations

import os
import platform
from collections.abc import MutableMapping
from pathlib import Path

from companion import processor

SWITCH = "CCLIB_INSTRUCTIONS"
SHARED, NATIVE = "shared", "native"

# What the shared way sets, by who reads it.
SETTINGS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels, and SLEEF
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",  # other values mean one thing on Intel and another elsewhere
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
MEASURES_TIME = ("11-efficiency",)  # notebooks that are about speed, so always with the processor's own
X86 = ("x86_64", "AMD64")


def wanted(notebook: str = "") -> str:
    """SHARED or NATIVE, for a notebook.

    Raises:
        ValueError: the switch says something else, or asks of this processor what it does not have.
    """
    asked = os.environ.get(SWITCH) or SHARED
    if asked not in (SHARED, NATIVE):
        raise ValueError(f"{SWITCH} must be {SHARED!r} or {NATIVE!r}, got {asked!r}")
    return NATIVE if notebook in MEASURES_TIME or not can_share() else asked


def can_share(cpuinfo: Path = processor.CPUINFO) -> bool:
    """Whether this processor has the shared instructions: an x86 one with AVX2, as far as the system tells."""
    return platform.machine() in X86 and "avx2" in processor.described_in(cpuinfo).get("flags", "").split()


def settle(notebook: str = "", environment: MutableMapping[str, str] = os.environ) -> None:
    """Write what is wanted for a notebook into an environment, by default this process's."""
    if wanted(notebook) == SHARED:
        environment.update(SETTINGS)
    elif all(environment.get(name) == value for name, value in SETTINGS.items()):
        for name in SETTINGS:  # inherited from a process that shares
            del environment[name]


def in_use() -> str:
    """SHARED or NATIVE: which of them this process computes with."""
    settled = all(os.environ.get(name) == value for name, value in SETTINGS.items())
    return SHARED if settled else NATIVE
