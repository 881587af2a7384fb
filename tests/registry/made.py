"""Runs, folders and plain MLflow runs that the tests of the registry share."""

from __future__ import annotations

import json
from pathlib import Path

from nbprod.entities import Artifact, CellError, Metric, Run, StageRun
from nbprod.registry import Registration

RUN = "20260101-120000-abcd"
RAW = "1" * 64
TRAIN = "2" * 64
GIT = {"mlflow.source.name": "pipelines/churn.yaml", "mlflow.source.git.commit": "c" * 40}


def artifact(name: str, uri: str, sha256: str, *, role: str = "input", size: int = 10) -> Artifact:
    """Some bytes."""
    return Artifact(name=name, uri=uri, sha256=sha256, size=size, role=role)  # type: ignore[arg-type]


def prepare_stage(run: str = RUN) -> StageRun:
    """A stage that was reused from an earlier run."""
    return StageRun(
        stage="prepare",
        notebook="notebooks/prepare.ipynb",
        pipeline="churn",
        run="20251231-000000-0000",
        action="reuse",
        status="succeeded",
        key="e" * 64,
        params={"year": 2015},
        inputs={"raw": artifact("raw", "notebooks/data/raw.parquet", RAW)},
        outputs={"train": artifact("train", f"runs/{run}/prepare/train.parquet", TRAIN, role="output")},
    )


def train_stage(root: Path, run: str = RUN) -> StageRun:
    """A stage that ran, with its files under ``root``."""
    folder = root / "runs" / run
    (folder / "train" / "plots").mkdir(parents=True)
    (folder / "train.ipynb").write_text('{"cells": []}', encoding="utf-8")
    (folder / "train" / "plots" / "roc.png").write_bytes(b"png")
    return StageRun(
        stage="train",
        notebook="notebooks/train.ipynb",
        pipeline="churn",
        run=run,
        status="succeeded",
        key="f" * 64,
        params={"seed": 0, "columns": ["a", "b"], "note": "x"},
        inputs={"train": artifact("train", f"runs/{run}/prepare/train.parquet", TRAIN)},
        outputs={
            "plots/roc.png": artifact("plots/roc.png", f"runs/{run}/train/plots/roc.png", "3" * 64, role="artifact"),
            "model": artifact("model", f"runs/{run}/train/model", "4" * 64, role="model"),
        },
        metrics=(
            Metric(name="roc_auc", value=0.9, interval=(0.8, 0.95), stage="train"),
            Metric(name="loss", value=0.1, dataset="train", curve=((1, 0.5), (2, 0.1)), stage="train"),
            Metric(name="lift", value=float("nan"), stage="train"),
        ),
        executed=artifact("train.ipynb", f"runs/{run}/train.ipynb", "5" * 64, role="output"),
        started="2026-01-01T12:00:01.000+00:00",
        ended="2026-01-01T12:00:31.500+00:00",
        seconds=30.5,
    )


def failed_stage(run: str = RUN) -> StageRun:
    """A stage that failed."""
    return StageRun(
        stage="evaluate",
        notebook="notebooks/evaluate.ipynb",
        pipeline="churn",
        run=run,
        status="failed",
        started="2026-01-01T12:00:32.000+00:00",
        ended="2026-01-01T12:00:33.000+00:00",
        error=CellError(message="ValueError: no rows", cell=3),
    )


def skipped_stage(run: str = RUN) -> StageRun:
    """A stage that was never begun."""
    return StageRun(stage="report", notebook="notebooks/report.ipynb", pipeline="churn", run=run, status="skipped")


def a_run(*stages: StageRun, status: str = "succeeded", run: str = RUN) -> Run:
    """A run of the pipeline ``churn`` from 12:00:00 to 12:01:00."""
    return Run(
        id=run,
        pipeline="churn",
        status=status,  # type: ignore[arg-type]
        started="2026-01-01T12:00:00.000+00:00",
        ended="2026-01-01T12:01:00.000+00:00",
        seconds=60.0,
        stages=stages,
        params={"prepare": {"year": 2015}},
    )


def model_folder(folder: Path, text: str = "one") -> Path:
    """A folder that is registered: a model of the pyfunc flavour, which no test here loads, and nbprod's file."""
    (folder / "nbprod").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nowhere\n", encoding="utf-8")
    (folder / "model.txt").write_text(text, encoding="utf-8")
    (folder / "nbprod" / "nbprod.json").write_text(json.dumps({"text": text}), encoding="utf-8")
    return folder


def registration(folder: Path, tracking: str, *, name: str = "churn", digest: str = "d" * 64) -> Registration:
    """A registration of a folder."""
    return Registration(
        name=name,
        folder=str(folder),
        digest=digest,
        keys="k" * 64,
        run=RUN,
        tracking=tracking,
        tags={"nbprod.commit": "c" * 40},
        description="Who leaves next month.",
    )
