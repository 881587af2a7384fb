"""The distributions that a model needs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from nbprod.flavors import requirements
from nbprod.flavors.requirements import requirements_for


def test_what_mlflow_needs_is_always_there() -> None:
    found = {line.partition("==")[0] for line in requirements_for([])}
    assert {"numpy", "pandas"} < found
    assert found - {"numpy", "pandas"} <= {"mlflow", "mlflow-skinny"}


def test_a_module_gives_its_distribution_at_the_installed_version() -> None:
    found = requirements_for(["sklearn", "yaml", "skops"])
    assert f"scikit-learn=={version('scikit-learn')}" in found
    assert f"PyYAML=={version('PyYAML')}" in [line.replace("pyyaml", "PyYAML") for line in found]
    assert found == sorted(found)


def test_the_standard_library_and_modules_of_no_distribution_give_none() -> None:
    assert requirements_for(["json", "collections", "builtins", "_loss", "__main__", "nowhere"]) == requirements_for([])


def test_a_local_version_is_cut_since_no_index_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "version", lambda name: "2.1.0+cpu")
    assert "torch==2.1.0" in requirements_for(["torch"])


def test_mlflow_skinny_stands_in_for_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name == "mlflow":
            raise PackageNotFoundError(name)
        return "3.17.2"

    monkeypatch.setattr(requirements, "version", installed)
    assert "mlflow-skinny==3.17.2" in requirements_for([])
