"""Tables are held against a schema in pandera's words; a sentence says what is wrong, and repeats no value."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import ArtifactError, UsageError
from nbprod.gates.table import ColumnRules, TableSchema, check_table


def problems(table: Any, **schema: Any) -> tuple[str, ...]:
    """What is wrong with a table that is called ``t``."""
    return check_table(table, TableSchema.read(schema), label="t")


def column(values: Any, **rules: Any) -> list[str]:
    """What is wrong with the only column ``a`` of ``t``."""
    return list(problems(pd.DataFrame({"a": values}), columns={"a": rules}))


def test_a_schema_is_read_whole() -> None:
    schema = TableSchema.read(
        {
            "columns": {"age": {"dtype": "int", "in_range": [0, 120]}, "note": None},
            "rows": {"min": 1, "max": 10},
            "unique": ["a", "b"],
            "extra": "refuse",
        }
    )

    assert schema == TableSchema(
        columns={"age": ColumnRules(dtype="int", in_range=(0, 120)), "note": ColumnRules()},
        min_rows=1,
        max_rows=10,
        unique=(("a", "b"),),
        extra="refuse",
    )
    assert TableSchema.read({"unique": [["a", "b"], ["c"]]}).unique == (("a", "b"), ("c",))
    assert TableSchema.read({}) == TableSchema()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"colums": {}}, "a table's schema has no 'colums'. Did you mean 'columns'?"),
        ({"columns": ["age"]}, "columns must be a mapping"),
        ({"columns": {"age": "int"}}, "the rules of the column 'age' must be a mapping"),
        ({"columns": {"age": {"nulable": True}}}, "the column 'age' has no rule 'nulable'. Did you mean 'nullable'?"),
        ({"columns": {"age": {"dtype": "integer"}}}, "dtype of the column 'age' must be one of int, float"),
        ({"columns": {"age": {"nullable": 1}}}, "nullable of the column 'age' must be true or false."),
        ({"columns": {"age": {"ge": True}}}, "ge of the column 'age' must be a number or the text of a time."),
        ({"columns": {"age": {"ge": None}}}, "ge of the column 'age' must be a number"),
        ({"columns": {"age": {"in_range": [3, 1]}}}, "in_range of the column 'age' must be the lowest and highest"),
        ({"columns": {"age": {"in_range": [3, "x"]}}}, "in_range of the column 'age' must be the lowest"),
        ({"columns": {"age": {"isin": []}}}, "isin of the column 'age' must be a list of values."),
        ({"columns": {"age": {"str_matches": "("}}}, "str_matches of the column 'age' must be a regular expression."),
        ({"columns": {"age": {"max_missing": 5}}}, "max_missing of the column 'age' must be a share from 0 to 1."),
        ({"columns": {"age": {"max_missing": 0.1, "nullable": False}}}, "may not be missing, and has a max_missing"),
        ({"rows": 5}, "rows must be a mapping"),
        ({"rows": {"least": 5}}, "rows has no 'least'."),
        ({"rows": {"min": -1}}, "min of rows must be a whole number from 0 on."),
        ({"rows": {"min": True}}, "min of rows must be a whole number"),
        ({"rows": {"min": 5, "max": 4}}, "rows has a max that is less than its min."),
        ({"unique": "a"}, "unique must be a list of columns"),
        ({"unique": [["a"], "b"]}, "unique must be a list of columns"),
        ({"extra": False}, "extra must be allow or refuse"),
    ],
)
def test_what_is_no_schema_is_refused(content: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        TableSchema.read(content)
    assert said in str(caught.value)


RULES = st.dictionaries(
    st.sampled_from([*ColumnRules.__dataclass_fields__, "read", "bounds", "x"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers() | st.text()),
)


@given(st.dictionaries(st.text(), st.none() | RULES), st.data())
def test_any_content_is_read_or_refused_and_what_is_read_checks_any_table(columns: Any, data: st.DataObject) -> None:
    try:
        schema = TableSchema.read({"columns": columns})
    except UsageError as error:
        assert error.message
        return
    cells = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text()
    table = pd.DataFrame({name: data.draw(st.lists(cells, min_size=3, max_size=3)) for name in columns})
    for problem in check_table(table, schema, label="t"):
        assert problem.endswith((".", "?"))


@given(st.lists(st.none() | st.integers(0, 20), min_size=1), st.integers(0, 20))
def test_the_rows_that_break_a_bound_are_counted_and_the_first_is_named(values: list[int | None], bound: int) -> None:
    bad = [row for row, value in enumerate(values, start=1) if value is not None and value < bound]
    found = problems(pd.DataFrame({"a": values}, dtype="Int64"), columns={"a": {"ge": bound, "nullable": True}})

    said = (
        f"the column 'a' of t must be at least {bound}: {len(bad)} of {len(values)} rows are not so, the first is row "
    )
    assert found == ((f"{said}{bad[0]}.",) if bad else ())


@given(st.lists(st.text(alphabet="abc", max_size=2), min_size=1))
def test_values_that_stand_again_are_counted(values: list[str]) -> None:
    found = column(values, unique=True)

    again = len(values) - len(set(values))
    assert len(found) == (again > 0)
    assert not again or f"must be unique: {again} of {len(values)} rows are not so" in found[0]


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ([1, 2], {"dtype": "int"}),
        ([1, None], {"dtype": "int", "nullable": True}),
        (pd.array([1, 2], dtype="int16"), {"dtype": "int16"}),
        ([1, 2], {"dtype": "float"}),
        ([1.5, None], {"dtype": "float64", "max_missing": 0.5}),
        ([True, False], {"dtype": "bool"}),
        (["x", "y"], {"dtype": "str"}),
        (pd.to_datetime(["2015-01-01", "2016-01-01"]), {"dtype": "datetime", "ge": "2015-01-01", "lt": "2016-01-02"}),
        (pd.to_datetime(["2015-01-01"], utc=True), {"gt": "2014-12-31T23:00", "isin": ["2015-01-01", "2015-01-02"]}),
        (pd.Categorical(["x", "y"]), {"dtype": "category", "isin": ["x", "y", "z"]}),
        (pd.Categorical([1, 2]), {"in_range": [1, 2]}),
        ([0.0, 5.0], {"in_range": [0, 5], "gt": -1, "le": 5}),
        (["ma", "ny"], {"isin": ["ma", "ny"], "str_matches": "[a-z]{2}$"}),
        (["b", "c"], {"ge": "b"}),
        ([1, "x"], {"isin": [1, "x"]}),
    ],
)
def test_what_fits_is_no_problem(values: Any, rules: dict[str, Any]) -> None:
    assert column(values, **rules) == []


@pytest.mark.parametrize(
    ("values", "rules", "must", "bad", "first"),
    [
        ([1.5, 2.5], {"dtype": "int"}, "be int and not float64", 2, 1),
        ([1.0, 2.5, None], {"dtype": "int", "nullable": True}, "be int and not float64", 1, 2),
        ([1, 2], {"dtype": "int16"}, "be int16 and not int64", 2, 1),
        ([True, False], {"dtype": "int"}, "be int and not bool", 2, 1),
        ([True, False], {"dtype": "float"}, "be float and not bool", 2, 1),
        (["1", "2"], {"dtype": "int"}, "be int and not str", 2, 1),
        (["1", 2, True], {"dtype": "int"}, "be int", 2, 1),
        (["1", 2, 2.5], {"dtype": "float"}, "be float", 1, 1),
        ([1, "x"], {"dtype": "str"}, "be str", 1, 1),
        ([0, 1], {"dtype": "bool"}, "be bool and not int64", 2, 1),
        (["2015-01-01"], {"dtype": "datetime"}, "be datetime and not str", 1, 1),
        (["x"], {"dtype": "category"}, "be category and not str", 1, 1),
        (pd.Categorical(["x"]), {"dtype": "int"}, "be int and not category", 1, 1),
        ([1, None], {}, "not be missing", 1, 2),
        ([1, None, None], {"max_missing": 0.5}, "be missing in 0.5 of the rows at most", 2, 2),
        ([5, 6, 7], {"gt": 6}, "be more than 6", 2, 1),
        ([5, 6, 7], {"lt": 6}, "be less than 6", 2, 2),
        ([5, 6, 7], {"in_range": [6, 6]}, "be at least 6", 1, 1),
        ([1.0, np.inf], {"le": 5}, "be at most 5", 1, 2),
        ([1, "x"], {"ge": 0}, "be at least 0", 1, 2),
        (["a", "b"], {"ge": "b"}, "be at least b", 1, 1),
        ([1, 2], {"ge": "2015-01-01"}, "be at least 2015-01-01", 2, 1),
        (pd.to_datetime(["2015-01-01"]), {"ge": 0}, "be at least 0", 1, 1),
        (pd.to_datetime(["2015-01-01"]), {"isin": ["2016-01-01"]}, "be one of 2016-01-01", 1, 1),
        (["x", "secret"], {"isin": ["x", "y"]}, "be one of x, y", 1, 2),
        ([1, 2], {"isin": ["1", "2"]}, "be one of 1, 2", 2, 1),
        (["ab", "secret"], {"str_matches": "ab"}, "match ab", 1, 2),
        ([1], {"str_matches": "1"}, "match 1", 1, 1),
    ],
)
def test_what_does_not_fit_is_counted(values: Any, rules: dict[str, Any], must: str, bad: int, first: int) -> None:
    (said, *_) = column(values, **rules)
    assert said == (
        f"the column 'a' of t must {must}: {bad} of {len(values)} rows are not so, the first is row {first}."
    )


def test_a_value_of_the_wrong_type_is_no_second_problem() -> None:
    assert len(column([1, "x"], dtype="int", ge=0, isin=[1])) == 1


def test_columns_and_rows_that_are_not_there_and_those_that_should_not_be() -> None:
    table = pd.DataFrame({"age": [1, 2], "name": ["x", "y"]})

    found = problems(table, columns={"agee": {}, "zip": {"required": False}}, rows={"min": 3}, extra="refuse")
    assert found == (
        "t has 2 rows, and must have at least 3.",
        "t has columns that its schema does not name: age, name.",
        "t has no column 'agee'. Did you mean 'age'?",
    )
    assert problems(table, rows={"max": 1}) == ("t has 2 rows, and must have at most 1.",)


def test_columns_are_unique_together_and_rows_with_a_gap_do_not_count() -> None:
    table = pd.DataFrame({"a": [1, 1, 1, None, None], "b": ["x", "y", "x", "z", "z"]})

    said = "the columns 'a', 'b' of t must be unique together: 1 of 5 rows are not so, the first is row 3."
    assert problems(table, unique=["a", "b"]) == (said,)
    assert problems(table, unique=[["a", "b"], ["b"]])[1].startswith("the column 'b' of t must be unique: 2 of 5 rows")
    assert problems(table, unique=["a", "c"]) == ("t has no column 'c', which must be unique. There is: a, b.",)
    assert column([None, None, 1], unique=True, nullable=True) == []


def test_no_value_is_repeated() -> None:
    table = pd.DataFrame({"a": ["secret", "secret"], "n": [666777, 666777]})
    rules = {"dtype": "int", "isin": ["x"], "str_matches": "y", "unique": True, "ge": 9}

    said = " ".join(problems(table, columns={"a": rules, "n": {**rules, "dtype": "str"}}, unique=["a", "n"]))
    assert said
    assert not re.search("secret|666777", said)


def written(path: Path, table: pd.DataFrame) -> Path:
    """A table in the format that the name says."""
    if path.name.endswith(".parquet"):
        table.to_parquet(path, index=False)
    elif ".csv" in path.name:
        table.to_csv(path, index=False)
    elif ".tsv" in path.name:
        table.to_csv(path, index=False, sep="\t")
    else:
        table.to_json(path, orient="records", lines=True, date_format="iso")
    return path


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.gz", "t.tsv", "t.jsonl", "t.ndjson.gz"])
def test_the_same_schema_fits_the_same_table_in_every_format(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "number": [0.5, 1.0, 2.0],
            "flag": [True, False, True],
            "zip": ["01234", "12345", "00001"],
            "day": pd.to_datetime(["2015-01-01", "2016-01-01", "2017-01-01"]),
            "kind": pd.Categorical(["x", "y", "x"]),
        }
    )
    columns = {
        "whole": {"dtype": "int", "nullable": True, "ge": 1},
        "number": {"dtype": "float", "in_range": [0, 2]},
        "flag": {"dtype": "bool"},
        "zip": {"dtype": "str", "str_matches": "[0-9]{5}$", "unique": True},
        "day": {"dtype": "datetime", "ge": "2015-01-01"},
        "kind": {"dtype": "category", "isin": ["x", "y"]},
    }
    path = written(tmp_path / name, table)

    assert problems(path, columns=columns, rows={"min": 3, "max": 3}, extra="refuse") == ()
    assert problems(path, columns={"zip": {"dtype": "int"}, "whole": {"ge": 2, "nullable": True}}, rows={"min": 4})


def test_what_text_says_counts_where_the_format_has_no_types(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("n,f,b,d,small\n1,0.5,true,2015-01-01,1\nx,y,maybe,never,300\n+3,1e3,False,2015-01-01T10:00Z,2\n")

    for name, dtype in {"n": "int", "f": "float", "b": "bool", "d": "datetime", "small": "int8"}.items():
        (said,) = problems(path, columns={name: {"dtype": dtype}})
        assert said == f"the column '{name}' of t must be {dtype}: 1 of 3 rows are not so, the first is row 2."


def test_text_in_parquet_is_no_number(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", pd.DataFrame({"n": ["1", "2"], "m": pd.array([1, 2], dtype="int8")}))

    assert "must be int and not str: 2 of 2 rows" in problems(path, columns={"n": {"dtype": "int"}})[0]
    assert problems(path, columns={"m": {"dtype": "int8"}}) == ()
    assert "must be int64 and not int8" in problems(path, columns={"m": {"dtype": "int64"}})[0]


def test_exact_widths_hold_where_values_are_missing(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", pd.DataFrame({"n": pd.array([1, None, 2**60], dtype="Int64")}))

    assert problems(path, columns={"n": {"dtype": "int64", "nullable": True, "unique": True}}) == ()
    assert "be int32 and not int64: 2 of 3" in problems(path, columns={"n": {"dtype": "int32", "nullable": True}})[0]


def test_a_folder_of_parquet_is_one_table(tmp_path: Path) -> None:
    for year in (2015, 2016):
        (tmp_path / f"year={year}").mkdir()
        written(tmp_path / f"year={year}" / "0.parquet", pd.DataFrame({"n": [1, 2]}))

    assert problems(tmp_path, columns={"n": {}, "year": {"isin": [2015, 2016]}}, rows={"min": 4}, extra="refuse") == ()
    assert "2 of 4 rows are not so, the first is row 3." in problems(tmp_path, columns={"n": {"unique": True}})[0]


def test_files_of_other_countries_and_other_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffa;b\r\n1;x\r\n2;y\r\n".encode())
    assert problems(path, columns={"a": {"dtype": "int"}, "b": {}}, rows={"min": 2}, extra="refuse") == ()

    path.write_text("")
    assert problems(path, columns={"a": {}}) == ("t has no column 'a'.",)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"a,b\n1,2,secret\n3,4,5\n"),
        ("t.csv", b"a,b\n1,2\n3,secret,5\n"),
        ("t.csv", "a\nsecret\n".encode("utf-16")),
        ("t.csv.gz", gzip.compress(b"a,b\n" * 1000, mtime=0)[:-20]),
        ("t.parquet", b"secret"),
        ("t.jsonl", b"secret\n"),
        ("t.png", b"secret"),
    ],
)
def test_what_is_no_table_is_said_without_its_values(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(ArtifactError) as caught:
        problems(path, columns={"a": {}})
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet", "t.jsonl"):
        with pytest.raises(ArtifactError, match="cannot be read as a table"):
            problems(tmp_path / name)
