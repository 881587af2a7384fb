"""One run: every piece of every part is scored, logged and written; in the end all of it counts, or nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from nbprod.errors import ArtifactError
from nbprod.predictions.batches import BatchLog
from nbprod.scoring.answers import PREDICTION
from nbprod.scoring.engines import Engine
from nbprod.scoring.layout import Layout
from nbprod.scoring.output import Output
from nbprod.scoring.reading import pieces
from nbprod.scoring.scorer import Fault, Question, Result

OnError = Literal["fail", "quarantine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        done: rows that were read and answered, or rejected.
        total: of all parts; None where that is not known.
        part: what is scored now.
    """

    done: int
    total: int | None
    part: str


@dataclass(slots=True, kw_only=True)
class Totals:
    """What a run did.

    Attributes:
        reasons: (column, why) -> how many rows were rejected for it first.
    """

    scored: int
    rejected: int
    reasons: Counter[tuple[str, str]]
    seconds: float


def run(
    layouts: Sequence[Layout], engine: Engine, log: BatchLog, output: Output, *, on_error: OnError,
    watch: Callable[[Progress], None],
) -> Totals:  # fmt: skip
    """Score all parts; when it returns, the log has every prediction and the output has its name.

    Raises:
        ArtifactError: a row does not fit, and `on_error` says that this is the end; or a file cannot be read or
            written. Nothing is left of the output or in the log then.
    """
    clock = time.perf_counter()
    totals = Totals(scored=0, rejected=0, reasons=Counter(), seconds=0.0)
    known = [layout.shape.rows for layout in layouts]
    total = None if None in known else sum(rows or 0 for rows in known)
    try:
        with closing(engine(questions(layouts))) as results:
            for result in results:
                label = layouts[result.part].part.label
                if result.faults and on_error == "fail":
                    raise refusal(result.faults[0], label)
                _write(result, log, output)
                totals.scored += result.scored
                totals.rejected += len(result.faults)
                totals.reasons.update((fault.column, fault.why) for fault in result.faults)
                watch(Progress(done=totals.scored + totals.rejected, total=total, part=label))
        output.finish()
        log.commit()
    except BaseException:
        output.discard()
        log.abort()
        raise
    try:
        output.publish()
    except BaseException:
        output.discard()
        raise
    totals.seconds = time.perf_counter() - clock
    return totals


def questions(layouts: Sequence[Layout]) -> Iterator[Question]:
    """Every piece of every part."""
    for number, layout in enumerate(layouts):
        text = layout.read if layout.part.format == "csv" else ()
        csv = frozenset({*text, *(name for name in layout.part.keys if name not in layout.shape.own)})
        for piece in pieces(layout.part, layout.shape, layout.read):
            yield Question(part=number, piece=piece, csv=csv, kept=layout.kept)


def _write(result: Result, log: BatchLog, output: Output) -> None:
    import numpy as np
    import pyarrow as pa

    output.reject(result)
    if not result.scored:
        return
    table = result.output
    request = log.write(table[PREDICTION], result.inputs, time=result.began, latency=result.seconds)
    count = table.num_rows
    ids = pa.array([request], pa.string()).take(pa.array(np.zeros(count, "int32")))
    table = table.append_column("request", ids).append_column("row", pa.array(np.arange(count, dtype="int32")))
    output.write(result.part, table)


def refusal(fault: Fault, label: str) -> ArtifactError:
    """What is wrong with a row, and where it is; never its value."""
    where = f"row {fault.row:,}"
    why = f"{fault.why} in the column '{fault.column}' of {where}" if fault.column else f"{where}: {fault.why}"
    return ArtifactError(
        f"{why}; nothing was written: correct it, or set bad rows aside with --on-error quarantine.",
        file=label, line=fault.line,
    )  # fmt: skip
