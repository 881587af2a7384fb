"""A project with data about people, runs and versions, all made without kernels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nbprod.entities import Artifact, ModelVersion, Run, StageRun
from nbprod.lifecycle.subject.find import Trace, canonical, question, trace
from nbprod.lifecycle.subject.standing import Standings
from nbprod.lifecycle.subject.survey import survey
from nbprod.lifecycle.workspace import Workspace, complete
from tests.fakes import Lab

RAW = "data/customers.csv"


@dataclass
class People:
    """A project in which runs and versions are made up.

    Attributes:
        versions: what the registry is said to have.
    """

    lab: Lab
    versions: list[ModelVersion] = field(default_factory=list)

    @property
    def work(self) -> Workspace:
        """The project, opened."""
        return Workspace(project=self.lab.project, index=self.lab.index, store=self.lab.store)

    def data(self, name: str = RAW, ids: str = "A B C", *, subject: str | None = "customer") -> Artifact:
        """Write a table of customers and its card; with no subject there is no card."""
        rows = "".join(f"{id},{number}\n" for number, id in enumerate(ids.split()))
        path = self.lab.file(name, f"customer,x\n{rows}")
        if subject is not None:
            self.lab.file(f"{name}.card.yaml", f"license: MIT\nsubject: {subject}\n")
        self.lab.store.keep(path)
        return self.lab.store.artifact(path, name="raw", uri=name, role="input")

    def output(self, run: str, stage: str, name: str, frame: pd.DataFrame | None = None) -> Artifact:
        """Write an output of a stage; without a table it is a model."""
        path = self.lab.root / "runs" / run / stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if frame is None:
            path.mkdir()
            (path / "MLmodel").write_text(f"{run} {stage}")
        else:
            frame.to_parquet(path)
        self.lab.store.keep(path)
        uri = self.lab.project.relative(path)
        return self.lab.store.artifact(path, name=name, uri=uri, role="output" if frame is not None else "model")

    def stage(self, run: str, stage: str, reads: list[Artifact], writes: list[Artifact], **facts: Any) -> StageRun:
        """Say that a stage ran."""
        notebook = self.lab.file(f"runs/{run}/{stage}.ipynb", f'{{"cells": [], "of": "{run} {stage}"}}')
        self.lab.store.keep(notebook)
        executed = self.lab.store.artifact(notebook, name=notebook.name, uri=f"runs/{run}/{stage}.ipynb", role="output")
        made = StageRun(
            stage=stage, run=run, pipeline="churn", status="succeeded", notebook=f"notebooks/{stage}.ipynb",
            inputs={f"in{number}": item for number, item in enumerate(reads)}, outputs={i.name: i for i in writes},
            key=f"{run}-{stage}", executed=executed, **facts,
        )  # fmt: skip
        known = self.lab.index.run(run) or Run(id=run, pipeline="churn", status="succeeded", started=run)
        self.lab.index.save_run(
            Run.from_dict({**known.to_dict(), "stages": [s.to_dict() for s in (*known.stages, made)]})
        )
        return made

    def version(self, number: str, inputs: list[tuple[Artifact, str, Any]], **more: Any) -> ModelVersion:
        """Say that a version is in the registry; an input is an artifact, its role, and its card."""
        common = {"rows": None, "kept": True, "columns": None}
        listed = [
            {
                **{"name": item.name, "uri": item.uri, "sha256": item.sha256, "kind": item.kind, "bytes": item.size},
                **{"stage": "prepare" if card == "derived" else None, "role": role, "card": card, **common},
            }
            for item, role, card in inputs
        ]
        stage: dict[str, Any] = {"name": "train", "run": f"r{number}", "notebook": "n.ipynb", "started": "unknown",
                                 "parameters": {}, "inputs": {}, "outputs": {}}  # fmt: skip
        entry = {
            "inputs": listed, "parent": more.pop("parent", None), "metrics": [], "run": {"stages": [stage]},
            "pipeline": {"name": "churn", "path": "pipelines/churn.yaml", "sections": {}},
            "model": {"stage": "train", "sha256": number * 64, "bytes": 1, "signature": {"inputs": None}},
        }  # fmt: skip
        digest = number * 64
        made = ModelVersion(
            name="churn", version=number, digest=digest, entry=entry, created=f"2026-0{number}-01", **more
        )
        self.versions.append(made)
        uri = self.lab.project.registry_uri()
        self.lab.index.save_version(uri, made)
        self.lab.index.remember(complete(uri), "yes")
        return made

    def standings(self, *ids: str) -> Standings:
        """How everything stands to some subjects."""
        return survey(self.work, question(canonical(ids)))

    def trace(self, *ids: str) -> Trace:
        """All that is known of some subjects."""
        return trace(self.work, self.standings(*ids), canonical(ids))

    def path(self, name: str) -> Path:
        """A file of the project."""
        return self.lab.root / name


CARD = {"license": "MIT", "subject": "customer"}
