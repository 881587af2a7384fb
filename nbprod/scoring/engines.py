"""Where pieces are scored: in threads of this process, or on a cluster; what comes back keeps the order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from nbprod.scoring.scorer import Question, Result, Scorer


class Engine(Protocol):
    """Scores pieces."""

    def __call__(self, questions: Iterable[Question]) -> Generator[Result, None, None]:
        """The results, in the order of the questions; only so many pieces are in memory as are worked on."""
        ...


def local(scorer: Scorer, count: int) -> Engine:
    """Score in so many threads of this process; meanwhile the next piece is read, and the last one written."""

    def engine(questions: Iterable[Question]) -> Generator[Result, None, None]:
        with ThreadPoolExecutor(count, thread_name_prefix="score") as pool:
            yield from ordered(questions, lambda question: pool.submit(scorer.score, question), count)

    return engine


def ordered(
    questions: Iterable[Question],
    submit: Callable[[Question], Any],
    window: int,
    result: Callable[[Any], Result] = lambda future: future.result(),
) -> Generator[Result, None, None]:
    """Submit questions, so many at once, and give the results in order.

    Args:
        submit: begins, and returns a future.
        result: waits for one.
    """
    waiting: deque[Any] = deque()
    try:
        for question in questions:
            waiting.append(submit(question))
            if len(waiting) > window:
                yield result(waiting.popleft())
        while waiting:
            yield result(waiting.popleft())
    finally:
        for future in waiting:
            future.cancel()
