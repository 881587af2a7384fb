"""A run in MLflow's terms."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from nbprod.entities import Metric
from nbprod.registry.recording import metric_name, milliseconds, ran, run_entry, safe_name, stage_entry
from tests.registry.made import (
    GIT,
    RAW,
    RUN,
    TRAIN,
    a_run,
    artifact,
    failed_stage,
    prepare_stage,
    skipped_stage,
    train_stage,
)


def test_only_stages_that_ran_are_recorded(tmp_path: Path) -> None:
    run = a_run(prepare_stage(), train_stage(tmp_path), failed_stage(), skipped_stage())

    assert [stage.stage for stage in ran(run)] == ["train", "evaluate"]


def test_a_metric_on_the_test_data_keeps_its_name_and_others_are_grouped() -> None:
    assert metric_name(Metric(name="roc_auc", value=1.0)) == "roc_auc"
    assert metric_name(Metric(name="roc_auc", value=1.0, dataset="train")) == "train/roc_auc"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("roc_auc", "roc_auc"),
        ("f1@5", "f1_5"),
        ("acurácia", "acurácia"),
        ("test[sex=1]/auc", "test_sex_1/auc"),
        ("/top", "top"),
        ("../up", "up"),
        ("a//b", "a/b"),
        ("%", "_"),
        ("..", "_"),
    ],
)
def test_a_name_that_mlflow_refuses_is_made_legal(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_curve_is_recorded_step_by_step_and_an_interval_by_its_bounds(tmp_path: Path) -> None:
    entry = stage_entry(train_stage(tmp_path), a_run(), tags={})

    points = {(p.name, p.step): p.value for p in entry.points if not math.isnan(p.value)}
    assert points == {
        ("roc_auc", 0): 0.9,
        ("roc_auc.lower", 0): 0.8,
        ("roc_auc.upper", 0): 0.95,
        ("train/loss", 1): 0.5,
        ("train/loss", 2): 0.1,
    }


def test_a_metric_that_two_stages_report_has_the_stage_before_it_in_the_record_of_the_run(tmp_path: Path) -> None:
    stage = train_stage(tmp_path)
    other = failed_stage()
    both = a_run(
        stage, type(other).from_dict({**other.to_dict(), "metrics": [Metric(name="lift", value=2.0).to_dict()]})
    )

    names = {point.name for point in run_entry(both, tags={}).points}

    assert names == {"roc_auc", "train/loss", "train/lift", "evaluate/lift"}


def test_what_a_stage_read_is_a_dataset_with_its_role_and_size(tmp_path: Path) -> None:
    facts = {TRAIN: {"role": "train", "rows": 3, "columns": 2}}

    (use,) = stage_entry(train_stage(tmp_path), a_run(), tags={}, datasets=facts).datasets

    assert (use.name, use.sha256, use.context) == ("train.parquet", TRAIN, "train")
    assert use.profile == {"rows": 3, "columns": 2, "bytes": 10}


def test_a_dataset_without_a_role_has_its_parameters_name(tmp_path: Path) -> None:
    (use,) = stage_entry(train_stage(tmp_path), a_run(), tags={}).datasets

    assert use.context == "train"
    assert use.profile == {"bytes": 10}


def test_the_run_as_a_whole_read_what_came_from_outside_and_what_has_a_role(tmp_path: Path) -> None:
    run = a_run(prepare_stage(), train_stage(tmp_path))

    assert [use.sha256 for use in run_entry(run, tags={}).datasets] == [RAW]
    with_role = run_entry(run, tags={}, datasets={TRAIN: {"role": "train"}}).datasets
    assert [use.sha256 for use in with_role] == [RAW, TRAIN]


def test_the_executed_notebook_and_small_artifacts_are_shown_and_models_are_not(tmp_path: Path) -> None:
    stage = train_stage(tmp_path)
    big = artifact("big.bin", f"runs/{RUN}/train/big.bin", "6" * 64, role="artifact", size=10_000_001)
    stage = type(stage).from_dict(
        {**stage.to_dict(), "outputs": {**stage.to_dict()["outputs"], "big.bin": big.to_dict()}}
    )

    entry = stage_entry(stage, a_run(), tags={})

    assert entry.artifacts == {f"runs/{RUN}/train.ipynb": "", f"runs/{RUN}/train/plots/roc.png": "plots"}
    assert entry.tags["nbprod.output.model"] == "4" * 64


def test_a_model_that_a_stage_reads_is_no_dataset(tmp_path: Path) -> None:
    model = artifact("model", f"runs/{RUN}/train/model", "4" * 64)
    evaluate = replace(failed_stage(), inputs={"model": model, "test": artifact("test", "data/test.csv", RAW)})
    run = a_run(train_stage(tmp_path), evaluate)

    entry = stage_entry(evaluate, run, tags={})

    assert [use.name for use in entry.datasets] == ["test.csv"]
    assert entry.tags["nbprod.input.model"] == "4" * 64
    assert {use.sha256 for use in run_entry(run, tags={}).datasets} == {TRAIN, RAW}


def test_the_commit_is_a_tag_of_mlflows_own_on_every_record(tmp_path: Path) -> None:
    stage = stage_entry(train_stage(tmp_path), a_run(), tags=GIT)
    whole = run_entry(a_run(), tags=GIT)

    assert stage.tags["mlflow.source.git.commit"] == whole.tags["mlflow.source.git.commit"] == "c" * 40
    assert stage.tags["mlflow.source.name"] == "notebooks/train.ipynb"
    assert whole.tags["mlflow.source.name"] == "pipelines/churn.yaml"


def test_a_failed_stage_says_where_and_why() -> None:
    assert stage_entry(failed_stage(), a_run(), tags={}).tags["nbprod.error"] == "cell 3: ValueError: no rows"


def test_long_parameters_are_cut_to_what_mlflow_takes(tmp_path: Path) -> None:
    stage = replace(train_stage(tmp_path), params={"text": "x" * 10_000})

    assert len(stage_entry(stage, a_run(), tags={}).params["text"]) == 6000


def test_times_are_milliseconds_since_1970_and_a_missing_one_is_now() -> None:
    assert milliseconds("1970-01-01T00:00:01.500+00:00") == 1500
    assert milliseconds("1970-01-01T00:00:01.500") == 1500
    assert milliseconds("") > 1_700_000_000_000
