"""A new process outside the project loads a model and answers its example, or one sentence says why it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from nbprod.errors import ArtifactError, UntrustedTypes
from nbprod.flavors import Replay, import_mlflow, save
from nbprod.flavors import replay as replay_once
from nbprod.flavors.facts import PREDICTIONS
from nbprod.flavors.replay_child import _explain

Module = Callable[[str, dict[str, str]], Any]
X = np.array([[0.0], [1.0], [2.0], [3.0]])
Y = np.array([0, 0, 1, 1])

PYTHON_MODEL = """
import os
import sys
import time

import mlflow.pyfunc


class Model(mlflow.pyfunc.PythonModel):
    what = "{what}"

    def predict(self, context, model_input, params=None):
        if self.what == "environment":
            hidden = [name for name in os.environ if name.startswith(("NBPROD_", "MLFLOW_")) or name == "PYTHONPATH"]
            return [os.getcwd(), " ".join(os.listdir()), *sorted(hidden), *sys.path]
        if os.environ.get("NBPROD_STAGE"):
            return [0]
        print("a line that is no answer", flush=True)
        if self.what == "crash":
            os.kill(os.getpid(), 11)
        if self.what == "sleep":
            time.sleep(60)
        if self.what == "fail":
            raise ValueError("no such column\\nand more")
        return [0]
"""


@pytest.fixture
def model_that(tmp_path: Path, module: Module, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Save a model that does something odd, but only outside a stage."""

    def make(what: str) -> Path:
        import_mlflow()
        name = f"nb_{what}"
        monkeypatch.setenv("NBPROD_STAGE", "train")
        model = module(name, {f"{name}.py": PYTHON_MODEL.replace("{what}", what)}).Model()
        save(model, tmp_path / what, example=pd.DataFrame({"a": [1.0]}), trusted=[f"{name}.Model"])
        return tmp_path / what

    return make


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    save(LogisticRegression().fit(X, Y), tmp_path / "linear", example=X)
    return tmp_path / "linear"


def test_mlflow_says_what_is_wrong_after_the_rows_which_are_nobodys_business() -> None:
    error = ValueError(
        "Failed to enforce schema of data '   agep\n0    17' with schema '['agep']'. Error: no agep.\nMore"
    )
    assert _explain(error, asked=True) == {"error": "asked", "text": "ValueError: no agep."}


def test_a_good_model_answers_as_it_did_when_it_was_logged(replay: Replay, linear: Path) -> None:
    found = replay.check(linear)
    assert (found.rows, found.output, found.compared) == (4, [0, 0, 1, 1], True)


def test_one_call_is_enough_for_one_model(linear: Path) -> None:
    assert replay_once(linear).compared


def test_the_process_sees_neither_the_project_nor_its_environment(
    replay: Replay, model_that: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_that("environment")
    project = str(folder.parent / "notebooks")
    monkeypatch.setenv("PYTHONPATH", project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    (folder / PREDICTIONS).unlink()
    with Replay.start() as process:
        cwd, content, *seen = process.check(folder).output
    assert cwd != os.getcwd()
    assert content == ""
    assert "MLFLOW_DISABLE_TELEMETRY" in seen
    assert not {"MLFLOW_TRACKING_URI", "NBPROD_STAGE", "PYTHONPATH", project, cwd, ""} & set(seen)


def test_a_model_that_answers_otherwise_is_refused_with_both_answers(replay: Replay, linear: Path) -> None:
    stored = json.loads((linear / PREDICTIONS).read_text())
    stored["predictions"][0] = 1
    (linear / PREDICTIONS).write_text(json.dumps(stored))
    with pytest.raises(ArtifactError, match=r"answers its example otherwise .*: \[1, 0, 1, 1\] became \[0, 0, 1, 1\]"):
        replay.check(linear)


def test_rounding_makes_no_other_answer(replay: Replay, linear: Path) -> None:
    stored = json.loads((linear / PREDICTIONS).read_text())
    stored["predictions"][2] = 1.0000000001
    (linear / PREDICTIONS).write_text(json.dumps(stored))
    assert replay.check(linear).compared


def test_a_model_without_kept_answers_or_without_example_is_only_loaded(replay: Replay, tmp_path: Path) -> None:
    import_mlflow()
    import mlflow.sklearn

    model = LogisticRegression().fit(X, Y)
    mlflow.sklearn.save_model(model, tmp_path / "plain", pip_requirements=["mlflow"])
    assert replay.check(tmp_path / "plain").rows == 0
    mlflow.sklearn.save_model(model, tmp_path / "example", pip_requirements=["mlflow"], input_example=X)
    found = replay.check(tmp_path / "example")
    assert (found.rows, found.compared) == (4, False)


def test_a_module_that_does_not_travel_is_named_with_the_advice(replay: Replay, tmp_path: Path, module: Module) -> None:
    import_mlflow()
    import mlflow.sklearn

    code = "from sklearn.linear_model import LogisticRegression\n\n\nclass Ratio(LogisticRegression):\n    pass\n"
    model = module("nb_left", {"nb_left.py": code}).Ratio().fit(X, Y)
    options: dict[str, Any] = {"skops_trusted_types": ["nb_left.Ratio"], "pip_requirements": ["mlflow"]}
    mlflow.sklearn.save_model(model, tmp_path / "model", **options)
    with pytest.raises(ArtifactError, match=r"because the module 'nb_left' is not there: .* code_paths="):
        replay.check(tmp_path / "model", ["nb_left.Ratio"])


def test_two_models_with_different_modules_of_one_name_are_told_apart(
    replay: Replay, tmp_path: Path, module: Module
) -> None:
    for label in ("first", "second"):
        code = (
            "from sklearn.linear_model import LogisticRegression\n\n\nclass Ratio(LogisticRegression):\n"
            f"    def predict(self, X):\n        return ['{label}'] * len(X)\n"
        )
        sys.modules.pop("nb_twice", None)
        model = module("nb_twice", {"nb_twice.py": code}).Ratio().fit(X, Y)
        save(model, tmp_path / label, example=X, trusted=["nb_twice.Ratio"])
        assert replay.check(tmp_path / label, ["nb_twice.Ratio"]).output == [label] * 4


def test_the_list_beside_a_model_is_not_believed(replay: Replay, tmp_path: Path, module: Module) -> None:
    code = "from sklearn.linear_model import LogisticRegression\n\n\nclass Ratio(LogisticRegression):\n    pass\n"
    model = module("nb_forged", {"nb_forged.py": code}).Ratio().fit(X, Y)
    save(model, tmp_path / "model", example=X, trusted=["nb_forged.Ratio"])
    with pytest.raises(UntrustedTypes, match=r"the model holds nb_forged\.Ratio, which nbprod does not trust"):
        replay.check(tmp_path / "model")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("fail", r"not answer its example there \(ValueError: no such column\)"),
        ("crash", r"ended early \(it was ended by SIGSEGV\)"),
        ("sleep", "did not answer its example outside the project within 3 seconds"),
    ],
)
def test_whatever_a_model_does_there_the_reason_is_one_sentence_and_the_next_model_is_checked(
    replay: Replay, model_that: Callable[[str], Path], linear: Path, what: str, message: str
) -> None:
    folder = model_that(what)
    replay.check(linear)
    with pytest.raises(ArtifactError, match=message) as caught:
        replay.check(folder, timeout=3 if what == "sleep" else 60)
    assert "\n" not in str(caught.value)
    assert replay.check(linear).compared


def test_a_folder_that_is_no_model_is_refused(replay: Replay, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="the model cannot be loaded outside the project"):
        replay.check(tmp_path)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z" if Path("/proc/self").exists() else True


def test_the_process_ends_when_its_parent_is_killed() -> None:
    code = (
        "import time; from nbprod.flavors import Replay; process = Replay.start(); "
        "print(process._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def test_closing_twice_is_the_same_as_closing_once() -> None:
    process = Replay.start()
    process.close()
    process.close()
