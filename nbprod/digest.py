"""What bytes are: sha256 of a file, of a folder, and of canonical JSON.

A file that did not change is not read again: its device, inode, size, mtime and ctime are remembered with its digest.
A file that was written within the last two seconds is always read, since a clock tick may hide a change. Only
planning and running may remember; whoever verifies, loads or signs reads the bytes (`sha256_file`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from nbprod.errors import ArtifactError

Identity = tuple[int, int, int, int, int]
"""Device, inode, size, mtime_ns, ctime_ns."""

FRESH_NS = 2_000_000_000
"""A file younger than this is never remembered (nanoseconds)."""


class Memory(Protocol):
    """Where digests of unchanged files are remembered."""

    def recall(self, identity: Identity) -> str | None:
        """The digest that was remembered for this identity."""
        ...

    def remember(self, identity: Identity, sha256: str) -> None:
        """Keep a digest for this identity."""
        ...


def sha256_bytes(data: bytes) -> str:
    """Hex digest of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes, read now, in bounded memory.

    Raises:
        ArtifactError: the file cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"cannot read it ({error.strerror}).", file=str(path)) from error


def identity(path: Path) -> Identity:
    """What changes when a file's content does; FileNotFoundError if there is none."""
    found = path.stat()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def remembered_sha256(path: Path, memory: Memory) -> str:
    """Hex digest of a file's bytes; a file that is known to be unchanged is not read."""
    seen = identity(path)
    settled = time.time_ns() - max(seen[3], seen[4]) > FRESH_NS
    if settled and (known := memory.recall(seen)) is not None:
        return known
    sha256 = sha256_file(path)
    if settled and identity(path) == seen:
        memory.remember(seen, sha256)
    return sha256


def members(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder as ``(relative path with /, path)``, sorted by relative path.

    Links are followed to files only. ``__pycache__`` is left out: whoever imports code that lies in a folder, such as a
    model's, leaves it there, and it is no content.

    Raises:
        ArtifactError: something in it is neither a file nor a folder.
    """
    found: list[tuple[str, Path]] = []
    for root, folders, names in os.walk(folder):
        if "__pycache__" in folders:
            folders.remove("__pycache__")
        for name in names:
            path = Path(root, name)
            if not path.is_file():
                raise ArtifactError(
                    "is neither a file nor a folder, so it has no digest: take it away.", file=str(path)
                )
            found.append((path.relative_to(folder).as_posix(), path))
    yield from sorted(found)


def listing_digest(listing: Mapping[str, str]) -> str:
    r"""Digest of a folder from ``relative path -> sha256``: sha256 over the sorted lines ``<sha256>  <path>\n``.

    It equals ``(cd FOLDER; find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum) | sha256sum`` for plain
    names.
    """
    return sha256_bytes(listing_bytes(listing))


def listing_bytes(listing: Mapping[str, str]) -> bytes:
    """The lines that a folder's digest is made of (see `listing_digest`)."""
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(listing.items())).encode()


def sha256_path(path: Path, memory: Memory | None = None) -> str:
    """Digest of a file, or of a folder's sorted members (see `listing_digest`)."""

    def of_file(file: Path) -> str:
        return sha256_file(file) if memory is None else remembered_sha256(file, memory)

    if path.is_dir():
        return listing_digest({name: of_file(file) for name, file in members(path)})
    return of_file(path)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for _, file in members(path))
    return path.stat().st_size


def canonical(value: Any) -> bytes:
    """Canonical JSON (RFC 8785); non-finite numbers must have been made text before."""
    import rfc8785

    return rfc8785.dumps(value)


def sha256_json(value: Any) -> str:
    """Hex digest of a value's canonical JSON."""
    return sha256_bytes(canonical(value))
