"""The command line, and the process with fewer instructions."""

import re

import pytest

from companion.benchmark import __main__ as command
from companion.benchmark import choice, instructions, printed, ratios, refit
from companion.benchmark.cases import Case
from companion.benchmark.instructions import SAME, has_more


@pytest.fixture
def asked(monkeypatch):
    """What would be measured, in place of measuring."""
    monkeypatch.setattr(printed, "table", lambda rounds: iter([f"table {rounds}"]))
    monkeypatch.setattr(choice, "lines", lambda rounds: iter([f"choice {rounds}"]))
    monkeypatch.setattr(refit, "refit", lambda times, rounds: iter([f"refit {times} {rounds}"]))
    monkeypatch.setattr(command, "in_avx2", lambda arguments: iter([f"again {' '.join(arguments)}".rstrip()]))
    monkeypatch.setattr(command, "has_more", lambda: True)


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("", ["table 25", "", "again"]),
        ("--rounds 3", ["table 3", "", "again --rounds 3"]),
        ("--here", ["table 25"]),
        ("--choice", ["choice 7", "", "again --choice"]),
        ("--choice --rounds 4", ["choice 4", "", "again --choice --rounds 4"]),
        ("--refit", ["refit None 7"]),
        ("--refit --times a.json --rounds 5", ["refit a.json 5"]),
    ],
)
@pytest.mark.usefixtures("asked")
def test_what_is_asked_for(given, lines):
    assert list(command.lines(command.arguments(given.split()))) == lines


@pytest.mark.usefixtures("asked")
def test_a_processor_with_nothing_wider(monkeypatch):
    monkeypatch.setattr(command, "has_more", lambda: False)
    assert list(command.lines(command.arguments([]))) == ["table 25", "", SAME]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--times a.json", "--times goes with --refit"),
        ("--rounds 1", "--rounds must be at least 2, got 1"),
        ("--choice --refit", "not allowed with argument"),
    ],
)
def test_what_cannot_be_asked_for(given, message, capsys):
    with pytest.raises(SystemExit):
        command.arguments(given.split())
    assert message in capsys.readouterr().err


def test_wider_instructions():
    assert [has_more(name) for name in ("AVX512", "AVX2", "DEFAULT", "SVE256")] == [True, False, False, False]
    assert isinstance(has_more(), bool)


def test_a_process_limited_to_avx2_answers_with_ratios():
    measured = ratios.ratios_with_avx2([Case(1, 2, 2, 6, 4, 3), Case(1, 2, 2, 6, 4, 3, 0.7)], blocks=2, rounds=2)
    assert [len(blocks) for blocks in measured] == [2, 2]
    assert all(ratio > 0 for blocks in measured for ratio in blocks)


def test_the_process_is_limited_from_its_start(monkeypatch):
    code = "import os; print(os.environ['ATEN_CPU_CAPABILITY'], os.environ['ONEDNN_MAX_CPU_ISA'])"
    original = instructions.subprocess.Popen
    monkeypatch.setattr(
        instructions.subprocess, "Popen", lambda command, **options: original([command[0], "-c", code], **options)
    )
    assert list(instructions.in_avx2([])) == ["avx2 AVX2"]


def test_a_process_that_fails():
    with pytest.raises(RuntimeError, match=re.escape("limited to AVX2 failed with exit status 2")):
        list(instructions.in_avx2(["--rounds", "1"]))
