"""The same measurement with no wider instructions than AVX2, which many processors have as their widest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from companion import instructions
from companion.files import project_root
from companion.processor import processor

# What torch and oneDNN read when they load: a process has to start with it.
AVX2 = {name: instructions.SETTINGS[name] for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")}
WIDER = ("AVX512",)  # how torch names what lies beyond
SAME = "This processor has nothing beyond AVX2: limited to AVX2, all would be the same."


def has_more(widest: str | None = None) -> bool:
    """Whether ``widest``, by default those that torch uses in this process, are wider than AVX2."""
    return (widest or processor().instructions).startswith(WIDER)


def in_avx2(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """The lines that ``python -m companion.benchmark`` prints with these arguments, limited to AVX2, as they come.

    Raises:
        RuntimeError: it failed; its own message is on the error stream.
    """
    command = [sys.executable, "-m", "companion.benchmark", "--here", *arguments]
    limited = {**environment, **AVX2, "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, cwd=project_root(), env=limited, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            yield line.rstrip("\n")
    if child.returncode:
        raise RuntimeError(f"the benchmark limited to AVX2 failed with exit status {child.returncode}")
