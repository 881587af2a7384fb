"""What every verb opens first: the project, its index and its store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.config import Project, is_project, load_project
from nbprod.entities import Pipeline
from nbprod.errors import UsageError, nearest
from nbprod.index import Index
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.inputs import Inputs
from nbprod.pipeline.plan import Planner
from nbprod.pipeline.spec import load_pipeline
from nbprod.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """An opened project."""

    project: Project
    index: Index
    store: Store

    @property
    def inputs(self) -> Inputs:
        """Finds and measures the inputs of stages."""
        return Inputs(project=self.project, index=self.index, store=self.store)

    def planner(self, pipeline: Pipeline, forced: Iterable[str] = ()) -> Planner:
        """Decides what a pipeline's stages need."""
        return Planner(
            pipeline=pipeline.name,
            project=self.project,
            index=self.index,
            store=self.store,
            inputs=self.inputs,
            forced=frozenset(forced),
        )


@contextmanager
def open_workspace(start: Path | None = None) -> Iterator[Workspace]:
    """Open the project around ``start`` (default: the working folder); its folders are made when they are missing."""
    with _opened(load_project(start)) as work:
        yield work


@contextmanager
def _opened(project: Project) -> Iterator[Workspace]:
    project.prepare_folders()
    index = Index(project.data / "index.db", project.runs)
    try:
        store = Store(project.settings.store or str(project.data / "store"), index)
        yield Workspace(project=project, index=index, store=store)
    finally:
        index.close()


@contextmanager
def open_existing() -> Iterator[Workspace]:
    """Open the project around the working folder, for verbs that only look: they make no project where there is none.

    Raises:
        UsageError: there is none.
    """
    project = load_project()
    if not is_project(project.root):
        raise UsageError("there is no project here: go to the folder of one, or make one with `nbprod init DIR`.")
    with _opened(project) as work:
        yield work


def find_pipeline(target: str | None, project: Project) -> Pipeline:
    """A pipeline by its file, its name, or as the only one there is.

    Raises:
        UsageError: there is none, or several and none was named.
    """
    folder = project.root / "pipelines"
    known = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if target is None:
        if len(known) != 1:
            names = ", ".join(path.stem for path in known)
            raise UsageError(
                f"say which pipeline: {names}."
                if known
                else "there is no pipeline under pipelines/: name a notebook instead."
            )
        return load_pipeline(known[0], label=project.relative(known[0]))
    path = Path(target)
    if not path.is_file():
        named = [file for file in known if file.stem == target]
        if not named:
            words = [word for file in known for word in (file.stem, project.relative(file))]
            hint = nearest(target, words if "/" in target or "." in target else [file.stem for file in known])
            raise UsageError(f"there is no pipeline or notebook '{target}'.{hint}")
        path = named[0]
    path = path.resolve()
    return load_pipeline(path, label=project.relative(path))


def project_start(target: str | None) -> Path | None:
    """Where to look for the project: beside a file that was named, else the working folder."""
    if target and Path(target).is_file():
        return Path(target)
    return None


def complete(uri: str) -> str:
    """The name under which the index remembers that it knows every version of a registry that was there before."""
    return f"versions of {uri} are complete"


def keys_digest(pipeline: Pipeline, bound: Iterable[BoundStage], keys: dict[str, str]) -> str:
    """One digest over the keys of all stages, the gates, and how it is logged and monitored: equal ones made the same.

    A version is judged by the gates of its own entry, and logged and monitored by its policies, so another of these
    makes another version, though no stage runs again.
    """
    from nbprod.digest import sha256_json

    stages: dict[str, Any] = {item.name: keys[item.name] for item in bound}
    own = {
        name: json.dumps(pipeline.sections[name])
        for name in ("gates", "log", "monitor", "retrain")
        if pipeline.sections.get(name)
    }
    return sha256_json({"stages": stages, **own} if own else stages)
