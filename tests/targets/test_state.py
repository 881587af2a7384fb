"""What is deployed is written whole and read back, also what the first nbprod wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbprod.errors import DeployError
from nbprod.targets import Deployment
from nbprod.targets.state import read, read_all, save, state_file

OLD = {"schema": "nbprod/deployment/1", "name": "churn", "version": "3", "target": "local", "status": "ready"}


def test_a_deployment_is_read_back(tmp_path: Path) -> None:
    made = Deployment(name="churn", version="3", target="local", processes={"service": 1}, details={"options": ["a"]})
    file = state_file(tmp_path, "churn", "local")
    save(file, made)
    assert read(file) == made
    assert read_all(tmp_path) == (made,)
    assert read(tmp_path / "none.json") is None


def test_a_deployment_of_the_first_schema_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(OLD))
    found = read(tmp_path / "a.json")
    assert found
    assert (found.ref, found.status, found.previous) == ("churn/3", "ready", {})


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "nbprod/deployment/1"}', '{"schema": "nbprod/deployment/9"}'])
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DeployError):
        read(tmp_path / "a.json")
