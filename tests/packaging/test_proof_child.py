"""What the process in the clean environment finds of a model: the answer that was recorded, or why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from nbprod.flavors import describe, save
from nbprod.packaging.proof import _reply
from nbprod.packaging.proof_child import main, replay

ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0]})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a real model, and an entry that is only as much as the process reads."""
    bundle = tmp_path_factory.mktemp("bundle")
    save(LinearRegression().fit(ROWS, [2.0, 4.0, 6.0]), bundle / "model", example=ROWS)
    return bundle


def entry(bundle: Path, **changes: Any) -> Path:
    """Write the entry anew."""
    facts = describe(bundle / "model").to_dict()
    signature = {"inputs": facts["inputs"], "outputs": facts["outputs"], "params": None}
    model = {**facts, "signature": signature, "trusted": [], **changes}
    (bundle / "model" / "nbprod").mkdir(exist_ok=True)
    (bundle / "model" / "nbprod" / "nbprod.json").write_text(json.dumps({"model": model}))
    return bundle


def test_a_model_that_answers_as_recorded_is_proven(saved: Path) -> None:
    assert replay(entry(saved)) == {"rows": 3, "compared": True}


def test_another_answer_is_told_with_both(saved: Path) -> None:
    found = main([str(entry(saved, example_predictions=[2.0, 4.0, 7.0]))])
    assert "it answers its example otherwise than recorded: [2.0, 4.0, 7.0] became [" in found["error"]


def test_a_model_without_an_example_is_only_loaded(saved: Path) -> None:
    assert replay(entry(saved, example=None)) == {"rows": 0, "compared": False}


def test_what_the_model_raises_is_told_in_a_line(saved: Path) -> None:
    found = main([str(entry(saved, example={"columns": ["b"], "data": [[1.0]]}, signature=None))])
    assert found["error"].startswith("ValueError: ")
    assert "\n" not in found["error"]


def test_a_folder_that_is_no_bundle_is_told(tmp_path: Path) -> None:
    assert main([str(tmp_path)])["error"].startswith("FileNotFoundError")


def test_what_a_model_prints_before_is_no_answer() -> None:
    assert _reply('hello\n{"rows": 1, "compared": true}\n') == {"rows": 1, "compared": True}


@pytest.mark.parametrize(
    ("said", "why"), [("", "ended the process"), ("hello", "ended the process"), ('{"error": "no"}', "lock: no")]
)
def test_without_an_answer_it_is_not_proven(said: str, why: str) -> None:
    from nbprod.errors import DeployError

    with pytest.raises(DeployError, match=why):
        _reply(said)
