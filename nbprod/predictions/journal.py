"""The journal: every prediction is written here before it is answered."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from nbprod.errors import JournalFull as JournalFull
from nbprod.predictions.frames import CRC, MARK, PREFIX, frames
from nbprod.predictions.segments import Fsync, Limits, Repair, SegmentWriter, repair

SCHEMA = "nbprod/predictions/1"

ROLES = ("answer", "shadow", "canary", "batch")
"""What a prediction was made for; a record holds the position in this list, so it only grows at its end."""

_CODES = {role: code for code, role in enumerate(ROLES)}

_HEAD = struct.Struct("<4sIddIIHBBB")
"""Mark, length of body; time, latency, rows, bytes of inputs, bytes of the text, letters of its first two parts, role.

The text is request, version and key, without anything between them.
"""

LARGE = 1 << 16
"""Bytes from which a copy costs more than another part of a write."""

REQUEST_AT = _HEAD.size
"""Where the id stands in a record's frame."""

_OWN = REQUEST_AT - PREFIX.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One request, of one or many rows, and what was answered.

    Attributes:
        request: its id, from `Journal.next_id`.
        time: Unix seconds.
        version: of the model that answered.
        role: one of `ROLES`.
        inputs: JSON ``{"columns": [...], "rows": [[...], ...]}`` without the columns that the policy leaves out, or
            the same of `nbprod.predictions.packed`; empty if none is kept.
        numbers: the end of packed inputs, in the memory where they are, so that it need not be copied; a record that
            is read has all of them in `inputs`.
        outputs: JSON list of predictions, one a row.
        latency: seconds.
        key: id of the caller's API key; empty if there was none.
    """

    request: str
    time: float
    version: str
    role: str
    inputs: bytes
    outputs: bytes
    rows: int
    latency: float
    key: str
    numbers: bytes | memoryview = b""


def encode(record: Record) -> bytes:
    """A record as one frame."""
    return b"".join(_parts(record))


def _parts(record: Record) -> tuple[bytes | memoryview, ...]:
    """The parts of a frame, so that large inputs are not copied."""
    request, version, inputs, outputs = record.request, record.version, record.inputs, record.outputs
    text = (request + version + record.key).encode()
    size, own = len(text), len(inputs) + len(record.numbers)
    body = _OWN + size + own + len(outputs)
    head = _HEAD.pack(
        MARK, body, record.time, record.latency, record.rows, own, size, len(request), len(version), _CODES[record.role]
    )
    check = crc32(outputs, crc32(record.numbers, crc32(inputs, crc32(head + text))))
    return head, text, inputs, record.numbers, outputs, CRC.pack(check)


def decode(data: bytes, start: int, end: int) -> Record:
    """The record of the sound frame between two offsets."""
    _, _, time, latency, rows, own, size, letters, more, role = _HEAD.unpack_from(data, start)
    inputs = start + REQUEST_AT + size
    outputs = inputs + own
    text = data[start + REQUEST_AT : inputs].decode()
    return Record(
        request=text[:letters],
        time=time,
        version=text[letters : letters + more],
        role=ROLES[role],
        inputs=data[inputs:outputs],
        outputs=data[outputs : end - CRC.size],
        rows=rows,
        latency=latency,
        key=text[letters + more :],
    )


def _joined(parts: Iterable[bytes | memoryview]) -> list[bytes | memoryview]:
    """The same bytes in few parts: small ones are put together, large ones stay where they are."""
    found: list[bytes | memoryview] = []
    small: list[bytes | memoryview] = []
    for part in parts:
        if len(part) < LARGE:
            small.append(part)
        else:
            found += [b"".join(small), part]
            small = []
    return [*found, b"".join(small)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Bytes in a segment that are no record, or one that this nbprod cannot read."""

    start: int
    end: int


def records(data: bytes) -> Iterator[Record | Damage]:
    """What is in a segment's bytes, in the order of writing; damage is passed, and told."""
    for frame in frames(data):
        found: Record | None = None
        if frame.sound and frame.end - frame.start >= REQUEST_AT + CRC.size:
            try:
                found = decode(data, frame.start, frame.end)
            except (IndexError, UnicodeDecodeError):  # a role of a newer nbprod
                found = None
        yield found or Damage(start=frame.start, end=frame.end)


class Journal:
    """One worker's log of predictions; several may write to one folder.

    Args:
        folder: ``.nbprod/predictions/<model>``, made if it is missing.
        worker: number of the process among those of the service.
        fsync, segment_bytes, segment_seconds, limit_bytes: see `Limits`.

    Half-written ends that killed workers left are cut off first: see `repaired`. After a fork, make a new one.

    Raises:
        JournalFull: no file can be made there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        model: str,
        worker: int = 0,
        fsync: Fsync = "never",
        segment_bytes: int = 64 << 20,
        segment_seconds: float = 3600.0,
        limit_bytes: int = 4 << 30,
    ) -> None:
        self.repaired: tuple[Repair, ...] = repair(folder)
        limits = Limits(
            fsync=fsync, segment_bytes=segment_bytes, segment_seconds=segment_seconds, limit_bytes=limit_bytes
        )
        self._writer = SegmentWriter(folder, schema=SCHEMA, model=model, worker=worker, limits=limits)
        self.next_id = self._writer.next_id

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch down, all of it or nothing, with one call of the operating system.

        When it returns, the batch survives the end of the process, and the loss of power as ``fsync`` says.

        Raises:
            JournalFull: it could not, and nothing of it is in the log: do not answer. The next batch is tried again.
        """
        if records:
            self._writer.append(_joined(part for record in records for part in _parts(record)))

    def rotate(self) -> None:
        """Give what was written to the roller; otherwise it happens by size and by age, when something is written."""
        self._writer.rotate()

    @property
    def lag(self) -> int:
        """Bytes of the folder's segments that are not yet rolled; those of other workers too."""
        return self._writer.lag

    def close(self) -> None:
        """End the log; nothing can be written any more."""
        self._writer.close()
