"""What `save` writes is scored by MLflow's own command, away from the project and without nbprod."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from nbprod.flavors import save

FEATURES = """
def ratio(frame):
    return frame.assign(ratio=frame["income"] / frame["age"])
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An empty folder, beside one in which nbprod cannot be imported."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked/nbprod.py").write_text("raise ImportError('nbprod is not installed here')\n")
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def predict(model: Path, rows: pd.DataFrame, *, cwd: Path) -> list[Any]:
    """Ask ``mlflow models predict`` for the predictions of rows."""
    rows_file = cwd.parent / "rows.json"
    rows_file.write_text(json.dumps({"dataframe_split": json.loads(rows.to_json(orient="split"))}))
    command = [sys.executable, "-P", "-m", "mlflow", "models", "predict", "--env-manager", "local"]
    command += ["-m", str(model), "-i", str(rows_file), "-t", "json", "-o", str(cwd.parent / "answer.json")]
    environment = {**os.environ, "PYTHONPATH": str(cwd.parent / "blocked"), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads((cwd.parent / "answer.json").read_text())["predictions"]
    return found


@pytest.mark.slow
def test_a_forest_is_scored_by_mlflow_alone(tmp_path: Path, elsewhere: Path) -> None:
    rows = pd.DataFrame({"age": np.arange(20, 40), "income": np.linspace(0, 1, 20)})
    model = RandomForestClassifier(3, random_state=0).fit(rows, rows["age"] > 30)
    save(model, tmp_path / "model", example=rows.head())
    assert predict(tmp_path / "model", rows, cwd=elsewhere) == model.predict(rows).tolist()


@pytest.mark.slow
def test_a_model_with_modules_of_the_project_is_scored_by_mlflow_alone(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/nb_scored.py").write_text(FEATURES)
    monkeypatch.syspath_prepend(str(tmp_path / "project"))
    nb_scored = importlib.import_module("nb_scored")
    rows = pd.DataFrame({"age": np.arange(20, 40), "income": np.linspace(0, 1, 20)})
    model = make_pipeline(FunctionTransformer(nb_scored.ratio), RandomForestClassifier(3, random_state=0))
    model.fit(rows, rows["income"] > 0.5)
    save(model, tmp_path / "model", example=rows.head(), trusted=["nb_scored.ratio"])
    del sys.modules["nb_scored"]
    (tmp_path / "project/nb_scored.py").unlink()
    assert predict(tmp_path / "model", rows, cwd=elsewhere) == model.predict(rows).tolist()
