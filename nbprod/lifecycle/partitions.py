"""Files of new rows, counted in partitions that are put together: here, or each where a Dask worker is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.config import Project
from nbprod.digest import sha256_file
from nbprod.errors import ArtifactError, RunError, UsageError, nearest
from nbprod.lifecycle.cluster import client_of, scheduler_of
from nbprod.lifecycle.feedback import read_table
from nbprod.lifecycle.observed import ASKED_EACH, Model, Observation
from nbprod.lifecycle.profiling import arrow_table
from nbprod.monitoring.arrays import parquet
from nbprod.monitoring.profile import ANSWER, PREDICTION, SCORE, Profile
from nbprod.monitoring.windows import OUTCOME, PREDICTED, TRUTH, Gathered, Plan

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

REQUEST = "request"
LABEL = "truth"
SAID = (PREDICTION, SCORE, LABEL)
"""Columns of a file that are no inputs, unless an input, the target or a group is called so."""

ROWS = 1 << 20
"""A partition has about so many rows."""

Run = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Applies a function to each of some things, as `map` does, and gives the results in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A part of a file.

    Attributes:
        first: the place of its first row.
        groups: row groups of a Parquet file, from (included) to (excluded); None for the whole file.
        inputs: columns of the model, which may have to be asked.
        truth: labels of the file, by request or in the order of its rows.
    """

    path: Path
    plan: Plan
    inputs: tuple[str, ...]
    target: str
    first: int = 0
    groups: tuple[int, int] | None = None
    truth: pa.Table | None = None

    @property
    def by_request(self) -> bool:
        """Whether labels say of which request they are."""
        return self.truth is not None and REQUEST in self.truth.column_names

    def wants(self, name: str) -> bool:
        """Whether a column is read."""
        plan = self.plan
        own = (self.target, *SAID, REQUEST, *self.inputs, *plan.groups)
        return name in plan.reference.columns or name in own or name.startswith((ANSWER, OUTCOME))

    def named(self, table: pa.Table) -> pa.Table:
        """Answers and truths by names that no input has; a column that the model or its policy calls so is none."""
        taken = {
            self.target,
            *self.inputs,
            *self.plan.groups,
            *(n.removeprefix(ANSWER) for n in table.column_names if n.startswith(ANSWER)),
        }
        return table.rename_columns([ANSWER + n if n in SAID and n not in taken else n for n in table.column_names])


@dataclass(slots=True, kw_only=True)
class Counted:
    """What was counted in a partition.

    Attributes:
        fits: of each label that names a request, whether a row of the partition has it.
    """

    gathered: Gathered
    fits: Array | None = None

    def join(self, other: Counted) -> None:
        """What was counted in the partition that comes next."""
        self.gathered.join(other.gathered)
        if self.fits is not None and other.fits is not None:
            self.fits = self.fits | other.fits


def count(part: Partition) -> Counted:
    """Count a partition; what a worker does.

    Raises:
        ArtifactError: it cannot be read, or has more rows than there are labels.
    """
    made = Counted(gathered=Gathered(key="", label=part.path.name, start=0, end=0, profile=Profile(), place=part.first))
    place = part.first
    for table in map(part.named, _tables(part)):
        if part.target in table.column_names and TRUTH not in table.column_names:
            table = table.append_column(TRUTH, table[part.target])
        if part.truth is not None:
            table = _with_truth(table, place, part, made)
        lacking = PREDICTED not in table.column_names
        if lacking:
            made.gathered.every.limit = made.gathered.known.limit = ASKED_EACH
        place += table.num_rows
        made.gathered.add(table, part.plan, inputs=part.inputs if lacking else ())
    return made


def _tables(part: Partition) -> Iterator[pa.Table]:
    """A partition bit by bit; Parquet is not read whole, and not the columns that nobody asks for."""
    if not _is_parquet(part.path):
        yield arrow_table(part.path)
        return
    try:
        groups = None if part.groups is None else range(*part.groups)
        yield from parquet(part.path, part.wants, texts=part.plan.reference.texts, groups=groups)
    except (OSError, ValueError) as error:
        kind = type(error).__name__
        raise ArtifactError(
            f"cannot be read as a table ({kind}): is it what its name says?", file=str(part.path)
        ) from error


def _is_parquet(path: Path) -> bool:
    return path.name.endswith((".parquet", ".pq"))


def _with_truth(rows: pa.Table, place: int, part: Partition, made: Counted) -> pa.Table:
    """Rows with their labels: by request where both have it, else by their order."""
    import pyarrow.compute as pc

    truth = part.truth
    assert truth is not None
    if part.by_request and REQUEST in rows.column_names:
        asked, known = (side[REQUEST].cast("string").combine_chunks() for side in (rows, truth))
        fits = pc.is_in(known, asked).to_numpy(zero_copy_only=False)
        made.fits = fits if made.fits is None else made.fits | fits
        return _set(rows, truth[TRUTH].take(pc.index_in(asked, known)))
    if truth.num_rows < place + rows.num_rows:
        raise ArtifactError(
            f"has more rows than there are labels ({truth.num_rows:,}): name rows by a column `request`.",
            file=str(part.path),
        )
    return _set(rows, truth[TRUTH].slice(place, rows.num_rows))


def _set(rows: pa.Table, truth: Any) -> pa.Table:
    rows = rows.drop_columns([TRUTH]) if TRUTH in rows.column_names else rows
    return rows.append_column(TRUTH, truth)


def from_files(plan: Plan, model: Model, seen: Observation, *, now: float, run: Run = map) -> list[Gathered]:
    """One window for each file, in the order in which they were named.

    Args:
        run: counts partitions; `map` does it here, one after the other.
    """
    truths = [_labels(path, seen.target) for path in seen.labels]
    if truths and len(truths) != len(seen.files):
        raise UsageError(
            f"--input names {len(seen.files)} and --labels {len(truths)} files: name one of labels for each of rows."
        )
    for path in seen.files:
        if not path.is_file():
            raise ArtifactError("is not there.", file=str(path))
    files = [
        Partition(
            path=path.resolve(), plan=plan, inputs=tuple(model.columns), target=seen.target,
            truth=truths[number] if truths else None,
        )
        for number, path in enumerate(seen.files)
    ]  # fmt: skip
    parts = [(number, part) for number, file in enumerate(files) for part in ([file] if run is map else _cut(file))]
    found: dict[int, Counted] = {}
    with ThreadPoolExecutor(1) as beside:  # hashing a large file takes as long as counting it
        hashed = beside.submit(lambda: list(run(sha256_file, [file.path for file in files])))
        for (number, _), counted in zip(parts, run(count, [part for _, part in parts]), strict=True):
            if number in found:
                found[number].join(counted)
            else:
                found[number] = counted
        digests = hashed.result()
    windows = []
    for number, (file, digest) in enumerate(zip(files, digests, strict=True)):
        _tell_labels(file, found[number], model)
        window = found[number].gathered
        window.key, window.start, window.end = digest, now, now
        windows.append(window)
    needs = [name for name in (PREDICTION, SCORE) if name in plan.reference.answers]
    asked = [window for window in windows if not any(PREDICTED in part.column_names for part in window.every.parts)]
    model.finish(asked, plan, needs=needs)
    return windows


def _cut(part: Partition) -> list[Partition]:
    """A Parquet file's row groups, about `ROWS` rows together; another file is not cut."""
    import pyarrow.parquet as pq

    if not _is_parquet(part.path):
        return [part]
    try:
        meta = pq.read_metadata(part.path)
    except (OSError, ValueError):
        return [part]  # reading it says what is wrong
    found, first, begun, rows = list[Partition](), 0, 0, 0
    for group in range(meta.num_row_groups):
        rows += meta.row_group(group).num_rows
        if rows >= ROWS or group == meta.num_row_groups - 1:
            found.append(replace(part, first=first, groups=(begun, group + 1)))
            first, begun, rows = first + rows, group + 1, 0
    return found or [part]


def _tell_labels(part: Partition, counted: Counted, model: Model) -> None:
    """Say which labels fit nothing."""
    import pyarrow.compute as pc

    if part.truth is None:
        return
    if counted.fits is None:
        unknown = part.truth.num_rows - counted.gathered.profile.rows
    else:
        unknown = int((~counted.fits).sum())
        if repeated := part.truth.num_rows - len(pc.unique(part.truth[REQUEST])):
            model.tell(f"{repeated:,} labels name a request that others name too; the first of each is used.")
    if unknown > 0:
        model.tell(f"{unknown:,} labels belong to no row of {part.path.name}.")


def _labels(path: Path, target: str) -> pa.Table:
    """A file of labels: ``truth``, and ``request`` where rows are not in the same order."""
    table = read_table(path)
    column = LABEL if LABEL in table.column_names else target
    if column not in table.column_names:
        raise UsageError(f"has no column '{LABEL}' or '{target}'.{nearest(LABEL, table.column_names)}", file=str(path))
    names = [name for name in (REQUEST,) if name in table.column_names]
    return table.select([*names, column]).rename_columns([*names, TRUTH])


def files_of(names: Collection[str]) -> tuple[Path, ...]:
    """Paths, of which a folder stands for the tables in it, by name.

    Raises:
        UsageError: a folder holds none.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            found.append(path)
            continue
        own = sorted(p for p in path.iterdir() if p.name.endswith((".parquet", ".pq", ".csv", ".jsonl")))
        if not own:
            raise UsageError("holds no table: no file in it ends in .parquet, .csv or .jsonl.", file=name)
        found += own
    return tuple(found)


@contextmanager
def on_dask(project: Project) -> Iterator[Run]:
    """What applies functions on the workers of the scheduler that the project sets.

    Workers need nbprod, and the files at the same paths.

    Raises:
        UsageError: none is set, or Dask is not installed.
        RunError: it does not answer, or lost a partition.
    """
    with client_of(scheduler_of(project)) as client:

        def run(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            for future in client.map(function, list(items), pure=False):
                yield _result(future)

        yield run


def _result(future: Any) -> Any:
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except ArtifactError as error:
        if not Path(error.file or "").is_file():
            raise
        raise ArtifactError(f"on a worker of Dask: {error.message}", file=error.file) from error
    except KilledWorker as error:
        raise RunError("the workers of Dask died of a partition: give them more memory.") from error
    except ModuleNotFoundError as error:
        raise RunError(f"the workers of Dask lack {error.name}: install nbprod there, too.") from error
