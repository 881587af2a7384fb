"""Evidence of a made-up run that the tests of this room share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nbprod.entities import Artifact, DatasetCard, Metric, ModelSpec, Pipeline, Run, Stage, StageRun
from nbprod.evidence.data import Shape
from nbprod.evidence.entry import Evidence, InputEvidence, notebooks_entry
from nbprod.evidence.environment import environment_entry
from nbprod.evidence.source import GitState

FILES = {"MLmodel": "a" * 64, "model.skops": "b" * 64}

MODEL: dict[str, Any] = {
    "flavor": "sklearn",
    "serialization": "skops",
    "inputs": [{"type": "long", "name": "age", "required": True}],
    "outputs": [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}],
    "params": None,
    "example": {"columns": ["age"], "data": [[float("nan")], [31]]},
    "example_predictions": [0, 1],
    "trusted": ["sklearn.tree._tree.Tree"],
    "requirements": ["scikit-learn==1.9.1"],
}

YAML = "name: churn\nstages:\n  train:\n    notebook: notebooks/train.ipynb\n"

RAW = Artifact(name="raw", uri="notebooks/data/raw.csv", sha256="1" * 64, size=1000, role="input")
TEST = Artifact(name="test", uri="runs/r1/train/test.parquet", sha256="2" * 64, size=500)


def stage() -> StageRun:
    """A stage that made a model."""
    return StageRun(
        stage="train",
        notebook="notebooks/train.ipynb",
        pipeline="churn",
        run="r1",
        status="succeeded",
        key="c" * 64,
        params={"seed": 0, "rate": float("inf"), "big": 2**60},
        inputs={"raw": RAW},
        outputs={"test": TEST},
        executed=Artifact(name="train.ipynb", uri="runs/r1/train.ipynb", sha256="d" * 64, size=10),
        cells=4,
        started="2026-01-01T12:00:00.000+00:00",
        ended="2026-01-01T12:00:30.000+00:00",
        seconds=30.0,
    )


def evidence(**changes: Any) -> Evidence:
    """All that there is to know of a model."""
    ran = stage()
    made = Evidence(
        spec=ModelSpec(
            name="churn",
            source="train.model",
            main_metric="roc_auc",
            target="left",
            groups=("sex",),
            owner="The retention team",
            intended_use="Calls to customers.",
            limitations="Not for prices.",
            trusted=("features.Scaler",),
        ),
        pipeline=Pipeline(
            name="churn",
            path="pipelines/churn.yaml",
            text=YAML,
            stages=(Stage(name="train", notebook="notebooks/train.ipynb"),),
            sections={"gates": [{"metric_at_least": {"metric": "roc_auc", "value": 0.8}}]},
        ),
        run=Run(id="r1", pipeline="churn", status="succeeded", started=ran.started, stages=(ran,)),
        stages=(ran,),
        model=MODEL,
        files=FILES,
        artifact=Artifact(
            name="model", uri="runs/r1/train/model", sha256="e" * 64, size=2000, kind="folder", role="model"
        ),
        metrics=(
            Metric(name="roc_auc", value=0.9, interval=(0.8, float("inf")), curve=((0, 0.5), (1, 0.9)), stage="train"),
            Metric(name="lift", value=float("nan"), dataset="train", stage="train"),
        ),
        inputs=(
            InputEvidence(artifact=TEST, role="test", stage="train", kept=True, shape=Shape(rows=5, columns=("age",))),
            InputEvidence(artifact=RAW, role="input", kept=True, card=DatasetCard(license="MIT", personal=("age",))),
        ),
        source={
            "git": GitState(commit="f" * 40, branch="main", dirty=True, diff=b"+x\n", omitted=("big.py",)).entry(),
            "measured": "before_run",
            "notebooks": notebooks_entry((ran,), {"train": "0" * 64}),
        },
        environment=environment_entry(
            python="3.11.7", installed={"numpy": "2.4.6"}, in_keys={"numpy": "2.4.6"}, measured="before_run"
        ),
        seed=0,
    )
    return replace(made, **changes)


def afterwards() -> Evidence:
    """What is left to know of a notebook that ran elsewhere, in a folder without git."""
    ran = replace(stage(), key="", started="", ended="", seconds=0.0)
    return evidence(
        spec=ModelSpec(name="churn", source="train.model"),
        pipeline=Pipeline(name="train", stages=(Stage(name="train", notebook="notebooks/train.ipynb"),)),
        run=Run(id="r1", pipeline="train", status="succeeded"),
        stages=(ran,),
        inputs=(InputEvidence(artifact=RAW, role="input", measured="after_run"),),
        source={
            "git": GitState().entry(),
            "measured": "after_run",
            "notebooks": notebooks_entry((ran,), {}),
        },
        environment=environment_entry(python="", installed={}, in_keys={}, measured="after_run"),
        seed=None,
    )
