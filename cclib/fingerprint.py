"""Fingerprints of code: what a module computes, without its comments and docstrings, and all it imports.

They key the caches: DVC reruns a notebook, and cached training runs are recomputed, when such a hash changes.
Imports are read from the source, not executed; a module named only in a string (importlib) is not seen.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


class _WithoutText(ast.NodeTransformer):
    """Drops docstrings, and any other text that stands alone as a statement."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def module_hash(path: Path) -> str:
    """SHA-256 (hexadecimal) of the syntax tree of a Python file, without comments, docstrings and layout.

    The tree is the same for all patch releases of one Python version. Raises SyntaxError for what is not
    Python and FileNotFoundError for a missing file.
    """
    tree = _WithoutText().visit(_parse(path))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def closure(sources: Path | Iterable[Path], package: Path = PACKAGE) -> dict[str, str]:
    """The modules of `package` that the sources import, directly or through others: name -> `module_hash`.

    sources: paths of Python files or notebooks, or one such path. A source inside the package is itself part
    of the closure. So is every parent package of a module, as Python executes it at import. Sorted by name.
    """
    waiting = [sources] if isinstance(sources, Path) else list(sources)
    seen: set[Path] = set()
    hashes: dict[str, str] = {}
    while waiting:
        path = waiting.pop().resolve()
        if path in seen:
            continue
        seen.add(path)
        if path.is_relative_to(package):
            hashes[_module_name(path, package)] = module_hash(path)
        waiting += _imported_files(path, package)
    return dict(sorted(hashes.items()))


def _imported_files(path: Path, package: Path) -> set[Path]:
    found = set()
    for name in imported_names(path, package):
        parts = name.split(".")
        if parts[0] != package.name:
            continue
        for length in range(1, len(parts) + 1):
            stem = package.joinpath(*parts[1:length])
            # `from cclib.x import y` names y too, which may be a module or not.
            found |= {file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()}
    return found


def imported_names(path: Path, package: Path = PACKAGE) -> Iterator[str]:
    """Absolute dotted names in all import statements of a file, those inside functions included."""
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = _module_name(path, package).split(".")
                # One dot is the package itself in an __init__.py, and the package around any other module.
                up = node.level - (path.name == "__init__.py")
                base = ".".join([*here[: len(here) - up], *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parse(path: Path) -> ast.Module:
    text = path.read_text(encoding="utf-8")
    return ast.parse(_code_of_notebook(text) if path.suffix == ".ipynb" else text, filename=str(path))


def _code_of_notebook(text: str) -> str:
    """The code cells of a notebook as one Python source; IPython's % and ! lines become `pass`."""
    cells = ("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    lines = "\n".join(cells).split("\n")
    return "\n".join(_python_line(line) for line in lines)


def _python_line(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}pass" if line.lstrip().startswith(("%", "!")) else line
