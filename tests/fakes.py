"""What tests share: projects and notebooks built in code, an executor without kernels, a registry that sees nothing."""

from __future__ import annotations

import copy
import json
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbprod.config import Project, load_project
from nbprod.digest import Identity
from nbprod.entities import CellError, Pipeline, Run
from nbprod.executors import Control, Execution, Outcome
from nbprod.index import Index
from nbprod.pipeline.attempt import Bench
from nbprod.pipeline.bind import BoundStage, Setting, bind
from nbprod.pipeline.events import Event, ignore
from nbprod.pipeline.folders import new_run_id
from nbprod.pipeline.inputs import Inputs
from nbprod.pipeline.plan import Decision, Planner
from nbprod.pipeline.runner import Runner
from nbprod.pipeline.spec import parse_pipeline
from nbprod.records import Record, bundle
from nbprod.registry import Observed
from nbprod.store import Store, write_text
from tests.pipeline.made import MemoryCache, code, markdown, notebook, written

__all__ = [
    "FakeExecutor",
    "FakeMemory",
    "FakeTracking",
    "Job",
    "Lab",
    "MemoryCache",
    "StoppedFromOutside",
    "code",
    "load_yaml_pipeline",
    "markdown",
    "notebook",
    "written",
]

WAIT = 20.0
"""Seconds after which something that never happens fails a test."""

CACHE = MemoryCache()
"""What is installed, found out once for all tests."""


class FakeMemory(dict[Identity, str]):
    """Remembers digests, and counts how often it was asked in vain."""

    def recall(self, identity: Identity) -> str | None:
        """What was remembered."""
        return self.get(identity)

    def remember(self, identity: Identity, sha256: str) -> None:
        """Keep a digest."""
        self[identity] = sha256


class FakeTracking:
    """A registry that gives kernels no variables; `seen` maps a stage to what plain MLflow calls logged in it."""

    def __init__(self, seen: Mapping[str, Observed] | None = None) -> None:
        self.seen = dict(seen or {})

    def environment(self, item: BoundStage) -> dict[str, str]:
        """Nothing."""
        return {}

    def observed(self, run: str, stage: str, folder: Path) -> Observed:
        """What a test said was logged."""
        return self.seen.get(stage, Observed())


def _read(path: str | Path) -> str:
    return Path(path).read_text(encoding="utf-8")


def _write(path: str | Path, text: str) -> None:
    Path(path).write_text(text, encoding="utf-8")


class StoppedFromOutside(Exception):
    """A cell waited to be stopped, and was."""


@dataclass(slots=True)
class Job:
    """What a cell that runs in `FakeExecutor` knows as ``job``."""

    execution: Execution
    cell: dict[str, Any]
    stopped: threading.Event

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that a kernel would have."""
        return self.execution.environment

    @property
    def folder(self) -> Path:
        """The stage's folder."""
        return Path(self.environment["NBPROD_STAGE_DIR"])

    def report(self, kind: Any, name: str, value: Any, **more: Any) -> None:
        """Record something in the cell's outputs."""
        data, metadata = bundle(Record(kind=kind, name=name, value=value, **more))
        self.cell["outputs"].append({"output_type": "display_data", "data": data, "metadata": metadata})

    def until_stopped(self) -> None:
        """Wait as a long computation does."""
        if not self.stopped.wait(WAIT):
            raise TimeoutError("nobody stopped the cell")
        raise StoppedFromOutside


class FakeExecutor:
    """Executes the code of cells in this process: no kernel, no papermill.

    Args:
        names: what every cell sees beside its parameters, ``job`` (a `Job`), ``read(path)`` and ``write(path, text)``.

    Attributes:
        executed: the stages that were executed, in the order in which they began.
    """

    def __init__(self, **names: Any) -> None:
        self.names = names
        self.executed: list[str] = []
        self.jobs: dict[str, Execution] = {}

    def __call__(self, execution: Execution, control: Control) -> Outcome:
        """Execute a notebook; see `nbprod.executors`."""
        stage = execution.environment["NBPROD_STAGE"]
        self.executed.append(stage)
        self.jobs[stage] = execution
        made = copy.deepcopy(dict(execution.notebook))
        cells = [cell for cell in made["cells"] if cell["cell_type"] == "code" and cell["source"].strip()]
        stopped = threading.Event()
        control.begin(stopped.set)
        space: dict[str, Any] = {"read": _read, "write": _write, **self.names, **execution.parameters}
        error: CellError | None = None
        begun = 0
        try:
            for cell in cells:
                if error or control.reason:
                    break
                begun += 1
                execution.on_cell(begun, len(cells))
                error = self._cell(cell, space, Job(execution, cell, stopped), number=made["cells"].index(cell) + 1)
                if "parameters" in cell["metadata"].get("tags", ()):
                    space.update(execution.parameters)
                write_text(execution.target, json.dumps(made))
        finally:
            control.end()
        if control.reason:
            error = CellError(message="was stopped.")
        return Outcome(cells=len(cells), pending=len(cells) - begun, error=error, stopped=control.reason)

    @staticmethod
    def _cell(cell: dict[str, Any], space: dict[str, Any], job: Job, *, number: int) -> CellError | None:
        space["job"] = job
        try:
            exec(cell["source"], space)
        except Exception as error:
            return CellError(
                message=f"{type(error).__name__}: {error}",
                cell=number,
                source=cell["source"],
                traceback=traceback.format_exc(),
            )
        return None


def load_yaml_pipeline(text: str, *, file: str = "pipelines/p.yaml") -> Pipeline:
    """A pipeline from its YAML."""
    return parse_pipeline(text, file=file)


@dataclass
class Lab:
    """A project in a temporary folder, with everything that is needed to plan and run it without kernels.

    Attributes:
        yaml: the pipeline's text.
        events: what runs told whoever watches, in order.
    """

    root: Path
    executor: FakeExecutor = field(default_factory=FakeExecutor)
    tracking: FakeTracking = field(default_factory=FakeTracking)
    yaml: str = ""
    watch: Callable[[Event], None] = ignore
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.root / "pipelines").mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        self.project: Project = load_project(self.root)
        self.project.prepare_folders()
        self.index = Index(self.project.data / "index.db", self.project.runs)
        self.store = Store(str(self.project.data / "store"), self.index)

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    def reopen(self) -> None:
        """Open the project again, as another command does: settings are read anew."""
        self.close()
        self._open()

    def file(self, name: str, content: str | bytes = "data") -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def notebook(self, stage: str, *cells: str, parameters: str = "") -> None:
        """Write ``notebooks/<stage>.ipynb``: a parameters cell, if there is one, and other cells."""
        tagged = [code(parameters, "parameters")] if parameters else []
        written(self.root / "notebooks", notebook(*tagged, *cells), f"{stage}.ipynb")

    def pipeline(self, text: str) -> Lab:
        """Set the pipeline's YAML."""
        self.yaml = text
        (self.root / "pipelines" / "p.yaml").write_text(text, encoding="utf-8")
        return self

    @property
    def spec(self) -> Pipeline:
        """The pipeline as it is written."""
        return load_yaml_pipeline(self.yaml)

    @property
    def inputs(self) -> Inputs:
        """Finds and measures inputs."""
        return Inputs(project=self.project, index=self.index, store=self.store)

    def bind(self, *settings: Setting) -> tuple[BoundStage, ...]:
        """The stages, checked against their notebooks."""
        return bind(self.spec, self.project, settings=settings, cache=CACHE)

    def planner(self, forced: Iterable[str] = ()) -> Planner:
        """Decides what must run."""
        return Planner(
            pipeline=self.spec.name,
            project=self.project,
            index=self.index,
            store=self.store,
            inputs=self.inputs,
            forced=frozenset(forced),
        )

    def plan(self, *settings: Setting, forced: Iterable[str] = ()) -> dict[str, Decision]:
        """What would be done with each stage."""
        return {decision.stage: decision for decision in self.planner(forced).plan(self.bind(*settings))}

    def bench(self) -> Bench:
        """What a run's stages need, for a new run."""

        def watch(event: Event) -> None:
            self.events.append(event)
            self.watch(event)

        return Bench(
            run=new_run_id(),
            pipeline=self.spec.name,
            project=self.project,
            index=self.index,
            store=self.store,
            inputs=self.inputs,
            execute=self.executor,
            tracking=self.tracking,
            watch=watch,
        )

    def runner(self, *, jobs: int = 2, forced: Iterable[str] = ()) -> Runner:
        """A new run that has not begun."""
        return Runner(self.bench(), self.planner(forced), jobs=jobs)

    def run(self, *settings: Setting, jobs: int = 2, forced: Iterable[str] = ()) -> Run:
        """Run the pipeline."""
        return self.runner(jobs=jobs, forced=forced).run(self.bind(*settings))
