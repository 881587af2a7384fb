"""``nbprod feedback``: late ground truth in bulk, held against the predictions that it speaks of."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.config import Project, is_project, load_project
from nbprod.entities import Fact
from nbprod.errors import ArtifactError, UsageError, nearest
from nbprod.predictions.feedback import TRUTH, Conflict, Feedback, FeedbackLog, judge, read_feedback
from nbprod.predictions.places import Url, folder_of, models_at, urls_of
from nbprod.predictions.reading import read

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 4096
EXAMPLES = 3
OWN = ("request", "row", "time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Fact):
    """What a file said.

    Attributes:
        rows: of the file.
        recorded: facts that were written down: at most one a row and column.
        names: column -> how many of them.
        empty: rows without any value.
        unknown: rows whose request is not in the log.
        unclear: rows that name no row of a request that has several, or one that it does not have.
        duplicates: facts of this file that it says twice, or that were said before.
        conflicts: things of the file's requests of which different values are known now, by it or before; some are
            in `examples`.
        problems: what was damaged in the log, a sentence each.
    """

    model: str
    file: str
    rows: int
    recorded: int
    names: dict[str, int] = field(default_factory=dict)
    empty: int = 0
    unknown: int = 0
    unclear: int = 0
    duplicates: int = 0
    conflicts: int = 0
    examples: tuple[Conflict, ...] = ()
    problems: tuple[str, ...] = ()


def feedback(name: str, file: str, *, truth: str | None = None, outcomes: Sequence[str] = ()) -> Told:
    """Write down what a file says of a model's predictions.

    Args:
        file: CSV, Parquet or JSON lines with a column ``request``, and perhaps ``row`` and ``time``.
        truth: the column with the truth; by default ``truth``, if there is one.
        outcomes: columns with business outcomes.

    Raises:
        UsageError: there is no log of that model, or the file lacks a column.
        ArtifactError: the file cannot be read, or holds a row or time that is none.
    """
    project = load_project()
    if not is_project(project.root):
        raise UsageError("there is no project here: go to the folder of one, or make one with `nbprod init DIR`.")
    folder = _existing(project, name)
    urls = urls_of(project.data, project.rolled_predictions, name)
    table = read_table(Path(file))
    columns = columns_of(table.column_names, file, truth, outcomes)
    facts = list(facts_of(table, columns, file))
    problems: list[str] = []
    unknown, unclear = _unmatched(urls, table, problems)
    own = {fact.request for fact in facts}
    before = judge(_about(own, read_feedback(urls)))
    log = FeedbackLog(folder, model=name)
    try:
        for start in range(0, len(facts), BATCH):
            log.write(facts[start : start + BATCH])
    finally:
        log.close()
    after = judge(_about(own, read_feedback(urls, tell=problems.append)))
    return Told(
        model=name,
        file=file,
        rows=table.num_rows,
        recorded=len(facts),
        names={columns[label]: sum(fact.name == label for fact in facts) for label in columns},
        empty=_empty(table, columns),
        unknown=unknown,
        unclear=unclear,
        duplicates=after.duplicates - before.duplicates,
        conflicts=after.conflicts,
        examples=after.examples[:EXAMPLES],
        problems=tuple(dict.fromkeys(problems)),
    )


def _about(requests: set[str], feedback: pa.Table) -> pa.Table:
    """What is known of some requests."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return feedback.filter(pc.is_in(feedback["request"], pa.array(sorted(requests), pa.string())))


def _existing(project: Project, name: str) -> Path:
    known = {path.name for path in folder_of(project.data, "").glob("*") if path.is_dir()}
    if name not in known and project.rolled_predictions:  # it may be far, so it is only asked if it must be
        known.update(models_at(project.rolled_predictions))
    if name not in known:
        raise UsageError(f"there is no prediction log of '{name}'.{nearest(name, known) or ' None was served yet.'}")
    return folder_of(project.data, name)


def read_table(path: Path) -> pa.Table:
    """A CSV, Parquet or JSON-lines file, gzipped or not; ids of requests are text.

    Raises:
        ArtifactError: it is none, or damaged.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    name = path.name.lower().removesuffix(".gz")
    try:
        if name.endswith((".parquet", ".pq")):
            return pyarrow.parquet.read_table(path)
        if name.endswith((".csv", ".tsv")):
            separator = pyarrow.csv.ParseOptions(delimiter="\t" if name.endswith(".tsv") else ",")
            types = pyarrow.csv.ConvertOptions(column_types={"request": pa.string()}, strings_can_be_null=True)
            return pyarrow.csv.read_csv(path, parse_options=separator, convert_options=types)
        if name.endswith((".jsonl", ".ndjson")):
            return pyarrow.json.read_json(path)
    except (OSError, ValueError, NotImplementedError) as error:  # its words may hold values that are not to be shown
        raise ArtifactError(_unread(path, error), file=str(path)) from error
    raise UsageError("is no table: use CSV, Parquet or JSON lines.", file=str(path))


def _unread(path: Path, error: Exception) -> str:
    if path.is_file() and not path.stat().st_size:
        return "is empty: it needs a first line with the names of its columns, and rows."
    if found := re.search(r"Expected (\d+) columns, got (\d+)", str(error)):
        expected, got = found.groups()
        return f"cannot be read as a table: a line has {got} values, where its first line names {expected}."
    return f"cannot be read as a table ({type(error).__name__}): is it what its name says?"


def columns_of(names: Sequence[str], file: str, truth: str | None, outcomes: Sequence[str]) -> dict[str, str]:
    """Name of a fact -> the column that says it.

    Raises:
        UsageError: the file lacks a column.
    """
    for needed in ("request", *([] if truth is None else [truth]), *outcomes):
        if needed not in names:
            raise UsageError(f"has no column '{needed}'.{nearest(needed, names)}", file=file)
    if truth is None and "truth" in names and "truth" not in outcomes:
        truth = "truth"
    if truth is None and not outcomes:
        raise UsageError(f"say which column is what, with --truth or --outcome.{nearest('truth', names)}", file=file)
    return {**({} if truth is None else {TRUTH: truth}), **{name: name for name in outcomes}}


def facts_of(table: pa.Table, columns: Mapping[str, str], file: str) -> Iterator[Feedback]:
    """One for each row and column that holds a value."""
    names = table.column_names
    now = time.time()
    source = f"file:{Path(file).name}"
    places = [table[name].to_pylist() if name in names else [None] * table.num_rows for name in OWN]
    values = {name: table[column].to_pylist() for name, column in columns.items()}
    for number, (request, row, moment) in enumerate(zip(*places, strict=True)):
        where = f"row {number + 1}"
        if not isinstance(request, str) or not request:
            raise ArtifactError(f"{where} has no request.", file=file)
        at = now if moment is None else _moment(moment, where, file)
        position = None if row is None else _whole(row, where, file)
        for name, column in values.items():
            value = _plain(column[number])
            if value is not None:
                yield Feedback(request=request, row=position, name=name, value=value, time=at, source=source)


def _empty(table: pa.Table, columns: Mapping[str, str]) -> int:
    values = zip(*(table[column].to_pylist() for column in columns.values()), strict=True)
    return sum(all(_plain(value) is None for value in row) for row in values)


def _whole(value: Any, where: str, file: str) -> int:
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        found = -1
    if found < 0 or found != float(value) or isinstance(value, bool) or found >= 2**31:
        raise ArtifactError(f"`row` of {where} must be a whole number from 0.", file=file)
    return found


def _moment(value: Any, where: str, file: str) -> float:
    """A time in Unix seconds; one without a time zone is UTC."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value, UTC)
        else:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise ArtifactError(f"`time` of {where} must be like 2026-05-28T20:26:40Z.", file=file) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _plain(value: Any) -> Any:
    """A cell as JSON; what is missing is None."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _unmatched(urls: tuple[Url, ...], table: pa.Table, problems: list[str]) -> tuple[int, int]:
    """How many rows name a request that is not in the log, and how many name none of its rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    asked = table["request"].cast(pa.string()).combine_chunks()
    known: dict[str, int] = {}
    for batch in read(urls, columns=["request", "rows"], tell=problems.append):
        found = batch.filter(pc.is_in(batch["request"], asked))
        known.update(zip(found["request"].to_pylist(), found["rows"].to_pylist(), strict=True))
    rows = table["row"].to_pylist() if "row" in table.column_names else [None] * table.num_rows
    unknown = unclear = 0
    for request, row in zip(asked.to_pylist(), rows, strict=True):
        if request not in known:
            unknown += 1
        elif known[request] <= (row or 0) or (row is None and known[request] > 1):
            unclear += 1
    return unknown, unclear
