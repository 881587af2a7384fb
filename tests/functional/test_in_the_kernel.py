"""A real kernel reports through its notebook: what it says can be read back, and is the same each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbprod.flavors import load
from nbprod.pipeline.extract import extract

TRAIN = [
    "import nbprod\n"
    "import numpy as np\n"
    "import pandas as pd\n"
    "from sklearn.ensemble import RandomForestClassifier\n"
    "from sklearn.linear_model import LogisticRegression\n"
    "X = pd.DataFrame({'age': np.arange(40), 'state': ['ma', 'ny'] * 20, 'hours': [40.0, None] * 20})\n"
    "y = X['age'] > 20",
    "nbprod.log_metric('roc_auc', np.float64(0.931), interval=(0.92, 0.94))\n"
    "nbprod.log_metrics({'by_state/ma': 0.9, 'none': float('nan')}, dataset='train')\n"
    "for epoch in range(2):\n"
    "    nbprod.log_metric('loss', 1 / (epoch + 1), dataset='train', step=epoch)",
    "nbprod.log_artifact({'a': [1, 2]}, name='report')",
    "forest = RandomForestClassifier(5, random_state=0).fit(X[['age', 'hours']].fillna(0), y)\n"
    "nbprod.log_model(forest, example=X[['age', 'hours']].fillna(0))",
    "class Ratio(LogisticRegression):\n"
    "    pass\n\n\n"
    "try:\n"
    "    nbprod.log_model(Ratio().fit(X[['age']], y), example=X[['age']], name='ratio')\n"
    "except Exception as error:\n"
    "    print(type(error).__name__, error)",
]

LINES = [
    "roc_auc (test) = 0.931 [0.92, 0.94]",
    "by_state/ma (train) = 0.9",
    "none (train) = nan",
    "loss (train) step 0 = 1",
    "loss (train) step 1 = 0.5",
]


def execute(folder: Path, cells: list[str]) -> tuple[Path, dict[str, Any]]:
    """Run cells with papermill in a folder, and return the executed notebook and its path."""
    import nbformat
    import papermill

    made: Any = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})  # type: ignore[no-untyped-call]
    made.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]  # type: ignore[no-untyped-call]
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, folder / "train.ipynb")  # type: ignore[no-untyped-call]
    target = folder / "executed.ipynb"
    papermill.execute_notebook(str(folder / "train.ipynb"), str(target), cwd=str(folder), progress_bar=False)
    notebook: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return target, notebook


def said(notebook: dict[str, Any]) -> list[str]:
    """All that the cells show, errors and warnings included, in order."""
    found = []
    for cell in notebook["cells"]:
        for output in cell["outputs"]:
            text = output.get("text") or output.get("data", {}).get("text/plain") or str(output)
            found += ("".join(text)).splitlines()
    return found


def test_a_stages_kernel_reports_through_its_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import scrapbook

    stage = tmp_path / "runs" / "20261124-120000-abcd" / "train"
    monkeypatch.setenv("NBPROD_PROJECT", str(tmp_path))
    monkeypatch.setenv("NBPROD_STAGE", "train")
    monkeypatch.setenv("NBPROD_STAGE_DIR", str(stage))
    monkeypatch.setenv("NBPROD_TRUSTED", "[]")
    path, notebook = execute(tmp_path / "notebooks", TRAIN)

    *lines, refusal = said(notebook)
    assert lines == [*LINES, "artifact report.json", "model model (sklearn)"]
    assert refusal.startswith("UsageError the model holds Ratio, defined in the notebook")

    found = extract(notebook, stage="train")
    assert [(m.name, m.dataset) for m in found.metrics] == [
        ("roc_auc", "test"),
        ("by_state/ma", "train"),
        ("none", "train"),
        ("loss", "train"),
    ]
    assert (found.metrics[0].value, found.metrics[0].interval) == (0.931, (0.92, 0.94))
    assert list(found.metrics[3].curve) == [(0, 1.0), (1, 0.5)]
    assert (found.artifacts, found.models) == (("report.json",), ("model",))
    assert sorted(entry.name for entry in stage.iterdir()) == ["model", "report.json"]
    assert type(load(stage / "model")).__name__ == "RandomForestClassifier"
    assert scrapbook.read_notebook(str(path)).scraps["metric/test/roc_auc"].data["value"] == 0.931


@pytest.mark.slow
def test_outside_a_stage_the_same_notebook_writes_to_scratch_and_nbval_finds_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NBPROD_PROJECT", "NBPROD_STAGE", "NBPROD_STAGE_DIR", "NBPROD_TRUSTED"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pipelines").mkdir()
    path, notebook = execute(tmp_path / "notebooks", TRAIN[:4])
    assert said(notebook) == [
        *LINES,
        "artifact report.json -> runs/scratch/report.json",
        "model model (sklearn) -> runs/scratch/model",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", path.name]
    checked = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False, env={**os.environ})
    assert checked.returncode == 0, checked.stdout
    assert "4 passed" in checked.stdout
