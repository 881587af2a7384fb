"""Contenders that the tests of this room share: a small valid entry, tables on disk, a model that is handed over."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from nbprod.digest import listing_digest, sha256_bytes, sha256_path
from nbprod.entities import Artifact, DatasetCard, Metric, ModelVersion, Statement
from nbprod.errors import ArtifactError
from nbprod.evidence.data import shape_of
from nbprod.evidence.entry import Evidence, InputEvidence, build, digest, metric_entry, plain, validate
from nbprod.evidence.source import GitState
from nbprod.gates.contender import Contender, Rules
from tests.evidence.made import MODEL, evidence

TARGET = "left"
CARD = DatasetCard(license="MIT", terms="Cite it.", origin="A survey.")
FILES = {"MLmodel": b"flavors: {}\n", "model.skops": b"not really a model"}

TRAIN = pd.DataFrame({"age": [20, 30, 40, 50], "sex": ["f", "m", "f", "m"], TARGET: [0, 1, 0, 1]})
TEST = pd.DataFrame({"age": [25, 35, 45, 55], "sex": ["f", "m", "f", "m"], TARGET: [0, 1, 1, 1]})


class FakeSource:
    """Bytes in a temporary folder, which goes when the source does; `data` compares digests as the real one does."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="nbprod-made-"))
        weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)

    def folder(self, version: ModelVersion) -> Path:
        """The registered folder."""
        return self.root / "model"

    def data(self, item: Mapping[str, Any]) -> Path:
        """The file of a dataset, if it still has the digest that the entry gives."""
        path = self.root / str(item["uri"])
        if not path.exists() or sha256_path(path) != item["sha256"]:
            raise ArtifactError(f"the dataset '{item['name']}' is neither in the store nor unchanged at {item['uri']}.")
        return path

    def found(self, item: Mapping[str, Any]) -> str:
        """The digest of what is where a dataset was read, now."""
        path = self.root / str(item["uri"])
        if not path.exists():
            raise ArtifactError(f"nothing is at {item['uri']} any more.")
        return sha256_path(path)

    def write_model(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Write the model's files; their digests."""
        for name, content in files.items():
            path = self.root / "model" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return {name: sha256_bytes(content) for name, content in files.items()}

    def write_rows(self, role: str, rows: pd.DataFrame, *, stage: str, card: DatasetCard | None) -> InputEvidence:
        """Write a table as Parquet; what an entry knows of it."""
        path = self.root / f"{role}.parquet"
        rows.to_parquet(path, index=False)
        artifact = Artifact(name=role, uri=path.name, sha256=sha256_path(path), size=path.stat().st_size, role="input")
        return InputEvidence(artifact=artifact, role=role, stage=stage, kept=True, card=card, shape=shape_of(path))


class MadeContender(Contender):
    """A contender whose model was handed over, so that nothing is loaded, and whose source a test can reach."""

    def __init__(self, version: ModelVersion, *, source: FakeSource, handed: Any, **known: Any) -> None:
        super().__init__(version, source=source, **known)
        self.source = source
        self._model = handed

    def change(self, role: str, content: bytes = b"changed") -> None:
        """Overwrite a dataset behind the entry's back."""
        (self.source.root / f"{role}.parquet").write_bytes(content)

    def lose(self, role: str) -> None:
        """Take a dataset away."""
        (self.source.root / f"{role}.parquet").unlink()


def contender(
    entry_overrides: Mapping[str, Any] | None = None,
    *,
    rows: Mapping[str, pd.DataFrame] | None = None,
    model: Any = None,
    statements: Sequence[Statement] = (),
    rules: Rules | None = None,
    version: str = "1",
    card: DatasetCard | None = CARD,
    stage: str = "",
    files: Mapping[str, bytes] = FILES,
) -> MadeContender:
    """A version with a valid entry: target ``left``, groups ``sex``, a clean commit, cards with the licence MIT.

    Args:
        entry_overrides: merged into the entry: mappings key by key, anything else replaces what is there.
        rows: role -> table; the signature takes the columns of the last one that are not the target.
        model: what `Contender.model` returns; it needs the methods that the gate calls.
        statements: those without a subject get the entry's digest.
        card: of every table; None for unknown.
        stage: which stage made the tables; empty: they come from outside.
        files: of the registered folder, by relative path.
    """
    source = FakeSource()
    rows = {"train": TRAIN, "test": TEST} if rows is None else rows
    target = (entry_overrides or {}).get("model", {}).get("target", TARGET)
    made = replace(
        _evidence(source.write_model(files), size=sum(map(len, files.values()))),
        inputs=tuple(source.write_rows(role, table, stage=stage, card=card) for role, table in rows.items()),
        model={**MODEL, **_signature(list(rows.values()), target)},
    )
    entry = validate(_merged(build(made), entry_overrides or {}))
    known = ModelVersion(name=entry["name"], version=version, digest=digest(entry), entry=entry)
    return MadeContender(
        known,
        source=source,
        handed=model,
        rules=rules,
        statements=[replace(said, subject=said.subject or known.digest) for said in statements],
    )


def metric(name: str, value: float, *, dataset: str = "test", interval: tuple[float, float] | None = None) -> Any:
    """A metric as an entry holds it, for ``entry_overrides={"metrics": [...]}``; non-finite values as text."""
    return plain(metric_entry(Metric(name=name, value=value, dataset=dataset, interval=interval, stage="train")))


def _evidence(listing: dict[str, str], *, size: int) -> Evidence:
    return evidence(
        files=listing,
        artifact=Artifact(
            name="model",
            uri="runs/r1/train/model",
            sha256=listing_digest(listing),
            size=size,
            kind="folder",
            role="model",
        ),
        source={
            "git": GitState(commit="f" * 40, branch="main", dirty=False).entry(),
            "measured": "before_run",
            "notebooks": [],
        },
    )


def _signature(tables: Sequence[pd.DataFrame], target: str) -> dict[str, Any]:
    features = tables[-1].drop(columns=[target], errors="ignore") if tables else pd.DataFrame({"age": [1]})
    kinds = {"i": "long", "u": "long", "f": "double", "b": "boolean"}
    inputs = [
        {"type": kinds.get(getattr(dtype, "kind", "O"), "string"), "name": name, "required": True}
        for name, dtype in features.dtypes.items()
    ]
    head = json.loads(features.head(5).to_json(orient="split"))
    return {"inputs": inputs, "example": {"columns": head["columns"], "data": head["data"]}}


def _merged(entry: Any, changes: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(changes, Mapping):
        return changes
    return {**entry, **{key: _merged(entry.get(key), value) for key, value in changes.items()}}
