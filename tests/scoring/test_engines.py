"""Pieces are worked on side by side, and come back in order; only so many are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from nbprod.scoring.engines import ordered


class Work:
    """Questions that are numbers, and results that are their tens."""

    def __init__(self) -> None:
        self.asked = 0
        self.open: dict[int, Future[Any]] = {}

    def questions(self, count: int) -> Iterator[Any]:
        """Numbers from 0."""
        for number in range(count):
            self.asked = number + 1
            yield number

    def submit(self, question: Any) -> Future[Any]:
        """Begin one."""
        self.open[question] = Future()
        return self.open[question]


def test_results_keep_the_order_and_only_a_window_is_asked() -> None:
    work = Work()

    def result(future: Any) -> Any:
        for number in sorted(work.open, reverse=True):  # the last one is done first
            if not work.open[number].done():
                work.open[number].set_result(number * 10)
        return future.result()

    found: Iterator[Any] = ordered(work.questions(10), work.submit, 3, result)
    assert next(found) == 0
    assert work.asked == 4
    assert list(found) == [10 * number for number in range(1, 10)]


def test_what_waits_is_cancelled_when_one_fails() -> None:
    work = Work()

    def result(future: Any) -> Any:
        raise ValueError

    with pytest.raises(ValueError):
        list(ordered(work.questions(10), work.submit, 2, result))
    assert [future.cancelled() for future in work.open.values()] == [False, True, True]
