"""The processor: its name and family, and the instructions that torch uses on it. No name of host or user."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Processor:
    """What rounding and speed depend on.

    Args:
        name: as the maker gives it.
        family: maker, family and model as numbers, or "unknown" where the system does not tell.
        instructions: the widest set that torch uses in this process, such as "AVX2" or "AVX512".
    """

    name: str
    family: str
    instructions: str

    def __str__(self) -> str:
        return f"{self.name} ({self.family}), instructions: {self.instructions}"


def processor(cpuinfo: Path = CPUINFO) -> Processor:
    """The processor of this process, named as in ``cpuinfo``."""
    import torch  # Seconds to import: not before it is needed.

    described = described_in(cpuinfo)
    name = described.get("model name") or platform.processor() or "unknown"
    parts = (("", "vendor_id"), ("family ", "cpu family"), ("model ", "model"))
    family = ", ".join(f"{word}{described[key]}" for word, key in parts if described.get(key))
    return Processor(name, family or "unknown", torch.backends.cpu.get_cpu_capability())


def described_in(cpuinfo: Path) -> dict[str, str]:
    """The lines ``key : value`` of the first core; none where there is no such file."""
    try:
        first = cpuinfo.read_text(encoding="utf-8").strip().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
