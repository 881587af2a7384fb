"""Places: where the segments and the Parquet files of a log are, in a folder or at any fsspec URL.

::

    <log>/<segment>.journal                                          what was written, not yet rolled
    <log>/rows/version=<version>/day=<day>/<segment>.<digest>.parquet   what was rolled
    <log>/feedback/                                                  the same for feedback, without versions

While a segment is there, the Parquet files of that segment do not count: they may be incomplete.
"""

from __future__ import annotations

import os
import posixpath
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from nbprod.errors import UsageError
from nbprod.predictions.segments import SUFFIX, SegmentName, name_of, sync_folder

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ROWS = "rows"
FEEDBACK = "feedback"
PARQUET = ".parquet"
PART = ".new"

_PARTITION = re.compile(r"(?:version=([^/]+)/)?day=(\d{4}-\d{2}-\d{2})/([^/]+)\.([0-9a-f]+)\.parquet\Z")

Url = str | Path
Urls = Url | Iterable[Url]


def folder_of(data: Path, model: str) -> Path:
    """The log of a model in a project.

    Args:
        data: ``.nbprod/``.
    """
    return data / "predictions" / model


def url_of(setting: str, model: str) -> str | None:
    """Where a model's rolled log is, by the project's setting ``predictions``; None for beside its journal."""
    return f"{setting.rstrip('/')}/{model}" if setting else None


def urls_of(data: Path, setting: str, model: str) -> tuple[Url, ...]:
    """Everywhere that a model's log is: its journal's folder, and where the rest was rolled to."""
    url = url_of(setting, model)
    return (folder_of(data, model), *([] if url is None else [url]))


def models_at(setting: str) -> tuple[str, ...]:
    """The models that have a rolled log at the place that the setting ``predictions`` names."""
    place = Place.at(setting)
    try:
        return tuple(sorted(posixpath.basename(path.rstrip("/")) for path in place.files.ls(place.root, detail=False)))
    except (FileNotFoundError, NotADirectoryError):
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of a log.

    Attributes:
        path: in its file system.
        version: empty for a segment, which holds any.
        day: ``YYYY-MM-DD`` in UTC; empty for a segment.
        digest: of the segment that a Parquet file was made from; empty for a segment.
    """

    files: Any
    path: str
    segment: SegmentName
    version: str = ""
    day: str = ""
    digest: str = ""

    @property
    def rolled(self) -> bool:
        """Whether it is Parquet."""
        return bool(self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A log's folder in a file system of fsspec."""

    files: AbstractFileSystem
    root: str

    @classmethod
    def at(cls, url: Url) -> Place:
        """The place that a path or a URL names.

        Raises:
            UsageError: its protocol is unknown, or needs a package that is not installed.
        """
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(os.fspath(url) if isinstance(url, Path) else url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"the log at {url} cannot be opened: {error}.") from error
        return cls(files=files, root=root.rstrip("/"))

    def below(self, name: str) -> Place:
        """A folder in it."""
        return Place(files=self.files, root=posixpath.join(self.root, name))

    def segments(self) -> list[Source]:
        """Its segments, oldest boot first."""
        self.files.invalidate_cache()
        try:
            names = self.files.ls(self.root, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = []
        for path in names:
            name = posixpath.basename(path)
            segment = name_of(name) if name.endswith(SUFFIX) else None
            if segment is not None:
                found.append(Source(files=self.files, path=path, segment=segment))
        return sorted(found, key=lambda source: source.segment)

    def parquet(self, since: str = "") -> list[Source]:
        """Its Parquet files, by day.

        Args:
            since: only those of this day (``YYYY-MM-DD``) and later ones; the folders of other days are not opened.
        """
        self.files.invalidate_cache()
        found = []
        for path in self._paths(since):
            match = _PARTITION.search(path)
            segment = name_of(match[3]) if match else None
            if match and segment:
                version = unquote(match[1] or "")
                found.append(
                    Source(files=self.files, path=path, segment=segment, version=version, day=match[2], digest=match[4])
                )
        return sorted(found, key=lambda source: (source.day, source.segment, source.version))

    def _paths(self, since: str) -> list[str]:
        rows = posixpath.join(self.root, ROWS)
        try:
            if not since:
                return list(self.files.find(rows))
            tops = self.files.ls(rows, detail=False)
            days = [day for top in tops for day in ([top] if "/day=" in top else self.files.ls(top, detail=False))]
            return [
                path for day in days if day.rpartition("=")[2] >= since for path in self.files.ls(day, detail=False)
            ]
        except (FileNotFoundError, NotADirectoryError):
            return []

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        protocol = self.files.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def put(self, made: Path, final: str) -> None:
        """Copy a file to a path in this place, where it is whole and durable or not at all."""
        folder, name = posixpath.split(final)
        part = posixpath.join(folder, f".{name}.{secrets.token_hex(4)}{PART}")
        self.files.makedirs(folder, exist_ok=True)
        try:
            self.files.put_file(str(made), part)
            if self.local:
                _sync(part)
                os.replace(part, final)
                while len(folder) >= len(self.root):  # the folders may be new
                    sync_folder(Path(folder))
                    folder = posixpath.dirname(folder)
            else:
                self.files.mv(part, final)
        except BaseException:
            with suppress(OSError):
                self.files.rm_file(part)
            raise

    def remove_parts(self, segment: SegmentName) -> None:
        """Remove what a roller that was killed left half of a segment."""
        self.files.invalidate_cache()
        with suppress(FileNotFoundError):
            for path in self.files.find(posixpath.join(self.root, ROWS)):
                if path.endswith(PART) and posixpath.basename(path).startswith(f".{segment}."):
                    self.files.rm_file(path)

    def target(self, segment: SegmentName, digest: str, *, version: str | None, day: str) -> str:
        """Where the rows of a segment for one version and day are."""
        parts = [self.root, ROWS]
        if version is not None:
            parts.append(f"version={quote(version, safe='') or '_'}")
        return posixpath.join(*parts, f"day={day}", f"{segment}.{digest[:16]}{PARQUET}")


def places(urls: Urls) -> list[Place]:
    """One place, or several."""
    return [Place.at(url) for url in ([urls] if isinstance(urls, (str, Path)) else urls)]


def sources(urls: Urls, below: str = "") -> list[Source]:
    """What counts in several places that are one log: a segment in one hides its Parquet files in the others."""
    own = [place.below(below) if below else place for place in places(urls)]
    segments = {source.segment: source for place in own for source in place.segments()}
    rolled = {source.path: source for place in own for source in place.parquet()}
    return [source for source in rolled.values() if source.segment not in segments] + list(segments.values())


def day_of(time: float) -> str:
    """The day of a time in Unix seconds, in UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"


def _sync(path: str) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
