"""Where the output goes, and what is refused; how tables are written is tested with whole runs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from nbprod.errors import ArtifactError, UsageError
from nbprod.scoring.output import Output, Target
from nbprod.scoring.parts import find_parts
from nbprod.scoring.writing import File
from tests.scoring.made import write

TABLE = pa.table({"prediction": [[1.0, 2.0], None], "id": ["a,b", 'c"']})


@pytest.fixture
def given(tmp_path: Path) -> Any:
    write(tmp_path / "in/a.parquet", TABLE)
    return find_parts(str(tmp_path / "in"))


@pytest.mark.parametrize(
    ("name", "folder", "beside"),
    [
        ("out.parquet", False, "out.rejected.parquet"),
        ("out.csv", False, "out.rejected.csv"),
        ("out.csv.gz", False, "out.rejected.csv.gz"),
        ("out", True, "out.rejected.parquet"),
        ("out.csv/", True, "out.csv.rejected.parquet"),
    ],
)
def test_the_ending_says_what_is_written(tmp_path: Path, given: Any, name: str, folder: bool, beside: str) -> None:
    target = Target(f"{tmp_path}/{name}", given, overwrite=False)
    assert (target.folder, Path(target.beside).name) == (folder, beside)


def test_what_is_there_is_only_replaced_by_its_own_kind_and_when_asked(tmp_path: Path, given: Any) -> None:
    (tmp_path / "out.rejected.parquet").touch()
    (tmp_path / "old.csv").touch()
    (tmp_path / "dir.csv").mkdir()
    for name in ("out", "old.csv"):
        with pytest.raises(UsageError, match="is there already: move it away, name another, or say --overwrite"):
            Target(str(tmp_path / name), given, overwrite=False)
        Target(str(tmp_path / name), given, overwrite=True)
    with pytest.raises(UsageError, match="is a folder that is there already"):
        Target(str(tmp_path / "dir.csv"), given, overwrite=True)
    with pytest.raises(UsageError, match="is a file that is there already"):
        Target(f"{tmp_path}/old.csv/", given, overwrite=True)


def test_the_input_is_never_the_output(tmp_path: Path, given: Any) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for name in ("in", "link", "in/"):
        with pytest.raises(UsageError, match="is the input"):
            Target(f"{tmp_path}/{name}", given, overwrite=True)
    with pytest.raises(UsageError, match="lies in the input's folder"):
        Target(str(tmp_path / "in/out.parquet"), given, overwrite=True)
    single = find_parts(str(tmp_path / "in/a.parquet"))
    with pytest.raises(UsageError, match="is the input"):
        Target(str(tmp_path / "in/a.parquet"), single, overwrite=True)
    assert not Target(str(tmp_path / "in/b.parquet"), single, overwrite=False).folder


@pytest.mark.parametrize("name", ["out.json", "out.tsv", "out.JSONL", "out.json.gz"])
def test_a_file_of_another_form_does_not_become_a_folder(tmp_path: Path, given: Any, name: str) -> None:
    with pytest.raises(UsageError, match=r"is no form that is written: name it .parquet, .csv or .csv.gz, or a folder"):
        Target(str(tmp_path / name), given, overwrite=False)
    assert Target(f"{tmp_path}/{name}/", given, overwrite=False).folder


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_csv_holds_lists_as_json_and_quotes_what_must_be(tmp_path: Path, given: Any, name: str) -> None:
    output = Output(Target(str(tmp_path / name), given, overwrite=False), TABLE.schema, TABLE.schema, given.parts)
    output.write(0, TABLE)
    assert not (tmp_path / name).exists()
    output.finish()
    output.publish()
    data = (tmp_path / name).read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
    assert text == '"prediction","id"\n"[1.0, 2.0]","a,b"\n,"c"""\n'


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path, given: Any) -> None:
    write(tmp_path / "out/old.parquet", TABLE)
    write(tmp_path / "out.rejected.parquet", TABLE)
    output = Output(Target(str(tmp_path / "out"), given, overwrite=True), TABLE.schema, TABLE.schema, given.parts)
    output.write(0, TABLE)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["old.parquet"]
    output.finish()
    output.publish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.parquet"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    import fsspec

    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="cannot be written") as caught:
        File(fsspec.filesystem("file"), str(tmp_path / "file/out.parquet"), TABLE.schema)
    assert str(caught.value.file).endswith("out.parquet")
