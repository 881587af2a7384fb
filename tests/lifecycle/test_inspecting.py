"""What a stage is about to read is inspected before its notebook begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.errors import PipelineError
from nbprod.lifecycle.inspecting import inspector
from nbprod.pipeline.spec import parse_pipeline

YAML = """
name: p
stages:
  prepare: {{notebook: a.ipynb, inputs: {{raw: data.csv}}, outputs: {{table: t.csv}}}}
  train: {{notebook: b.ipynb, inputs: {{rows: prepare.table}}}}
model: {{name: m, from: train.model, data: {{train: prepare.table}}}}
gates:
  - data_valid: {{dataset: {dataset}, columns: {{age: {{ge: 0}}}}, rows: {{min: 2}}}}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("age\n1\n-2\n3\n")
    return path


@pytest.mark.parametrize("dataset", ["rows", "train.rows", "train"])
def test_a_gate_names_an_input_by_its_name_its_stage_or_its_role(data: Path, dataset: str) -> None:
    inspect = inspector(parse_pipeline(YAML.format(dataset=dataset), file="p.yaml"))
    (fault,) = inspect("train", {"rows": data})
    assert fault.startswith("The column 'age' of rows must be at least 0: 1 of 3 rows")
    assert tuple(inspect("prepare", {"raw": data})) == ()


def test_good_data_pass(data: Path) -> None:
    data.write_text("age\n1\n2\n")
    assert tuple(inspector(parse_pipeline(YAML.format(dataset="rows"), file="p.yaml"))("train", {"rows": data})) == ()


def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "data.png").write_bytes(b"png")
    inspect = inspector(parse_pipeline(YAML.format(dataset="rows"), file="p.yaml"))
    (fault,) = inspect("train", {"rows": tmp_path / "data.png"})
    assert "no table that can be checked" in fault


def test_a_pipeline_without_such_a_gate_inspects_nothing(data: Path) -> None:
    text = YAML.format(dataset="rows").partition("gates:")[0]
    assert tuple(inspector(parse_pipeline(text, file="p.yaml"))("train", {"rows": data})) == ()


def test_a_bad_gate_is_refused() -> None:
    with pytest.raises(PipelineError, match="Did you mean 'data_valid'"):
        inspector(parse_pipeline(YAML.format(dataset="rows").replace("data_valid", "data_vaild"), file="p.yaml"))
