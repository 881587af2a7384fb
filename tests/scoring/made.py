"""A run without a registry: files in a folder, a model that was made in code, and a log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from nbprod.predictions.batches import BatchLog
from nbprod.predictions.reading import read_table
from nbprod.scoring.answers import form_of
from nbprod.scoring.batch import OnError, Progress, Totals, run
from nbprod.scoring.engines import local
from nbprod.scoring.layout import Wanted, kept_schema, layouts, rejected_schema
from nbprod.scoring.output import Output, Target
from nbprod.scoring.parts import find_parts
from nbprod.scoring.scorer import Scorer
from nbprod.serving.served import Served

LOG = "log"


def write(path: Path, table: pa.Table, **options: Any) -> str:
    """Write a table as its name's ending says; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path, **options)
    else:
        pyarrow.csv.write_csv(table, path)
    return str(path)


def read(path: Path) -> pa.Table:
    """Read a table back; CSV as text."""
    if path.suffix == ".parquet":
        return pq.read_table(path, partitioning=None)
    names = path.read_text(encoding="utf-8").partition("\n")[0].replace('"', "").split(",")
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return pyarrow.csv.read_csv(path, convert_options=options)


def score(
    served: Served,
    given: str,
    to: str,
    folder: Path,
    *,
    on_error: OnError = "fail",
    keep: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    proba: bool = False,
    overwrite: bool = False,
    kept: tuple[str, ...] | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Totals:
    """Score as ``nbprod score`` does after it found the version; the log is in the folder, below `LOG`."""
    found = find_parts(given)
    target = Target(to, found, overwrite=overwrite)
    wanted = Wanted(keep=keep, ignore=ignore, whole=on_error == "quarantine")
    parts = layouts(found.parts, served.signature, wanted)
    form = form_of(served, proba=proba)
    schema = pa.schema([*kept_schema(parts), *form.schema, ("request", pa.string()), ("row", pa.int32())])
    output = Output(target, schema, rejected_schema(parts), found.parts)
    logged = served.signature.names if kept is None else kept
    scorer = Scorer(served=served, form=form, kept=logged, stops=on_error == "fail")
    log = BatchLog(folder / LOG, model=served.name, version=served.version)
    return run(parts, local(scorer, 2), log, output, on_error=on_error, watch=watch)


def logged(folder: Path) -> pa.Table:
    """All that is in the log."""
    return read_table(folder / LOG)


def left(folder: Path) -> list[str]:
    """Every file in a folder but the log's and its lock."""
    found = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    return [name for name in found if not name.startswith(f"{LOG}/") or name.endswith((".parquet", ".journal", ".new"))]
