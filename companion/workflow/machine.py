"""The machine under a running notebook: hardware, versions, and the commit of the sources.

It knows nothing of results, and names no host and no user.
"""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

from companion import instructions
from companion.processor import processor

_PACKAGES = ("torch", "numpy", "scipy", "pandas", "scikit-image", "matplotlib")


def measurements(seconds: float, peak_bytes: int) -> dict[str, Any]:
    """Wall time (s), peak memory (MiB), hardware and versions, as machine.json has them."""
    return {
        "wall_seconds": round(seconds, 1),
        "peak_memory_mib": round(peak_bytes / 2**20),
        "hardware": hardware(),
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in _PACKAGES},
    }


def hardware() -> dict[str, str | int | float]:
    """What speed and rounding depend on: processor, instructions that torch uses, cores, memory, GPU, system.

    No name of host or user.
    """
    import torch  # Seconds to import: not before it is needed.

    found = processor()
    return {
        "cpu": found.name,
        "family": found.family,
        "instructions": found.instructions,
        "settings": instructions.in_use(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.machine()}",
    }


def commit(root: Path) -> str:
    """The commit that `root` is at, with "+" where its sources differ from it; "unknown" without git."""
    git = ["git", "--no-optional-locks", "-C", str(root)]
    sources = ["cclib", "companion", "notebooks", "profiles", "data", "constraints.txt"]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        status = [*git, "status", "--porcelain", "--", *sources]
        changed = subprocess.run(status, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout else "")
