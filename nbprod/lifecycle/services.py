"""The processes that work beside a run and import MLflow meanwhile: the registry's, and the one that replays models."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nbprod.config import Project
from nbprod.flavors import Replay
from nbprod.index import Index
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.imports import find_imports
from nbprod.registry import Observed
from nbprod.registry.database import local_path
from nbprod.registry.process import RegistryProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a run may ask.

    Attributes:
        experiment: the id of the pipeline's experiment, once it is known.
        replay: None where no model is expected.
    """

    uri: str
    registry: RegistryProcess
    experiment: Future[str]
    replay: Replay | None


@contextmanager
def open_registry(project: Project) -> Iterator[RegistryProcess]:
    """The registry's process."""
    with RegistryProcess(
        project.registry_uri(), (project.data / "artifacts").resolve(), log=project.data / "mlflow.log"
    ) as registry:
        yield registry


@contextmanager
def open_services(project: Project, *, pipeline: str, expects: str) -> Iterator[Services]:
    """Start the processes; they get ready while stages run.

    Args:
        expects: ``model`` if one is to be registered, else ``nothing``.
    """
    with ExitStack() as stack:
        registry = stack.enter_context(open_registry(project))
        replay = stack.enter_context(Replay.start()) if expects == "model" else None
        pool = ThreadPoolExecutor(1, thread_name_prefix="registry")
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        experiment = pool.submit(registry.experiment, pipeline)
        yield Services(uri=project.registry_uri(), registry=registry, experiment=experiment, replay=replay)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryTracking:
    """The registry as running stages see it; see `nbprod.pipeline.attempt.Tracking`."""

    services: Services
    project: Project
    index: Index
    pipeline: str

    def environment(self, item: BoundStage) -> dict[str, str]:
        """Where MLflow is, for the kernel; only a notebook that uses MLflow waits until the registry is there."""
        uri = self.services.uri
        found = {"MLFLOW_TRACKING_URI": uri}
        if local_path(uri):
            # Experiments that a notebook makes itself would else keep their files in the notebook's folder.
            found["_MLFLOW_SERVER_ARTIFACT_ROOT"] = str((self.project.data / "artifacts").resolve())
        remembered = f"experiment {uri} {self.pipeline}"
        waits = self._uses_mlflow(item)
        ready = self.services.experiment
        if waits or (ready.done() and not ready.exception()):
            experiment: str | None = ready.result()
            if experiment:
                self.index.remember(remembered, experiment)
        else:
            experiment = self.index.recall(remembered)
        if experiment:
            found["MLFLOW_EXPERIMENT_ID"] = experiment
        return found

    def _uses_mlflow(self, item: BoundStage) -> bool:
        if item.source.mentions("mlflow"):
            return True
        return "mlflow" in find_imports(item.source, self.project.root, self.index).outside

    def observed(self, run: str, stage: str, folder: Path) -> Observed:
        """What plain MLflow calls logged; the models are copied to ``folder``."""
        return self.services.registry.observed(run, stage, str(folder))
