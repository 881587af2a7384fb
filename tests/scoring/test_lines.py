"""CSV in blocks: what pyarrow reads, and what Python's reader says where something is wrong."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import ArtifactError
from nbprod.scoring import lines

CELL = st.text(st.sampled_from('ab1."\n,\r é'), max_size=5)


def text_of(rows: list[list[str]]) -> bytes:
    target = io.StringIO(newline="")
    csv.writer(target, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    return target.getvalue().encode()


def everything(data: bytes, columns: list[str]) -> tuple[list[Any], list[int], list[int], list[lines.Broken]]:
    file = io.BytesIO(data)
    names, line = lines.header(file, "f")
    rows: list[Any] = []
    numbers: list[int] = []
    starts: list[int] = []
    broken: list[lines.Broken] = []
    for block in lines.blocks(file, line, "f"):
        first = 1 + len(numbers) + len(broken)
        table, own, begin, odd = lines.read(block, names, columns, first=first)
        rows += [tuple(row.values()) for row in table.to_pylist()]
        numbers += own.tolist()
        starts += begin.tolist()
        broken += odd
    return rows, numbers, starts, broken


@settings(max_examples=150)
@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=12), st.integers(5, 60))
def test_any_text_comes_back_with_the_line_it_begins_on(rows: list[tuple[str, str, str]], block: int) -> None:
    data = text_of([["a", "b", "c"], *map(list, rows)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        found, numbers, starts, broken = everything(data, ["a", "b", "c"])
    assert found == rows and not broken
    assert numbers == list(range(1, len(rows) + 1))
    reader, expected, before = csv.reader(io.StringIO(data.decode(), newline="")), [], 0
    for _ in reader:
        expected.append(before + 1)
        before = reader.line_num
    if not any("\r" in cell for row in rows for cell in row):  # Python counts these as lines, too
        assert starts == expected[1:]


@pytest.mark.parametrize("block", [8 << 20, 7, 20])
def test_rows_of_another_length_are_told_with_row_and_line(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    data = b'\xef\xbb\xbfa,b\n1,2\n3\n\n"x\ny",4\n5,6,7\n8,9'
    rows, numbers, starts, broken = everything(data, ["b", "a"])
    assert rows == [("2", "1"), ("4", "x\ny"), ("9", "8")]
    assert (numbers, starts) == ([1, 3, 5], [2, 5, 8])
    assert [(item.row, item.line) for item in broken] == [(2, 3), (4, 7)]
    assert broken[0].why == "the row has 1 cells, and the first line has 2"


def test_a_stray_quote_is_told_as_one() -> None:
    rows, numbers, _, broken = everything(b'a,b\n1,2\n"3"x,4\n5,6\n7\n', ["a", "b"])
    assert rows == [("1", "2"), ("5", "6")]
    assert numbers == [1, 3]
    assert [item.why.partition(" cells")[0] for item in broken] == [
        "the row has a quote where none may be, or that does not end", "the row has 1",
    ]  # fmt: skip
    _, _, _, broken = everything(b'a,b\n1,2\n"3,4\n', ["a"])
    assert "a quote where none may be" in broken[0].why


def test_lines_may_end_as_on_windows() -> None:
    rows, _, starts, broken = everything(b"a,b\r\n1,2\r\n3,4\r\n", ["a", "b"])
    assert (rows, starts, broken) == ([("1", "2"), ("3", "4")], [2, 3], [])


@pytest.mark.parametrize("data", [b"", b"\n", b",\n1,2\n"])
def test_a_file_without_names_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="must name the columns"):
        everything(data, [])


def test_a_quote_that_does_not_end_is_refused_before_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 64)
    monkeypatch.setattr(lines, "LONGEST", 256)
    with pytest.raises(ArtifactError, match="does not end") as caught:
        everything(b"a,b\n" + b"1,2\n" * 40 + b'"3,4\n' + b"5,6\n" * 200, ["a"])
    assert caught.value.line is not None and caught.value.line <= 42
    with pytest.raises(ArtifactError, match="does not end"):
        everything(b'"a,b\n1,2\n', ["a"])
