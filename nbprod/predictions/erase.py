"""Erasing: which files of a log hold rows about a subject, and how they are taken out.

Parquet is rewritten without the rows, whole and at once. Closed segments are rolled without them. Of segments that a
running service still writes the roller leaves the rows out when it comes to them: an order says so.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.entities import JSON, Fact
from nbprod.predictions.feedback import read_feedback
from nbprod.predictions.orders import Order, give, keys_of
from nbprod.predictions.orders import pending as pending_in
from nbprod.predictions.places import FEEDBACK, Place, Source, Url, Urls, sources
from nbprod.predictions.reading import Wanted, nothing, tables
from nbprod.predictions.roller import delete, rolling, write_parquet
from nbprod.predictions.rows import column_of
from nbprod.predictions.segments import name_of, segments_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding(Fact):
    """A file that holds rows about a subject.

    Attributes:
        rows: how many.
        rolled: false for a segment.
        requests: ``request/row`` of each.
    """

    path: str
    rows: int
    rolled: bool
    requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased(Fact):
    """What was erased.

    Attributes:
        rows: predictions that were taken out, those that wait included.
        files: Parquet files that were rewritten or deleted.
        feedback: records of feedback that were taken out, those that wait included.
        waiting: names of segments that a running service still writes, with such rows or perhaps such feedback; the
            roller leaves them out, at the latest an hour after the segment was begun.
    """

    rows: int = 0
    files: int = 0
    feedback: int = 0
    waiting: tuple[str, ...] = ()


def holding(urls: Urls, column: str, value: JSON) -> tuple[Holding, ...]:
    """The files in which an input column has a value; ``7``, ``7.0`` and ``"7"`` are one.

    Args:
        urls: folders or fsspec URLs of one log.
        column: the input's name as the model calls it.
    """
    order = Order.of_value(column_of(column), value, name="", segments=())
    return tuple(found for source in sources(urls) if (found := _held(source, order, urls)).rows)


def _held(source: Source, order: Order, urls: Urls) -> Holding:
    keys: list[str] = []
    for table in tables(source, Wanted(columns=("request", "row", "time", order.column)), nothing, urls=urls):
        keys.extend(keys_of(table.filter(order.mask(table))).to_pylist())
    return Holding(path=source.path, rows=len(keys), rolled=source.rolled, requests=tuple(keys))


def erase(folder: Path, column: str, value: JSON, *, url: Url | None = None) -> Erased:
    """Take every row out in which an input column has a value, and the feedback about those rows.

    It may be killed at any point and done again. Rows that are written afterwards are not touched.

    Args:
        folder: ``.nbprod/predictions/<model>``.
        url: where its Parquet is; default: beside the segments.
    """
    place = Place.at(folder if url is None else url)
    before = round(time.time() * 1e6)
    with rolling(folder, place) as roller:
        urls = (folder, *([] if url is None else [url]))
        found = holding(urls, column, value)
        if not found:
            return Erased()
        own, feedback = (_order_values(folder, column, value, before), _order_requests(folder, found, before))
        told = feedback.without(known := read_feedback(urls)).num_rows
        # Feedback goes first: without the predictions it could not be found again.
        roller.roll("feedback")
        files = _rewrite(place.below(FEEDBACK), feedback)
        roller.roll("predictions")
        files += _rewrite(place, own)
        waiting = (*pending_in(folder), *pending_in(folder / FEEDBACK))
    rows = sum(item.rows for item in found)
    return Erased(rows=rows, files=files, feedback=known.num_rows - told, waiting=waiting)


def _order_values(folder: Path, column: str, value: JSON, before: int) -> Order:
    order = Order.of_value(column_of(column), value, before=before, **_named(folder))
    give(folder, order)
    return order


def _order_requests(folder: Path, found: Sequence[Holding], before: int) -> Order:
    """Feedback about the rows; that which names no row too, where the request has no other."""
    keys = {key for item in found for key in item.requests}
    keys |= {f"{key.rpartition('/')[0]}/" for key in keys if key.endswith("/0")}
    order = Order(requests=tuple(sorted(keys)), before=before, **_named(folder / FEEDBACK))
    give(folder / FEEDBACK, order)
    return order


def _named(folder: Path) -> dict[str, Any]:
    segments = tuple(str(name_of(path.name)) for path in segments_in(folder))
    return {"name": secrets.token_hex(8), "segments": segments}


def _rewrite(place: Place, order: Order) -> int:
    """Take rows out of a place's Parquet files; returns how many files were changed."""
    import pyarrow.parquet as pq

    files = 0
    for source in place.parquet():
        with source.files.open(source.path, "rb") as file:
            table = pq.read_table(file)
        left = order.without(table)
        if left.num_rows == table.num_rows:
            continue
        files += 1
        if left.num_rows:
            write_parquet(place, source.path, left, {})
        else:
            delete(place, source.path)
    return files
