"""Where pieces are scored: in threads of this process, or on the workers of a Dask scheduler. Results keep the order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from nbprod.scoring.scorer import Question, Result, Scorer
from nbprod.serving import threads


class Engine(Protocol):
    """Scores pieces."""

    def __call__(self, questions: Iterable[Question]) -> Iterator[Result]:
        """The results, in the order of the questions; only so many pieces are in memory as are worked on."""
        ...


def local(scorer: Scorer) -> Engine:
    """Score here: while the model answers, the next pieces are read and checked, and the last ones written."""
    count = min(threads.cpus(), 4)

    def engine(questions: Iterable[Question]) -> Iterator[Result]:
        with ThreadPoolExecutor(count, thread_name_prefix="score") as pool:
            yield from ordered(questions, lambda question: pool.submit(scorer.score, question), count)

    return engine


def ordered(
    questions: Iterable[Question],
    submit: Callable[[Question], Any],
    window: int,
    result: Callable[[Any], Result] = lambda future: future.result(),
) -> Iterator[Result]:
    """Submit questions, so many at once, and give the results in order."""
    waiting: deque[Any] = deque()
    asked = iter(questions)
    try:
        for question in asked:
            waiting.append(submit(question))
            del question
            if len(waiting) > window:
                yield result(waiting.popleft())
        while waiting:
            yield result(waiting.popleft())
    finally:
        for future in waiting:
            future.cancel()
        if hasattr(asked, "close"):
            asked.close()
