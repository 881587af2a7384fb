"""Micro-batches without a timer: what arrived while the last prediction ran is predicted together.

Short predictions run in the event loop's own thread: what arrives meanwhile waits in the sockets, and is the next
batch. Long ones run in a second thread, and what arrives meanwhile waits in a list. Nothing is answered before the
journal has it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from nbprod.errors import DeployError
from nbprod.predictions.journal import Journal, Record
from nbprod.serving import events, outputs, threads
from nbprod.serving.asked import Asked
from nbprod.serving.limits import Limits
from nbprod.serving.metrics import Metrics
from nbprod.serving.refusal import Refused, busy
from nbprod.serving.served import Served

SHORT = 0.004
"""Seconds up to which a prediction runs in the event loop's thread; handing it over would cost a tenth of that."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """What a request gets.

    Attributes:
        predictions, probabilities: JSON lists; no probabilities where nobody asked.
        values: the predictions themselves.
    """

    request: str
    served: Served
    predictions: bytes
    probabilities: bytes
    values: Any


@dataclass(slots=True, kw_only=True)
class Waiting:
    """A request that waits for its prediction.

    Attributes:
        role: see `nbprod.predictions.journal.Record`.
        key: id of the caller's key.
        arrived: of `time.perf_counter`.
        future: an `Answer`, or `Refused`.
    """

    asked: Asked
    served: Served
    role: str
    key: str
    arrived: float
    request: str
    future: asyncio.Future[Answer]


class Batcher:
    """Predicts, logs and answers, for one worker."""

    def __init__(self, journal: Journal, metrics: Metrics, limits: Limits, *, cpus: int = 1) -> None:
        self.journal = journal
        self.metrics = metrics
        self.limits = limits
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Waiting] = []
        self._rows = 0
        self._busy = False
        self._planned = False
        # Where every batch is flushed to the disk first, the event loop would stand still for that long.
        self._inline = True
        self._pool = ThreadPoolExecutor(
            1, thread_name_prefix="predict", initializer=threads.use_in_this_thread, initargs=(cpus,)
        )

    def always_apart(self) -> None:
        """Never predict or write in the event loop's thread."""
        self._inline = False

    def submit(
        self, asked: Asked, served: Served, *, role: str, key: str, arrived: float, request: str = ""
    ) -> asyncio.Future[Answer]:
        """Have rows predicted.

        Args:
            request: the id that the request has already; a shadow's is that of the answer.

        Raises:
            Refused: too many wait already.
        """
        if self._rows + asked.count > self.limits.waiting and self._rows:
            raise busy("the service is busy: try again in a second.")
        future: asyncio.Future[Answer] = self._loop.create_future()
        item = Waiting(
            asked=asked, served=served, role=role, key=key, arrived=arrived,
            request=request or self.journal.next_id(), future=future,
        )  # fmt: skip
        self._waiting.append(item)
        self._rows += asked.count
        if not self._busy and not self._planned:
            self._planned = True
            self._loop.call_soon(self._flush)
        return future

    @property
    def empty(self) -> bool:
        """Whether nothing waits or is predicted."""
        return not self._waiting and not self._busy

    def close(self) -> None:
        """End the second thread, after what it does."""
        self._pool.shutdown()

    def _flush(self) -> None:
        self._planned = False
        while self._waiting and not self._busy:
            batch = self._next()
            rows = sum(item.asked.count for item in batch)
            self._rows -= rows
            if self._inline and batch[0].served.cost(rows) < SHORT:
                _resolve(batch, self._predict(batch))
            else:
                self._busy = True
                self._loop.run_in_executor(self._pool, self._predict, batch).add_done_callback(
                    lambda done, batch=batch: self._done(batch, done)  # type: ignore[misc]
                )

    def _done(self, batch: Sequence[Waiting], done: asyncio.Future[Any]) -> None:
        self._busy = False
        error = done.exception()
        _resolve(batch, [_plain(error)] * len(batch) if error else done.result())
        self._flush()

    def _next(self) -> list[Waiting]:
        """What can be asked together of what waits, in the order of arrival."""
        first = self._waiting[0]
        if not first.served.proof.batches or len(self._waiting) == 1:
            del self._waiting[0]
            return [first]
        taken: list[Waiting] = []
        left: list[Waiting] = []
        rows = 0
        for item in self._waiting:
            alike = item.served is first.served and item.asked.proba == first.asked.proba
            if alike and (not taken or rows + item.asked.count <= self.limits.batch):
                taken.append(item)
                rows += item.asked.count
            else:
                left.append(item)
        self._waiting = left
        return taken

    def _predict(self, batch: Sequence[Waiting]) -> list[Answer | Exception]:
        """Predict a batch and write it down; an answer or an error for each."""
        found = self._answers(batch)
        answered = [(item, own) for item, own in zip(batch, found, strict=True) if isinstance(own, Answer)]
        now, clock = time.time(), time.perf_counter()
        try:
            self.journal.write([_record(item, own, now, clock) for item, own in answered])
        except (DeployError, OSError) as error:
            events.tell("error", "the prediction log cannot be written, so nothing is answered", error=str(error))
            return [busy("the prediction log is full: nothing is answered until there is room.")] * len(batch)
        self.metrics.batch(len(batch), sum(item.asked.count for item in batch))
        for _, own in answered:
            self.metrics.predicted(own.served, own.values)
        return found

    def _answers(self, batch: Sequence[Waiting]) -> list[Answer | Exception]:
        served = batch[0].served
        try:
            found = served.answer([item.asked for item in batch])
        except Exception as error:  # whatever a model raises; rows of one request do not fail another's
            if len(batch) > 1:
                return [answer for item in batch for answer in self._answers([item])]
            if not isinstance(error, Refused):
                events.tell("error", "the model failed", version=served.ref, error=error)
            return [error]
        return [
            Answer(
                request=item.request, served=served, predictions=outputs.text(values), values=values,
                probabilities=b"" if shares is None else outputs.text(shares),
            )
            for item, (values, shares) in zip(batch, found, strict=True)
        ]  # fmt: skip


def _record(item: Waiting, answer: Answer, now: float, clock: float) -> Record:
    latency = clock - item.arrived
    inputs, numbers = item.served.journalled.inputs(item.asked)
    return Record(
        request=item.request, time=now - latency, version=item.served.version, role=item.role,
        inputs=inputs, numbers=numbers, outputs=answer.predictions, rows=item.asked.count, latency=latency,
        key=item.key,
    )  # fmt: skip


def _plain(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)


def _resolve(batch: Sequence[Waiting], found: Sequence[Answer | Exception]) -> None:
    for item, own in zip(batch, found, strict=True):
        if item.future.done():  # the caller went away
            continue
        if isinstance(own, Answer):
            item.future.set_result(own)
        else:
            item.future.set_exception(own)
