"""The bits are the same on every x86 processor with AVX2, whatever else it has; a difference names its operation."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_project import ROOT

from companion import instructions
from companion.processor import processor

# Makers and families on which somebody has seen the committed bits. On others a difference is news, and no fault of
# whoever runs the tests: it is told as the reason of a skip.
SEEN_ON = ("GenuineIntel, family 6", "AuthenticAMD, family 25")
SCRIPT = Path(__file__).with_name("bits.py")
COMMITTED = json.loads(SCRIPT.with_suffix(".json").read_text(encoding="utf-8"))

pytestmark = pytest.mark.skipif(not instructions.can_share(), reason="the bits are those of x86 processors with AVX2")


def computed(**environment: str) -> dict[str, str]:
    """In a process of its own, since libraries choose their instructions once."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, str(SCRIPT)], env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def here() -> dict[str, str]:
    return computed()


def test_every_operation_and_network_gives_the_committed_bits(here: dict[str, str]) -> None:
    assert list(here) == list(COMMITTED)
    others = [name for name in COMMITTED if here[name] != COMMITTED[name]]
    family = processor().family
    if others and not family.startswith(SEEN_ON):
        pytest.skip(f"never seen on {family}, and others here, the first being where it begins: {', '.join(others)}")
    assert others == [], "the first is where it begins"


def test_nothing_computes_square_roots_with_torch() -> None:
    """MKL rounds them otherwise on processors of another maker. Those of ``math`` and numpy are rounded correctly."""
    sources = [path for folder in ("cclib", "companion", "notebooks") for path in (ROOT / folder).rglob("*")]
    texts = {path: path.read_text(encoding="utf-8") for path in sources if path.suffix in (".py", ".ipynb")}
    assert any("math.sqrt(" in text for text in texts.values())
    assert [path for path, text in texts.items() if re.search(r"(?<!math)(?<!np)\.sqrt\(|\*\* 0?\.5\b", text)] == []
    # Optimizers take roots as well, unless their steps are fused.
    made = re.compile(r"torch\.optim\.\w+\((?:[^()]|\([^()]*\))*\)")
    steps = [call for text in texts.values() for call in made.findall(text)]
    assert len(steps) >= 3
    assert [step for step in steps if "fused=True" not in step] == []


def test_the_switch_leaves_the_shared_instructions() -> None:
    """Without them MKL takes another way through a sum: the bits do depend on the settings."""
    native = computed(CCLIB_INSTRUCTIONS="native")
    assert native["operation randperm"] == COMMITTED["operation randperm"]
    assert native["operation linear"] != COMMITTED["operation linear"]
