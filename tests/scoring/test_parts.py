"""What an input is: files, folders, patterns and URLs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nbprod.errors import UsageError
from nbprod.scoring.parts import find_parts, label_of, suffix_of


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_the_files_of_a_folder_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    made(
        tmp_path, "b.csv", "a/x.parquet", "a.csv.gz", ".hidden.csv", "_temporary/0.csv", "notes.txt", "c/day=1/_SUCCESS"
    )
    found = find_parts(str(tmp_path))
    assert [part.name for part in found.parts] == ["a", "a/x", "b"]
    assert [part.format for part in found.parts] == ["csv", "parquet", "csv"]
    assert [Path(name).name for name in found.others] == ["notes.txt"]
    assert found.root == str(tmp_path)


def test_folders_that_name_a_column_say_its_value(tmp_path: Path) -> None:
    made(tmp_path, "year=2026/city=São Paulo/a.parquet", "_day=1/b.parquet")
    first, second = find_parts(str(tmp_path)).parts
    assert (first.keys, second.keys) == ({"_day": "1"}, {"year": "2026", "city": "São Paulo"})


def test_a_pattern_takes_what_it_matches(tmp_path: Path) -> None:
    made(tmp_path, "in/a1.csv", "in/a2.csv", "in/b.csv")
    found = find_parts(str(tmp_path / "in" / "a*.csv"))
    assert ([part.name for part in found.parts], found.root) == (["a1", "a2"], "")


def test_a_folder_may_be_called_like_a_file(tmp_path: Path) -> None:
    made(tmp_path, "x.parquet/part-0.parquet")
    assert [part.name for part in find_parts(str(tmp_path / "x.parquet")).parts] == ["part-0"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("none.csv", "there is no such file or folder"),
        ("*.csv", "holds no CSV"),
        ("notes.txt", "is no table"),
        ("empty", "holds no CSV"),
        ("twice", "two tables that are called 'a'"),
        ("nowhere://a.csv", "cannot be opened: Protocol not known"),
    ],
)
def test_what_is_no_input_is_refused(tmp_path: Path, url: str, says: str) -> None:
    made(tmp_path, "notes.txt", "empty/.keep", "twice/a.csv", "twice/a.parquet")
    with pytest.raises(UsageError, match=says):
        find_parts(url if "://" in url else str(tmp_path / url))


def test_what_is_compressed_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n", mtime=0))
    (part,) = find_parts(str(tmp_path / "a.csv.gz")).parts
    with part.open() as file:
        assert file.read() == b"a\n1\n"


def test_files_are_named_as_a_person_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.chdir(tmp_path)
    made(tmp_path, "in/a.csv")
    assert find_parts("in/a.csv").parts[0].label == "in/a.csv"
    assert find_parts("file://" + str(tmp_path / "in/a.csv")).parts[0].label == "in/a.csv"
    assert label_of(fsspec.filesystem("file"), str(tmp_path.parent / "x.csv")) == str(tmp_path.parent / "x.csv")
    assert label_of(fsspec.filesystem("memory"), "/x.csv") == "memory:///x.csv"
    assert [suffix_of(name) for name in ("A.CSV.GZ", "a.pq", "a")] == [".csv.gz", ".pq", ""]
