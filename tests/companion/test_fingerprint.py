"""Fingerprints change with what code does, follow every kind of import, and ignore words."""

import ast
import json
from pathlib import Path

import pytest
from tiny_project import ROOT

from companion import fingerprint

INITS = sorted(path for package in fingerprint.PACKAGES for path in (ROOT / package).rglob("__init__.py"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a package."""
    for name, text in {
        "__init__.py": "from cclib.base import one\nfrom cclib.other import f",
        "base.py": "one = 1",
        "other.py": "def f():\n    from . import lazy",
        "lazy.py": "import math",
        "typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cclib.base import one",
        "deep/__init__.py": "from .inner import x",
        "deep/inner.py": "from ..lazy import math\nx = 1",
        "found/__init__.py": "import pkgutil\nfrom cclib.base import one\nfor _ in pkgutil.iter_modules(__path__): ...",
        "found/first.py": "",
        "found/second.py": "import cclib.lazy",
        "unused.py": "",
    }.items():
        path = tmp_path / "cclib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def names(root: Path, source: str, suffix: str = ".py", apart: tuple[str, ...] = ()) -> set[str]:
    path = root / f"source{suffix}"
    path.write_text(source)
    return {name.removeprefix("cclib.") for name in fingerprint.closure([path], apart, root)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import json", set()),
        ("import cclib", {"base", "other", "lazy"}),
        ("from cclib import one", {"base"}),
        ("from cclib import f", {"other", "lazy"}),
        ("import cclib.other as o", {"other", "lazy"}),
        ("from cclib import other", {"other", "lazy"}),
        ("from cclib.base import one", {"base"}),
        ("def f():\n    import cclib.lazy", {"lazy"}),
        ("from cclib.deep import x", {"deep.inner", "lazy"}),
        ("from cclib.deep import inner", {"deep.inner", "lazy"}),
        ("from cclib import deep", {"deep.inner", "lazy"}),
        ("import cclib.typed", {"typed"}),
        ("from cclib.found import one", {"base", "found", "found.first", "found.second", "lazy"}),
        ("from cclib import found", {"base", "found", "found.first", "found.second", "lazy"}),
        ("from cclib.found import first", {"found.first"}),
    ],
)
def test_closure_follows_imports(root: Path, source: str, expected: set[str]) -> None:
    assert names(root, source) == expected


def test_closure_of_a_module_holds_itself(root: Path) -> None:
    closed = fingerprint.closure([root / "cclib" / "other.py"], root=root)
    assert list(closed) == ["cclib.lazy", "cclib.other"]
    assert closed["cclib.lazy"] == fingerprint.module_hash(root / "cclib" / "lazy.py")


def test_what_is_apart_is_left_out_with_what_only_it_imports(root: Path) -> None:
    assert names(root, "import cclib.other, cclib.base", apart=("cclib.other",)) == {"base"}
    assert names(root, "import cclib.deep.inner, cclib.base", apart=("cclib.deep",)) == {"base"}
    assert names(root, "import cclib.other, cclib.lazy", apart=("cclib.other", "cclib.la")) == {"lazy"}


def test_closure_holds_the_json_files_that_a_module_names(root: Path) -> None:
    module, data = root / "cclib" / "base.py", root / "cclib" / "numbers.json"
    module.write_text('one = open("numbers.json"), open("elsewhere.json")')
    data.write_text('{"a": 1, "b": 2}')
    (root / "cclib" / "unnamed.json").write_text("{}")
    before = fingerprint.closure([module], root=root)
    assert list(before) == ["cclib.base", "cclib.numbers.json"]
    data.write_text('{\n "b": 2,\n "a": 1\n}\n')
    assert fingerprint.closure([module], root=root) == before
    data.write_text('{"a": 1, "b": 3}')
    after = fingerprint.closure([module], root=root)
    assert {name for name in before if before[name] != after[name]} == {"cclib.numbers.json"}
    assert names(root, "import cclib.base", apart=("cclib.base",)) == set()


def test_closure_holds_the_c_files_that_a_module_names(root: Path) -> None:
    module, code = root / "cclib" / "base.py", root / "cclib" / "sums.c"
    module.write_text('SOURCE = "sums.c"')
    code.write_text("int one(void) { return 1; }")
    before = fingerprint.closure([module], root=root)
    assert list(before) == ["cclib.base", "cclib.sums.c"]
    code.write_text("/* the\n   first */\nint one(void) {\n    return 1;\n}\n")
    assert fingerprint.closure([module], root=root) == before
    code.write_text("int one(void) { return 2; }")
    assert fingerprint.closure([module], root=root) != before


def test_the_constants_of_the_choice_and_the_kernels_are_seen() -> None:
    assert {"cclib.functional.speeds.json", "cclib.functional.kernels.c"} <= {
        *fingerprint.closure([ROOT / "cclib" / "layers.py"])
    }


def test_closure_reads_the_code_cells_of_a_notebook(root: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["import cclib.unused"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!ls\n", "if True:\n", "    %time 1\n"]},
        {"cell_type": "code", "source": ["import cclib.lazy"]},
    ]
    assert names(root, json.dumps({"cells": cells}), ".ipynb") == {"lazy"}


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
        ("from typing import Any\n\n\ndef f(x: Any, *, y: int) -> Any:\n    return x + 1\n", False),
        (
            "from __future__ import annotations\n\n__all__ = ['f']\n\n\ndef f(x: float) -> float:\n    return x + 1\n",
            True,
        ),
        ("if TYPE_CHECKING:\n    import ast\n" + CODE, True),
        ("if typing.TYPE_CHECKING:\n    import ast\n" + CODE, True),
        ("if not TYPE_CHECKING:\n    import ast\n" + CODE, False),
        ("if TYPE_CHECKING:\n    import ast\nelse:\n    import math\n" + CODE, False),
        ("if TYPE_CHECKING:\n    import ast\nelse:\n    " + CODE.replace("\n", "\n    "), True),
        ("def f(x):\n    y: int\n    return x + 1\n", True),
        (CODE + "class A:\n    a: int\n", False),
    ],
)
def test_module_hash_sees_code_and_not_words(tmp_path: Path, edited: str, same: bool) -> None:
    before, after = tmp_path / "before.py", tmp_path / "after.py"
    before.write_text(CODE)
    after.write_text(edited)
    assert (fingerprint.module_hash(before) == fingerprint.module_hash(after)) is same


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("class A:\n    a: int = 1\n", False),
        ("def f():\n    class A:\n        a: int = 1\n", False),
        ("def f():\n    if True:\n        a: int = 1\n", True),
        ("class A:\n    def f(self):\n        self.a: int = 1\n", True),
    ],
)
def test_types_of_fields_are_code_and_those_of_variables_are_not(tmp_path: Path, text: str, same: bool) -> None:
    before, after = tmp_path / "before.py", tmp_path / "after.py"
    before.write_text(text)
    after.write_text(text.replace("int", "float"))
    assert (fingerprint.module_hash(before) == fingerprint.module_hash(after)) is same


@pytest.mark.parametrize("path", INITS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_packages_pass_names_on_and_define_none(path: Path) -> None:
    """Fingerprints look through them; one that finds its modules itself is a part of the fingerprint."""
    if "iter_modules" in path.read_text(encoding="utf-8"):
        return
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        exported = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        assert text or exported or isinstance(node, ast.Import | ast.ImportFrom), ast.unparse(node)


def test_what_is_not_python_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def")
    with pytest.raises(SyntaxError) as caught:
        fingerprint.module_hash(path)
    assert caught.value.filename == str(path)
