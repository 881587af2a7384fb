"""A model becomes a folder that MLflow can load, with all that it needs, or one sentence says why it cannot."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from scipy.stats import uniform
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from nbprod.errors import UntrustedTypes, UsageError
from nbprod.flavors import (
    Replay,
    Saved,
    describe,
    flavor_of,
    import_mlflow,
    load,
    save,
    wrap_skops,
)
from nbprod.flavors.facts import read_manifest

Module = Callable[[str, dict[str, str]], Any]
X = np.array([[0.0], [1.0], [2.0], [3.0]])
Y = np.array([0, 0, 1, 1])
RATIO = "from sklearn.linear_model import LogisticRegression\n\n\nclass Ratio(LogisticRegression):\n    pass\n"


def linear() -> LogisticRegression:
    return LogisticRegression().fit(X, Y)


def notebook_class(name: str, base: type) -> Any:
    """A class as a notebook defines it: in ``__main__``."""
    made = type(name, (base,), {"__module__": "__main__"})
    setattr(sys.modules["__main__"], name, made)
    return made


def test_a_pipeline_is_saved_with_signature_example_and_exactly_the_types_that_it_needs(
    tmp_path: Path, forest: Any, table: pd.DataFrame
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        saved = save(forest, tmp_path / "model", example=table.head(8))
    assert saved == Saved(flavor="sklearn", trusted=("numpy.dtype", "sklearn.tree._tree.Tree"))
    found = yaml.safe_load((tmp_path / "model/MLmodel").read_text())
    assert found["flavors"]["sklearn"]["skops_trusted_types"] == ["numpy.dtype", "sklearn.tree._tree.Tree"]
    assert found["flavors"]["sklearn"]["serialization_format"] == "skops"
    facts = describe(tmp_path / "model")
    assert facts.inputs is not None and [column["name"] for column in facts.inputs] == list(table.columns)
    assert facts.outputs == [{"type": "tensor", "tensor-spec": {"dtype": "bool", "shape": [-1]}}]
    assert len(facts.example["data"]) == 5
    assert facts.example_predictions == forest.predict(table.head()).tolist()


def test_the_requirements_are_what_the_model_needs_and_nothing_that_happens_to_be_imported(tmp_path: Path) -> None:
    assert "_pytest" in sys.modules
    save(linear(), tmp_path / "model", example=X)
    conda = yaml.safe_load((tmp_path / "model/conda.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == (tmp_path / "model/requirements.txt").read_text().splitlines()
    names = {line.partition("==")[0] for line in describe(tmp_path / "model").requirements}
    assert names - {"mlflow", "mlflow-skinny"} == {"numpy", "pandas", "scikit-learn", "scipy", "skops"}
    assert f"scikit-learn=={version('scikit-learn')}" in (tmp_path / "model/requirements.txt").read_text().splitlines()


def test_plain_mlflow_loads_what_was_saved(tmp_path: Path, forest: Any, table: pd.DataFrame) -> None:
    save(forest, tmp_path / "model", example=table.head())
    import_mlflow()
    import mlflow.pyfunc

    answer = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(table)
    np.testing.assert_array_equal(answer, forest.predict(table))


def test_a_regression_on_an_array_is_saved(tmp_path: Path, replay: Replay) -> None:
    save(LinearRegression().fit(X, X[:, 0]), tmp_path / "model", example=X)
    assert replay.check(tmp_path / "model").compared
    assert describe(tmp_path / "model").inputs == [
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 1]}}
    ]


def test_three_classes_with_names_are_saved(tmp_path: Path, replay: Replay) -> None:
    model = HistGradientBoostingClassifier(max_iter=2).fit(np.tile(X, (9, 1)), np.tile(["a", "b", "c", "a"], 9))
    save(model, tmp_path / "model", example=pd.DataFrame(X))
    assert replay.check(tmp_path / "model").output == model.predict(X).tolist()


def test_a_class_from_the_notebook_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = notebook_class("Ratio", LogisticRegression)
    monkeypatch.setattr(sys.modules["__main__"], "Ratio", cls)
    model = make_pipeline(StandardScaler(), cls()).fit(X, Y)
    with pytest.raises(
        UsageError, match=r"the model holds Ratio, defined in the notebook, .* move the definition to a module"
    ):
        save(model, tmp_path / "model", example=X)


def test_a_lambda_from_the_notebook_is_refused(tmp_path: Path) -> None:
    double = eval("lambda x: x * 2", {"__name__": "__main__"})
    model = make_pipeline(FunctionTransformer(double), LogisticRegression()).fit(X, Y)
    with pytest.raises(UsageError, match="the model holds a lambda, defined in the notebook"):
        save(model, tmp_path / "model", example=X)


def test_a_type_of_the_project_must_be_listed_and_the_error_says_the_line(tmp_path: Path, module: Module) -> None:
    model = module("nb_a", {"nb_a.py": RATIO}).Ratio().fit(X, Y)
    with pytest.raises(
        UntrustedTypes, match=r"write `model: \{trusted: \[nb_a\.Ratio\]\}` in the pipeline's YAML"
    ) as caught:
        save(model, tmp_path / "model", example=X)
    assert (caught.value.types, caught.value.own) == (("nb_a.Ratio",), True)


def test_a_listed_type_of_the_project_takes_its_module_along(tmp_path: Path, module: Module, replay: Replay) -> None:
    files = {"nb_b.py": "from nb_c import scale\n" + RATIO, "nb_c.py": "def scale(x):\n    return x * 2\n"}
    made = module("nb_b", files)
    model = make_pipeline(FunctionTransformer(made.scale), made.Ratio()).fit(X, Y)
    saved = save(model, tmp_path / "model", example=X, trusted=["nb_b.Ratio", "nb_c.scale", "nb_x.Unused"])
    assert (saved.code, saved.trusted) == (("nb_b", "nb_c"), ("nb_b.Ratio", "nb_c.scale"))
    assert describe(tmp_path / "model").code == ("nb_b.py", "nb_c.py")
    assert replay.check(tmp_path / "model", ["nb_b.Ratio", "nb_c.scale"]).compared


def test_a_lambda_in_a_module_is_refused_since_it_has_no_name(tmp_path: Path, module: Module) -> None:
    made = module("nb_d", {"nb_d.py": "double = lambda x: x * 2\n"})
    model = make_pipeline(FunctionTransformer(made.double), LogisticRegression()).fit(X, Y)
    with pytest.raises(UsageError, match=r"nb_d\.<lambda>, which cannot be imported by that name"):
        save(model, tmp_path / "model", example=X, trusted=["nb_d.<lambda>"])


def test_another_untrusted_type_is_named_with_the_place_to_list_it(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(inverse_func=json.dumps, check_inverse=False), LogisticRegression()).fit(
        X, Y
    )
    with pytest.raises(UntrustedTypes, match=r"holds json\.dumps, .* `model: \{trusted: \[json\.dumps\]\}`") as caught:
        save(model, tmp_path / "model", example=X)
    assert not caught.value.own
    save(model, tmp_path / "listed", example=X, trusted=["json.dumps"])
    assert describe(tmp_path / "listed").trusted == ("json.dumps",)


def test_a_search_over_distributions_is_refused_with_the_way_out(tmp_path: Path) -> None:
    search = RandomizedSearchCV(LogisticRegression(), {"C": uniform(0.1, 1)}, n_iter=1, cv=2).fit(X, Y)
    with pytest.raises(UntrustedTypes, match="run stored code when they are loaded: log the search's best_estimator_"):
        save(search, tmp_path / "model", example=X)


def test_a_model_that_refers_to_itself_is_refused(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=2, scoring=None, early_stopping=True).fit(
        np.tile(X, (9, 1)), np.tile(Y, 9)
    )
    with pytest.raises(
        UsageError, match="a HistGradientBoostingClassifier cannot be stored with skops: it refers to itself"
    ):
        save(model, tmp_path / "model", example=X)


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (linear(), None, r"no example: give a few rows .* example=X\.head\(\)"),
        (LogisticRegression(), X, r"cannot answer its example \(NotFittedError: .*\): fit it first"),
        (linear(), X[:, :0], r"cannot answer its example \(ValueError"),
        (StandardScaler().fit(X), X, "a StandardScaler has no predict"),
        (object(), X, r"no way to save a builtins\.object: make it a scikit-learn estimator"),
        ("nowhere", None, "nowhere: is neither a model folder nor a"),
    ],
)
def test_a_model_that_cannot_be_saved_is_refused_in_one_sentence(
    tmp_path: Path, model: Any, example: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        save(model, tmp_path / "model", example=example)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "bases", "flavor"),
    [
        ("xgboost.sklearn", (LogisticRegression,), "xgboost"),
        ("features", (LogisticRegression,), "sklearn"),
        ("imblearn.pipeline", (LogisticRegression,), "sklearn"),
        ("torch.nn.modules.linear", (), "pytorch"),
        ("keras.src.models.sequential", (), "keras"),
        ("onnx.onnx_ml_pb2", (), "onnx"),
        ("statsmodels.regression.linear_model", (), "statsmodels"),
        ("prophet.forecaster", (), "prophet"),
        ("transformers.pipelines.base", (), "transformers"),
        ("mlflow.pyfunc.model", (), "pyfunc"),
    ],
)
def test_the_flavour_is_that_of_the_nearest_known_package(module: str, bases: tuple[type, ...], flavor: str) -> None:
    assert flavor_of(type("Model", bases, {"__module__": module})()) == flavor


PYTHON_MODEL = """
import mlflow.pyfunc


class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * 2
"""


def test_a_python_model_of_the_project_is_saved_by_mlflow_with_its_module(
    tmp_path: Path, module: Module, replay: Replay
) -> None:
    import_mlflow()
    model = module("nb_python", {"nb_python.py": PYTHON_MODEL}).Doubled()
    example = pd.DataFrame({"x": [1, 2, 3]})
    with pytest.raises(UntrustedTypes, match=r"trusted: \[nb_python\.Doubled\]"):
        save(model, tmp_path / "refused", example=example)
    before = list(sys.path)
    saved = save(model, tmp_path / "model", example=example, trusted=["nb_python.Doubled"])
    assert saved == Saved(flavor="pyfunc", code=("nb_python",), trusted=("nb_python.Doubled",))
    assert sys.path == before
    facts = describe(tmp_path / "model")
    assert (facts.flavor, facts.serialization, facts.code) == ("pyfunc", "cloudpickle", ("nb_python.py",))
    assert facts.inputs == [{"type": "long", "name": "x", "required": True}]
    assert replay.check(tmp_path / "model").output == [2, 4, 6]
    assert load(tmp_path / "model").predict(example).tolist() == [2, 4, 6]


def test_a_python_model_from_the_notebook_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_mlflow()
    import mlflow.pyfunc

    cls = notebook_class("Doubled", mlflow.pyfunc.PythonModel)
    monkeypatch.setattr(sys.modules["__main__"], "Doubled", cls)
    with pytest.raises(UsageError, match="holds Doubled, defined in the notebook"):
        save(cls(), tmp_path / "model", example=X)


def test_an_estimator_of_lightgbm_goes_through_its_own_flavour_and_skops(tmp_path: Path, replay: Replay) -> None:
    rows, target = np.tile(X, (20, 1)), np.tile(Y, 20)
    models: list[tuple[str, Any]] = [("sklearn", linear())]
    if find_spec("lightgbm"):  # it is no dependency of nbprod
        from lightgbm import LGBMClassifier

        models.append(("lightgbm", LGBMClassifier(n_estimators=2, verbose=-1).fit(rows, target)))
    for flavor, model in models:
        saved = save(model, tmp_path / flavor, example=rows)
        facts = describe(tmp_path / flavor)
        assert (saved.flavor, facts.flavor, facts.serialization) == (flavor, flavor, "skops")
        assert replay.check(tmp_path / flavor).compared
        assert type(load(tmp_path / flavor)) is type(model)


def test_a_bare_booster_of_lightgbm_is_a_text_that_only_it_reads(tmp_path: Path) -> None:
    manifest = {"serialization_format": "skops", "model_class": "lightgbm.basic.Booster", "data": "model.lgb"}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": {"lightgbm": manifest}}))
    assert read_manifest(tmp_path).skops is None


def test_a_model_folder_is_copied_as_it_is(tmp_path: Path) -> None:
    save(linear(), tmp_path / "first", example=X)
    saved = save(str(tmp_path / "first"), tmp_path / "second", example=None)
    assert saved.flavor == "sklearn"
    assert (tmp_path / "second/MLmodel").read_bytes() == (tmp_path / "first/MLmodel").read_bytes()


def test_a_skops_file_becomes_a_model_folder_and_takes_its_columns_from_a_wider_table(
    tmp_path: Path, forest: Any, table: pd.DataFrame, replay: Replay
) -> None:
    file = tmp_path / "forest.skops"
    skops.io.dump(forest, file)
    wider = table.assign(employed=1)[["employed", *reversed(table.columns)]]
    assert wrap_skops(file, tmp_path / "model", example=wider).flavor == "sklearn"
    assert replay.check(tmp_path / "model").output == forest.predict(table.head()).tolist()
    assert save(file, tmp_path / "again", example=table).flavor == "sklearn"


def test_a_skops_file_whose_columns_are_not_in_the_example_is_refused(
    tmp_path: Path, forest: Any, table: pd.DataFrame
) -> None:
    file = tmp_path / "forest.skops"
    skops.io.dump(forest, file)
    with pytest.raises(UsageError, match=r"forest\.skops: the example lacks columns that the model takes: age, hours"):
        wrap_skops(file, tmp_path / "model", example=table[["income", "state"]])


def test_telemetry_is_off_unless_somebody_chose_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    save(linear(), tmp_path / "model", example=X)
    assert (os.environ["MLFLOW_DISABLE_TELEMETRY"], os.environ["DO_NOT_TRACK"]) == ("true", "0")
