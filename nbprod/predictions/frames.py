"""Frames: bytes in an append-only file, each with a mark, a length and a checksum, so that damage is found and passed.

A frame is ``mark (4 bytes) | length of the body (4) | body | CRC-32 (4)``, numbers little endian; the checksum is over
all that stands before it. The marks are not UTF-8, so no JSON in a body can hold one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

MARK = b"\xffNP\xfe"
HEAD_MARK = b"\xffNH\xfe"
"""The mark of a file's first frame, whose body is JSON about the file."""

PREFIX = struct.Struct("<4sI")
CRC = struct.Struct("<I")
OVERHEAD = PREFIX.size + CRC.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where a part of a file stands.

    Attributes:
        start, end: offsets in the file, in bytes.
        sound: false for bytes that are no frame.
    """

    start: int
    end: int
    sound: bool = True

    @property
    def body(self) -> slice:
        """Where its body is."""
        return slice(self.start + PREFIX.size, self.end - CRC.size)


def frame(body: bytes, mark: bytes = MARK) -> bytes:
    """The bytes of one frame."""
    start = PREFIX.pack(mark, len(body)) + body
    return start + CRC.pack(crc32(start))


def end_of(data: bytes | memoryview, start: int, mark: bytes = MARK) -> int:
    """Where the sound frame that begins at ``start`` ends; 0 if none does."""
    if start + OVERHEAD > len(data):
        return 0
    found, length = PREFIX.unpack_from(data, start)
    end = int(start + OVERHEAD + length)
    if found != mark or end > len(data):
        return 0
    (crc,) = CRC.unpack_from(data, end - CRC.size)
    return end if crc32(memoryview(data)[start : end - CRC.size]) == crc else 0


def head_of(data: bytes) -> tuple[dict[str, Any], int]:
    """What a file says of itself, and where its frames begin; nothing and 0 if its head is damaged."""
    end = end_of(data, 0, HEAD_MARK)
    if not end:
        return {}, 0
    found = json.loads(data[Frame(start=0, end=end).body])
    return (found, end) if isinstance(found, dict) else ({}, end)


def head(content: Mapping[str, Any]) -> bytes:
    """The first frame of a file."""
    return frame(json.dumps(dict(content)).encode(), HEAD_MARK)


def frames(data: bytes) -> Iterator[Frame]:
    """All of a file but its head: sound frames, and between them the bytes that are none.

    After damage the next sound frame is sought by its mark, so one bad byte costs one frame.
    """
    _, position = head_of(data)
    damaged = position
    while position < len(data):
        end = end_of(data, position)
        if end:
            if damaged < position:
                yield Frame(start=damaged, end=position, sound=False)
            yield Frame(start=position, end=end)
            position = damaged = end
        else:
            following = data.find(MARK, position + 1)
            position = len(data) if following < 0 else following
    if damaged < len(data):
        yield Frame(start=damaged, end=len(data), sound=False)


def whole_end(data: bytes) -> int:
    """Where the last sound frame ends, or the head, or 0: what stands after it was never written whole.

    A file that ends well is not read from its beginning: its last frame is found from the end.
    """
    last = data.rfind(MARK)
    while last >= 0:
        end = end_of(data, last)
        if end:
            return end
        last = data.rfind(MARK, 0, last)
    return head_of(data)[1]
