"""Files that are downloaded or already there, verified by their SHA-256."""

import hashlib
from pathlib import Path

import pooch

from companion.files import cache_folder


def fetch(url: str, sha256: str, *others: str) -> Path:
    """The file of `url` in `cache_folder()`/data, downloaded unless it is there, and verified in both cases.

    others: the SHA-256 of files with the same content, packed otherwise, that may be there.

    Raises FileNotFoundError when it is missing and cannot be downloaded, ValueError when its SHA-256 differs.
    """
    target = cache_folder() / "data" / url.rsplit("/", 1)[-1]
    if not target.exists():
        try:
            pooch.retrieve(url, f"sha256:{sha256}", fname=target.name, path=target.parent)
        except (OSError, ValueError) as error:  # no network or disk; or the server sent something else
            kind = ValueError if isinstance(error, ValueError) else FileNotFoundError
            raise kind(
                f"{target.name} could not be downloaded from {url} ({error}). Put the file with SHA-256 "
                f"{sha256} at {target} by hand, or use the embedded 'fashion-mnist-subset', which needs no network"
            ) from error
    if others and hash_of(target) in others:
        return target
    verify(target, sha256, f"delete it to download it from {url} again, or put the right file there by hand")
    return target


def verify(path: Path, sha256: str, remedy: str) -> None:
    """Raises FileNotFoundError or ValueError, which name the remedy, unless the file has this SHA-256."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, expected a file with SHA-256 {sha256}: {remedy}")
    actual = hash_of(path)
    if actual != sha256:
        raise ValueError(f"{path} is altered or truncated: SHA-256 {actual}, expected {sha256}: {remedy}")


def hash_of(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
