"""Reading notebooks, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nbprod.errors import NotebookError
from nbprod.pipeline.source import logged_names, read_notebook, read_source
from tests.pipeline.made import code, markdown, notebook, source_of, written


def test_code_cells_are_numbered_among_all_cells(tmp_path: Path) -> None:
    source = source_of(tmp_path, markdown("# Title"), "x = 1", markdown("text"), "y = 2")
    assert [(cell.number, cell.source) for cell in source.cells] == [(2, "x = 1"), (4, "y = 2")]


def test_a_source_given_as_lines_is_joined(tmp_path: Path) -> None:
    assert source_of(tmp_path, code(["x = 1\n", "y = 2"])).cells[0].source == "x = 1\ny = 2"


def test_empty_cells_and_cells_that_are_skipped_are_not_to_run(tmp_path: Path) -> None:
    source = source_of(tmp_path, "  \n", code("x = 1", "skip-execution"), "y = 2")
    assert [cell.source for cell in source.cells] == ["y = 2"]


def test_the_cell_tagged_parameters_is_found(tmp_path: Path) -> None:
    source = source_of(tmp_path, "import os", code("x = 1", "parameters"))
    assert source.parameters is not None
    assert (source.parameters.number, source.parameters.source) == (2, "x = 1")


def test_a_notebook_need_not_name_a_kernel(tmp_path: Path) -> None:
    source = source_of(tmp_path, "x = 1", kernel="")
    assert (source.kernel, source.language) == ("", "python")


def test_another_language_is_kept_as_it_is(tmp_path: Path) -> None:
    source = source_of(tmp_path, "x <- c(1, 2)", kernel="ir", language="R")
    assert (source.kernel, source.language, source.cells[0].source) == ("ir", "r", "x <- c(1, 2)")


def test_words_in_code_are_found_but_not_words_in_text(tmp_path: Path) -> None:
    source = source_of(tmp_path, markdown("we use mlflow"), "import pandas")
    assert source.mentions("pandas")
    assert not source.mentions("mlflow")


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook("x = 1")), encoding="utf-8-sig")
    assert read_source(path, label="a.ipynb").cells[0].source == "x = 1"


def old_notebook(major: int, cells: list[Any]) -> dict[str, Any]:
    return {"nbformat": major, "nbformat_minor": 0, "metadata": {"name": "old"}, "worksheets": [{"cells": cells}]}


@pytest.mark.parametrize("major", [2, 3])
@pytest.mark.parametrize("lines", [["x = 1\n", "y = 2"], ["x = 1", "y = 2"], "x = 1\ny = 2"])
def test_formats_2_and_3_are_upgraded(tmp_path: Path, major: int, lines: list[str] | str) -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Title"]},
        {"cell_type": "code", "input": lines, "language": "python", "outputs": [], "prompt_number": 3},
        {"cell_type": "html", "source": "<b>hi</b>"},
    ]
    path = written(tmp_path, old_notebook(major, cells))
    plain = read_notebook(path, label="a.ipynb")
    assert [(cell["cell_type"], cell["source"]) for cell in plain["cells"]] == [
        ("markdown", "## Title"),
        ("code", "x = 1\ny = 2"),
        ("markdown", "<b>hi</b>"),
    ]
    assert read_source(path, label="a.ipynb").language == "python"


def test_an_upgraded_notebook_is_one_for_nbformat_too(tmp_path: Path) -> None:
    import nbformat

    cells = [{"cell_type": "code", "input": ["x = 1"], "language": "python", "outputs": [], "metadata": {}}]
    plain = read_notebook(written(tmp_path, old_notebook(3, cells)), label="a.ipynb")
    nbformat.validate({**plain, "nbformat_minor": 4})


BROKEN: dict[str, tuple[Any, str]] = {
    "empty": ("", "a.ipynb: is empty: open it in JupyterLab and save it, or take it out."),
    "not JSON": ('{"cells": [\n  }', "a.ipynb:2: is not valid JSON (expecting value at column 3): restore"),
    "a list": ([1, 2], "a.ipynb: is JSON but not a notebook (no number `nbformat`): name another file."),
    "some other JSON": ({"a": 1}, "is JSON but not a notebook"),
    "a format that is text": ({"nbformat": "4", "cells": []}, "is JSON but not a notebook"),
    "a newer format": (
        {"nbformat": 5, "cells": []},
        "has notebook format 5, which is newer than 4: save it as format 4",
    ),
    "no cells": ({"nbformat": 4, "metadata": {}}, "has no list of cells"),
    "cells that are a mapping": ({"nbformat": 4, "cells": {}}, "has no list of cells"),
    "no worksheets": ({"nbformat": 3, "metadata": {}}, "has notebook format 3 but no `worksheets`"),
    "a cell that is text": (notebook("x = 1") | {"cells": ["x = 1"]}, "a.ipynb, cell 1: is no valid cell"),
    "an unknown cell type": (
        notebook({"cell_type": "cod", "source": ""}),
        "cell 1: is no valid cell (its type is 'cod')",
    ),
    "an old cell of unknown type": (old_notebook(3, [{"cell_type": "plaintext"}]), "its type is 'plaintext'"),
    "an old cell that is a number": (old_notebook(3, [7]), "cell 1: is no valid cell"),
    "no source": (notebook({"cell_type": "code"}), "cell 1: has no source text: restore the file, or delete the cell."),
    "a source of numbers": (notebook(code([1, 2])), "cell 1: has no source text"),  # type: ignore[list-item]
    "tags that are text": (
        notebook({"cell_type": "code", "source": "x", "metadata": {"tags": "parameters"}}),
        "cell 1: has tags that are not a list of words",
    ),
    "two parameters cells": (
        notebook(code("x = 1", "parameters"), code("y = 1", "parameters")),
        "cell 2: is tagged `parameters`, as cell 1 is: take the tag from one of them.",
    ),
    "a number without end": ('{"nbformat": ' + "4" * 5000 + "}", "is nested too deeply"),
    "depth without end": ("[" * 100_000, "is nested too deeply"),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_a_broken_notebook_is_told_in_one_sentence(tmp_path: Path, problem: str) -> None:
    content, expected = BROKEN[problem]
    with pytest.raises(NotebookError) as caught:
        read_source(written(tmp_path, content), label="a.ipynb")
    assert expected in str(caught.value)
    assert caught.value.file == "a.ipynb"
    assert "\n" not in str(caught.value)


def test_a_missing_notebook_names_the_nearest_beside_it(tmp_path: Path) -> None:
    written(tmp_path, notebook("x = 1"), "train.ipynb")
    with pytest.raises(NotebookError, match=r"there is no such notebook\. Did you mean 'train.ipynb'\?"):
        read_source(tmp_path / "trian.ipynb", label="notebooks/trian.ipynb")


def test_a_folder_is_no_notebook(tmp_path: Path) -> None:
    written(tmp_path, notebook("x = 1"), "train.ipynb")
    with pytest.raises(NotebookError, match=r"is a folder: name a notebook in it, such as train\.ipynb\."):
        read_source(tmp_path, label="notebooks")


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(b'{"nbformat": 4, "x": "\xff"}')
    with pytest.raises(NotebookError, match="is not text in UTF-8"):
        read_source(path, label="a.ipynb")


def test_a_path_through_a_file_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, notebook("x = 1"))
    with pytest.raises(NotebookError, match=r"cannot be read \(Not a directory\): check its path and permissions"):
        read_source(path / "b.ipynb", label="a.ipynb/b.ipynb")


LOGGED: dict[str, frozenset[str] | None] = {
    "nbprod.log_model(forest, example=X)": frozenset({"model"}),
    "nbprod.log_model(forest, example=X, name='forest')": frozenset({"forest"}),
    "mlflow.sklearn.log_model(forest, 'forest')": frozenset({"forest"}),
    "mlflow.sklearn.log_model(forest, artifact_path='forest')": frozenset({"forest"}),
    "from nbprod import log_model\nlog_model(m, example=X)": frozenset({"model"}),
    "nbprod.log_artifact('plots/roc.png')": frozenset({"roc.png"}),
    "nbprod.log_artifact(Path('plots/roc.png'))": frozenset({"roc.png"}),
    "nbprod.log_artifact(figure, name='roc.png')": frozenset({"roc.png"}),
    "nbprod.log_artifact({'a': 1}, name='done')": frozenset({"done.json"}),
    "nbprod.log_artifact('a.csv', name='table')": frozenset({"table"}),
    "nbprod.log_artifact(frame, name='table')": None,
    "mlflow.autolog()": frozenset({"model"}),
    "mlflow.sklearn.autolog(log_datasets=False)": frozenset({"model"}),
    "print('nothing')": frozenset(),
    "# nbprod.log_model(forest, example=X)": frozenset(),
    "nbprod.log_model(forest, example=X, name=title)": None,
    "nbprod.log_artifact(path)": None,
    "nbprod.log_artifact(f'{a}.png')": None,
    "nbprod.log_model(forest, **options)": None,
    "save = nbprod.log_model\nsave(forest, example=X)": None,
    "from nbprod import log_model as save\nsave(forest)": None,
    "list(map(nbprod.log_artifact, ['a.png']))": None,
    "%time nbprod.log_model(forest, example=X)": None,
    "%run other.py": None,
    "broken = (\nnbprod.log_model(m, example=X)": None,
}


@pytest.mark.parametrize("cell", LOGGED)
def test_names_that_are_logged_are_seen_in_the_code(tmp_path: Path, cell: str) -> None:
    assert logged_names(source_of(tmp_path, "import nbprod", cell)) == LOGGED[cell]


def test_a_notebook_that_imports_the_projects_modules_may_log_anything(tmp_path: Path) -> None:
    written(tmp_path, "", "training.py")
    path = written(tmp_path, notebook("import os, training as t\nt.train()"), "notebooks/a.ipynb")
    assert logged_names(read_source(path, label="notebooks/a.ipynb")) is None


def test_nbprod_itself_is_none_of_the_projects_modules(tmp_path: Path) -> None:
    written(tmp_path, "", "nbprod/__init__.py")
    path = written(tmp_path, notebook("import nbprod\nnbprod.log_model(m, example=X)"), "notebooks/a.ipynb")
    assert logged_names(read_source(path, label="notebooks/a.ipynb")) == frozenset({"model"})
