"""Fingerprints change with what code does, follow every kind of import, and ignore words."""

import json
from pathlib import Path

import pytest

from companion import fingerprint


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "cclib"
    (folder / "deep").mkdir(parents=True)
    for name, text in {
        "__init__.py": "from cclib.base import one",
        "base.py": "one = 1",
        "other.py": "def f():\n    from . import lazy",
        "lazy.py": "import math",
        "deep/__init__.py": "from .inner import x",
        "deep/inner.py": "from ..other import f\nx = 1",
        "unused.py": "",
    }.items():
        (folder / name).write_text(text)
    return folder


def names(package: Path, source: str, suffix: str = ".py") -> set[str]:
    path = package.parent / f"source{suffix}"
    path.write_text(source)
    return {name.removeprefix("cclib").lstrip(".") for name in fingerprint.closure(path, package)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import json", set()),
        ("import cclib", {"", "base"}),
        ("import cclib.other as o", {"", "base", "other", "lazy"}),
        ("from cclib import other", {"", "base", "other", "lazy"}),
        ("from cclib.base import one", {"", "base"}),
        ("def f():\n    import cclib.lazy", {"", "base", "lazy"}),
        ("from cclib.deep import x", {"", "base", "deep", "deep.inner", "other", "lazy"}),
        ("from cclib.deep import inner", {"", "base", "deep", "deep.inner", "other", "lazy"}),
    ],
)
def test_closure_follows_imports(package: Path, source: str, expected: set[str]) -> None:
    assert names(package, source) == expected


def test_closure_of_a_module_holds_itself(package: Path) -> None:
    closed = fingerprint.closure([package / "other.py"], package)
    assert list(closed) == ["cclib", "cclib.base", "cclib.lazy", "cclib.other"]
    assert closed["cclib.lazy"] == fingerprint.module_hash(package / "lazy.py")


def test_closure_reads_the_code_cells_of_a_notebook(package: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["import cclib.unused"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!ls\n", "if True:\n", "    %time 1\n"]},
        {"cell_type": "code", "source": ["import cclib.lazy"]},
    ]
    assert names(package, json.dumps({"cells": cells}), ".ipynb") == {"", "base", "lazy"}


CODE = "def f(x):\n    return x + 1\n"


@pytest.mark.parametrize(
    ("edited", "same"),
    [
        ("# why\n\n\ndef f(x):  # how\n    return (x + 1)\n", True),
        ('"""Module."""\n\n\ndef f(x):\n    """Function."""\n    return x + 1\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    return x + 1.0\n", False),
        ("def f(y):\n    return y + 1\n", False),
        (CODE + "f(1)\n", False),
    ],
)
def test_module_hash_sees_code_and_not_words(tmp_path: Path, edited: str, same: bool) -> None:
    before, after = tmp_path / "before.py", tmp_path / "after.py"
    before.write_text(CODE)
    after.write_text(edited)
    assert (fingerprint.module_hash(before) == fingerprint.module_hash(after)) is same


def test_what_is_not_python_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def")
    with pytest.raises(SyntaxError) as caught:
        fingerprint.module_hash(path)
    assert caught.value.filename == str(path)
