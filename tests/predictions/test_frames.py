"""Frames: whatever is cut off or flipped, what was whole is read, and nothing else is."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from nbprod.predictions.frames import MARK, Frame, frame, frames, head, head_of, whole_end

HEAD = head({"schema": "nbprod/predictions/1"})
BODIES = st.lists(st.binary(max_size=40), min_size=1, max_size=8)


def file_of(bodies: list[bytes]) -> bytes:
    return HEAD + b"".join(map(frame, bodies))


def bodies_of(data: bytes) -> list[bytes]:
    return [data[found.body] for found in frames(data) if found.sound]


@given(BODIES)
def test_what_is_written_is_read(bodies: list[bytes]) -> None:
    assert bodies_of(file_of(bodies)) == bodies
    assert head_of(file_of(bodies)) == ({"schema": "nbprod/predictions/1"}, len(HEAD))


@given(BODIES, st.data())
def test_any_cut_leaves_exactly_the_frames_before_it(bodies: list[bytes], data: st.DataObject) -> None:
    whole = file_of(bodies)
    cut = data.draw(st.integers(len(HEAD), len(whole)))
    ends = [len(HEAD)]
    for body in bodies:
        ends.append(ends[-1] + len(frame(body)))
    left = sum(end <= cut for end in ends) - 1
    assert bodies_of(whole[:cut]) == bodies[:left]
    assert whole_end(whole[:cut]) == ends[left]


@given(BODIES, st.data())
def test_any_flipped_byte_is_found_and_the_others_are_kept(bodies: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(file_of(bodies))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    hurt, start = -1, len(HEAD)
    for number, body in enumerate(bodies):
        end = start + len(frame(body))
        if start <= place < end:
            hurt = number
        start = end
    assert bodies_of(bytes(whole)) == [body for number, body in enumerate(bodies) if number != hurt]
    assert any(not found.sound for found in frames(bytes(whole)))


def test_a_frame_within_a_frame_is_not_read() -> None:
    assert bodies_of(HEAD + frame(frame(b"inner")) + frame(b"next")) == [frame(b"inner"), b"next"]


def test_a_frame_that_claims_to_be_longer_than_the_file_costs_only_itself() -> None:
    damaged = MARK + b"\xff\xff\xff\x7f" + b"x" * 20
    data = HEAD + frame(b"one") + damaged + frame(b"two")
    start = len(HEAD) + len(frame(b"one"))
    assert [found for found in frames(data) if not found.sound] == [
        Frame(start=start, end=start + len(damaged), sound=False)
    ]
    assert bodies_of(data) == [b"one", b"two"]


def test_a_hole_of_zeros_is_passed() -> None:
    assert bodies_of(HEAD + frame(b"one") + bytes(4096) + frame(b"two")) == [b"one", b"two"]


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(data: bytes) -> None:
    found = list(frames(data))
    assert [item.start for item in found[1:]] == [item.end for item in found[:-1]]
    assert whole_end(data) <= len(data)


@given(st.text())
def test_no_json_holds_a_mark(text: str) -> None:
    assert MARK not in json.dumps(text).encode()
    assert MARK not in text.encode(errors="replace")
