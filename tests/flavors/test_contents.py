"""What a model is made of, and which code must travel with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from nbprod.errors import ArtifactError, UsageError
from nbprod.flavors.contents import (
    code_of,
    is_own,
    names_in,
    names_in_skops,
    names_of_type,
    refuse_notebook_names,
)

Module = Callable[[str, dict[str, str]], Any]


def test_the_names_in_a_skops_file_are_read_without_loading_it(tmp_path: Path) -> None:
    file = tmp_path / "model.skops"
    skops.io.dump(make_pipeline(StandardScaler(), FunctionTransformer(np.log1p)), file)
    found = names_in_skops(file)
    assert {"sklearn.pipeline.Pipeline", "sklearn.preprocessing._data.StandardScaler", "numpy.log1p"} <= found


def test_a_method_in_a_skops_file_is_named_too(tmp_path: Path) -> None:
    file = tmp_path / "model.skops"
    skops.io.dump(FunctionTransformer(StandardScaler().fit_transform), file)
    assert "sklearn.preprocessing._data.StandardScaler.fit_transform" in names_in_skops(file)


@pytest.mark.parametrize("content", [b"", b"not a zip file"])
def test_a_file_that_is_no_skops_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.skops"
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.skops: is not a \.skops file"):
        names_in_skops(file)


def test_the_names_in_an_object_are_found_however_deep_they_are() -> None:
    model = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression().fit([[0.0], [1.0]], [0, 1]))
    assert {"sklearn.pipeline.Pipeline", "sklearn.linear_model._logistic.LogisticRegression"} <= names_in(
        [{"a": (model,)}]
    )


def test_an_object_that_cannot_be_pickled_gives_the_names_up_to_there() -> None:
    assert "sklearn.pipeline.Pipeline" in names_in(make_pipeline(sys))
    assert "sklearn.base.BaseEstimator" in names_of_type(StandardScaler())


def test_what_the_notebook_defines_is_named_with_the_advice_to_move_it() -> None:
    names = ["__main__.Ratio.fit", "__main__.<lambda>", "__main__.clean", "sklearn.x.Y"]
    with pytest.raises(
        UsageError, match=r"holds clean, Ratio, a lambda, defined in the notebook.* move the definition to a module"
    ):
        refuse_notebook_names(names)
    refuse_notebook_names(["sklearn.x.Y"])


def test_modules_that_are_installed_are_not_the_projects() -> None:
    assert not any(is_own(f"{name}.X") for name in ("sklearn", "numpy", "json", "builtins", "__main__", "nowhere"))


def test_a_module_of_the_project_travels_with_the_modules_that_it_imports(module: Module) -> None:
    code = "import json\nimport numpy\nfrom nb_other import tool\n\n\nclass Ratio:\n    pass\n"
    made = module("nb_ratio", {"nb_ratio.py": code, "nb_other.py": "import yaml\nimport nb_ratio\ntool = 1\n"})
    found = code_of(["nb_ratio.Ratio", "sklearn.pipeline.Pipeline"])
    assert is_own("nb_ratio.Ratio")
    assert found.paths == {"nb_other": Path(made.__file__).with_name("nb_other.py"), "nb_ratio": Path(made.__file__)}
    assert found.imports == {"numpy", "yaml"}


def test_a_package_of_the_project_travels_whole_but_without_caches_and_notebooks(
    module: Module, tmp_path: Path
) -> None:
    files = {
        "nb_package/__init__.py": "from nb_package.deep import Ratio\n",
        "nb_package/deep.py": "class Ratio:\n    pass\n",
        "nb_package/words.txt": "data that the package reads",
        "nb_package/try.ipynb": "{}",
        "nb_package/.secret": "x",
    }
    module("nb_package", files)
    copies = code_of(["nb_package.deep.Ratio"]).stage(tmp_path)
    copied = sorted(
        path.relative_to(tmp_path / "nb_package").as_posix() for path in (tmp_path / "nb_package").rglob("*")
    )
    assert copies == [str(tmp_path / "nb_package")]
    assert copied == ["__init__.py", "deep.py", "words.txt"]


def test_a_folder_without_init_travels_as_its_python_files(module: Module, tmp_path: Path) -> None:
    module("nb_folder.deep", {"nb_folder/deep.py": "class Ratio:\n    pass\n", "nb_folder/data.csv": "a\n"})
    code_of(["nb_folder.deep.Ratio"]).stage(tmp_path)
    assert [path.name for path in (tmp_path / "nb_folder").iterdir()] == ["deep.py"]


def test_code_that_cannot_be_parsed_travels_all_the_same(module: Module) -> None:
    files = {"nb_pack/__init__.py": "import yaml\n", "nb_pack/broken.py": "def ("}
    module("nb_pack", files)
    assert code_of(["nb_pack.X"]).imports == {"yaml"}


def test_a_module_beside_metadata_of_distributions_is_installed_wherever_that_is(module: Module) -> None:
    made = module("nb_target", {"nb_target.py": "class Ratio:\n    pass\n"})
    assert is_own("nb_target.Ratio")
    Path(made.__file__).with_name("nb_target-1.0.dist-info").mkdir()
    assert not is_own("nb_target.Ratio")
