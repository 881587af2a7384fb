"""The parts of an input: a file, the files of a folder or of a pattern, here or at any fsspec URL."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nbprod.errors import ArtifactError, UsageError

SUFFIXES: Mapping[str, Format] = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".pq": "parquet"}
Format = Literal["csv", "parquet"]

_MAGIC = re.compile(r"[*?\[]")
_KEY = re.compile(r"([^=/]+)=([^/]*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file.

    Attributes:
        files: fsspec's file system.
        path: in it.
        label: as a person would name it.
        name: its path below the input without its ending, such as ``day=2026-05-28/a``.
        keys: columns that its folders name, as text: ``day=2026-05-28`` is one.
    """

    files: Any
    path: str
    label: str
    name: str
    format: Format
    keys: Mapping[str, str] = field(default_factory=dict)

    def open(self) -> Any:
        """Its bytes, unpacked.

        Raises:
            ArtifactError: it cannot be read.
        """
        try:
            return self.files.open(self.path, "rb", compression="gzip" if self.path.endswith(".gz") else None)
        except OSError as error:
            raise unreadable(self.label, error) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What is to be scored.

    Attributes:
        parts: in the order of their names.
        others: files of its folder that are no tables.
        root: the folder; empty where single files were named.
    """

    url: str
    parts: tuple[Part, ...]
    others: tuple[str, ...] = ()
    root: str = ""


def unreadable(label: str, error: BaseException) -> ArtifactError:
    """The error of a file that cannot be read; a reader's own words may hold values, so only its kind is told."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return ArtifactError(f"cannot be read ({why}).", file=label)


def suffix_of(path: str) -> str:
    """The ending that says what a file is; empty if none does."""
    name = path.lower()
    return next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), "")


def at(url: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path in it.

    Raises:
        UsageError: there is no such kind of URL, or what it needs is not installed.
    """
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise UsageError(f"cannot be opened: {str(error).rstrip('.')}.", file=url) from error
    return files, path


def is_local(files: Any) -> bool:
    """Whether a file system is this machine's."""
    protocol = files.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def label_of(files: Any, path: str) -> str:
    """A path as a person would name it: relative where it lies below the working folder, else whole, or a URL."""
    if not is_local(files):
        return str(files.unstrip_protocol(path))
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def find_parts(url: str) -> Input:
    """The files of a path, a pattern or a URL.

    Hidden files, and those whose names begin with ``_``, do not count.

    Raises:
        UsageError: there are none, or it is no CSV or Parquet.
    """
    files, path = at(url)
    try:
        return _found(files, path, url)
    except FileNotFoundError as error:
        raise UsageError("there is no such file or folder.", file=url) from error
    except OSError as error:
        raise unreadable(url, error) from error


def _found(files: Any, path: str, url: str) -> Input:
    if files.isfile(path):
        if not suffix_of(path):
            raise UsageError("is no table: name a CSV (.csv, .csv.gz) or Parquet (.parquet) file.", file=url)
        return Input(url=url, parts=(_part(files, path, posixpath.dirname(path)),))
    if folder := files.isdir(path):
        root, paths = path.rstrip("/"), files.find(path)
    elif _MAGIC.search(path):
        root, paths = posixpath.dirname(path[: _first_magic(path)]), files.glob(path)
        paths = [found for found in paths if files.isfile(found)]
    else:
        raise FileNotFoundError(path)
    shown = [found for found in sorted(paths) if not _hidden(found, root)]
    tables = tuple(_part(files, found, root) for found in shown if suffix_of(found))
    if not tables:
        raise UsageError("holds no CSV (.csv, .csv.gz) or Parquet (.parquet) file.", file=url)
    names = [part.name for part in tables]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"holds two tables that are called '{twice}': score them one after the other.", file=url)
    others = tuple(label_of(files, found) for found in shown if not suffix_of(found))
    return Input(url=url, parts=tables, others=others if folder else (), root=root if folder else "")


def _first_magic(path: str) -> int:
    match = _MAGIC.search(path)
    return match.start() if match else len(path)


def _below(path: str, root: str) -> str:
    return path[len(root) :].lstrip("/")


def _hidden(path: str, root: str) -> bool:
    return any(part[:1] in (".", "_") and "=" not in part for part in _below(path, root).split("/"))


def _part(files: Any, path: str, root: str) -> Part:
    suffix = suffix_of(path)
    name = _below(path, root)[: -len(suffix)]
    keys = {match[1]: match[2] for folder in name.split("/")[:-1] if (match := _KEY.match(folder))}
    return Part(
        files=files, path=path, label=label_of(files, path), name=name, format=SUFFIXES[suffix], keys=keys,
    )  # fmt: skip
