"""Models and modules that the tests of this room share."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from nbprod.flavors import Replay


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """Rows with every kind of column that matters: floats, missing ones, integers, text."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": random.integers(18, 90, 60).astype("int16"),
            "income": random.random(60),
            "hours": np.where(random.random(60) < 0.3, np.nan, 40.0),
            "state": random.choice(["ma", "ny"], 60),
        },
        index=pd.RangeIndex(100, 160),
    )


@pytest.fixture(scope="session")
def forest(table: pd.DataFrame) -> Any:
    """A pipeline on raw columns."""
    columns = ColumnTransformer(
        [("numbers", SimpleImputer(), ["age", "income", "hours"]), ("text", OneHotEncoder(), ["state"])]
    )
    return make_pipeline(columns, RandomForestClassifier(3, random_state=0)).fit(table, table["income"] > 0.5)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, dict[str, str]], Any]]:
    """Write a project's module or package from files and import it; it is forgotten after the test."""
    before = set(sys.modules)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def write(name: str, files: dict[str, str]) -> Any:
        for file, text in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def replay() -> Iterator[Replay]:
    """One warm process for all replays."""
    with Replay.start() as process:
        yield process
