"""Suppressing: a reference tells no count of few rows, since it could be about somebody."""

from __future__ import annotations

from dataclasses import replace

from nbprod.monitoring.columns import LEAST, Column, Grid


def suppressed(column: Column) -> Column:
    """A column as a reference tells it: no count of fewer than `LEAST` rows, and nothing outside its own range.

    Rows that are not told do not count as rows either, so that nobody finds them by subtraction.
    """
    counts = list(column.counts)
    missing, other, strange = (
        0 if count < LEAST else count for count in (column.missing, column.other, column.strange)
    )
    if column.kind == "number" and counts:
        counts[0] += column.below
        counts[-1] += column.above
    keep = [place for place, count in enumerate(counts) if count >= LEAST]
    grid, values = column.grid, column.values
    if column.kind == "number" and grid is not None and len(keep) < len(counts):
        grid, counts = _joined(grid, counts)
    elif column.kind == "category":
        values, counts = tuple(values[place] for place in keep), [counts[place] for place in keep]
    rows = missing + other + strange + sum(counts) if column.kind != "other" else column.rows
    return replace(
        column, rows=rows, missing=missing, other=other, strange=strange, below=0, above=0, counts=tuple(counts),
        values=values, grid=grid,
    )  # fmt: skip


def _joined(grid: Grid, counts: list[int]) -> tuple[Grid, list[int]]:
    """Bins of few rows joined with their neighbours."""
    starts, kept = [0], [0]
    for start, count in zip(grid.starts, counts, strict=True):
        if kept[-1] >= LEAST:
            starts.append(start)
            kept.append(0)
        kept[-1] += count
    if kept[-1] < LEAST and len(kept) > 1:
        last = kept.pop()
        kept[-1] += last
        starts.pop()
    return replace(grid, starts=tuple(starts)), [count if count >= LEAST else 0 for count in kept]
