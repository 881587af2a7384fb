"""Fixtures that tests share."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from nbprod.registry.database import prepare
from tests.fakes import Lab

settings.register_profile("nbprod", deadline=None)  # nothing is timed: the first example imports what others find
settings.load_profile("nbprod")


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Ctrl-C is heard also where a shell started the tests in the background and had it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests see neither the settings nor the keys of whoever runs them."""
    for name in os.environ:
        if name.startswith("NBPROD_") or name == "MLFLOW_TRACKING_URI":
            monkeypatch.delenv(name)
    monkeypatch.setenv("NBPROD_KEYS", str(tmp_path / "keys"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A project in a temporary folder, without kernels and without a registry."""
    made = Lab(tmp_path / "project")
    yield made
    made.close()


@pytest.fixture(scope="session")
def prepared_registry_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that holds MLflow's empty database, made once: making it takes seconds, copying it none.

    Processes that run tests side by side share it. Point ``XDG_CACHE_HOME`` at it.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before anything imports MLflow here
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "registry-cache"
    first = tmp_path_factory.mktemp("first-registry")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, while it is imported and makes its tables
        patch.setenv("XDG_CACHE_HOME", str(cache))
        from nbprod.registry.connection import make_database

        prepare(first / "mlflow.db", first / "artifacts", make_database)
    return cache


@pytest.fixture
def registry_cache(prepared_registry_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prepared cache as this test's own: a SQLite registry is made by copying its database."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(prepared_registry_cache))
    return prepared_registry_cache
