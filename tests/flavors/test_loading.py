"""Models are loaded with nbprod's own list of types, whatever stands beside them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from nbprod.errors import ArtifactError, RegistryError, UntrustedTypes, UsageError
from nbprod.flavors import Replay, download, load, save

Module = Callable[[str, dict[str, str]], Any]
X = np.array([[0.0], [1.0], [2.0], [3.0]])
Y = np.array([0, 0, 1, 1])
RATIO = "from sklearn.linear_model import LogisticRegression\n\n\nclass Ratio(LogisticRegression):\n    pass\n"


def evil(x: Any) -> Any:
    """A function that nobody listed."""
    return x


def change(folder: Path, **options: Any) -> None:
    """Edit what the scikit-learn flavour says in a model's manifest."""
    file = folder / "MLmodel"
    content = yaml.safe_load(file.read_text())
    content["flavors"]["sklearn"].update(options)
    file.write_text(yaml.safe_dump(content))


def test_an_estimator_comes_back_with_all_its_methods(tmp_path: Path, forest: Any, table: pd.DataFrame) -> None:
    save(forest, tmp_path / "model", example=table)
    np.testing.assert_array_equal(load(tmp_path / "model").predict_proba(table), forest.predict_proba(table))


def test_a_model_cannot_trust_itself(tmp_path: Path) -> None:
    save(LogisticRegression().fit(X, Y), tmp_path / "model", example=X)
    forged = make_pipeline(FunctionTransformer(evil), LogisticRegression()).fit(X, Y)
    skops.io.dump(forged, tmp_path / "model/model.skops")
    name = f"{evil.__module__}.evil"
    change(tmp_path / "model", skops_trusted_types=[name])
    with pytest.raises(
        UntrustedTypes, match=rf"model\.skops: the model holds {name}, which nbprod does not trust"
    ) as caught:
        load(tmp_path / "model")
    assert caught.value.types == (name,)
    assert load(tmp_path / "model", trusted=[name]).predict(X).tolist() == forged.predict(X).tolist()


def test_another_name_for_the_file_does_not_get_around_the_list(tmp_path: Path, replay: Replay) -> None:
    save(LogisticRegression().fit(X, Y), tmp_path / "model", example=X)
    forged = make_pipeline(FunctionTransformer(evil), LogisticRegression()).fit(X, Y)
    skops.io.dump(forged, tmp_path / "model/model.bin")
    name = f"{evil.__module__}.evil"
    change(tmp_path / "model", skops_trusted_types=[name], pickled_model="model.bin")
    with pytest.raises(UntrustedTypes):
        load(tmp_path / "model")
    with pytest.raises(UntrustedTypes):
        replay.check(tmp_path / "model")


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    save(LogisticRegression().fit(X, Y), tmp_path / "model", example=X)
    skops.io.dump(LogisticRegression(), tmp_path / "other.skops")
    change(tmp_path / "model", pickled_model="../other.skops")
    with pytest.raises(ArtifactError, match=r"names '\.\./other\.skops', which is not in the folder"):
        load(tmp_path / "model")


def test_the_code_that_travels_with_a_model_is_what_is_loaded(tmp_path: Path, module: Module) -> None:
    made = module("nb_travel", {"nb_travel.py": RATIO})
    model = made.Ratio().fit(X, Y)
    save(model, tmp_path / "model", example=X, trusted=["nb_travel.Ratio"])
    Path(made.__file__).unlink()
    del sys.modules["nb_travel"]
    before = list(sys.path)
    loaded = load(tmp_path / "model", trusted=["nb_travel.Ratio"])
    assert sys.modules["nb_travel"].__file__ == str(tmp_path / "model/code/nb_travel.py")
    assert sys.path == [*before, str(tmp_path / "model/code")]
    assert loaded.predict(X).tolist() == model.predict(X).tolist()
    sys.path.remove(str(tmp_path / "model/code"))


def test_a_skops_file_that_needs_a_module_that_is_gone_is_refused_with_advice(tmp_path: Path, module: Module) -> None:
    made = module("nb_gone", {"nb_gone.py": RATIO})
    skops.io.dump(made.Ratio().fit(X, Y), tmp_path / "model.skops")
    Path(made.__file__).unlink()
    del sys.modules["nb_gone"]
    with pytest.raises(
        UsageError, match="the model needs the module 'nb_gone', which can be imported neither from here"
    ):
        load(tmp_path / "model.skops", trusted=["nb_gone.Ratio"])


def test_a_model_that_does_not_fit_the_installed_packages_is_an_artifact_error(tmp_path: Path, module: Module) -> None:
    made = module("nb_changed", {"nb_changed.py": RATIO})
    skops.io.dump(made.Ratio().fit(X, Y), tmp_path / "model.skops")
    del made.Ratio
    with pytest.raises(
        ArtifactError, match=r"the model cannot be loaded \(AttributeError: .*Ratio.*\); if it is not damaged"
    ):
        load(tmp_path / "model.skops", trusted=["nb_changed.Ratio"])


def test_a_model_that_plain_mlflow_pickled_is_loaded_by_mlflow(tmp_path: Path) -> None:
    from nbprod.flavors import import_mlflow

    import_mlflow()
    import mlflow.sklearn

    model = LogisticRegression().fit(X, Y)
    mlflow.sklearn.save_model(
        model, tmp_path / "model", serialization_format="cloudpickle", pip_requirements=["mlflow"]
    )
    assert load(tmp_path / "model").predict(X).tolist() == model.predict(X).tolist()


@pytest.mark.parametrize(
    ("flavor", "error", "message"),
    [
        ("weather", UsageError, "this weather model needs the module 'mlflow.weather', which is not installed"),
        ("entities", ArtifactError, "MLflow cannot load the flavour 'entities'"),
    ],
)
def test_a_flavour_that_mlflow_does_not_have_is_refused(
    tmp_path: Path, flavor: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "MLmodel").write_text(f"flavors: {{{flavor}: {{}}}}\n")
    with pytest.raises(error, match=message):
        load(tmp_path)


def test_a_model_that_mlflow_does_not_know_is_a_registry_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbprod.flavors import import_mlflow

    import_mlflow()
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"file-of-no-store://{tmp_path}")
    try:
        with pytest.raises(RegistryError, match="the model models:/income/3 cannot be fetched: "):
            download("models:/income/3")
    finally:
        mlflow.set_tracking_uri(before)
