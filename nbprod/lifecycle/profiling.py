"""The reference profile of a version that is about to be registered: its data and its answers, in counts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod import flavors
from nbprod.digest import sha256_bytes
from nbprod.entities import JSON, DatasetCard, ModelSpec
from nbprod.errors import ArtifactError, NbprodError
from nbprod.evidence.entry import InputEvidence
from nbprod.flavors.replay import Replay
from nbprod.gates.contender import read_table
from nbprod.lifecycle.workspace import Workspace
from nbprod.monitoring.performance import FAIR, Answers, labels, performance_of
from nbprod.monitoring.policy import MonitorPolicy
from nbprod.monitoring.profile import Profile, reference_of, write_profile

if TYPE_CHECKING:
    import pyarrow as pa

REFERENCES = ("train", "validation", "test", "holdout")
"""Roles of the rows that others are compared with, the best one first."""

TESTS = ("test", "holdout", "validation")
"""Roles of the rows that a model is tested on."""

ASKED = 100_000
"""A model is asked about no more rows than this."""


def profile_entry(data: bytes) -> dict[str, JSON]:
    """What an entry says of a profile."""
    return {"path": "nbprod/profile.json", "schema": json.loads(data)["schema"], "sha256": sha256_bytes(data)}


def reference_profile(
    work: Workspace,
    spec: ModelSpec,
    inputs: Iterable[InputEvidence],
    policy: MonitorPolicy,
    *,
    model: Path,
    replay: Replay | None,
) -> bytes | None:
    """The profile of a version's data, its answers to the test rows and how good they are.

    Columns are what the model takes, its target and its groups; never one that tells who a row is about. None where no
    dataset is a table: no profile stands in the way of a registration.

    Args:
        model: its folder, as it will be registered.
        replay: the process that asks models; one is started where there is none.
    """
    inputs = list(inputs)
    names = [str(column.get("name")) for column in flavors.describe(model).inputs or () if column.get("name")]
    subjects = {item.card.subject for item in inputs if isinstance(item.card, DatasetCard) and item.card.subject}
    found = _table(work, inputs, REFERENCES)
    if found is None:
        return None
    role, table = found
    wanted = [name for name in dict.fromkeys([*(names or table.column_names), *spec.groups]) if name != spec.target]
    wanted = [name for name in wanted if name not in subjects]
    profile = reference_of([table], [*wanted, *([spec.target] if spec.target else [])], dataset=role)
    tested = _table(work, inputs, TESTS)
    if tested is not None and names:
        with suppress(ArtifactError), ExitStack() as stack:
            process = replay or stack.enter_context(Replay.start())
            role, rows = tested
            answered, classes = ask(process, model, _some(rows), names, trusted=spec.trusted)
            profile = with_answers(profile, spec, policy, answered, _some(rows), role=role, classes=classes)
    return write_profile(profile)


def _table(work: Workspace, inputs: Sequence[InputEvidence], roles: Sequence[str]) -> tuple[str, pa.Table] | None:
    """The first dataset with one of the roles that can be read as a table."""
    for role in roles:
        for item in inputs:
            if item.role == role:
                with suppress(NbprodError, OSError):
                    return role, arrow_table(work.inputs.path(item.artifact))
    return None


def arrow_table(path: Path) -> pa.Table:
    """A file, or a folder of Parquet, as an Arrow table.

    Raises:
        ArtifactError: it is none, or of a format that is not read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.is_dir() or path.name.endswith((".parquet", ".pq")):
            return pq.read_table(path)
        return pa.Table.from_pandas(read_table(path), preserve_index=False)
    except (OSError, ValueError, TypeError) as error:
        kind = type(error).__name__
        raise ArtifactError(f"cannot be read as a table ({kind}): is it what its name says?", file=str(path)) from error


def _some(rows: pa.Table) -> pa.Table:
    step = max(1, -(-rows.num_rows // ASKED))
    return rows.take(list(range(0, rows.num_rows, step))) if step > 1 else rows


def with_answers(
    profile: Profile,
    spec: ModelSpec,
    policy: MonitorPolicy,
    answered: pa.Table,
    rows: pa.Table,
    *,
    role: str,
    classes: Sequence[Any],
) -> Profile:
    """A profile with what the model answered to the test rows, and how good that is where the truth is known."""
    own = reference_of([answered], answered.column_names, dataset=role)
    profile = replace(profile, answers=own.columns)
    if not spec.target or spec.target not in rows.column_names:
        return profile
    task, columns = task_of(classes, answered), policy.fairness.columns or spec.groups
    answers = answers_of(answered, rows, task=task, classes=classes, target=spec.target, groups=columns)
    metrics = filter(None, [spec.main_metric, *policy.performance.metrics, *policy.performance.floor])
    found = performance_of(
        answers, dataset=role, metrics=metrics, fair=policy.fairness.metrics or FAIR[task], columns=columns
    )
    return replace(profile, performance=found)


def task_of(classes: Sequence[Any], answered: pa.Table) -> str:
    """What kind of model it is, judged by its classes or by the type of its answers."""
    import pyarrow as pa

    if classes:
        return "binary" if len(classes) == 2 else "classes"
    return "values" if pa.types.is_floating(answered["prediction"].type) else "classes"


def answers_of(
    answered: pa.Table, rows: pa.Table, *, task: str, classes: Sequence[Any], target: str, groups: Iterable[str]
) -> Answers:
    """A model's answers beside the truth and the groups of the same rows."""
    names = set(rows.column_names)
    return Answers(
        task=task,
        positive=labels([classes[-1]], "classes")[0] if task == "binary" else "",
        prediction=labels(answered["prediction"].to_pylist(), task),
        truth=labels(rows[target].to_pylist(), task),
        score=answered["score"].to_numpy() if "score" in answered.column_names else None,
        groups={name: labels(rows[name].to_pylist(), "classes") for name in groups if name in names},
    )


def ask(
    replay: Replay, model: Path, rows: pa.Table, names: Sequence[str], *, trusted: Iterable[str]
) -> tuple[pa.Table, list[JSON]]:
    """A model's answers to some rows, and its classes.

    Raises:
        ArtifactError: rows lack columns, or the model does not answer them.
    """
    import pyarrow.parquet as pq

    missing = [name for name in names if name not in rows.column_names]
    if missing:
        raise ArtifactError(f"the rows lack columns that the model takes: {', '.join(missing)}.")
    with tempfile.TemporaryDirectory(prefix="nbprod-") as scratch:
        asked, answers = Path(scratch, "asked.parquet"), Path(scratch, "answers.parquet")
        pq.write_table(rows.select(list(names)), asked)
        classes = replay.ask(model, asked, answers, trusted)
        return pq.read_table(answers), classes
