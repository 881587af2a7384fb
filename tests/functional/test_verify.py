"""`nbprod verify` on a real registry: whatever was touched is named, and nothing that was touched is loaded."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Project, parameters

TRAIN = """
import pandas as pd
from sklearn.linear_model import LinearRegression

import nbprod

rows = pd.read_csv(train)
model = LinearRegression().fit(rows[["a"]], rows["y"])
nbprod.log_model(model, example=rows[["a"]].head())
"""


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """A project with one version, whose audit log has one line."""
    made = make_project("verify")
    made.write("train.csv", "a,y\n1,2\n2,4\n3,7\n")
    made.notebook("line.ipynb", parameters('train = "train.csv"  # input'), TRAIN)
    made.document("run", "line.ipynb")
    made.document("promote", "line/1", "--override", "gates", "--reason", "the first")
    return made


def checks(project: Project, ref: str = "line/1", code: int = 0) -> dict[str, tuple[str, str]]:
    found = project.document("verify", ref, code=code)
    assert found["failed"] is (code == 4)
    return {check["name"]: (check["state"], check["why"]) for check in found["checks"]}


def test_a_version_that_nobody_touched_is_what_was_recorded(project: Project) -> None:
    found = checks(project)
    assert {name: state for name, (state, _) in found.items()} == dict.fromkeys(
        (
            "entry", "signature", "model", "notebooks", "environment", "profile", "data train", "registration",
            "statements", "tags", "audit log", "aliases",
        ),
        "ok",
    )  # fmt: skip


def test_the_registered_folder_itself_can_be_verified(project: Project) -> None:
    found = checks(project, str(project.registered("line", "1")))
    assert {state for state, _ in found.values()} == {"ok"}
    assert "audit log" not in found


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])


@pytest.mark.parametrize(
    ("file", "failing"),
    [
        ("model.skops", {"signature", "model"}),
        ("nbprod/freeze.txt", {"signature", "environment"}),
        ("nbprod/notebooks/line.ipynb", {"signature", "notebooks"}),
        ("nbprod/profile.json", {"signature", "profile"}),
        ("nbprod/model.sig", {"signature"}),
        ("nbprod/nbprod.json", {"entry"}),
    ],
)
def test_one_flipped_byte_fails_and_the_file_is_named(project: Project, file: str, failing: set[str]) -> None:
    path = project.registered("line", "1") / file
    content = path.read_bytes()
    flip(path)
    try:
        found = checks(project, code=4)
    finally:
        path.write_bytes(content)
    failed = {name: why for name, (state, why) in found.items() if state == "FAIL"}
    assert set(failed) == failing
    assert all(Path(file).name in why for why in failed.values())


def test_data_that_are_gone_are_unknown_and_never_ok(project: Project) -> None:
    data = project.root / "train.csv"
    hidden = data.rename(project.root / "hidden.csv")
    store = (project.root / ".nbprod" / "store").rename(project.root / ".nbprod" / "away")
    try:
        state, why = checks(project)["data train"]
    finally:
        hidden.rename(data)
        store.rename(project.root / ".nbprod" / "store")
    assert state == "unknown"
    assert "neither in the store nor unchanged at train.csv" in why


def test_a_tag_and_a_statement_that_somebody_changed_fail(project: Project) -> None:
    database = project.root / ".nbprod" / "mlflow.db"
    promoted = next(path for path in project.root.rglob("statements/*.json") if "promotion" in path.read_text())
    content = promoted.read_text()
    with closing(sqlite3.connect(database)) as db:
        change = "update model_version_tags set value = ? where key = 'nbprod.digest'"
        ((before,),) = db.execute("select value from model_version_tags where key = 'nbprod.digest'").fetchall()
        db.execute(change, ("0" * 64,))
        db.commit()
        forged = content.replace('"the first"', '"all passed"').encode()
        promoted.with_name(f"{hashlib.sha256(forged).hexdigest()}.json").write_bytes(forged)
        promoted.unlink()
        try:
            found = checks(project, code=4)
        finally:
            db.execute(change, (before,))
            db.commit()
            promoted.with_name(f"{hashlib.sha256(forged).hexdigest()}.json").unlink()
            promoted.write_text(content)
    assert found["tags"] == ("FAIL", f"the tag nbprod.digest is {'0' * 64}, and the entry says {before}.")
    assert found["statements"][0] == "FAIL"
    assert "nbprod/promotion/1" in found["statements"][1]
    assert found["statements"][1].endswith("was changed after it was signed.")


def test_an_edited_audit_line_and_a_cut_log_fail(project: Project) -> None:
    (line,) = (project.root / ".nbprod" / "artifacts").rglob("00000001.json")
    content = line.read_text()
    try:
        line.write_text(content.replace('"payload":"', '"payload":"A'))
        edited = checks(project, code=4)["audit log"]
        line.unlink()
        cut = checks(project, code=4)["audit log"]
        moving = project.nbprod("rollback", "line", code=5).stderr
    finally:
        line.write_text(content)
    assert edited[0] == "FAIL"
    assert "line 1" in edited[1]
    assert "the log has 0 lines, but the registry notes 1 as its last" in cut[1]
    assert "the audit log of 'line' cannot be trusted" in moving
    assert project.nbprod("history", "line").stdout.count("promote line/1") == 1


def test_a_key_that_is_revoked_fails_and_a_stranger_must_pin_it(project: Project, tmp_path: Path) -> None:
    def other(*words: str, code: int = 0) -> Any:
        return project.call(*PROGRAM, *words, "--json", code=code, NBPROD_KEYS=str(tmp_path / "other")).document

    found = {check["name"]: check for check in other("verify", "line/1", code=4)["checks"]}
    assert "which is not pinned: nbprod keys --pin" in found["signature"]["why"]
    public = project.write("public.pem", project.nbprod("keys", "--public").stdout)
    other("keys", "--pin", str(public), "--comment", "the team's")
    assert other("verify", "line/1")["failed"] is False
    key = next(key["id"] for key in other("keys") if key["comment"] == "the team's")
    other("keys", "--revoke", key)
    found = {check["name"]: check for check in other("verify", "line/1", code=4)["checks"]}
    assert "which was revoked" in found["signature"]["why"]
    assert "which was revoked" in found["audit log"]["why"]


LOAD = "import nbprod; print(type(nbprod.load_model('models:/line/1')).__name__)"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: None, ""),
        (lambda folder: flip(folder / "model.skops"), "it is not what was signed: model.skops was changed."),
        (lambda folder: (folder / "code.py").write_text("x"), "it is not what was signed: code.py was added."),
    ],
)
def test_a_model_is_loaded_only_as_it_was_signed(project: Project, harm: Callable[[Path], object], said: str) -> None:
    folder = project.registered("line", "1")
    before = (folder / "model.skops").read_bytes()
    uri = f"sqlite:///{project.root / '.nbprod' / 'mlflow.db'}"
    program = [PROGRAM[0], "-P", "-W", "ignore", "-c", LOAD]
    harm(folder)
    try:
        done = project.call(*program, code=1 if said else 0, MLFLOW_TRACKING_URI=uri)
    finally:
        (folder / "model.skops").write_bytes(before)
        (folder / "code.py").unlink(missing_ok=True)
    if said:
        assert said in done.stderr
    else:
        assert done.stdout.split()[-1] == "LinearRegression"


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


def test_a_model_that_would_run_code_is_never_unpickled(project: Project, tmp_path: Path) -> None:
    folder, mark = project.registered("line", "1"), tmp_path / "ran"
    before = {name: (folder / name).read_bytes() for name in ("model.skops", "MLmodel")}
    (folder / "model.skops").write_bytes(pickle.dumps(Evil(mark)))
    manifest = before["MLmodel"].replace(b"serialization_format: skops", b"serialization_format: cloudpickle")
    (folder / "MLmodel").write_bytes(manifest)
    uri = f"sqlite:///{project.root / '.nbprod' / 'mlflow.db'}"
    try:
        loaded = project.call(PROGRAM[0], "-P", "-c", LOAD, code=1, MLFLOW_TRACKING_URI=uri)
        verified = checks(project, code=4)
        moved = project.nbprod("promote", "line/1", "--to", "challenger", code=4)
    finally:
        for name, content in before.items():
            (folder / name).write_bytes(content)
    assert "it is not what was signed: MLmodel was changed." in loaded.stderr
    assert verified["model"][0] == "FAIL"
    assert "line/1 is not what was registered: its file MLmodel was changed since" in moved.stderr
    assert not mark.exists()
    pickle.loads(pickle.dumps(Evil(mark)))
    assert mark.exists()  # it would have


def test_what_is_beside_a_version_names_its_entry(project: Project) -> None:
    (digest,) = [row["digest"] for row in project.document("models")]
    statements = [
        json.loads(content) for name, content in project.files(".nbprod/artifacts").items() if "/statements/" in name
    ]
    assert {statement["subject"] for statement in statements} == {digest}
    registered = next(s for s in statements if s["schema"] == "nbprod/registration/1")
    assert len(registered["body"]["by"]["key"]) == 16
