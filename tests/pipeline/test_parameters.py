"""Reading, checking and converting parameters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.entities import Parameter
from nbprod.errors import NotebookError, ParameterError
from nbprod.pipeline.parameters import (
    convert,
    convert_text,
    defaults,
    read_parameters,
    refuse_secret,
    unknown_parameter,
)
from nbprod.pipeline.source import CodeCell, Source
from tests.pipeline.made import code, source_of


def source(cell: str, language: str = "python") -> Source:
    parameters = CodeCell(number=2, source=cell, tags=frozenset({"parameters"}))
    return Source(
        path=Path("a.ipynb"),
        label="a.ipynb",
        notebook={},
        cells=(parameters,),
        parameters=parameters,
        language=language,
    )


def read(cell: str) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in read_parameters(source(cell))}


def one(cell: str) -> Parameter:
    (parameter,) = read(cell).values()
    return parameter


def test_papermill_806_a_union_with_none_is_read() -> None:
    for annotation in ("None | str", "str | None", "None|str"):
        parameter = one(f"foo: {annotation} = None")
        assert (parameter.name, parameter.default, parameter.literal) == ("foo", None, True)
        assert convert_text("BAR", parameter) == "BAR"


def test_papermill_864_an_equals_sign_in_text_is_no_assignment() -> None:
    found = read('s = "a=b"\npath = "./all/date=20240102/run_id=Y/"\nt = dict(a=1)  # x = y\nu = f(a=1) == 2')
    assert {name: p.default for name, p in found.items() if p.literal} == {
        "s": "a=b",
        "path": "./all/date=20240102/run_id=Y/",
    }
    assert list(found) == ["s", "path", "t", "u"]
    assert convert_text("c=d", found["s"]) == "c=d"


def test_papermill_906_a_literal_annotation_is_read() -> None:
    parameter = one('swallow: Literal["african", "european", "unknown"] = "unknown"  # which one')
    assert (parameter.type, parameter.default) == ("Literal['african', 'european', 'unknown']", "unknown")
    assert parameter.description == "which one"
    assert convert_text("european", parameter) == "european"
    with pytest.raises(ParameterError, match=r"swallow must be Literal\['african'.*\], not str \(\"asian\"\)\."):
        convert_text("asian", parameter)


@pytest.mark.parametrize(
    ("cell", "type_", "default"),
    [
        ("x = 1", "int", 1),
        ("x = -1", "int", -1),
        ("x = 1e-3", "float", 1e-3),
        ("x = True", "bool", True),
        ("x = 'a'", "str", "a"),
        ("x = ('a'\n     'b')", "str", "ab"),
        ("x = [1, 2]", "list", [1, 2]),
        ("x = (1, 2)", "list", [1, 2]),
        ("x = {'a': (1,)}", "dict", {"a": [1]}),
        ("x = None", "", None),
        ("x: int = 1", "int", 1),
        ("x: 'int' = 1", "int", 1),
        ("x: Optional[int] = None", "Optional[int]", None),
        ("x: list[int] = [\n    1,  # one\n    2,\n]", "list[int]", [1, 2]),
        ("x: dict[str, float] = {}", "dict[str, float]", {}),
        ("x = 0x10", "int", 16),
        ("x = 1_000", "int", 1000),
        ("x = '''a\n# no comment\nb = 1'''", "str", "a\n# no comment\nb = 1"),
    ],
)
def test_a_default_is_read_with_its_type(cell: str, type_: str, default: Any) -> None:
    parameter = one(cell)
    assert (parameter.type, parameter.default, parameter.literal) == (type_, default, True)


@pytest.mark.parametrize(
    ("cell", "type_"),
    [
        ("x = Path('a')", ""),
        ("x: Path = Path('a')", "Path"),
        ("x = 2 * 3", ""),
        ("x = {1, 2}", ""),
        ("x = {1: 2}", ""),
        ("x = b'a'", ""),
        ("x = 1j", ""),
        ("x: int", "int"),
        ("x = f'{y}'", ""),
    ],
)
def test_a_default_that_is_no_literal_is_not_evaluated(cell: str, type_: str) -> None:
    parameter = one(cell)
    assert (parameter.type, parameter.default, parameter.literal) == (type_, None, False)


def test_every_way_to_assign_plain_names_is_read() -> None:
    found = read("a = b = 1\nc, d = 2, 'x'\ne = 3; f = 4\n[g, *h] = x\nif a:\n    i = 1\nj.k = 1\nl['m'] = 2\na += 1")
    assert {name: (p.default, p.literal) for name, p in found.items()} == {
        "a": (1, True), "b": (1, True), "c": (2, True), "d": ("x", True), "e": (3, True), "f": (4, True),
        "g": (None, False), "h": (None, False),
    }  # fmt: skip


def test_of_two_assignments_the_last_counts() -> None:
    assert one("x = 1\nx = 2").default == 2


def test_lines_and_cells_are_told() -> None:
    found = read("# first\n\na = 1\nb = [\n  1,\n]\nc = 2")
    assert {name: (p.cell, p.line) for name, p in found.items()} == {"a": (2, 3), "b": (2, 4), "c": (2, 7)}


def test_a_comment_after_the_value_describes_it() -> None:
    assert one("# above\nx = 1  # trees in the forest").description == "trees in the forest"
    assert one("x = [\n  1,  # one\n]  # the list").description == "the list"


def test_without_one_the_comment_above_does() -> None:
    found = read("# Settings\n\n# How many\n# trees.\nx = 1\ny = 2")
    assert (found["x"].description, found["y"].description) == ("How many trees.", "")


def test_a_hash_in_text_is_no_comment() -> None:
    assert one("x = 'a # b'").description == ""


@pytest.mark.parametrize(
    ("comment", "role", "description"),
    [
        ("input: rows to fit on", "input", "rows to fit on"),
        ("input", "input", ""),
        ("input, a table", "input", "a table"),
        ("output the model", "output", "the model"),
        ("inputs of the model", "", "inputs of the model"),
        ("input-like things", "", "input-like things"),
        ("the input", "", "the input"),
    ],
)
def test_a_comment_gives_a_role(comment: str, role: str, description: str) -> None:
    parameter = one(f"x = 'a'  # {comment}")
    assert (parameter.role, parameter.description) == (role, description)


def test_a_comment_may_give_the_type() -> None:
    found = read(
        "a = []  # type: List[str] Nice list\nb = 1  # type: float\nc = 1  # type: of thing\nd = 'x'  # type: ignore"
    )
    assert {name: (p.type, p.description) for name, p in found.items()} == {
        "a": ("List[str]", "Nice list"), "b": ("float", ""), "c": ("int", "type: of thing"), "d": ("str",
        "type: ignore"),
    }  # fmt: skip


def test_a_number_has_no_role() -> None:
    parameter = one("n = 3  # input size of the layer")
    assert (parameter.role, parameter.description) == ("", "input size of the layer")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("x = 1\n%matplotlib inline", "a.ipynb, cell 2, line 2: .* move `%matplotlib inline` to another cell"),
        ("!ls", "cell 2, line 1: .* move `!ls` to another cell"),
        ("x = 1\ny = = 2", "cell 2, line 2: the parameters cell is no valid Python .*: mend it in JupyterLab"),
        ("x = (1", "cell 2, line 1: the parameters cell is no valid Python"),
    ],
)
def test_a_parameters_cell_that_is_no_plain_python_is_refused(cell: str, message: str) -> None:
    with pytest.raises(NotebookError, match=message):
        read(cell)


def test_a_notebook_without_a_parameters_cell_has_none(tmp_path: Path) -> None:
    assert read_parameters(source_of(tmp_path, "x = 1")) == ()


def test_of_another_language_only_the_names_are_known() -> None:
    found = read_parameters(source("# R\nn_trees <- 200\nname = 'a'\nif (n == 1) x", language="r"))
    assert [(p.name, p.type, p.literal) for p in found] == [("n_trees", "", False), ("name", "", False)]


def test_defaults_are_those_that_could_be_read() -> None:
    assert defaults(read("a = 1\nb = f()\nc = None").values()) == {"a": 1, "c": None}


def typed(type_: str, name: str = "x") -> Parameter:
    return Parameter(name=name, type=type_)


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("str", "007", "007"), ("str", "true", "true"), ("str", "[7]", "[7]"), ("str", "null", "null"), ("str", "", ""),
        ("Path", "007", "007"), ("int", "7", 7), ("int", "-7", -7), ("float", "1e-3", 1e-3), ("float", "7", 7.0),
        ("float", ".inf", math.inf), ("float", "-inf", -math.inf), ("bool", "true", True), ("bool", "False", False),
        ("list", "[7]", [7]), ("list[int]", "[7, 8]", [7, 8]), ("list[float]", "[7]", [7.0]), ("dict", "{a: 1}",
        {"a": 1}),
        ("dict[str, list[int]]", "{a: [1]}", {"a": [1]}), ("None | str", "null", None), ("None | str", "None", None),
        ("str | None", "7", "7"), ("str | None", "", ""), ("str | None", "~", "~"), ("Optional[int]", "null", None),
        ("Optional[int]", "7", 7), ("int | str", "7", 7), ("int | str", "seven", "seven"), ("Literal['1', '2']", "1",
        "1"),
        ("Literal[1, 2]", "1", 1), ("Literal['true']", "true", "true"), ("list[int] | None", "None", None),
        ("", "7", 7), ("", "1e-3", 1e-3), ("", "true", True), ("", "None", None), ("", "abc", "abc"), ("", "007", 7),
        ("", "[7]", "[7]"), ("", "{a: 1}", "{a: 1}"), ("", "2015-01-01", "2015-01-01"), ("", "a: b", "a: b"),
        ("datetime.date", "2015-01-01", "2015-01-01"),
    ],
)  # fmt: skip
def test_text_is_read_by_the_type(type_: str, text: str, value: Any) -> None:
    converted = convert_text(text, typed(type_))
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("type_", "text", "given"),
    [
        ("int", "1.5", r"not float \(1\.5\)"),
        ("int", "seven", r"not str \(\"seven\"\)"),
        ("int", "true", r"not bool \(true\)"),
        ("int", "", "not nothing"),
        ("float", "a", "not str"),
        ("bool", "1", "not int"),
        ("bool", "yes", "not str"),
        ("list[int]", "7", "not int"),
        ("list[int]", "[a]", "not list"),
        ("Literal['a']", "b", "not str"),
        ("Optional[int]", "a", "not str"),
    ],
)
def test_text_of_another_type_is_refused(type_: str, text: str, given: str) -> None:
    with pytest.raises(ParameterError, match=given):
        convert_text(text, typed(type_))


def test_a_typed_value_is_checked_and_told_where_it_stands() -> None:
    with pytest.raises(ParameterError) as caught:
        convert("many", typed("int", "n_trees"), file="pipelines/a.yaml", line=7, stage="train")
    assert str(caught.value) == 'pipelines/a.yaml:7: n_trees must be int, not str ("many").'
    assert caught.value.stage == "train"


@pytest.mark.parametrize("cell", ["rate = 1", "rate: int = 1"])
def test_where_a_type_comes_from_and_how_to_change_it_is_told(cell: str) -> None:
    with pytest.raises(ParameterError, match=r"makes it int: write `rate: float = \.\.\.` there to allow fractions"):
        convert(0.5, one(cell))


def test_text_is_no_number_where_the_value_has_a_type_already() -> None:
    with pytest.raises(ParameterError, match=r"x must be float, not str \(\"1e-3\"\)"):
        convert("1e-3", typed("float"))


def test_an_int_is_taken_for_a_float_and_a_bool_is_not_an_int() -> None:
    assert type(convert(3, typed("float"))) is float
    with pytest.raises(ParameterError, match="not bool"):
        convert(True, typed("int"))


def test_a_secrets_value_is_not_shown() -> None:
    with pytest.raises(ParameterError) as caught:
        convert("hunter2", typed("int", "password"))
    assert "hunter2" not in str(caught.value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ParameterError) as caught:
        convert("x" * 1000, typed("int"))
    assert len(str(caught.value)) < 200


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    notebook = source("n_trees = 1\nseed = 0")
    error = unknown_parameter(
        "n_tree", read_parameters(notebook), source=notebook, file="pipelines/a.yaml", line=3, stage="train"
    )
    assert str(error) == ("pipelines/a.yaml:3: a.ipynb (cell 2) has no parameter 'n_tree'. Did you mean 'n_trees'?")


def test_an_unknown_name_without_a_parameters_cell_is_told_what_to_tag(tmp_path: Path) -> None:
    error = unknown_parameter("n", (), source=source_of(tmp_path, "n = 1"))
    assert "It has no cell tagged `parameters`: tag the one that assigns n." in str(error)


def test_an_unknown_name_with_an_empty_parameters_cell_is_told_to_add_it(tmp_path: Path) -> None:
    error = unknown_parameter("n", (), source=source_of(tmp_path, code("", "parameters")))
    assert "Its parameters cell assigns nothing: add n to it." in str(error)


def test_a_secret_is_refused_with_what_to_do() -> None:
    with pytest.raises(ParameterError) as caught:
        refuse_secret("apiKey", file="a.ipynb", stage="train")
    assert str(caught.value) == (
        "a.ipynb: 'apiKey' looks like a secret, and parameters are recorded: read it from os.environ['API_KEY'] and "
        "list API_KEY under the stage's `env:`."
    )


def test_other_names_are_not_refused() -> None:
    for name in ("tokenizer", "n_tokens", "token_count", "max_tokens", "seed"):
        refuse_secret(name)


literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: not _is_keyword(name))
comments = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30).map(str.strip)


def _is_keyword(name: str) -> bool:
    import keyword

    return keyword.iskeyword(name)


@given(st.dictionaries(names, st.tuples(literals, comments), min_size=1, max_size=5))
def test_whatever_literal_is_written_is_read_back(written: dict[str, tuple[Any, str]]) -> None:
    cell = "\n".join(f"{name} = {value!r}  # : {comment}" for name, (value, comment) in written.items())
    found = read(cell)
    assert {name: p.default for name, p in found.items()} == {name: value for name, (value, _) in written.items()}
    assert {name: p.description for name, p in found.items()} == {
        name: f": {comment}".strip() for name, (_, comment) in written.items()
    }


@given(st.text())
def test_any_text_is_kept_where_the_type_is_text(text: str) -> None:
    assert convert_text(text, typed("str")) == text


@given(st.text(max_size=20), st.sampled_from(["int", "float", "bool", "list[int]", "dict[str, int]", "None | int", ""]))
def test_any_text_is_converted_or_refused(text: str, type_: str) -> None:
    try:
        value = convert_text(text, typed(type_))
    except ParameterError:
        return
    converted = convert(value, typed(type_))
    assert converted == value or value != value


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_as_python_writes_it_is_read_back(number: float) -> None:
    value = convert_text(repr(number), typed(type(number).__name__))
    assert value == number
    assert type(value) is type(number)


@given(st.text())
def test_any_parameters_cell_is_read_or_refused(cell: str) -> None:
    try:
        read(cell)
    except NotebookError as error:
        assert error.cell == 2
