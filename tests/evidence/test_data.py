"""Rows and columns of data files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nbprod.evidence import data
from nbprod.evidence.data import Shape, shape_of


def written(path: Path, content: bytes | str) -> Path:
    """A file with some bytes."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "rows", "columns"),
    [
        ("plain.csv", "a,b\n1,2\n3,4\n", 2, ("a", "b")),
        ("no_last_line_break.csv", "a,b\n1,2\n3,4", 2, ("a", "b")),
        ("windows.csv", "a,b\r\n1,2\r\n3,4\r\n", 2, ("a", "b")),
        ("blank_lines.csv", "a,b\n1,2\n\n3,4\n\n\n", 2, ("a", "b")),
        ("quoted.csv", 'a,"b, c"\n1,"x\ny"\n3,"4"\n', 2, ("a", "b, c")),
        ("inches.csv", 'a,b\n1,5" pipe\n2,x\n', 2, ("a", "b")),
        ("semicolons.csv", "a;b\n1,5;2\n", 1, ("a", "b")),
        ("marked.csv", "\ufeffa,b\n1,2\n", 1, ("a", "b")),
        ("only_a_header.csv", "a,b\n", 0, ("a", "b")),
        ("empty.csv", "", 0, ()),
        ("latin.csv", "não,b\n1,2\n".encode("latin-1"), 1, ("n\ufffdo", "b")),
        ("tabs.tsv", "a\tb\n1\t2\n", 1, ("a", "b")),
        ("UPPER.CSV", "a,b\n1,2\n", 1, ("a", "b")),
        ("packed.csv.gz", gzip.compress(b"a,b\n1,2\n3,4\n", mtime=0), 2, ("a", "b")),
        ("lines.jsonl", '{"a": 1, "b": 2}\n\n{"a": 3}\n', 2, ("a", "b")),
        ("lines.ndjson", '{"a": 1}', 1, ("a",)),
        ("lists.jsonl", "[1]\n[2]\n", 2, None),
    ],
)
def test_rows_and_columns_are_counted(
    tmp_path: Path, name: str, content: str | bytes, rows: int, columns: tuple[str, ...] | None
) -> None:
    assert shape_of(written(tmp_path / name, content)) == Shape(rows=rows, columns=columns)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_lines_are_counted_whatever_the_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(data, "CHUNK", size)

    for end in ("\n", "\r\n"):
        path = written(tmp_path / "a.csv", end.join(["a,b", "1,2", "", "3,4", "  ", "5,6"]))
        assert shape_of(path).rows == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.bin", b"\0\1"),
        ("wide.csv", "a,b\n1,2\n".encode("utf-16")),
        ("torn.csv.gz", gzip.compress(b"a,b\n" * 1000, mtime=0)[:-20]),
        ("liar.csv.gz", b"a,b\n1,2\n"),
        ("liar.parquet", b"a,b\n1,2\n"),
        ("liar.jsonl", b"not json\n"),
        ("nothing", b""),
    ],
)
def test_of_what_it_cannot_read_nothing_is_known(tmp_path: Path, name: str, content: bytes) -> None:
    assert shape_of(written(tmp_path / name, content)) == Shape()


def test_a_file_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    assert shape_of(tmp_path / "nothing.csv") == Shape()


def test_parquet_is_read_from_its_footer_also_in_parts(tmp_path: Path) -> None:
    import pandas

    (tmp_path / "parts").mkdir()
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}, index=[7, 8, 9])
    frame.to_parquet(tmp_path / "one.parquet", index=False)
    frame.to_parquet(tmp_path / "parts" / "0.parquet", index=False)
    frame.to_parquet(tmp_path / "parts" / "1.parquet", index=False)
    (tmp_path / "parts" / "_SUCCESS").touch()

    assert shape_of(tmp_path / "one.parquet") == Shape(rows=3, columns=("a", "b"))
    assert shape_of(tmp_path / "parts") == Shape(rows=6, columns=("a", "b"))


def test_a_folder_of_anything_else_is_unknown(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", "a\n1\n")

    assert shape_of(tmp_path) == Shape()
