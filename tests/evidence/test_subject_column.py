"""IDs as files hold them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import ArtifactError
from nbprod.evidence.subject_column import NoSuchColumn, subjects_in

ROWS = pd.DataFrame({"x": [1, 2, 3, 4], "customer": [42, 7, None, 42]})


def written(folder: Path, kind: str, frame: pd.DataFrame = ROWS) -> Path:
    path = folder / f"rows.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind.startswith("jsonl"):
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if kind.startswith("tsv") else ",")
    return path


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "parquet", "jsonl", "jsonl.gz"])
def test_the_same_people_are_found_in_every_format_and_missing_ids_are_counted(tmp_path: Path, kind: str) -> None:
    found = subjects_in(written(tmp_path, kind), ["customer"])
    assert (found.ids, found.missing) == (frozenset({"42", "7"}), 1)


def test_text_is_taken_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('customer,x\n007,1\nNA,2\n9007199254740993,3\n" a, b ",4\n,5\n', encoding="utf-8-sig")
    found = subjects_in(path, ["customer"])
    assert (found.ids, found.missing) == (frozenset({"007", "NA", "9007199254740993", "a, b"}), 1)


def test_long_numbers_beside_a_gap_stay_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"customer": 9007199254740993}\n{"x": 1}\n{"customer": null}\n')
    assert subjects_in(path, ["customer"]).ids == {"9007199254740993"}
    assert subjects_in(path, ["customer"]).missing == 2


def test_semicolons_a_folder_of_parquet_and_two_columns_are_read(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("customer;friend\n1;2\n3;\n")
    found = subjects_in(tmp_path / "rows.csv", ["customer", "friend"])
    assert (found.ids, found.missing) == (frozenset({"1", "2", "3"}), 1)
    for part in (1, 2):
        (tmp_path / "rows" / f"part={part}").mkdir(parents=True)
        pd.DataFrame({"customer": [part]}).to_parquet(tmp_path / "rows" / f"part={part}" / "a.parquet")
    assert subjects_in(tmp_path / "rows", ["customer"]).ids == {"1", "2"}


def test_times_and_categories_of_parquet_are_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"day": [pd.Timestamp("2026-01-31"), pd.NaT], "kind": pd.Categorical(["a", "b"])})
    frame.to_parquet(tmp_path / "rows.parquet")
    assert subjects_in(tmp_path / "rows.parquet", ["day"]).ids == {"2026-01-31"}
    assert subjects_in(tmp_path / "rows.parquet", ["kind"]).ids == {"a", "b"}


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_column_that_is_not_there_is_told_with_the_nearest(tmp_path: Path, kind: str) -> None:
    with pytest.raises(NoSuchColumn, match=r"has no column 'costumer'\. Did you mean 'customer'\?"):
        subjects_in(written(tmp_path, kind), ["costumer"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.xlsx", b"PK"),
        ("rows.csv", "customer\nM\u00fcller\n".encode("latin-1")),
        ("rows.csv", "customer\na\n".encode("utf-16")),
        ("rows.csv", b"customer,x\n1,2,3\n"),
        ("rows.csv.gz", gzip.compress(b"customer\n1\n", mtime=0)[:-4]),
        ("rows.parquet", b"PAR1"),
        ("rows.jsonl", b'{"customer": 1'),
        ("rows.jsonl", b"[1]\n"),
        ("rows.jsonl", b'{"customer": [1]}\n'),
    ],
)
def test_what_cannot_be_read_is_an_error_that_repeats_no_value(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        subjects_in(tmp_path / name, ["customer"])
    assert "Müller" not in str(caught.value)


ids = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=8)


@settings(deadline=None)
@given(st.lists(ids, max_size=20))
def test_a_table_has_the_same_subjects_as_csv_and_json_lines(tmp_path_factory: Any, values: list[str]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    pd.DataFrame({"customer": values, "x": range(len(values))}).to_csv(folder / "rows.csv", index=False)
    lines = (json.dumps({"customer": value}) for value in ["first", *values])
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert (
        subjects_in(folder / "rows.csv", ["customer"]).ids | {"first"}
        == subjects_in(folder / "rows.jsonl", ["customer"]).ids
    )
