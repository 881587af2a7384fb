"""Where personal data are declared, what is published shows no row of them: no outputs, and a synthetic example."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod import flavors
from nbprod.digest import sha256_bytes
from nbprod.entities import Artifact, ModelSpec, Run, StageRun
from nbprod.errors import ArtifactError, NbprodError
from nbprod.evidence.source import GitState
from nbprod.evidence.stripping import stripped_bytes, without_notebooks
from nbprod.evidence.synthetic import synthetic_rows
from nbprod.flavors.facts import PREDICTIONS
from nbprod.flavors.replay import Replay
from nbprod.gates.contender import read_table
from nbprod.lifecycle.cards import cards_of, declares_personal
from nbprod.lifecycle.plan import Bound
from nbprod.lifecycle.workspace import Workspace
from nbprod.store import remove, write_text, written_whole

if TYPE_CHECKING:
    import pandas as pd

PICTURES = frozenset({".jpeg", ".jpg", ".pdf", ".png", ".svg"})
"""What is published of the artifacts of a run on personal data: it is seen as a whole, not read row by row."""

HIDDEN = "it is not published what went wrong, because the data are about people: see the run's own folder."

EXAMPLE_KEY = "saved_input_example_info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishable:
    """What of a run may be shown to all who see the registry.

    Attributes:
        model: the model's folder.
        git: without the difference of notebooks where that could show rows; they are stored apart, without outputs.
        personal: whether the data are about people.
    """

    model: Path
    git: GitState
    personal: bool


@contextmanager
def publishable(
    work: Workspace,
    bound: Bound,
    spec: ModelSpec,
    results: Mapping[str, StageRun],
    *,
    model: Path,
    git: GitState,
    replay: Replay | None,
) -> Iterator[Publishable]:
    """A run's model and code as they may be shown; the copy is removed when the block ends.

    Args:
        model: the folder as the run left it.
        replay: the process that asks models for their answers; one is started where there is none.
    """
    if not declares_personal(work, bound):
        yield Publishable(model=model, git=git, personal=False)
        return
    target = work.project.data / "published" / f"{model.parent.parent.name}-model"
    with ExitStack() as stack:
        process = replay or stack.enter_context(Replay.start())
        stack.callback(remove, target)
        remove(target)
        known = _known_rows(
            work, spec, results, [column.get("name") for column in flavors.describe(model).inputs or ()]
        )
        if known is not None:  # an ID is nobody's measurement
            known = known.drop(columns=[card.subject for card in cards_of(work, bound).values()], errors="ignore")
        with_synthetic_example(model, target, known, replay=process, trusted=spec.trusted)
        yield Publishable(model=target, git=replace(git, diff=without_notebooks(git.diff)), personal=True)


def _known_rows(
    work: Workspace, spec: ModelSpec, results: Mapping[str, StageRun], names: list[Any]
) -> pd.DataFrame | None:
    """Rows that the model was fitted on, if any table that its stage read has its columns."""
    stage = results[spec.source.partition(".")[0]]
    wanted = [name for name in names if name]
    for artifact in sorted(stage.inputs.values(), key=lambda artifact: "train" not in artifact.name):
        if artifact.role == "model":
            continue
        with suppress(NbprodError):
            rows = read_table(work.inputs.path(artifact))
            if set(wanted) & set(rows.columns):
                return rows
    return None


def without_outputs(
    files: Mapping[str, Path | bytes], notebooks: list[dict[str, Any]]
) -> tuple[dict[str, Path | bytes], list[dict[str, Any]]]:
    """The files beside an entry with notebooks that have no outputs, and what the entry says of these notebooks."""
    shown: dict[str, Path | bytes] = {
        name: stripped_bytes(content if isinstance(content, bytes) else content.read_bytes())
        if name.endswith(".ipynb")
        else content
        for name, content in files.items()
    }
    listed = []
    for notebook in notebooks:
        executed, source = (shown.get(f"{part}/{notebook['stage']}.ipynb") for part in ("notebooks", "source"))
        found = dict(notebook)
        if isinstance(executed, bytes):
            found["executed_sha256"] = sha256_bytes(executed)
        if isinstance(source, bytes):
            found["source_sha256"] = sha256_bytes(source)
        listed.append(found)
    return shown, listed


def _may_be_shown(artifact: Artifact) -> bool:
    """Whether something that a stage left may be published: tables and pages that it logged may hold rows."""
    return artifact.role != "artifact" or Path(artifact.uri).suffix.lower() in PICTURES


@contextmanager
def published(work: Workspace, run: Run, bound: Bound) -> Iterator[Run]:
    """A run as it may be shown to all who see the registry.

    Its notebooks are copies without outputs; of what it logged only pictures are shown, and of its errors nothing.
    """
    if not declares_personal(work, bound):
        yield run
        return
    folder = work.project.data / "published" / run.id
    stages = []
    try:
        for stage in run.stages:
            source = work.project.root / stage.executed.uri if stage.executed else None
            if source is not None and source.is_file() and stage.executed:
                copy = folder / source.name
                write_text(copy, stripped_bytes(source.read_bytes()).decode())
                stage = replace(stage, executed=replace(stage.executed, uri=work.project.relative(copy)))
            shown = {name: item for name, item in stage.outputs.items() if _may_be_shown(item)}
            error = replace(stage.error, message=HIDDEN, source="", traceback="") if stage.error else None
            stages.append(replace(stage, outputs=shown, error=error))
        yield replace(run, stages=tuple(stages))
    finally:
        remove(folder)


def with_synthetic_example(
    folder: Path, target: Path, known: pd.DataFrame | None, *, replay: Replay, trusted: tuple[str, ...]
) -> Path:
    """A copy of a model's folder whose example is nobody's row; with no example where the model refuses such rows.

    Args:
        known: rows that have the model's columns, such as the training set.
        replay: the process that asks the model for its answer.
    """
    with written_whole(target) as part:
        shutil.copytree(folder, part, copy_function=shutil.copyfile)
        (part / PREDICTIONS).unlink(missing_ok=True)
        if _rewrite(part, known):
            try:
                flavors.keep_predictions(part, replay.check(part, trusted).output)
            except ArtifactError:
                _drop_example(part)
    return target


def _rewrite(folder: Path, known: pd.DataFrame | None) -> bool:
    """Put synthetic rows into the example's files; False if there is no example of rows that has to go."""
    facts = flavors.describe(folder)
    if facts.example is None:
        return False
    columns = facts.inputs or []
    if not isinstance(facts.example, Mapping) or not all(column.get("name") for column in columns):
        _drop_example(folder)  # an array of unnamed columns
        return False
    rows = synthetic_rows(columns, known, count=len(facts.example.get("data", ())) or 1)
    table = {"columns": [column["name"] for column in columns], "data": rows}
    saved = flavors.read_manifest(folder).content[EXAMPLE_KEY]
    (folder / saved["artifact_path"]).write_text(json.dumps(table), encoding="utf-8")
    if serving := saved.get("serving_input_path"):
        (folder / serving).write_text(json.dumps({"dataframe_split": table}, indent=2), encoding="utf-8")
    return True


def _drop_example(folder: Path) -> None:
    """Take the example out of a model's folder."""
    import yaml

    manifest = flavors.read_manifest(folder).content
    saved: dict[str, Any] = manifest.pop(EXAMPLE_KEY, None) or {}
    for key in ("artifact_path", "serving_input_path"):
        if saved.get(key):
            (folder / saved[key]).unlink(missing_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump(manifest, sort_keys=True), encoding="utf-8")
