"""The process behind `nbprod.flavors.replay`: it loads model folders with plain MLflow, away from the project.

It is started by its path, in any Python that has MLflow. Each line of standard input asks one question,
``{"folder": ..., "allowed": [names of types]}``, and is answered with a line, ``{"rows", "answer", "compared"}`` or
``{"error": kind, "text": ..., "types": [...]}``. With ``"asked": path`` and ``"answers": path`` the model answers the
rows of a Parquet file, and not its example. When standard input closes it ends at once, whatever it does: so it never
outlives its parent.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import queue
import sys
import threading
import warnings
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any


def _answers() -> ModuleType:
    """`nbprod.flavors.answers`, by its path: nbprod need not be there, and its folder must not be on the path."""
    spec = importlib.util.spec_from_file_location("_nbprod_answers", Path(__file__).with_name("answers.py"))
    if spec is None or spec.loader is None:
        raise ImportError("answers.py is missing beside replay_child.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _listen(questions: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        questions.put(line)
    os._exit(0)


def main() -> None:
    """Import what loading a model needs, then answer until standard input closes."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a model prints is no answer
    questions: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(questions,), daemon=True).start()
    warnings.simplefilter("ignore")
    answers = _answers()
    _warm()
    while True:
        question = json.loads(questions.get())
        path, modules = list(sys.path), set(sys.modules)
        try:
            reply = _replay(question, answers)
        except Exception as error:  # whatever a model raises is the result
            reply = _explain(error)
        sys.path[:] = path
        _forget(set(sys.modules) - modules, Path(question["folder"]))
        channel.write(json.dumps(reply) + "\n")
        channel.flush()


def _warm() -> None:
    """Import while nobody waits."""
    for name in (
        "mlflow.pyfunc",
        "mlflow.models",
        "pandas",
        "sklearn.pipeline",
        "sklearn.ensemble",
        "skops.io",
        "mlflow.sklearn",
    ):
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def _forget(modules: set[str], folder: Path) -> None:
    """Drop modules that came with a model, so that the next model brings its own."""
    for name in modules:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and Path(file).is_relative_to(folder):
            del sys.modules[name]


def _replay(question: dict[str, Any], answers: ModuleType) -> dict[str, Any]:
    import mlflow.pyfunc
    from mlflow.models import Model

    folder = Path(question["folder"])
    if strange := _strange(folder, set(question["allowed"])):
        return {"error": "untrusted", "text": "", "types": strange}
    if "asked" in question:
        return _asked(_kept(str(folder)), question["asked"], question["answers"])
    model = mlflow.pyfunc.load_model(str(folder))
    example = Model.load(str(folder)).load_input_example(str(folder))
    if example is None:
        return {"rows": 0, "answer": None, "compared": False}
    try:
        found = answers.plain(model.predict(example))
    except Exception as error:
        return _explain(error, asked=True)
    stored = folder / "nbprod" / "example_predictions.json"
    if not stored.is_file():
        return {"rows": answers.rows_of(found), "answer": found, "compared": False}
    expected = json.loads(stored.read_text(encoding="utf-8"))["predictions"]
    if not answers.same(found, expected):
        return {"error": "differs", "text": f"{_short(expected)} became {_short(found)}"}
    return {"rows": answers.rows_of(found), "answer": found, "compared": True}


@functools.lru_cache(1)
def _kept(folder: str) -> Any:
    """A model that is asked about one file of rows after another."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(folder)


def _asked(model: Any, rows: str, target: str) -> dict[str, Any]:
    """Answer the rows of a file, with probabilities where the model gives some; the answers are a Parquet file."""
    import numpy as np
    import pandas as pd

    asked = pd.read_parquet(rows)
    try:
        found = np.asarray(model.predict(asked))
        made = {"prediction": found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found}
        try:
            own = model.get_raw_model()
        except Exception:  # of a flavour that has none
            own = None
        classes = [label.item() if hasattr(label, "item") else label for label in getattr(own, "classes_", ())]
        if classes and hasattr(own, "predict_proba"):
            scores = np.asarray(own.predict_proba(asked))
            made["score"] = scores[:, 1] if len(classes) == 2 else scores.max(axis=1)
        pd.DataFrame(made).to_parquet(target)
    except Exception as error:
        return _explain(error, asked=True)
    return {"rows": len(asked), "classes": classes}


def _strange(folder: Path, allowed: set[str]) -> list[str]:
    """The types in skops's files, whatever their names, that are not allowed; MLflow would ask the folder itself."""
    found: set[str] = set()
    for file in sorted(folder.rglob("*")):
        if not (file.is_file() and zipfile.is_zipfile(file)):
            continue
        with zipfile.ZipFile(file) as archive:
            if "schema.json" not in archive.namelist():
                continue
        import skops.io

        found.update(skops.io.get_untrusted_types(file=file))
    return sorted(found - allowed)


def _explain(error: BaseException, *, asked: bool = False) -> dict[str, Any]:
    """An exception as an answer: the missing module behind it, or its innermost cause."""
    while True:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return {"error": "module", "text": error.name}
        if error.__cause__ is None:
            break
        error = error.__cause__
    said = str(error).strip()
    lines = said.rpartition(". Error: ")[2].splitlines()  # MLflow shows the rows before it says what is wrong
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return {"error": "asked" if asked else "loaded", "text": text}


def _short(answer: Any) -> str:
    text = json.dumps(answer)
    return text if len(text) <= 60 else f"{text[:57]}..."


if __name__ == "__main__":
    main()
