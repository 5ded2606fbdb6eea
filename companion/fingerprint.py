"""Fingerprints of code: what a module computes, without its words and types, and all that it imports.

They key the caches: DVC reruns a notebook, and a training run is computed again, when such a hash changes. Imports are
read from the source, not executed; a module named only in a string (importlib) is not seen. A JSON or C file that
lies beside a module, and whose name stands in it, is a part of what it computes.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("cclib", "companion")


class _WhatRuns(ast.NodeTransformer):
    """Drops what changes no number: docstrings and other lone text, types of functions and of their variables,
    ``__all__``, typing's names."""

    in_function = False

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._inside(node, function=True)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node, function=False)

    def _inside(self, node: ast.AST, function: bool) -> ast.AST:
        outside, self.in_function = self.in_function, function
        self.generic_visit(node)
        self.in_function = outside
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if not self.in_function:
            return self.generic_visit(node)
        return node.value and self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if [ast.unparse(target) for target in node.targets] == ["__all__"] else self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module in ("__future__", "collections.abc", "typing") else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") else node


def module_hash(path: Path) -> str:
    """SHA-256 (hexadecimal) of what a Python file computes: its syntax tree without text, layout and types.

    Annotations of fields stay, since dataclasses read them. The tree is the same for all patch releases of one Python
    version. Raises SyntaxError for what is not Python and FileNotFoundError for a missing file.
    """
    return hashlib.sha256(ast.dump(_parse(path)).encode()).hexdigest()


def data_hash(path: Path) -> str:
    """SHA-256 (hexadecimal) of the values in a JSON file, or of what is compiled of a C file, whatever the layout."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".c":
        held = " ".join(re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL).split())
    else:
        held = json.dumps(json.loads(text), sort_keys=True)
    return hashlib.sha256(held.encode()).hexdigest()


def closure(sources: Iterable[Path], apart: Iterable[str] = (), root: Path = ROOT) -> dict[str, str]:
    """The project's modules that the sources import, directly or through others: name -> `module_hash`; and the JSON
    and C files that these name: name of the module's package and of the file -> `data_hash`.

    sources: paths of Python files or notebooks. A source inside a package is itself part of the closure.
    apart: names of modules, and of packages with all that they hold, that are left out with what only they import.
    root: the folder that holds `PACKAGES`. An `__init__.py` is looked through, and is no part itself: it may import
    names, and define none (`tests/companion` checks that). One that finds its modules with `iter_modules` brings all
    of them. Sorted by name.
    """
    waiting, left_out = list(sources), tuple(apart)
    hashes: dict[str, str] = {}
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop().resolve()
        name = _module_name(path, root) if _is_module(path, root) else ""
        if path in seen or any(name == other or name.startswith(f"{other}.") for other in left_out):
            continue
        seen.add(path)
        if name:
            hashes[name] = module_hash(path)
            hashes |= {f"{_package_of(name, path)}.{file.name}": data_hash(file) for file in _data(path)}
        for base, imported in _imports(path, root):
            waiting += _files(base, imported, root)
    return dict(sorted(hashes.items()))


def _data(path: Path) -> list[Path]:
    """The JSON and C files beside a module that it names."""
    texts = (node.value for node in ast.walk(_parse(path)) if isinstance(node, ast.Constant))
    names = {text for text in texts if isinstance(text, str) and re.fullmatch(r"[\w-]+\.(json|c)", text)}
    return [path.parent / name for name in sorted(names) if (path.parent / name).is_file()]


def _package_of(name: str, path: Path) -> str:
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def _files(base: str, name: str | None, root: Path) -> list[Path]:
    """The files behind `from base import name`, or without a name `import base`."""
    if base.split(".")[0] not in PACKAGES:
        return []
    stem = root.joinpath(*base.split("."))
    if stem.with_suffix(".py").is_file():
        return [stem.with_suffix(".py")]
    package = stem / "__init__.py"
    if not package.is_file():
        return []
    modules = sorted(stem.glob("*.py")) if "iter_modules" in package.read_text(encoding="utf-8") else []
    if name is not None:
        if (stem / f"{name}.py").is_file() or (stem / name).is_dir():
            return _files(f"{base}.{name}", None, root)
        passed_on = [imported for imported in _imports(package, root) if imported[1] == name]
        if passed_on and not modules:
            return [file for imported in passed_on for file in _files(*imported, root)]
    # The package as such: whatever it imports or finds may be used.
    return [*modules, *(file for imported in _imports(package, root) for file in _files(*imported, root))]


def _imports(path: Path, root: Path) -> Iterator[tuple[str, str | None]]:
    """(module, name) of each `from module import name`, and (module, None) of each `import module`."""
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = _module_name(path, root).split(".")
                # One dot is the package itself in an __init__.py, and the package around any other module.
                up = node.level - (path.name == "__init__.py")
                base = ".".join([*here[: len(here) - up], *([base] if base else [])])
            yield from ((base, alias.name) for alias in node.names)


def _is_module(path: Path, root: Path) -> bool:
    return any(path.is_relative_to(root / package) for package in PACKAGES)


def _module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parse(path: Path) -> ast.Module:
    """What runs of a Python file or a notebook, as a tree."""
    text = path.read_text(encoding="utf-8")
    return _tree(_code_of_notebook(text) if path.suffix == ".ipynb" else text, str(path))


@lru_cache(maxsize=1024)
def _tree(code: str, path: str) -> ast.Module:
    return _WhatRuns().visit(ast.parse(code, path))


def _code_of_notebook(text: str) -> str:
    """The code cells of a notebook as one Python source; IPython's % and ! lines become `pass`."""
    cells = ("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    lines = "\n".join(cells).split("\n")
    return "\n".join(_python_line(line) for line in lines)


def _python_line(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}pass" if line.lstrip().startswith(("%", "!")) else line
