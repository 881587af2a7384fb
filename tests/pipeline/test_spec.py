"""A pipeline's YAML: what it means, and every refusal word for word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbprod.document import seconds
from nbprod.entities import ModelSpec, Pipeline, Stage
from nbprod.errors import PipelineError, UsageError
from nbprod.pipeline.spec import KEYS, check_model_name, load_pipeline, parse_pipeline

WHOLE = """\
name: employment
stages:
  prepare:
    notebook: notebooks/prepare.ipynb
    params: {year: 2015, seed: 0, where: null, share: 1e-3}
    inputs:
      raw: notebooks/data/census.parquet
      big: {path: https://data.example/big.parquet, keep: false}
    outputs: {train: train.parquet, test: test.parquet}
    env: [DB_DSN]
    refresh: 1d
    timeout: 10m
    retries: 2
  train:
    notebook: notebooks/train.ipynb
    inputs: {train: prepare.train}
    environment: full
    repeats: 3
    warm: true
    resources: {memory: 4GB}
model:
  name: employment
  from: train.model
  metrics: train
  main_metric: roc_auc
  data: {train: prepare.train}
  target: employed
  groups: [sex, rac1p]
  owner: " a team "
  trusted: [features.Scaler]
gates:
  - metric_at_least: {metric: roc_auc, value: 0.85}
presets:
  smoke: {prepare.sample: 2000}
monitor: {every: 1d}
"""


def stage(body: str) -> str:
    """A pipeline whose only stage has ``body``; the body begins on line 4."""
    return f"name: p\nstages:\n  a:\n    notebook: a.ipynb\n{body}"


def model(body: str) -> str:
    """A pipeline with a model section; its body begins on line 5."""
    return f"name: p\nstages:\n  train: {{notebook: a.ipynb}}\nmodel:\n{body}"


def refusal(text: str) -> str:
    with pytest.raises(PipelineError) as caught:
        parse_pipeline(text, file="p.yaml")
    return str(caught.value)


def test_everything_that_a_pipeline_says_is_read() -> None:
    prepare = Stage(
        name="prepare",
        notebook="notebooks/prepare.ipynb",
        params={"year": 2015, "seed": 0, "where": None, "share": 0.001},
        inputs={"raw": "notebooks/data/census.parquet", "big": "https://data.example/big.parquet"},
        outputs={"train": "train.parquet", "test": "test.parquet"},
        keep={"big": False},
        env=("DB_DSN",),
        refresh="1d",
        timeout=600.0,
        retries=2,
        line=3,
    )
    train = Stage(
        name="train", notebook="notebooks/train.ipynb", inputs={"train": "prepare.train"}, environment="full",
        repeats=3, warm=True, resources={"memory": "4GB"}, line=14,
    )  # fmt: skip
    spec = ModelSpec(
        name="employment",
        source="train.model",
        metrics=("train",),
        main_metric="roc_auc",
        data={"train": "prepare.train"},
        target="employed",
        groups=("sex", "rac1p"),
        owner="a team",
        trusted=("features.Scaler",),
        line=21,
    )
    assert parse_pipeline(WHOLE, file="pipelines/employment.yaml") == Pipeline(
        name="employment",
        stages=(prepare, train),
        model=spec,
        path="pipelines/employment.yaml",
        text=WHOLE,
        presets={"smoke": {"prepare.sample": 2000}},
        sections={"gates": [{"metric_at_least": {"metric": "roc_auc", "value": 0.85}}], "monitor": {"every": "1d"}},
    )


def test_a_pipeline_without_a_name_is_called_like_its_file() -> None:
    assert parse_pipeline("stages: {a: {notebook: a.ipynb}}", file="pipelines/churn.yaml").name == "churn"


def test_a_stage_takes_the_environment_of_the_pipeline_unless_it_names_its_own() -> None:
    text = "environment: full\nstages: {a: {notebook: a.ipynb}, b: {notebook: b.ipynb, environment: imports}}"
    assert [s.environment for s in parse_pipeline(text, file="p.yaml").stages] == ["full", "imports"]


def test_a_model_needs_only_a_name_and_where_it_comes_from() -> None:
    found = parse_pipeline(model("  {name: churn, from: train.model}"), file="p.yaml").model
    assert found == ModelSpec(name="churn", source="train.model", line=4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.yaml: a pipeline needs `stages:` with at least one stage."),
        ("name: p\nstages: {}", "p.yaml: a pipeline needs `stages:` with at least one stage."),
        ("- a", "p.yaml: the file must be a mapping (`key: value` lines), not a list."),
        ("name: p\nstage: {}", "p.yaml:2: unknown key 'stage'. Did you mean 'stages'?"),
        ("stages: [a]", "p.yaml:1: stages must be a mapping (`key: value` lines), not a list."),
        ("name: p\nstages:\n  7: {}", "p.yaml:2: the key 7 must be text: put it in quotes."),
        (
            "name: p\nstages:\n  a b: {}",
            "p.yaml:3: stages.a b must be a name of letters, digits, '_' and '-' that begins with a letter, not "
            "the text 'a b'.",
        ),
        (
            "name: 2015\nstages: {a: {notebook: a.ipynb}}",
            "p.yaml:1: name must be a name of letters, digits, '_' and '-' that begins with a letter, not the "
            "number 2015.",
        ),
        ("name: p\nstages:\n  a: 7", "p.yaml:3: stages.a must be a mapping (`key: value` lines), not the number 7."),
        ("name: p\nstages:\n  a: {}", "p.yaml:3: stage 'a' needs `notebook:` with the path of a notebook."),
        ("name: p\nstages:\n  a: {notebook: 7}", "p.yaml:3: stage 'a' needs `notebook:` with the path of a notebook."),
        (
            "environment: some\nstages: {a: {notebook: a.ipynb}}",
            "p.yaml:1: environment must be `imports` or `full`, not the text 'some'.",
        ),
        (
            "stages: {a: {notebook: a.ipynb}}\npresets: {smoke: 7}",
            "p.yaml:2: presets.smoke must be a mapping (`key: value` lines), not the number 7.",
        ),
    ],
)
def test_what_is_no_pipeline_is_refused(text: str, said: str) -> None:
    assert refusal(text) == said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    param: {}", "p.yaml:5: unknown key 'param' in stages.a. Did you mean 'params'?"),
        ("    params: [1]", "p.yaml:5: stages.a.params must be a mapping (`key: value` lines), not a list."),
        ("    params: {n-trees: 7}", "p.yaml:5: 'n-trees' cannot be a parameter: it is not a Python name."),
        ("    params: {x: 1}\n    inputs: {x: x.csv}", "p.yaml:6: 'x' stands in both params and inputs: keep one."),
        (
            "    inputs: {x: x.csv}\n    outputs: {x: x.csv}",
            "p.yaml:6: 'x' stands in both inputs and outputs: keep one.",
        ),
        ("    inputs:\n      x: 7", "p.yaml:6: input 'x' must be `stage.output`, a path or a URL."),
        ("    inputs:\n      x: {keep: false}", "p.yaml:6: input 'x' must be `stage.output`, a path or a URL."),
        (
            "    inputs:\n      x: {path: x.csv, kept: no}",
            "p.yaml:6: unknown key 'kept' in stages.a.inputs.x. Did you mean 'keep'?",
        ),
        ("    inputs:\n      x: {path: x.csv, keep: no}", "p.yaml:6: keep must be true or false, not the text 'no'."),
        (
            "    outputs: {x: /tmp/x.csv}",
            "p.yaml:5: output 'x' must be a file name within the stage's own folder, such as x.parquet.",
        ),
        (
            "    outputs: {x: ../x.csv}",
            "p.yaml:5: output 'x' must be a file name within the stage's own folder, such as x.parquet.",
        ),
        (
            "    outputs: {x: ~/x.csv}",
            "p.yaml:5: output 'x' must be a file name within the stage's own folder, such as x.parquet.",
        ),
        (
            "    outputs: {x: 'a\\x.csv'}",
            "p.yaml:5: output 'x' must be a file name within the stage's own folder, such as x.parquet.",
        ),
        (
            "    outputs: {x: 7}",
            "p.yaml:5: output 'x' must be a file name within the stage's own folder, such as x.parquet.",
        ),
        (
            "    outputs: {x: .}",
            "p.yaml:5: output 'x' must be a file name within the stage's own folder, such as x.parquet.",
        ),
        (
            "    outputs: {x: ''}",
            "p.yaml:5: output 'x' must be a file name within the stage's own folder, such as x.parquet.",
        ),
        (
            "    outputs:\n      x: a.csv\n      y: a.csv",
            "p.yaml:7: two outputs are called a.csv: give each its own file name.",
        ),
        (
            "    outputs:\n      x: a.csv\n      y: ./a.csv",
            "p.yaml:7: two outputs are called ./a.csv: give each its own file name.",
        ),
        ("    env: {A: 1}", "p.yaml:5: stages.a.env must be a list of names, not a mapping."),
        ("    env: [A, 7]", "p.yaml:5: stages.a.env must be a list of names, but holds the number 7."),
        ("    refresh: daily", "p.yaml:5: refresh must be `always` or an age such as 1d or 6h, not the text 'daily'."),
        ("    refresh: 7", "p.yaml:5: stages.a.refresh must be text, not the number 7."),
        (
            "    timeout: soon",
            "p.yaml:5: timeout must be seconds or a duration such as 90s, 10m or 2h, not the text 'soon'.",
        ),
        ("    timeout: 0", "p.yaml:5: timeout must be seconds or a duration such as 90s, 10m or 2h, not the number 0."),
        ("    timeout: true", "p.yaml:5: timeout must be seconds or a duration such as 90s, 10m or 2h, not true."),
        (
            "    timeout: .nan",
            "p.yaml:5: timeout must be seconds or a duration such as 90s, 10m or 2h, not the number nan.",
        ),
        ("    retries: -1", "p.yaml:5: retries must be a whole number of at least 0, not the number -1."),
        ("    retries: yes", "p.yaml:5: retries must be a whole number of at least 0, not the text 'yes'."),
        ("    repeats: 0", "p.yaml:5: repeats must be a whole number of at least 1, not the number 0."),
        ("    warm: on", "p.yaml:5: warm must be true or false, not the text 'on'."),
        ("    resources: 7", "p.yaml:5: stages.a.resources must be a mapping (`key: value` lines), not the number 7."),
        ("    environment: none", "p.yaml:5: environment must be `imports` or `full`, not the text 'none'."),
    ],
)
def test_what_is_no_stage_is_refused(body: str, said: str) -> None:
    assert refusal(stage(body)) == said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("  7", "p.yaml:4: model must be a mapping (`key: value` lines), not the number 7."),
        ("  {nam: x}", "p.yaml:5: unknown key 'nam' in model. Did you mean 'name'?"),
        ("  {from: train.model}", "p.yaml:4: model needs `name:`."),
        ("  {name: x}", "p.yaml:4: model needs `from:`."),
        ("  {name: 7, from: train.model}", "p.yaml:4: model needs `name:`."),
        (
            "  name: a/b\n  from: train.model",
            "p.yaml:5: a model's name holds no spaces and none of '/', ':', '@', and begins with no dot: 'a/b' does.",
        ),
        ("  name: x\n  from: trian.model", "p.yaml:6: model.from must be `stage.model`. Did you mean 'train'?"),
        ("  name: x\n  from: train", "p.yaml:6: model.from must be `stage.model`. Did you mean 'train'?"),
        ("  name: x\n  from: train.", "p.yaml:6: model.from must be `stage.model`. Did you mean 'train'?"),
        (
            "  name: x\n  from: train.model\n  metrics: [evaluate]",
            "p.yaml:7: model.metrics names no stage: 'evaluate'. There is: train.",
        ),
        (
            "  name: x\n  from: train.model\n  data: [a]",
            "p.yaml:7: model.data must be a mapping (`key: value` lines), not a list.",
        ),
        (
            "  name: x\n  from: train.model\n  data: {train: 7}",
            "p.yaml:7: model.data.train must be text, not the number 7.",
        ),
        ("  name: x\n  from: train.model\n  owner: [a]", "p.yaml:7: model.owner must be text, not a list."),
        (
            "  name: x\n  from: train.model\n  groups: {a: b}",
            "p.yaml:7: model.groups must be a list of names, not a mapping.",
        ),
    ],
)
def test_what_is_no_model_is_refused(body: str, said: str) -> None:
    assert refusal(model(body)) == said


@pytest.mark.parametrize("key", KEYS["pipeline"])
def test_every_key_of_the_house_is_legal_from_the_start(key: str) -> None:
    values = {"name": "p", "stages": "{a: {notebook: a.ipynb}}", "environment": "full"}
    text = "".join(f"{k}: {values.get(k, '')}\n" for k in dict.fromkeys(("stages", key)))
    assert parse_pipeline(text, file="p.yaml").stages[0].name == "a"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a:b", "a@b", ".a", "a\n"])
def test_a_model_name_that_a_reference_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="a model's name holds no spaces"):
        check_model_name(name)


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90.0), ("10m", 600.0), ("2h", 7200.0), ("1d", 86400.0), ("1.5 h", 5400.0), (" 1d ", 86400.0)],
)
def test_a_duration_is_read_in_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "1", "d", "1w", "-1d", "1d2h", "one day"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert seconds(text) is None


def load_refusal(path: Path) -> str:
    with pytest.raises(PipelineError) as caught:
        load_pipeline(path, label=f"pipelines/{path.name}")
    return str(caught.value)


def test_a_pipeline_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "employment.yaml").write_text(WHOLE)
    assert load_pipeline(tmp_path / "employment.yaml", label="pipelines/employment.yaml").text == WHOLE


def test_a_file_that_is_not_there_gets_the_nearest_that_is(tmp_path: Path) -> None:
    (tmp_path / "employment.yaml").write_text(WHOLE)
    assert load_refusal(tmp_path / "employmnt.yaml") == (
        "pipelines/employmnt.yaml: there is no such pipeline. Did you mean 'employment.yaml'?"
    )


def write_latin(path: Path) -> None:
    path.write_bytes("name: ação".encode("latin-1"))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    write_latin(tmp_path / "p.yaml")
    assert load_refusal(tmp_path / "p.yaml").startswith("pipelines/p.yaml: cannot be read as a UTF-8 text file (")


def test_values_keep_their_kind(tmp_path: Path) -> None:
    text = stage("    params: {a: 1, b: 1.0, c: '1', d: no, e: [1, {f: null}]}")
    params: dict[str, Any] = parse_pipeline(text, file="p.yaml").stages[0].params
    assert repr(params) == "{'a': 1, 'b': 1.0, 'c': '1', 'd': 'no', 'e': [1, {'f': None}]}"
