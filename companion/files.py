"""Where files go, and how they get there whole: a notebook's folder, the cache, atomic writes.

What is written is the caller's business; this module knows paths only.
"""

import json
import math
import os
import secrets
import sys
from pathlib import Path
from typing import Any

# What `python -m companion run` measures of every notebook, which may not use these names.
MEASURED_OF_EVERY_NOTEBOOK = ("profile", "wall_seconds", "peak_memory_mib", "hardware", "versions", "commit")


def project_root() -> Path:
    """The folder that holds cclib/, companion/, notebooks/ and results/."""
    return Path(__file__).resolve().parent.parent


def folder() -> Path:
    """The folder for a notebook's files, made if missing.

    `python -m companion run` names it in the environment variable CCLIB_OUTPUT. Without one somebody is playing, and
    gets scratch/ (ignored by git), so that playing never overwrites a committed result.
    """
    path = Path(os.environ.get("CCLIB_OUTPUT") or project_root() / "scratch")
    path.mkdir(parents=True, exist_ok=True)
    return path


def cache_folder() -> Path:
    """The folder for what can be computed or downloaded again: CCLIB_CACHE, or .cache/ in the project."""
    return Path(os.environ.get("CCLIB_CACHE") or project_root() / ".cache")


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) to `path` so that readers see the old file or the new, never a part.

    On an error (OSError, such as a full disk) the old file stays and no temporary file is left behind.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    # In the same folder, since a rename is atomic only within a file system.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
    try:
        with open(partial, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON whose bytes depend on it alone; NaN and infinity raise ValueError."""
    atomic_write(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """`value` as `write_json` writes it."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def notice(text: str) -> None:
    """A line for whoever watches the terminal; its carriage return keeps it out of executed notebooks."""
    print(text, end="\r\n", file=sys.stderr, flush=True)


def record_machine(**values: float | str) -> None:
    """Merge what depends on the machine (seconds per epoch, say) into machine.json in `folder()`.

    It is kept apart from metrics.json, so that the rest of the results can be compared bit by bit. Names
    should say the unit (`seconds_per_epoch`). A value that is neither a finite number nor text, or a name
    in `MEASURED_OF_EVERY_NOTEBOOK`, raises ValueError.
    """
    for name, value in values.items():
        if name in MEASURED_OF_EVERY_NOTEBOOK:
            raise ValueError(f"record_machine: {name} is measured of every notebook; choose another name")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"record_machine: {name} must be a number or text, got {value!r}")
        if not isinstance(value, str) and not math.isfinite(value):
            raise ValueError(f"record_machine: {name} must be finite, got {value!r}")
    path = folder() / "machine.json"
    recorded = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_json(path, {**recorded, **values})
