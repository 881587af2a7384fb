"""``nbprod score``: find the version, verify a copy of it, and score files of any size with it."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbprod.config import load_project
from nbprod.entities import Fact
from nbprod.errors import MissingExtra
from nbprod.lifecycle.apart import apart
from nbprod.lifecycle.cluster import client_of, scheduler_of
from nbprod.lifecycle.serve import audited_ref, check_ref, from_folder, from_registry, is_folder, log_of
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import open_existing
from nbprod.predictions.policy import policy_of
from nbprod.serving import threads

if TYPE_CHECKING:
    from nbprod.scoring.batch import OnError, Progress, Totals
    from nbprod.scoring.engines import Engine
    from nbprod.scoring.layout import Layout
    from nbprod.scoring.parts import Input
    from nbprod.serving.loading import Source

MOST_THREADS = 4
"""More would not make reading and writing faster, but need more memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asked for.

    Attributes:
        ref: of a version, or a bundle's folder.
        input, output: paths or fsspec URLs.
        on_error: whether a bad row ends it, or is set aside.
        keep, ignore: names of columns; see `nbprod.scoring.layout`.
        proba: whether probabilities are written, too.
        overwrite: whether an output that is there may be replaced.
        predictions: the folder of prediction logs; None for the project's.
    """

    ref: str
    input: str
    output: str
    on_error: OnError = "fail"
    keep: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    proba: bool = False
    overwrite: bool = False
    engine: Literal["local", "dask"] = "local"
    predictions: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Fact):
    """Rows that were set aside for one reason.

    Attributes:
        column: empty where it is about no single one.
    """

    column: str
    why: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored(Fact):
    """What was done.

    Attributes:
        ref: the version.
        files: how many were read.
        rows: that were scored.
        rejected: how many were set aside, in the file `rejects`; `reasons` says why.
        ignored: columns of the input that the model does not have.
        requests: the first and the last id in the prediction log; none if nothing was scored.
        log: the folder of the prediction log.
        notes: what else is to be known, a sentence each.
    """

    ref: str
    input: str
    output: str
    files: int
    rows: int
    rejected: int = 0
    rejects: str = ""
    reasons: tuple[Rejected, ...] = ()
    ignored: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    log: str = ""
    engine: str = "local"
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is found before anything is loaded.

    Attributes:
        source: the version, verified.
        log: the folder of its prediction log.
        rolled: where that is rolled to; None for beside it.
    """

    source: Source
    log: Path
    rolled: str | None
    notes: tuple[str, ...] = field(default=())


def score(wish: Wish, watch: Callable[[Progress], None]) -> Scored:
    """Score files; the output has its name, and the log its predictions, only when all of it is done.

    Args:
        watch: is told how far it is, after every piece.

    Raises:
        UsageError: the input has not the model's columns, or the output is there already.
        ArtifactError: a row does not fit, a file cannot be read or written, or the model is not what was registered.
        DeployError: the model, its log or the workers fail.
    """
    _need_packages()
    check_ref(wish.ref)
    address = scheduler_of(load_project()) if wish.engine == "dask" else ""
    count = min(threads.cpus(), MOST_THREADS)
    threads.set_variables(count)
    with tempfile.TemporaryDirectory(prefix="nbprod-score-") as scratch:
        found = apart(lambda: _find(wish, Path(scratch)), meanwhile=_warm)
        return _scored(wish, found, address, count, watch)


def _need_packages() -> None:
    from importlib.util import find_spec

    if not all(map(find_spec, ("msgspec", "orjson"))):
        raise MissingExtra("nbprod score", extra="serve")


def _warm() -> None:
    """Import what every run needs, while a child finds and verifies the version."""
    for name in ("pyarrow.parquet", "pyarrow.csv", "pyarrow.compute", "scipy.sparse", "scipy.stats", "pandas"):
        importlib.import_module(name)


def _find(wish: Wish, scratch: Path) -> Found:
    target = scratch / "model"
    if is_folder(wish.ref):
        source = from_folder(Path(wish.ref), target)
        log, rolled = log_of(source.name, wish.predictions)
    else:
        with open_existing() as work:
            source = from_registry(find_version(audited_ref(wish.ref, work), work), work, target)
            log, rolled = log_of(source.name, wish.predictions, work.project)
    notes = _tidied(log, rolled, policy_of(source.entry).retain)
    return Found(source=source, log=log, rolled=rolled, notes=notes)


def _tidied(log: Path, rolled: str | None, retain: float | None) -> tuple[str, ...]:
    """Roll what a service or a killed run left behind, and delete what is too old; there may be no service to do it."""
    from nbprod.predictions.roller import roll

    if not log.is_dir():
        return ()
    try:
        return roll(log, rolled, retain=retain, wait=0).problems
    except OSError as error:
        return (f"the prediction log could not be rolled ({error.strerror}); it will be tried again.",)


def _scored(wish: Wish, found: Found, address: str, count: int, watch: Callable[[Progress], None]) -> Scored:
    from nbprod.predictions.batches import BatchLog
    from nbprod.scoring.answers import form_of
    from nbprod.scoring.batch import run
    from nbprod.scoring.layout import Wanted, kept_schema, layouts, rejected_schema
    from nbprod.scoring.output import Output, Target
    from nbprod.scoring.parts import find_parts
    from nbprod.serving.limits import Limits
    from nbprod.serving.loading import load
    from nbprod.serving.signature import read_signature

    source = found.source
    given = find_parts(wish.input)
    target = Target(wish.output, given, overwrite=wish.overwrite)
    wanted = Wanted(keep=wish.keep, ignore=wish.ignore, whole=wish.on_error == "quarantine")
    parts = layouts(given.parts, read_signature(source.entry), wanted)
    kept, rejected = kept_schema(parts), rejected_schema(parts)
    served = load(source, Limits())
    form = form_of(served, proba=wish.proba)
    output = Output(target, _schema(kept, form.schema), rejected, given.parts)
    with _engine(wish, source, served, form, address=address, count=count) as engine:
        log = BatchLog(found.log, found.rolled, model=source.name, version=source.version)
        totals = run(parts, engine, log, output, on_error=wish.on_error, watch=watch)
    notes = (*found.notes, *map(str, log.repaired), *_notes(given, served))
    ids = tuple(dict.fromkeys(filter(None, (log.first, log.last))))
    return _summary(wish, source, parts, totals, rejects=target.rejects if totals.rejected else "", output=target.label,
                    requests=ids, log=str(found.log), notes=notes)  # fmt: skip


def _schema(kept: Any, answers: Any) -> Any:
    import pyarrow as pa

    return pa.schema([*kept, *answers, ("request", pa.string()), ("row", pa.int32())])


@contextmanager
def _engine(wish: Wish, source: Source, served: Any, form: Any, *, address: str, count: int) -> Iterator[Engine]:
    from nbprod.scoring.engines import local
    from nbprod.scoring.scorer import Scorer, lock_for

    stops = wish.on_error == "fail"
    if not address:
        yield local(Scorer(served=served, form=form, kept=source.kept, stops=stops, one=lock_for(served)), count)
        return
    from nbprod.scoring.cluster import engine_on, packed

    with client_of(address) as client:
        yield engine_on(client, packed(source, proba=wish.proba, stops=stops))


def _notes(given: Input, served: Any) -> Iterator[str]:
    if given.others:
        names = ", ".join(given.others[:3]) + (", ..." if len(given.others) > 3 else "")
        yield f"what is no CSV or Parquet in the folder was left out: {names}."
    if not served.proof.batches:
        yield f"the output depends on which rows are asked together: {served.proof.why}"


def _summary(wish: Wish, source: Source, parts: tuple[Layout, ...], totals: Totals, **more: Any) -> Scored:
    reasons = [Rejected(column=column, why=why, rows=rows) for (column, why), rows in totals.reasons.most_common()]
    ignored = tuple(dict.fromkeys(name for part in parts for name in part.unknown))
    return Scored(
        ref=source.ref, input=wish.input, files=len(parts), rows=totals.scored, rejected=totals.rejected,
        reasons=tuple(reasons), ignored=ignored, engine=wish.engine, seconds=round(totals.seconds, 3), **more,
    )  # fmt: skip
