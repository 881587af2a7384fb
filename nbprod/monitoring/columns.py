"""Columns as counts: fixed bins that are chosen once, and counts in them that add up over days, workers and partitions.

A number falls into one of some thousand equal cells, and a bin is a run of cells: so counting needs no search, costs a
few nanoseconds a value, and is exact to the last row whoever counts. Values far from the others are first brought
nearer by asinh, which is about linear around 0 and logarithmic far from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from nbprod.entities import Fact
from nbprod.monitoring.arrays import dictionary, plain

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

LEAST = 10
"""A count of fewer rows than this is not told: it could be about somebody."""

CELLS = 4096
BINS = 40
"""So many bins at most, each of about the same number of rows."""

LISTED = 50
"""So many values of a category at most are named; the others are counted together."""

CODES = 32
"""Whole numbers of which there are no more than this are taken for codes, such as 1 and 2 for sexes."""

CHUNK = 1 << 16

Kind = Literal["number", "category", "other"]
Scale = Literal["linear", "asinh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid(Fact):
    """Where the bins of a number are.

    Attributes:
        low, high: the range; `LEAST` rows or more are at or beyond each end.
        unit: what asinh divides by.
        starts: the first cell of each bin.
    """

    low: float
    high: float
    cells: int
    starts: tuple[int, ...]
    scale: Scale = "linear"
    unit: float = 1.0

    @property
    def edges(self) -> list[float]:
        """The ends of the bins: one more than there are bins."""
        first, last = self.axis(self.low), self.axis(self.high)
        places = [first + (last - first) * cell / self.cells for cell in (*self.starts, self.cells)]
        return [math.sinh(place) * self.unit if self.scale == "asinh" else place for place in places]

    def axis(self, value: float) -> float:
        """A value's place, where cells are equally wide."""
        return math.asinh(value / self.unit) if self.scale == "asinh" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Fact):
    """A column's counts.

    Attributes:
        type: Arrow's name of the type that was seen; ``mixed`` if there were several.
        rows: all of them; each is in exactly one of the counts below.
        missing: null, NaN or NaT.
        strange: values of another kind, such as text in a column of numbers.
        below, above: numbers outside the range; a reference has none, its few are in the outer bins.
        values: the named values of a category.
        counts: rows in each bin, or of each named value.
        other: rows of a category whose value is not named.
    """

    kind: Kind
    type: str = ""
    rows: int = 0
    missing: int = 0
    strange: int = 0
    below: int = 0
    above: int = 0
    other: int = 0
    counts: tuple[int, ...] = ()
    values: tuple[str, ...] = ()
    grid: Grid | None = None

    @property
    def known(self) -> int:
        """Rows that have a value of the column's kind."""
        return self.rows - self.missing - self.strange

    @property
    def outside(self) -> int:
        """Rows with a value that the reference does not have."""
        return self.strange + self.below + self.above + self.other

    def empty(self) -> Column:
        """The same bins, with nothing in them."""
        return Column(kind=self.kind, values=self.values, grid=self.grid, counts=(0,) * len(self.counts))

    def quantile(self, share: float) -> float:
        """The value below which a share of the known numbers lies, as exactly as bins tell; nan if there are none."""
        counts = self.filled()
        total = sum(counts)
        if self.grid is None or not total:
            return math.nan
        edges, reached = self.grid.edges, 0.0
        for count, left, right in zip(counts, edges, edges[1:], strict=False):
            if count and reached + count >= share * total:
                return left + (right - left) * max(0.0, share * total - reached) / count
            reached += count
        return edges[-1]

    def filled(self) -> list[int]:
        """What a comparison counts: numbers outside the range in the outer bins, unnamed values as the last one."""
        found = list(self.counts)
        if self.kind == "category":
            return [*found, self.other]
        if found:
            found[0] += self.below
            found[-1] += self.above
        return found


def merged(one: Column, other: Column) -> Column:
    """Two columns' counts together; they must have the same bins.

    Raises:
        ValueError: they have not.
    """
    if (one.kind, one.grid, one.values) != (other.kind, other.grid, other.values):
        raise ValueError("columns with other bins cannot be added")
    names = ("rows", "missing", "strange", "below", "above", "other")
    types = {one.type, other.type} - {""}
    return replace(
        one,
        type=types.pop() if len(types) == 1 else "mixed" if types else "",
        counts=tuple(a + b for a, b in zip(one.counts, other.counts, strict=True)),
        **{name: getattr(one, name) + getattr(other, name) for name in names},
    )


def binned(values: pa.ChunkedArray) -> Column:
    """The bins that suit some values, with nothing in them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind) or _is_text(kind):
        return _named(values)
    if not is_numeric(kind):
        return Column(kind="other")
    numbers = numbers_of(values)
    if numbers is None:
        return Column(kind="other")
    import numpy as np

    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) < 2 * LEAST:
        return Column(kind="other")
    if not pa.types.is_temporal(kind) and bool((numbers[:1000] % 1 == 0).all()):
        distinct = pc.unique(pa.array(numbers))
        if len(distinct) <= CODES and bool((distinct.to_numpy() % 1 == 0).all()):
            return _named(values)
    grid = _grid(numbers)
    return Column(kind="number", grid=grid, counts=(0,) * len(grid.starts))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_numeric(kind: pa.DataType) -> bool:
    """Whether values of a type can be put on a line."""
    import pyarrow as pa

    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or (pa.types.is_temporal(kind) and not pa.types.is_interval(kind))
    )


def _named(values: pa.ChunkedArray) -> Column:
    """A category: the values of which there are enough, the most frequent ones first."""
    found, _ = _tally(values)
    often = sorted(((count, text) for text, count in found.items() if count >= LEAST), key=lambda x: (-x[0], x[1]))
    names = tuple(text for _, text in often[:LISTED])
    return Column(kind="category" if names else "other", values=names, counts=(0,) * len(names))


def _tally(values: pa.ChunkedArray) -> tuple[dict[str, int], int]:
    """Value as text -> rows, and how many are missing."""
    import pyarrow.compute as pc

    found: dict[str, int] = {}
    missing = 0
    for item in pc.value_counts(values).to_pylist():
        value, count = item["values"], item["counts"]
        if value is None or value != value:
            missing += count
        else:
            name = text_of(value)
            found[name] = found.get(name, 0) + count
    return found, missing


def text_of(value: Any) -> str:
    """A value as a category calls it: 1 for 1.0, as whole numbers become where some are missing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _grid(numbers: Array) -> Grid:
    """Bins of about equally many rows, and of `LEAST` at least."""
    import numpy as np

    ranked = np.partition(numbers, [LEAST - 1, len(numbers) - LEAST])
    low, high = float(ranked[LEAST - 1]), float(ranked[len(numbers) - LEAST])
    if not high > low:
        return Grid(low=low, high=low, cells=1, starts=(0,))
    whole = bool((numbers % 1 == 0).all())
    if whole and high - low < CELLS:
        return _cut(numbers, Grid(low=low, high=high + 1 - 1e-9, cells=int(high - low) + 1, starts=(0,)))
    low, high = rounded(low, high)
    linear = _cut(numbers, Grid(low=low, high=high, cells=CELLS, starts=(0,)))
    if len(linear.starts) > BINS // 2:
        return linear
    unit = float(f"{np.median(np.abs(numbers)):.2g}") or 1.0
    bent = _cut(numbers, Grid(low=low, high=high, cells=CELLS, starts=(0,), scale="asinh", unit=unit))
    return bent if len(bent.starts) > len(linear.starts) else linear


def rounded(low: float, high: float) -> tuple[float, float]:
    """A range in round numbers, since the exact ones are those of somebody."""
    digits = 3 - math.floor(math.log10(high - low))
    found = round(low, digits), round(high, digits)
    return found if found[0] < found[1] and all(map(math.isfinite, found)) else (low, high)


def _cut(numbers: Array, grid: Grid) -> Grid:
    """The same cells, with bins that are filled evenly."""
    import numpy as np

    counts = np.bincount(_cells(numbers, grid), minlength=grid.cells + 2)
    counts[1] += counts[0]
    counts[grid.cells] += counts[grid.cells + 1]
    wanted = max(LEAST, math.ceil(len(numbers) / BINS))
    starts, reached = [0], 0
    for cell, count in enumerate(counts[1 : grid.cells + 1].tolist()):
        if reached >= wanted:
            starts.append(cell)
            reached = 0
        reached += count
    if reached < LEAST and len(starts) > 1:
        starts.pop()
    return replace(grid, starts=tuple(starts))


def _cells(numbers: Array, grid: Grid) -> Array:
    """The cell of each number: 0 is below the range (and NaN), then 1 to `cells`, then above it."""
    import numpy as np

    first, last = grid.axis(grid.low), grid.axis(grid.high)
    place = np.arcsinh(numbers / grid.unit) if grid.scale == "asinh" else numbers.astype(np.float64)
    if last > first:
        place -= first
        place *= grid.cells / (last - first) * (1 - 1e-12)  # so that the upper end is in the last cell
        place += 1
    else:
        place = np.where(numbers < grid.low, 0.0, np.where(numbers > grid.low, 2.0, 1.0))
    np.fmax(place, 0, out=place)
    np.fmin(place, grid.cells + 1, out=place)
    return place.astype(np.int32)


def numbers_of(values: pa.ChunkedArray | pa.Array) -> Array | None:
    """Values as floating point numbers, times in seconds, missing as NaN; None if they are none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(values.type):
        return np.full(len(values), np.nan)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        values = pc.divide(values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()), 1e6)
    try:
        if not pa.types.is_floating(values.type) and (values.null_count or not pa.types.is_integer(values.type)):
            values = values.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return plain(values)


def counted(values: pa.ChunkedArray, like: Column, outside: Array | None = None) -> Column:
    """Values counted in the bins of another column.

    Args:
        outside: bool, one for each row: made true where the value is one that the reference does not have.
    """
    import pyarrow as pa

    rows, kind = len(values), values.type
    made = replace(like.empty(), rows=rows, type=str(kind.value_type if pa.types.is_dictionary(kind) else kind))
    if like.kind == "other":
        return replace(made, missing=values.null_count)
    if like.kind == "category":
        return _counted_names(values, made, outside)
    numbers = numbers_of(values)
    if numbers is None:
        if outside is not None:
            outside |= values.is_valid().to_numpy()
        return replace(made, missing=values.null_count, strange=rows - values.null_count)
    return _counted_numbers(numbers, made, outside)


def _counted_names(values: pa.ChunkedArray, made: Column, outside: Array | None) -> Column:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_nested(values.type):
        return replace(made, missing=values.null_count, strange=made.rows - values.null_count)
    encoded = dictionary(values)
    places = {name: place for place, name in enumerate(made.values)}
    lost, other = len(places), len(places) + 1
    codes = [
        lost if value is None or value != value else places.get(text_of(value), other)
        for value in encoded.dictionary.to_pylist()
    ]
    code = np.array(codes, dtype=np.int32)[plain(encoded.indices)]
    found = np.bincount(code, minlength=other + 1).tolist()
    if outside is not None and found[other]:
        outside |= code == other
    return replace(made, counts=tuple(found[:lost]), missing=found[lost], other=found[other])


def _counted_numbers(numbers: Array, made: Column, outside: Array | None) -> Column:
    import numpy as np

    grid = made.grid
    assert grid is not None
    total = np.zeros(grid.cells + 2, dtype=np.int64)
    missing = 0
    for start in range(0, len(numbers), CHUNK):
        part = numbers[start : start + CHUNK]
        cells = _cells(part, grid)
        own = np.bincount(cells, minlength=grid.cells + 2)
        lost = int(np.isnan(part).sum()) if part.dtype.kind == "f" else 0
        missing += lost
        if outside is not None and (own[0] > lost or own[-1]):
            outside[start : start + CHUNK] |= ((cells == 0) & ~np.isnan(part)) | (cells == grid.cells + 1)
        total += own
    counts = np.add.reduceat(total[1:-1], np.array(grid.starts))
    return replace(
        made,
        missing=missing,
        below=int(total[0]) - missing,
        above=int(total[-1]),
        counts=tuple(counts.tolist()),
    )
