"""How the processor is named."""

import os
import platform
from pathlib import Path

import pytest
import torch

from companion.processor import processor

CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Some Processor: fast
flags\t\t:

processor\t: 1
vendor_id\t: Another
"""


def test_name_and_family_are_those_of_the_first_core(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    found = processor(tmp_path / "cpuinfo")
    assert found.name == "Some Processor: fast"
    assert found.family == "GenuineIntel, family 6, model 143"
    assert found.instructions == torch.backends.cpu.get_cpu_capability()
    assert str(found) == f"Some Processor: fast ({found.family}), instructions: {found.instructions}"


def test_a_system_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    found = processor(tmp_path / "none")
    assert (found.name, found.family) == ("arm", "unknown")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor(tmp_path / "none").name == "unknown"


def test_the_host_is_not_named() -> None:
    assert os.uname().nodename not in str(processor())
