"""What monitoring looks at: the rows of a model's log with what is known of them, or files of new rows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.digest import sha256_file
from nbprod.entities import ModelVersion
from nbprod.errors import ArtifactError, UsageError
from nbprod.evidence.entry import input_names
from nbprod.flavors.replay import Replay
from nbprod.lifecycle.feedback import columns_of, facts_of, read_table
from nbprod.lifecycle.profiling import ask
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.sources import copied
from nbprod.lifecycle.workspace import Workspace
from nbprod.monitoring.drawn import LIMIT
from nbprod.monitoring.profile import ANSWER, SCORE
from nbprod.monitoring.windows import Gathered, Plan, by_time
from nbprod.predictions.feedback import TRUTH as TRUTH_NAME
from nbprod.predictions.feedback import Judged, joined, judge, read_feedback
from nbprod.predictions.feedback import table_of as feedback_table
from nbprod.predictions.places import Url, Urls
from nbprod.predictions.reading import read
from nbprod.predictions.rows import OWN, PREFIX, united
from nbprod.store import written_whole

if TYPE_CHECKING:
    import pyarrow as pa

ASKED = 1_000_000
"""A model is asked for answers that nobody wrote down about no more rows than this."""

ASKED_EACH = 50_000
"""Likewise of each window, in which they are drawn at random."""


@dataclass(slots=True, kw_only=True)
class Model:
    """A version's model, which is brought and started only if it must be asked.

    Attributes:
        stack: closed by whoever made it.
        problems: sentences, of which each is told once.
    """

    work: Workspace
    version: ModelVersion
    stack: ExitStack
    problems: list[str]
    asked: int = 0
    process: Replay | None = None
    started: tuple[Replay, Path] | None = None

    @property
    def columns(self) -> list[str]:
        """The names of its inputs."""
        return input_names(self.version.entry)

    def tell(self, sentence: str) -> None:
        """Note a problem, once."""
        if sentence not in self.problems:
            self.problems.append(sentence)

    def complete(self, rows: pa.Table, *, needs: Sequence[str]) -> pa.Table:
        """Rows with the answers that they lack, if the model can give them."""
        lacking = [name for name in needs if ANSWER + name not in rows.column_names]
        if not lacking or not rows.num_rows:
            return rows
        missing = [name for name in self.columns if name not in rows.column_names]
        if missing or not self.columns:
            self.tell(f"the model cannot be asked for the {lacking[0]}: the rows lack {', '.join(missing) or 'names'}.")
            return rows
        if self.asked + rows.num_rows > ASKED:
            self.tell(f"the model was asked about {self.asked:,} rows only, those of the last windows.")
            return rows
        self.asked += rows.num_rows
        try:
            asked = typed(rows, self.version.entry["model"]["signature"]["inputs"])
            answered, _ = ask(*self._ready(), asked, self.columns, trusted=self.version.entry["model"]["trusted"])
        except ArtifactError as error:
            self.tell(error.message)
            return rows
        for name in lacking:
            if name in answered.column_names:
                rows = rows.append_column(ANSWER + name, answered[name])
        return rows

    def finish(self, windows: Sequence[Gathered], plan: Plan, *, needs: Sequence[str]) -> None:
        """Ask for what windows lack, the last window first, since there is an end to asking."""
        for window in reversed(windows):
            window.answer(lambda rows: self.complete(rows, needs=needs), plan)
        drawn = [window for window in windows if not window.every.whole]
        if not (needs and drawn and self.asked):
            return
        last = drawn[-1].every
        rows = f"{last.kept:,} of the {last.seen:,} rows of {drawn[-1].label}"
        if len(drawn) > 1:
            rows = f"{last.kept:,} rows of each of {len(drawn)} windows"
        self.tell(f"the model was asked about {rows}, drawn at random.")

    def warm(self) -> Replay:
        """Start the process that will be asked, which takes some seconds in which other things can be done."""
        if self.process is None:
            self.process = self.stack.enter_context(Replay.start())
        return self.process

    def _ready(self) -> tuple[Replay, Path]:
        if self.started is None:
            process = self.warm()
            scratch = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="nbprod-")))
            self.started = process, copied(self.version, self.work, scratch)
        return self.started


def typed(rows: pa.Table, inputs: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows in the types of a signature, which JSON does not know: what does not fit is left for the model to refuse."""
    import pyarrow as pa

    known = {"double": pa.float64(), "float": pa.float32(), "long": pa.int64(), "integer": pa.int32(),
             "boolean": pa.bool_(), "string": pa.string()}  # fmt: skip
    for item in inputs:
        name, kind = item.get("name"), known.get(str(item.get("type")))
        if name in rows.column_names and kind is not None and rows[name].type != kind:
            with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
                rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(kind))
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Where rows come from.

    Attributes:
        since: Unix seconds; of a log only.
        log: folders or fsspec URLs of the log; of files none.
        labels: files that say what was true.
        target: the column that the model predicts.
    """

    since: float = float("-inf")
    log: tuple[Url, ...] = ()
    files: tuple[Path, ...] = ()
    labels: tuple[Path, ...] = ()
    target: str = ""


def from_log(plan: Plan, model: Model, seen: Observation) -> list[Gathered]:
    """The windows of a model's log: of the version's own answers, those of canaries and of batches.

    Of a version that gave none, as a challenger, what it said in the shadow of another one.
    """
    needs = (SCORE,) if plan.reference.performance and plan.reference.performance.calibration else ()
    if needs and set(model.columns) <= set(plan.columns):  # the log will hold all inputs, and never scores
        model.warm()
    feedback = read_feedback(seen.log, tell=model.tell)
    if seen.labels:
        facts = [fact for path in seen.labels for fact in _facts(path, seen.target)]
        feedback = united([feedback, feedback_table(facts)])
    known = judge(feedback)
    if known.conflicts:
        model.tell(f"of {known.conflicts:,} predictions different things were said; what was learned last is used.")
    if known.duplicates and seen.labels:
        model.tell(f"{known.duplicates:,} labels say again what was said before; they count once.")
    wanted: dict[str, Any] = {"judged": known, "since": seen.since, "versions": [model.version.version]}
    watch = _Watch(model=model, judged=known)
    inputs, limit = (model.columns, ASKED_EACH) if needs else ((), LIMIT)
    rows = joined(seen.log, **wanted, tell=model.tell)
    windows = by_time(map(watch.passed, rows), plan, inputs=inputs, limit=limit)
    if not windows:
        rows = joined(seen.log, **wanted, roles=("shadow",))
        windows = by_time(map(watch.passed, rows), plan, inputs=inputs, limit=limit)
        if windows:
            model.tell("it answered in the shadow of another version only: nobody got these answers.")
    watch.finish(labels=bool(seen.labels))
    model.finish(windows, plan, needs=needs)
    return windows


def _facts(path: Path, target: str) -> Iterator[Any]:
    table = read_table(path)
    truth = target if target in table.column_names else None
    return facts_of(table, columns_of(table.column_names, str(path), truth, ()), str(path))


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Sees the rows of a log go by, and tells of clocks that are wrong and of labels that belong to nothing."""

    model: Model
    judged: Judged
    future: int = 0
    back: int = 0
    told: int = 0

    def passed(self, batch: pa.RecordBatch) -> pa.Table:
        """Rows with the inputs by their own names and all else by others, without those of the future."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table = pa.Table.from_batches([batch])
        now = pa.scalar(round((time.time() + 3600) * 1e6), pa.timestamp("us", "UTC"))
        late = pc.greater(table["time"], now)
        if count := pc.sum(late).as_py():
            self.future += count
            table = table.filter(pc.invert(late))
        if "truth_time" in table.column_names:
            self.told += table.num_rows - table["truth"].null_count
            self.back += pc.sum(pc.less(table["truth_time"], table["time"])).as_py() or 0
        own = {*OWN, "truth", "truth_time"}
        names = (f"{ANSWER}{name}" if name in own else name.removeprefix(PREFIX) for name in table.column_names)
        return table.rename_columns(list(names))

    def finish(self, *, labels: bool) -> None:
        """Say what was seen.

        Args:
            labels: whether files of labels were named; what was recorded may be of predictions before the time that is
                looked at, and `nbprod feedback` told then if it was of none.
        """
        import pyarrow.compute as pc

        truths = pc.sum(pc.equal(self.judged.table["name"], TRUTH_NAME)).as_py() or 0
        if labels and truths > self.told:
            self.model.tell(f"{truths - self.told:,} labels belong to no prediction that was looked at.")
        if self.future:
            self.model.tell(
                f"{self.future:,} rows say that they are of the future and were left out: a clock is wrong."
            )
        if self.back:
            self.model.tell(f"{self.back:,} labels were learned before their prediction was made: a clock went back.")


def profile_bytes(work: Workspace, version: ModelVersion) -> bytes:
    """The profile that a version was registered with; what was brought once is kept beside the reports.

    Raises:
        UsageError: it has none.
        ArtifactError: it is not the one that was registered.
    """
    said = version.entry.get("profile")
    if not said:
        raise UsageError(
            f"{version.ref} has no profile to compare with: it was registered before nbprod made any, or none of "
            "`model.data` is a table; run its pipeline again with --force."
        )
    kept = reports_folder(work, version.name) / f"profile-{said['sha256']}.json"
    if kept.is_file() and sha256_file(kept) == said["sha256"]:
        return kept.read_bytes()
    with open_registry(work.project) as registry, tempfile.TemporaryDirectory() as scratch:
        file = Path(registry.download(version.name, version.version, scratch, said["path"]))
        if sha256_file(file) != said["sha256"]:
            raise ArtifactError(f"the profile of {version.ref} is not the one that was registered: its digest differs.")
        data = file.read_bytes()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(kept) as part:
        part.write_bytes(data)
    return data


def was_used(log: Urls, version: ModelVersion) -> bool:
    """Whether the log of a model holds anything that a version answered, at any time."""
    return next(read(log, versions=[version.version], columns=["request"]), None) is not None


def answered(log: Urls, since: float, length: float) -> set[float]:
    """When the windows began in which any version of a model answered, in Unix seconds."""
    import numpy as np

    found: set[float] = set()
    for batch in read(log, since=since, roles=("answer", "canary"), columns=["time"]):
        moments = batch["time"].cast("int64").to_numpy() / 1e6
        found |= {float(number * length) for number in np.unique(np.floor(moments / length)).tolist()}
    return found


def reports_folder(work: Workspace, name: str) -> Path:
    """Where the reports about a model are kept."""
    return work.project.data / "monitor" / name
