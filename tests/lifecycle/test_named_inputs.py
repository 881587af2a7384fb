"""Inputs that are called as nbprod's own columns are: they are monitored as what they are."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from nbprod.digest import sha256_bytes
from nbprod.entities import ModelVersion
from nbprod.lifecycle.monitor import Looked
from nbprod.lifecycle.workspace import Workspace
from nbprod.monitoring.profile import write_profile
from nbprod.predictions.places import folder_of
from tests.lifecycle.test_monitor import PROFILE, file, log, look, of, say, version, work
from tests.monitoring.made import COLUMNS, rows

__all__ = ["work"]  # a fixture


def called(work: Workspace, name: str) -> ModelVersion:
    """The version, as it would be if its input `age` had another name."""
    profile = replace(PROFILE, columns={name if n == "age" else n: column for n, column in PROFILE.columns.items()})
    data = write_profile(profile)
    (work.project.data / "monitor/churn" / f"profile-{sha256_bytes(data)}.json").write_bytes(data)
    found = version(profile)
    inputs = [{"name": name if n == "age" else n, "type": "double"} for n in COLUMNS]
    model = {**found.entry["model"], "signature": {"inputs": inputs, "outputs": None, "params": None}, "target": "y"}
    return replace(found, entry={**found.entry, "model": model})


def found_by_name(looked: Looked, name: str) -> list[tuple[str, str, str, float | None]]:
    """What was found, with the input by its usual name."""
    own = ("drift", "quality")
    checks = [replace(c, name="age") if c.name == name and c.area in own else c for c in looked.report.checks]
    return sorted((c.area, c.name, c.status, c.value) for c in checks)


@pytest.mark.parametrize("name", ["score", "prediction", "truth", "time", "version"])
def test_an_input_may_be_called_as_what_is_recorded_beside_it(work: Workspace, name: str) -> None:
    table = rows(600, seed=1, age=np.full(600, 89))
    say(work, log(work, table), table["truth"].to_pylist())
    expected = found_by_name(look(work), name)
    shutil.rmtree(folder_of(work.project.data, "churn"))
    shutil.rmtree(work.project.data / "monitor/churn")
    (work.project.data / "monitor/churn").mkdir()
    say(work, log(work, table, called={"age": name}), table["truth"].to_pylist())
    looked = look(work, found=called(work, name))
    assert found_by_name(looked, name) == expected
    assert of(looked, "drift", name).status != "OK"


@pytest.mark.parametrize("name", ["score", "prediction", "truth"])
def test_in_a_file_a_column_that_is_called_as_an_input_is_that_input(work: Workspace, name: str) -> None:
    table = rows(600, seed=1, age=np.full(600, 89))
    ways = {n: f"answer.{n}" if n == name else n for n in ("prediction", "score", "truth")} | {"age": name}
    expected = look(work, files=(file(table),))
    shutil.rmtree(work.project.data / "monitor/churn")
    (work.project.data / "monitor/churn").mkdir()
    renamed = table.rename_columns([ways.get(n, n) for n in table.column_names])
    looked = look(work, files=(file(renamed, "renamed.parquet"),), found=called(work, name))
    assert found_by_name(looked, name) == found_by_name(expected, name)
    assert of(looked, "drift", name).status != "OK" and "<svg" in looked.page()
