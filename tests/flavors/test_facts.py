"""What a model folder says of itself is read without MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbprod.digest import size_of
from nbprod.errors import ArtifactError
from nbprod.flavors import ModelFacts, describe, save


def test_all_that_a_folder_says_is_there(tmp_path: Path, forest: Any, table: pd.DataFrame) -> None:
    folder = tmp_path / "model"
    save(forest, folder, example=table)
    facts = describe(folder)
    assert (facts.flavor, facts.flavors, facts.serialization) == ("sklearn", ("python_function", "sklearn"), "skops")
    assert facts.example["columns"] == list(table.columns)
    assert facts.example["data"][0] == [value if value == value else None for value in table.iloc[0].tolist()]
    assert facts.trusted == ("numpy.dtype", "sklearn.tree._tree.Tree")
    assert facts.params is None
    assert facts.code == ()
    assert facts.python == ".".join(map(str, sys.version_info[:3]))
    assert facts.mlflow.startswith("3.")
    assert facts.size == size_of(folder)
    json.dumps(facts.to_dict(), allow_nan=False)
    assert ModelFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


def test_describing_imports_neither_mlflow_nor_the_models_packages(
    tmp_path: Path, forest: Any, table: pd.DataFrame
) -> None:
    save(forest, tmp_path / "model", example=table)
    code = (
        "import sys; from pathlib import Path; from nbprod.flavors import describe; "
        f"describe(Path({str(tmp_path / 'model')!r})); "
        "print([name for name in ('mlflow', 'numpy', 'pandas', 'sklearn', 'skops') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_manifest_with_little_in_it_is_enough(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {loader_module: x, python_version: 3.11.7}}\n")
    found = describe(tmp_path)
    assert (found.flavor, found.flavors, found.serialization) == ("pyfunc", ("python_function",), "")
    assert (found.inputs, found.outputs, found.example, found.example_predictions) == (None, None, None, None)
    assert (found.trusted, found.requirements, found.code, found.python) == ((), (), (), "3.11.7")


def test_infinities_in_an_example_become_text(tmp_path: Path, forest: Any) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\nsaved_input_example_info: {artifact_path: example.json}\n")
    (tmp_path / "example.json").write_text(json.dumps({"inputs": [np.inf, -np.inf, np.nan]}))
    assert describe(tmp_path).example == {"inputs": ["inf", "-inf", None]}


def test_comments_are_no_requirements(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    (tmp_path / "requirements.txt").write_text("# made by hand\n\nnumpy==2.4.6\n")
    assert describe(tmp_path).requirements == ("numpy==2.4.6",)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "is not a model folder: it holds no file MLmodel"),
        ("a: [", "its file MLmodel cannot be read"),
        ("just text", "its file MLmodel names no flavours"),
        ("flavors: {sklearn: 3}", "its file MLmodel names no flavours"),
        ("flavors: {sklearn: {code: code}}", "names 'code', which is not in the folder"),
        ("flavors: {sklearn: {code: ../..}}", r"names '\.\./\.\.', which is not in the folder"),
        ("flavors: {}\nsaved_input_example_info: {artifact_path: /etc/passwd}", "which is not in the folder"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, manifest: str | None, message: str) -> None:
    if manifest is not None:
        (tmp_path / "MLmodel").write_text(manifest)
    with pytest.raises(ArtifactError, match=message):
        describe(tmp_path)


def test_an_example_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\nsaved_input_example_info: {artifact_path: example.json}\n")
    (tmp_path / "example.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"example\.json: is not valid JSON"):
        describe(tmp_path)
