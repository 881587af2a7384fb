"""Plain MLflow calls in a stage's kernel, as people write them; the kernel is a process with a kernel's environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nbprod.registry import Observed
from nbprod.registry.context import marker

START = """
import warnings; warnings.filterwarnings("ignore")
import mlflow, numpy
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
X = numpy.random.default_rng(0).random((40, 2)); y = (X[:, 0] > 0.5).astype(int)
"""

Notebook = Callable[..., tuple[Observed, Path]]


@pytest.fixture
def run_notebook(registry_cache: Path, tmp_path: Path) -> Notebook:
    """Run code as a stage's kernel would, then observe it; also returns the stage's folder."""
    from nbprod.registry.mlflow import MlflowRegistry

    uri, artifacts = f"sqlite:///{tmp_path}/.nbprod/mlflow.db", tmp_path / ".nbprod" / "artifacts"
    registry = MlflowRegistry(uri, artifacts)
    folder, here = tmp_path / "runs" / "r1" / "train", tmp_path / "notebooks"
    folder.mkdir(parents=True)
    here.mkdir()

    def run(*attempts: str) -> tuple[Observed, Path]:
        for number, code in enumerate(attempts, start=1):
            environment = {
                "NBPROD_RUN": "r1",
                "NBPROD_STAGE": "train",
                "NBPROD_STAGE_DIR": str(folder),
                "NBPROD_ATTEMPT": str(number),
                "MLFLOW_TRACKING_URI": uri,
                "MLFLOW_EXPERIMENT_ID": registry.experiment("churn"),
                "_MLFLOW_SERVER_ARTIFACT_ROOT": str(artifacts),
                "MLFLOW_DISABLE_TELEMETRY": "true",
            }
            command = [sys.executable, "-c", START + code]
            subprocess.run(command, env={**os.environ, **environment}, cwd=here, check=True, capture_output=True)
        assert not os.listdir(here), "something was written into the notebook's folder"
        return registry.observed("r1", "train", str(folder)), folder

    return run


def test_metrics_parameters_and_models_of_plain_mlflow_are_observed(run_notebook: Notebook) -> None:
    seen, folder = run_notebook(
        """
with mlflow.start_run():
    mlflow.log_param("depth", 3)
    mlflow.log_metric("auc", 0.9)
    for step in range(3):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    model = LogisticRegression().fit(X, y)
    mlflow.sklearn.log_model(model, name="inside", pip_requirements=["scikit-learn"])
mlflow.sklearn.log_model(model, name="outside", pip_requirements=["scikit-learn"])
with mlflow.start_run():
    mlflow.log_metric("auc", 0.95)
    with mlflow.start_run(nested=True):
        mlflow.log_metric("only here", 1)
        mlflow.log_metric("candidate", 1)
    with mlflow.start_run(nested=True):
        mlflow.log_metric("candidate", 2)
"""
    )

    metrics = {metric.name: metric for metric in seen.metrics}
    assert {name: metric.value for name, metric in metrics.items()} == {"auc": 0.95, "loss": 1 / 3, "only here": 1}
    curves = {name: list(metric.curve) for name, metric in metrics.items() if metric.curve}
    assert curves == {"loss": [(0, 1), (1, 0.5), (2, 1 / 3)]}
    assert seen.params == {"depth": "3"}
    assert set(seen.models) == {"inside", "outside"}
    assert all((folder / name / "MLmodel").is_file() for name in seen.models)
    assert len(seen.runs) == 4
    assert marker(folder).is_file()


def test_autolog_in_an_experiment_of_the_notebooks_own_is_observed(run_notebook: Notebook) -> None:
    seen, _ = run_notebook(
        """
mlflow.set_experiment("mine")
mlflow.sklearn.autolog(log_datasets=False, log_input_examples=False)
LogisticRegression(C=2.0).fit(X, y)
"""
    )

    (score,) = [metric for metric in seen.metrics if metric.name == "training_accuracy_score"]
    assert score.dataset == "train"
    assert seen.params["C"] == "2.0"
    assert Path(seen.models["model"], "MLmodel").is_file()


def test_what_a_failed_attempt_logged_does_not_count(run_notebook: Notebook) -> None:
    seen, _ = run_notebook(
        "with mlflow.start_run(): mlflow.log_metrics({'auc': 0.1, 'half': 1})",
        "with mlflow.start_run(): mlflow.log_metric('auc', 0.9)",
    )

    assert [(metric.name, metric.value) for metric in seen.metrics] == [("auc", 0.9)]
    assert len(seen.runs) == 1
