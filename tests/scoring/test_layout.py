"""Which columns are used, and what is refused before a row is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from nbprod.errors import UsageError
from nbprod.scoring.layout import Layout, Wanted, kept_schema, layouts, rejected_schema
from nbprod.scoring.parts import find_parts
from nbprod.serving.signature import Column, Signature, Tensor
from tests.scoring.made import write

SIGNATURE = Signature(
    columns=(
        Column(name="age", type="long", detail={}),
        Column(name="income", type="double", required=False, detail={}),
    )
)


def looked(path: Path, signature: Signature = SIGNATURE, **wanted: Any) -> tuple[Layout, ...]:
    return layouts(find_parts(str(path)).parts, signature, Wanted(**wanted))


def table(**columns: Any) -> pa.Table:
    return pa.table(columns)


def test_columns_that_the_model_has_not_are_ignored_and_told(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(id=["x"], age=[1], income=[2.0], target=[1]))
    (layout,) = looked(tmp_path / "a.parquet", keep=("id",))
    assert (layout.read, layout.kept, layout.unknown) == (("id", "age", "income"), ("id",), ("target",))
    (layout,) = looked(tmp_path / "a.parquet", keep=("*",), whole=True)
    assert layout.kept == layout.read == ("id", "age", "income", "target")


def test_a_column_that_may_be_a_missing_one_under_a_wrong_name_is_not_ignored(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(age=[1], incom=[2.0]))
    with pytest.raises(UsageError, match="no column 'incom', and its column 'income', which may be missing, is"):
        looked(tmp_path / "a.parquet")
    assert looked(tmp_path / "a.parquet", ignore=("incom",))[0].unknown == ()
    assert looked(tmp_path / "a.parquet", keep=("incom",))[0].unknown == ()
    write(tmp_path / "b.parquet", table(age=[1]))
    assert looked(tmp_path / "b.parquet")[0].read == ("age",)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"income": [1.0]}, "the column 'age' is missing"),
        ({"Age": [1], "income": [1.0]}, "the column 'age' is missing. Did you mean 'Age'?"),
        ({"age": ["1"], "income": [1.0]}, "expected whole number of 64 bits in the column 'age', whose type is string"),
        ({"age": [1.0], "income": [1.0]}, "whose type is double: convert it first"),
    ],
)
def test_what_does_not_fit_as_a_whole_is_refused_with_the_file(
    tmp_path: Path, columns: dict[str, Any], says: str
) -> None:
    write(tmp_path / "a.parquet", table(**columns))
    with pytest.raises(UsageError) as caught:
        looked(tmp_path / "a.parquet")
    assert says in str(caught.value) and str(caught.value.file).endswith("a.parquet")


def test_names_that_nobody_has_or_that_the_output_needs_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(age=[1], income=[1.0], row=[1], idd=[1]))
    with pytest.raises(UsageError, match=r"--keep id: the input has no such column. Did you mean 'idd'\?"):
        looked(tmp_path / "a.parquet", keep=("id",))
    with pytest.raises(UsageError, match="--ignore ag: the input has no such column"):
        looked(tmp_path / "a.parquet", ignore=("ag",))
    with pytest.raises(UsageError, match="--keep row: the output has a column of its own"):
        looked(tmp_path / "a.parquet", keep=("row",))


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("age,income,age\n1,2,3\n", encoding="utf-8")
    with pytest.raises(UsageError, match="two columns that are called 'age'"):
        looked(tmp_path / "a.csv")


def test_lists_cannot_come_from_csv(tmp_path: Path) -> None:
    signature = Signature(columns=(Column(name="x", type="array", detail={"items": {"type": "double"}}),))
    (tmp_path / "a.csv").write_text("x\n1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="which CSV cannot: use Parquet"):
        looked(tmp_path / "a.csv", signature)


def test_kept_columns_get_a_type_that_holds_all_files(tmp_path: Path) -> None:
    write(tmp_path / "in/a.parquet", table(age=[1], income=[1.0], id=pa.array([1], pa.int32()), at=["x"]))
    write(tmp_path / "in/b.parquet", table(age=[1], income=[1.0], id=pa.array([1], pa.int64())))
    found = looked(tmp_path / "in", keep=("id", "at"))
    assert kept_schema(found).types == [pa.int64(), pa.string()]
    write(tmp_path / "in/c.parquet", table(age=[1], income=[1.0], id=["x"]))
    with pytest.raises(UsageError, match="--keep id: its type differs from file to file: int32, int64, string"):
        kept_schema(looked(tmp_path / "in", keep=("id",)))
    assert rejected_schema(looked(tmp_path / "in")).field("id").type == pa.string()


def test_folders_name_columns_unless_the_file_has_them(tmp_path: Path) -> None:
    write(tmp_path / "in/age=7/a.parquet", table(income=[1.0]))
    write(tmp_path / "in/age=8/b.parquet", table(age=[1], income=[1.0]))
    first, second = looked(tmp_path / "in")
    assert (first.shape.own, first.shape.schema.names) == (("income",), ["income", "age"])
    assert second.shape.schema.field("age").type == pa.int64()


def test_a_model_of_a_tensor_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(x=[1.0]))
    with pytest.raises(UsageError, match="takes a tensor, and files hold columns"):
        looked(tmp_path / "a.parquet", Signature(tensor=Tensor(name="", dtype="float64", shape=(1,))))
