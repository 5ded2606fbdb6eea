"""Records of finished runs: what each measured, without its weights, in small files that git merges.

A profile that takes days is computed in sittings, on several machines and by several people: each adds files. A record
is named by the key of its run and holds nothing but what depends on it, so that whoever computes a run on a CPU, with
the same build of torch, writes the same bytes. On a GPU the bits are its own, and the first record stays. Records are
read and written only where the environment variable ``CCLIB_RECORDS`` names their folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from companion.files import notice, write_json

FOLDER = "CCLIB_RECORDS"  # the environment variable
FINISHED = "CCLIB_FINISHED"  # another, that where it is set allows no run but those that the cache or a record holds


def path(key: str) -> Path | None:
    """Where the record of the run with this key is, or would be; None where no records are kept."""
    folder = os.environ.get(FOLDER)
    return Path(folder) / f"{key}.json" if folder else None


def keep(key: str, identity: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    """Write a record unless it is there. One that is damaged is replaced; one that says otherwise stays, and is told.

    Args:
        key: of the run.
        identity: all that the key is made of.
        measured: what the run measured, as JSON.

    Raises:
        OSError: it cannot be written.
    """
    target = path(key)
    if target is None:
        return
    known = read(key)
    if known is not None:
        if known != measured:
            notice(f"{target} says otherwise than what the same run gave here: one of the two is wrong, or of a GPU")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    code = hashlib.sha256(json.dumps(identity["code"], sort_keys=True).encode()).hexdigest()
    content = {"key": key, "identity": {**identity, "code": code}, "measured": measured}
    write_json(target, content | {"checksum": checksum(content)})


def read(key: str) -> dict[str, Any] | None:
    """What the run with this key measured; None without a record, and without a sound one, which is told."""
    target = path(key)
    if target is None or not target.exists():
        return None
    text = target.read_bytes()
    try:
        content = json.loads(text)
        told = content.pop("checksum")
        if content["key"] == key and told == checksum(content):
            return content["measured"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    notice(f"{target} is no sound record of its run, and is not used")
    return None


def checksum(content: Mapping[str, Any]) -> str:
    """Of plain values, whatever their order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
