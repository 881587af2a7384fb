"""A connection to MLflow, on SQLite or a server, whose errors are one sentence each.

It runs in a process of its own, as the registry does that is built on it.
"""

from __future__ import annotations

import contextlib
import logging
import posixpath
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from sqlalchemy.exc import SQLAlchemyError

from nbprod.errors import RegistryError
from nbprod.registry.database import local_path, prepare
from nbprod.registry.uri import shown


class Connection:
    """A registry that was opened.

    Args:
        uri: MLflow's tracking URI.
        artifacts: folder for the files of a local registry.

    Raises:
        RegistryError: a local database cannot be opened. A server is not asked before it is needed.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        self.artifacts = artifacts
        self.local = local_path(uri)
        with self.translated("open the registry"):
            if self.local:
                prepare(self.local, artifacts, make_database)
            self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def beside(self, name: str, version: str) -> Any:
        """The artifacts of the run that a version belongs to, whether that run was deleted or not."""
        source = str(self.client.get_model_version_download_uri(name, version)).rstrip("/")
        return self.files(posixpath.dirname(source))

    def files(self, location: str) -> Any:
        """MLflow's repository of the artifacts at a place."""
        return get_artifact_repository(location, tracking_uri=self.uri, registry_uri=self.uri)

    def fetch(self, uri: str, target: str | None = None) -> str:
        """Bring artifacts here; those that are here already are left where they are, unless there is a target."""
        found = mlflow.artifacts.download_artifacts(
            artifact_uri=uri, dst_path=target, tracking_uri=self.uri, registry_uri=self.uri
        )
        return str(found)

    @contextlib.contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Turn MLflow's errors, and those of its connections, into one sentence."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except MlflowException as error:
            raise RegistryError(_sentence(doing, str(error), self.uri)) from error
        except SQLAlchemyError as error:
            raise RegistryError(_sentence(doing, str(error).partition("\n[SQL")[0], self.uri)) from error
        except OSError as error:
            reason = f"{error.strerror}: {error.filename}" if error.strerror else str(error)
            raise RegistryError(_sentence(doing, reason, self.uri)) from error


def _sentence(doing: str, reason: str, uri: str) -> str:
    """What went wrong, and what to do."""
    text = " ".join(reason.split())
    place = shown(uri)
    if any(sign in text for sign in ("Max retries exceeded", "failed with exception", "Connection refused")):
        return (
            f"cannot {doing}: the MLflow server at {place} does not answer; start it, or name another in "
            "MLFLOW_TRACKING_URI."
        )
    if "out-of-date database schema" in text:
        return (
            f"cannot {doing}: the registry's database was made by an older MLflow; keep a copy of it, then run: "
            f"mlflow db upgrade {place}"
        )
    if "database is locked" in text:
        return f"cannot {doing}: the registry's database is busy, another process writes to it; run again."
    for sign in ("401", "403", "PERMISSION_DENIED", "UNAUTHENTICATED"):
        if sign in text[:300]:
            return (
                f"cannot {doing}: the MLflow server at {place} refuses; check your credentials. It said: {text[:300]}"
            )
    return f"cannot {doing} in the registry at {place}: {text[:500].rstrip('.')}."


def make_database(path: Path) -> None:
    """Have MLflow make its tables in a new file; this takes seconds."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("alembic").setLevel(logging.WARNING)
    store = SqlAlchemyStore(f"sqlite:///{path.as_posix()}", str(path.parent))  # type: ignore[no-untyped-call]
    store.engine.dispose()
