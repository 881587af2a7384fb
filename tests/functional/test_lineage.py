"""Lineage and moving versions on real registries: told without MLflow, rebuilt from nothing, nothing lost in moving."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from nbprod.digest import sha256_file
from nbprod.trust.envelope import open_envelope
from nbprod.trust.keys import Keys
from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Project, parameters

pytestmark = pytest.mark.slow

PREPARE = """
import pandas as pd

rows = pd.read_csv(raw)
rows[::2].to_csv(train, index=False)
rows[1::2].to_csv(test, index=False)
"""

TRAIN = """
import pandas as pd
from sklearn.linear_model import LinearRegression

import nbprod

rows = pd.read_csv(train)
model = LinearRegression().fit(rows[["a"]], rows["y"])
nbprod.log_model(model, example=rows[["a"]].head())
nbprod.log_metric("rows", len(rows), dataset="train")
"""

PIPELINE = """
name: line
stages:
  prepare:
    notebook: prepare.ipynb
    inputs: {raw: raw.csv}
    outputs: {train: train.csv, test: test.csv}
  train:
    notebook: train.ipynb
    inputs: {train: prepare.train}
model:
  name: line
  from: train.model
  data: {train: prepare.train, test: prepare.test}
gates:
  - size: {at_most: 1MB}
  - metric_at_least: {value: 1, metric: rows, dataset: train}
"""

WITHOUT = """
import sys
sys.modules["mlflow"] = sys.modules["nbprod.registry.process"] = None
from nbprod.cli import main
main()
"""
"""`nbprod` where whoever asks for MLflow, here or in another process, fails."""


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """A project with one version, promoted."""
    made = make_project("lineage")
    made.write("raw.csv", "a,y\n1,2\n2,4\n3,7\n4,8\n")
    made.write("raw.csv.card.yaml", "license: CC0-1.0\npersonal: [a]\n")
    places = 'raw = "raw.csv"  # input\ntrain = "train.csv"  # output\ntest = "test.csv"  # output'
    made.notebook("prepare.ipynb", parameters(places), PREPARE)
    made.notebook("train.ipynb", parameters('train = "train.csv"  # input'), TRAIN)
    made.write("pipelines/line.yaml", PIPELINE)
    made.document("run")
    made.document("promote", "line/1", "--reason", "the first")
    return made


def without_mlflow(project: Project, *words: str) -> Any:
    return project.call(PROGRAM[0], "-P", "-c", WITHOUT, *words, "--json").document


def told(found: Any) -> set[tuple[str, str, str]]:
    """The edges of a lineage in words."""
    labels = {node["id"]: node["label"] for node in found["graph"]["nodes"]}
    return {(labels[edge["source"]], edge["relation"], labels[edge["target"]]) for edge in found["graph"]["edges"]}


WHOLE = {
    ("raw.csv", "read", "prepare"),
    ("line/1", "alias", "champion"),
}


def test_a_version_is_told_up_to_its_raw_data_without_mlflow(project: Project) -> None:
    found = without_mlflow(project, "lineage", "line@champion")
    assert found["subject"] == "line/1"
    assert told(found) >= WHOLE
    (raw,) = [node for node in found["graph"]["nodes"] if node["label"] == "raw.csv"]
    assert (raw["facts"]["licence"], raw["facts"]["personal"]) == ("CC0-1.0", ["a"])
    text = project.nbprod("lineage", "line").stdout
    assert "read raw: raw.csv  4 rows, 20 B, sha256" in text
    assert "alias champion" in text


def test_a_data_file_leads_to_the_versions_by_its_bytes(project: Project) -> None:
    found = without_mlflow(project, "lineage", "raw.csv")
    (use,) = found["uses"]
    assert (use["version"], use["uses"], use["aliases"]) == ("line/1", ["train", "test"], ["champion"])
    assert use["through"] == ["prepare.train", "prepare.test"]
    shutil.copy(project.root / "raw.csv", project.root / "renamed.csv")
    assert without_mlflow(project, "lineage", "renamed.csv")["uses"] == found["uses"]
    sha256 = sha256_file(project.root / "raw.csv")
    assert without_mlflow(project, "lineage", sha256[:10])["uses"] == found["uses"]
    derived = without_mlflow(project, "lineage", "runs/latest/prepare/train.csv")
    assert [(use["version"], use["uses"]) for use in derived["uses"]] == [("line/1", ["train"])]
    assert ("raw.csv", "read", "prepare") in told(derived)


def test_a_changed_file_is_told_with_what_came_of_the_earlier_bytes(project: Project) -> None:
    path = project.root / "raw.csv"
    before = path.read_text()
    path.write_text(before.replace("7", "6"))
    try:
        found = project.document("lineage", "raw.csv")
        path.unlink()
        gone = project.document("lineage", "raw.csv")
    finally:
        path.write_text(before)
    (note,) = found["notes"]
    assert "raw.csv was changed: its sha256 is" in note
    assert ", of which came line/1." in note
    assert [use["version"] for use in found["uses"]] == ["line/1"]
    assert gone["notes"] == ["raw.csv is not there any more: this is what was recorded of it."]
    assert gone["uses"] == found["uses"]


def test_bytes_that_nobody_read_are_said_to_be_unknown(project: Project) -> None:
    project.write("new.csv", "a\n1\n")
    found = project.document("lineage", "new.csv")
    assert (found["uses"], found["roots"]) == ([], [])
    assert found["notes"] == ["no run and no version that is known here read or wrote these bytes."]
    assert "there is no model, data file or sha256 'raw.cvs'. Did you mean 'raw.csv'?" in (
        project.nbprod("lineage", "raw.cvs", code=2).stderr
    )


def test_it_is_rebuilt_from_the_registry_though_mlflow_s_run_was_deleted(project: Project, tmp_path: Path) -> None:
    before = without_mlflow(project, "lineage", "line")
    client = project.registry()
    tracking = client.get_model_version("line", "1").run_id
    client.delete_run(tracking)
    kept = tmp_path / "runs"
    (project.root / "runs").rename(kept)
    for file in (project.root / ".nbprod").glob("index.db*"):
        file.unlink()
    try:
        again = project.document("lineage", "line")
        second = without_mlflow(project, "lineage", "raw.csv")
    finally:
        shutil.rmtree(project.root / "runs")
        kept.rename(project.root / "runs")
        client.restore_run(tracking)
    assert told(again) >= WHOLE
    assert {node["id"] for node in again["graph"]["nodes"]} == {node["id"] for node in before["graph"]["nodes"]}
    assert [use["version"] for use in second["uses"]] == ["line/1"]


@pytest.fixture(scope="module")
def exported(project: Project) -> Path:
    """The version as a folder."""
    project.document("export", "line@champion", "out")
    return project.root / "out"


def test_an_export_is_the_registered_folder_and_verifies_by_itself(project: Project, exported: Path) -> None:
    source = project.registered("line", "1")
    files = {p.relative_to(source).as_posix(): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    moved = exported / "model"
    assert {p.relative_to(moved).as_posix(): p.read_bytes() for p in moved.rglob("*") if p.is_file()} == files
    assert not any(check["state"] == "FAIL" for check in project.document("verify", "out")["checks"])
    assert project.document("verify", "out/model")["failed"] is False
    refused = project.nbprod("export", "line", "out", code=2)
    assert "out: is there already and not empty: name a folder that is not there yet." in refused.stderr


def test_a_version_moves_to_another_registry_and_nothing_is_lost(
    project: Project, exported: Path, make_project: Make
) -> None:
    other = make_project("other")
    (other.root / "pipelines").mkdir()
    done = other.document("import", str(exported))
    assert (done["version"], done["registered"], done["origin"]) == ("line/1", True, "line/1 in sqlite")
    one, two = project.registry().get_model_version("line", "1"), other.registry().get_model_version("line", "1")
    assert one.tags == two.tags
    moved, source = other.registered("line", "1"), project.registered("line", "1")
    assert {p.relative_to(moved): p.read_bytes() for p in moved.rglob("*") if p.is_file()} == {
        p.relative_to(source): p.read_bytes() for p in source.rglob("*") if p.is_file()
    }
    checks = {check["name"]: check["state"] for check in other.document("verify", "line/1")["checks"]}
    assert checks["signature"] == checks["model"] == checks["audit log"] == "ok"
    assert checks["data raw"] == "unknown"
    said = {path.name: path.read_bytes() for path in (source.parent / "nbprod/statements").iterdir()}
    here = {path.name: path.read_bytes() for path in (moved.parent / "nbprod/statements").iterdir()}
    assert said.items() < here.items()
    (fresh,) = [json.loads(content) for name, content in here.items() if name not in said]
    assert fresh["body"]["origin"] == {"name": "line", "version": "1", "registry": "sqlite"}
    assert other.document("models")[0]["aliases"] == []
    assert other.document("import", str(exported))["registered"] is False
    assert {path.name for path in (moved.parent / "nbprod/statements").iterdir()} == here.keys()
    assert [
        use["version"] for use in without_mlflow(other, "lineage", sha256_file(project.root / "raw.csv"))["uses"]
    ] == ["line/1"]


def test_a_stranger_must_pin_the_key_that_the_export_brings(
    project: Project, exported: Path, make_project: Make, tmp_path: Path
) -> None:
    other = make_project("stranger")
    other.environment["NBPROD_KEYS"] = str(tmp_path / "keys")
    (other.root / "pipelines").mkdir()
    (id,) = [key["id"] for key in project.document("keys") if key["own"]]
    refused = other.nbprod("import", str(exported), code=4).stderr
    assert f"signed with the key {id}, which is not pinned here" in refused
    other.nbprod("keys", "--pin", str(exported / "keys" / f"{id}.pem"), "--comment", "theirs")
    assert other.document("import", str(exported))["registered"] is True


def test_a_bill_of_materials_of_a_real_version_is_valid_and_the_same_every_time(project: Project) -> None:
    project.document("export", "line", "bom.json", "--format", "cyclonedx")
    project.document("export", "line/1", "again.json", "--format", "cyclonedx")
    text = (project.root / "bom.json").read_text()
    assert text == (project.root / "again.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    assert {c["name"] for c in bom["components"] if c["type"] == "data"} == {"train.csv", "test.csv", "raw.csv"}
    assert "scikit-learn" in {c["name"] for c in bom["components"] if c.get("scope") == "required"}
    refused = project.nbprod("export", "line", "bom.json", "--format", "cyclonedx", code=2).stderr
    assert "bom.json: is there already: move it away, or name another file." in refused


def test_provenance_of_a_real_version_is_signed_and_of_its_files(project: Project) -> None:
    project.document("export", "line", "slsa.json", "--format", "slsa")
    keys = Keys(Path(project.environment["XDG_CONFIG_HOME"]) / "nbprod" / "keys")
    envelope = json.loads((project.root / "slsa.json").read_text())
    opened = open_envelope(envelope, keys, kind="application/vnd.in-toto+json")
    assert (opened.state, opened.key) == ("ok", keys.own().id)
    statement = json.loads(base64.b64decode(envelope["payload"]))
    Statement.copy_from_pb(json_format.ParseDict(statement, statement_pb2.Statement())).validate()
    folder = project.registered("line", "1")
    assert {item["name"]: item["digest"]["sha256"] for item in statement["subject"]} == {
        path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("format", ["folder", "slsa"])
def test_a_version_that_was_tampered_with_is_not_exported(project: Project, format: str) -> None:
    path = project.registered("line", "1") / "model.skops"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    try:
        refused = project.nbprod("export", "line", f"bad.{format}", "--format", format, code=4).stderr
    finally:
        path.write_bytes(content)
    assert "the version is not what was registered, signature: model.skops was changed." in refused
    assert not (project.root / f"bad.{format}").exists()
