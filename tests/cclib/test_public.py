"""Every public name is listed, typed and documented, and the examples in the docstrings are true."""

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import cclib
from cclib.filters import FILTERS, TRUNKS

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(module.name for module in pkgutil.walk_packages(cclib.__path__, "cclib."))


def public_names() -> list[tuple[str, object]]:
    """(dotted name, object) of all that the modules list, and of the methods of listed classes."""
    listed = {}
    for module in map(importlib.import_module, MODULES):
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if getattr(value, "__module__", None) == module.__name__:
                listed[f"{module.__name__}.{name}"] = value
                if isinstance(value, type):
                    members = {key: getattr(item, "__func__", item) for key, item in vars(value).items()}
                    listed |= {
                        f"{module.__name__}.{name}.{key}": item
                        for key, item in members.items()
                        if not key.startswith("_") and (inspect.isfunction(item) or isinstance(item, property))
                    }
    return sorted(listed.items())


PUBLIC = public_names()


@pytest.mark.parametrize("name", MODULES)
def test_every_module_lists_what_is_public(name: str) -> None:
    module = importlib.import_module(name)
    if name not in ("cclib.models", "cclib.version"):  # the one imports nothing, the other is read by the build
        assert module.__all__
        assert all(hasattr(module, public) for public in module.__all__)
    assert module.__doc__


@pytest.mark.parametrize(("name", "value"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_every_public_thing_is_documented(name: str, value: object) -> None:
    if callable(value) or isinstance(value, property):
        text = value.__doc__  # not what a subclass inherits, nor the signature that a dataclass gets
        assert text, f"{name} has no docstring"
        assert not text.startswith(f"{name.rsplit('.', 1)[1]}("), f"{name} has no docstring of its own"


@pytest.mark.parametrize(("name", "value"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_no_public_signature_holds_any(name: str, value: object) -> None:
    for function in (value, getattr(value, "__init__", None), getattr(value, "fget", None)):
        if inspect.isfunction(function):
            text = str(inspect.signature(function))
            assert "Any" not in text, f"{name}{text}"


@pytest.fixture
def names() -> Iterator[None]:
    """What an example registers goes when the test ends."""
    kept: list[tuple[dict[str, Any], dict[str, Any]]] = [(names, dict(names)) for names in (FILTERS, TRUNKS)]
    yield
    for names, before in kept:
        names.clear()
        names.update(before)


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_true(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs={"torch": torch, "nn": torch.nn}).failed == 0


def test_the_api_pages_are_up_to_date(tmp_path: Path) -> None:
    """If not: ``make docs``."""
    pytest.importorskip("pdoc")
    subprocess.run([sys.executable, ROOT / "docs" / "generate.py", tmp_path], cwd=ROOT, check=True)
    written, committed = (
        {page.relative_to(folder): page.read_text(encoding="utf-8") for page in folder.rglob("*.html")}
        for folder in (tmp_path, ROOT / "docs" / "api")
    )
    assert written.keys() == committed.keys()
    assert [page for page in written if written[page] != committed[page]] == []


def test_the_names_of_the_package() -> None:
    assert set(cclib.__all__) >= {"CCConv2d", "Frame", "cc_conv2d", "convert", "explain", "filters", "freeze"}
    assert all(hasattr(cclib, name) for name in cclib.__all__)
    assert cclib.__version__
