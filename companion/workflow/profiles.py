"""The notebooks there are, the parameters that each declares, and the values that a profile gives them.

A notebook declares its parameters, with their types, in its cell tagged ``parameters``. ``profiles/default.yaml``
gives every one of them a value; any other profile holds only what differs.
"""

import ast
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import nbformat
import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

FULL = "default"  # the profile that gives every parameter
_TYPES = {"int": int, "float": float, "str": str, "bool": bool}


def notebook_names(root: Path) -> list[str]:
    """The experiments of the project, as NN-name, in order; 00 is no experiment."""
    names = sorted(path.stem for path in (root / "notebooks").glob("[0-9][0-9]-*.ipynb"))
    return [name for name in names if not name.startswith("00-")]


def source_path(root: Path, name: str) -> Path:
    """Where the source notebook is; an unknown name raises ValueError."""
    names = notebook_names(root)
    if name not in names:
        raise ValueError(f"notebook {name!r} does not exist{_closest(name, names)}; there are {', '.join(names)}")
    return root / "notebooks" / f"{name}.ipynb"


def parameters(root: Path, name: str, profile: str) -> dict[str, Any]:
    """The values that a profile gives a notebook: all of its declared parameters, of the declared types.

    Raises ValueError for an unknown notebook or profile, an unknown or missing parameter, or a value of another type.
    """
    declared = declared_parameters(source_path(root, name))
    section = f"nb-{name}"
    own, full = (load_profile(root, which).get(section) for which in (profile, FULL))
    if full is None:
        names = ", ".join(declared)
        raise ValueError(f"profiles/{FULL}.yaml has no section {section!r}; add its parameters: {names}")
    for which, values in ((FULL, full), (profile, own or {})):
        _check(values, declared, f"profiles/{which}.yaml, {section}")
    missing = [key for key in declared if key not in full]
    if missing:
        raise ValueError(f"profiles/{FULL}.yaml, {section}: missing {', '.join(missing)}; it gives every parameter")
    return full | (own or {})


def load_profile(root: Path, profile: str) -> dict[str, dict[str, Any]]:
    """What the file of a profile holds: "nb-" and a notebook's name -> {parameter: value}.

    The prefix is there for `dvc exp run -S`, whose keys cannot begin with a digit. Raises ValueError for an unknown
    profile, a malformed one, and a section of no notebook.
    """
    names = sorted(path.stem for path in (root / "profiles").glob("*.yaml"))
    if profile not in names:
        raise ValueError(f"profile {profile!r} does not exist{_closest(profile, names)}; there are {', '.join(names)}")
    path = root / "profiles" / f"{profile}.yaml"
    content = read_yaml(path)
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise ValueError(f"{path}: must map each notebook to {{parameter: value}}, got {content!r}")
    sections = [f"nb-{name}" for name in notebook_names(root)]
    for unknown in sorted(set(content) - set(sections)):
        raise ValueError(f"{path}: {unknown!r} is no notebook's section{_closest(unknown, sections)}")
    return content


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; ValueError where it is not YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: is not YAML: {error}") from None


@dataclass(frozen=True)
class Parameter:
    """A parameter of a notebook: its annotation, as type and as text, and the value that stands in its cell."""

    type: Any
    annotation: str
    value: Any


def declared_parameters(notebook: Path) -> dict[str, Parameter]:
    """What the one cell of a notebook tagged `parameters` declares.

    Raises ValueError if there is not exactly one, or if it holds anything but ``name: type = literal``, where the type
    is made of int, float, str, bool, None, ``list[...]`` and ``|``.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise ValueError(f"{notebook}: needs one cell tagged 'parameters', has {len(tagged)}")
    declared = {}
    for node in ast.parse(tagged[0]).body:
        try:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
                raise ValueError
            annotation = ast.unparse(node.annotation)
            declared[node.target.id] = Parameter(_type(node.annotation), annotation, ast.literal_eval(node.value))
        except ValueError:
            rule = "the parameters cell may hold `name: type = literal` only"
            raise ValueError(f"{notebook}: {rule}, not `{ast.unparse(node)}`") from None
    _check({key: parameter.value for key, parameter in declared.items()}, declared, f"{notebook}, parameters cell")
    return declared


def _type(node: ast.expr) -> Any:
    """The type that an annotation names; ValueError for any but those of ``declared_parameters``."""
    match node:
        case ast.Name(id=name) if name in _TYPES:
            return _TYPES[name]
        case ast.Constant(value=None):
            return NoneType
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _type(left) | _type(right)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_type(item)]  # type: ignore[misc]  # a type made here
    raise ValueError


def _check(values: dict[str, Any], declared: dict[str, Parameter], where: str) -> None:
    """Raise ValueError for the first value that is of no declared parameter, or not of its type."""
    for name, value in values.items():
        if name not in declared:
            raise ValueError(f"{where}: the notebook has no parameter {name!r}{_closest(name, declared)}")
        try:
            # Strict: a number in quotes is no number, and True is no 1; a whole number serves as a float.
            TypeAdapter(declared[name].type, config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError:
            hint = " (YAML reads 1e-3 as text; write 1.0e-3)" if isinstance(value, str) else ""
            raise ValueError(f"{where}: {name} must be {declared[name].annotation}, got {value!r}{hint}") from None


def _closest(name: object, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), list(names), 1, cutoff=0)
    return f"; did you mean {close[0]!r}?" if close else ""
