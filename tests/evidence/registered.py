"""A registered folder as a run leaves it, signed, that tests of several rooms share; no model that could be loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from nbprod.digest import sha256_bytes
from nbprod.entities import Artifact, ModelVersion
from nbprod.evidence.entry import build, digest, notebooks_entry
from nbprod.evidence.environment import freeze_text
from nbprod.evidence.folder import assemble, model_files
from nbprod.trust.folder import sign_folder
from nbprod.trust.keys import Keys
from tests.evidence.made import YAML, evidence, stage

NOTEBOOK = b'{"cells": []}'


def registered(base: Path, keys: Keys | None = None, **changes: Any) -> tuple[Path, ModelVersion]:
    """Make the folder; signed unless there is no key.

    Args:
        changes: of the evidence, such as its ``parent``.
    """
    model = base / "model"
    model.mkdir(parents=True)
    (model / "MLmodel").write_text("flavors: {}")
    (model / "code").mkdir()
    (model / "code" / "a b ü.py").write_text("x = 1")
    ran = replace(
        stage(), executed=Artifact(name="train.ipynb", uri="runs/r1/train.ipynb", sha256=sha256_bytes(NOTEBOOK), size=1)
    )
    before = evidence()
    source = {**before.source, "notebooks": notebooks_entry((ran,), {"train": "0" * 64})}
    made = build(evidence(files=model_files(model), stages=(ran,), source=source, **changes))
    files: dict[str, Path | bytes] = {
        "freeze.txt": freeze_text({"numpy": "2.4.6"}).encode(),
        "notebooks/train.ipynb": NOTEBOOK,
        "diff.patch": b"+x\n",
        "pipeline.yaml": YAML.encode(),
    }
    folder = assemble(model, base / "registered", entry=made, files=files)
    if keys is not None:
        sign_folder(folder, keys.own())
    version = ModelVersion(
        name="churn", version="3", digest=digest(made), entry=made, created="2026-01-01T12:00:00.000+00:00",
        run="r1", tags={"nbprod.commit": "f" * 40, "team": "retention"}, aliases=("champion",),
    )  # fmt: skip
    return folder, version
