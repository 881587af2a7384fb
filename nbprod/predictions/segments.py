"""Segments: the append-only files of a log, one at a time for each writer, told apart by boot, worker and number.

A writer holds a lock on its segment for as long as it lives. Whoever can take the lock knows that nothing more will be
written, may cut off what a killed writer left half, and may turn the segment into something else.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nbprod.errors import JournalFull
from nbprod.predictions.frames import head, whole_end

SUFFIX = ".journal"
Fsync = Literal["never", "second", "batch"]
FSYNC: tuple[Fsync, ...] = ("never", "second", "batch")

_NAME = re.compile(r"([0-9a-f]{16})-(\d{1,9})-(\d{1,9})\Z")
_TAIL = 4 << 20
SYNC_SECONDS = 1.0
_PARTS = 1024  # the operating system takes no more at once

sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SegmentName:
    """What a segment is called.

    Attributes:
        boot: 16 hex digits: the second in which its writer began, and chance.
        segment: counted from 0 for each boot.
    """

    boot: str
    worker: int
    segment: int

    def __str__(self) -> str:
        return f"{self.boot}-{self.worker}-{self.segment}"


def name_of(text: str) -> SegmentName | None:
    """Read the name of a segment, with or without its ending; None if it is none."""
    match = _NAME.match(text.removesuffix(SUFFIX))
    return SegmentName(boot=match[1], worker=int(match[2]), segment=int(match[3])) if match else None


def segments_in(folder: Path) -> list[Path]:
    """The segments of a folder, oldest boot first."""
    found = [(name, path) for path in folder.glob(f"*{SUFFIX}") if (name := name_of(path.name))]
    return [path for _, path in sorted(found)]


def bytes_in(folder: Path) -> int:
    """How many bytes the segments of a folder have."""
    total = 0
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for item in found:
            if item.name.endswith(SUFFIX):
                with suppress(FileNotFoundError):  # it was rolled meanwhile
                    total += item.stat().st_size
    return total


@contextmanager
def closed(path: Path) -> Iterator[int | None]:
    """The segment's file, readable and writable, under its lock; None while a writer holds it, or if it is gone."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file if os.fstat(file).st_nlink else None
    finally:
        os.close(file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A half-written end that was cut off.

    Attributes:
        at: the offset in the file where it began.
        bytes: how long it was.
    """

    segment: str
    at: int
    bytes: int

    def __str__(self) -> str:
        return (
            f"{self.segment}{SUFFIX}: {self.bytes} bytes at its end were never written whole and were cut off; no "
            "answer depends on them."
        )


def repair(folder: Path) -> tuple[Repair, ...]:
    """Cut off the half-written ends that killed writers left; segments that are still written are left alone."""
    found = []
    for path in segments_in(folder):
        with closed(path) as file:
            if file is not None and (cut := repair_end(file, path)):
                found.append(cut)
    return tuple(found)


def repair_end(file: int, path: Path) -> Repair | None:
    """Cut off what stands after the last sound frame; None if nothing does."""
    size = os.fstat(file).st_size
    start = max(0, size - _TAIL)
    end = start + whole_end(os.pread(file, size - start, start))
    if end == start and start:  # one frame is longer than the tail, or all of the tail is damaged
        end = whole_end(path.read_bytes())
    if end == size:
        return None
    os.ftruncate(file, end)
    os.fsync(file)
    return Repair(segment=path.name.removesuffix(SUFFIX), at=end, bytes=size - end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How a log is written.

    Attributes:
        fsync: when bytes are forced to the disk: ``never`` (they survive the process, not the power), each ``second``,
            or with each ``batch``.
        segment_bytes: a segment that would grow beyond this is followed by the next.
        segment_seconds: and so is one that is older than this, so that a slow service's records are rolled too.
        limit_bytes: all segments of the folder together; beyond it nothing is written until the roller was there.
    """

    fsync: Fsync = "never"
    segment_bytes: int = 64 << 20
    segment_seconds: float = 3600.0
    limit_bytes: int = 4 << 30


class SegmentWriter:
    """Appends to a log; a new one never appends to an old file.

    Args:
        schema: what the frames are, such as ``nbprod/predictions/1``.
    """

    def __init__(self, folder: Path, *, schema: str, model: str, worker: int, limits: Limits) -> None:
        if limits.fsync not in FSYNC:
            raise ValueError(f"fsync must be one of {', '.join(FSYNC)}, not {limits.fsync!r}")
        self.folder = folder
        self.limits = limits
        self._about = {"schema": schema, "model": model}
        self._lock = threading.Lock()
        self._naming = threading.Lock()
        self._issued = 0
        self._file = -1
        self._due = -1.0
        self._dirty = False
        self._failed: OSError | None = None
        self._closing = threading.Event()
        self._name = SegmentName(boot=f"{int(time.time()):08x}{secrets.token_hex(4)}", worker=worker, segment=-1)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open_next()
        except OSError as error:
            raise self._full(error) from error
        if limits.fsync == "second":
            threading.Thread(target=self._sync_each_second, name="journal-fsync", daemon=True).start()

    def next_id(self) -> str:
        """A new id that names boot, worker, segment and sequence."""
        with self._naming:
            self._issued += 1
            return f"{self._stem}-{self._issued}"

    def append(self, parts: Sequence[bytes | memoryview]) -> None:
        """Write frames, all or none of them, with one call of the operating system.

        Args:
            parts: of bytes, which together are whole frames.

        Raises:
            JournalFull: it could not; what was written of them is taken back.
        """
        size = sum(map(len, parts))
        with self._lock:
            if self._closing.is_set():
                raise JournalFull("the log was closed: start the service again.", file=str(self.folder))
            if self._failed:
                error, self._failed = self._failed, None
                raise self._full(error) from error  # told once, since what was written before may not be on the disk
            if self._size + size > self.limits.segment_bytes or time.monotonic() >= self._due or self._broken:
                self._rotate()
            self._check_limit(size)
            self._put(parts, size)

    def rotate(self) -> None:
        """End the segment that is written now, if it holds anything, and begin the next: the roller may have it."""
        with self._lock:
            if not self._closing.is_set():
                self._rotate()

    @property
    def lag(self) -> int:
        """Bytes in the folder that are not yet rolled."""
        return bytes_in(self.folder)

    def close(self) -> None:
        """End the segment; one that holds nothing is removed."""
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            try:
                if self._size == self._start:
                    self._path.unlink(missing_ok=True)
                elif self.limits.fsync != "never":
                    sync_data(self._file)
            except OSError as error:
                raise self._full(error) from error
            finally:
                os.close(self._file)

    @property
    def _path(self) -> Path:
        return self.folder / f"{self._name}{SUFFIX}"

    def _full(self, error: OSError) -> JournalFull:
        return JournalFull(
            f"the prediction log cannot be written ({error.strerror}): make room on its disk, then ask again.",
            file=str(self.folder),
        )

    def _rotate(self) -> None:
        """The next segment, if this one holds anything; if it cannot be made this one stays."""
        if self._size == self._start and not self._broken:
            self._due = time.monotonic() + self.limits.segment_seconds
            return
        before = self._file
        try:
            if self._dirty:
                sync_data(before)
            self._open_next()
        except OSError as error:
            raise self._full(error) from error
        os.close(before)

    def _open_next(self) -> None:
        """Make a segment under its lock before it has its name, so that nobody takes it for a dead one."""
        name = SegmentName(boot=self._name.boot, worker=self._name.worker, segment=self._name.segment + 1)
        temporary = self.folder / f".new-{name}"
        file = os.open(temporary, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            with self._naming:
                about = {"boot": name.boot, "worker": name.worker, "segment": name.segment, "first": self._issued + 1}
                start = head(self._about | about | {"created": time.time()})
                if os.write(file, start) < len(start):
                    raise OSError(28, "No space left on device")
                if self.limits.fsync != "never":
                    os.fsync(file)
                os.rename(temporary, self.folder / f"{name}{SUFFIX}")
                self._name, self._stem, self._file = name, str(name), file
        except BaseException:
            os.close(file)
            temporary.unlink(missing_ok=True)
            raise
        self._size = self._start = len(start)
        self._broken = self._dirty = False
        self._due = time.monotonic() + self.limits.segment_seconds
        self._others = bytes_in(self.folder) - self._size
        if self.limits.fsync != "never":
            sync_folder(self.folder)

    def _check_limit(self, more: int) -> None:
        limit = self.limits.limit_bytes
        if self._others + self._size + more > limit:
            self._others = bytes_in(self.folder) - self._size
            if self._others + self._size + more > limit:
                raise JournalFull(
                    f"the prediction log has reached its limit of {limit:,} bytes: see why its segments are not rolled "
                    "into Parquet.",
                    file=str(self.folder),
                )

    def _put(self, parts: Sequence[bytes | memoryview], size: int) -> None:
        try:
            done = os.writev(self._file, parts[:_PARTS])
            if done < size:  # the rest tells why
                rest = memoryview(b"".join(parts))
                while done < size:
                    done += os.writev(self._file, [rest[done:]])
            if self.limits.fsync == "batch":
                self._sync()
        except OSError as error:
            self._take_back()
            raise self._full(error) from error
        except BaseException:
            self._take_back()
            raise
        self._size += size
        self._dirty = self.limits.fsync == "second"

    def _sync(self) -> None:
        try:
            sync_data(self._file)
        except OSError:
            self._broken = True  # what the disk holds is not known any more: go on in a new file
            raise

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._broken = True

    def _sync_each_second(self) -> None:
        while not self._closing.wait(SYNC_SECONDS):
            with self._lock:
                if not self._dirty or self._closing.is_set():
                    continue
                file, self._dirty = os.dup(self._file), False
            try:
                sync_data(file)  # without the lock: writing goes on
            except OSError as error:
                self._broken, self._failed = True, error
            finally:
                os.close(file)


def sync_folder(folder: Path) -> None:
    """Make sure that names in a folder survive a loss of power."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
