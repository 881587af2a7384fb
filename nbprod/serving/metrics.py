"""What Prometheus reads at ``/metrics``: counted in this worker, and summed over all workers of the service."""

from __future__ import annotations

import bisect
import json
import mmap
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384)
CLASSES = 100
"""So many different predictions are counted by themselves; more are no classes, and are counted together."""

SLOT = 1 << 18
_HEAD = struct.Struct("<II")

HELP = {
    "nbprod_requests_total": ("counter", "Requests by route and status."),
    "nbprod_predictions_total": ("counter", "Predicted rows by version and class."),
    "nbprod_rows_total": ("counter", "Predicted rows by version and role."),
    "nbprod_refused_total": ("counter", "Requests that validation refused, by route."),
    "nbprod_request_seconds": ("histogram", "Seconds from a request's first byte to its answer."),
    "nbprod_batch_requests": ("histogram", "Requests that were predicted together."),
    "nbprod_batch_rows": ("histogram", "Rows that were predicted together."),
    "nbprod_shadow_dropped_total": ("counter", "Requests that the shadow did not score, since it was busy."),
    "nbprod_journal_lag_bytes": ("gauge", "Bytes of the prediction log that are not yet rolled into Parquet."),
    "nbprod_version": ("gauge", "1 for each version that is served, by role."),
}

Key = tuple[str, ...]


class Metrics:
    """Counters of one worker.

    Args:
        slots: shared memory with a slot for each worker, from `shared`; None for a single worker.
    """

    def __init__(self, *, slots: mmap.mmap | None = None, worker: int = 0, workers: int = 1) -> None:
        self.counts: Counter[Key] = Counter()
        self._slots, self._worker, self._workers = slots, worker, workers
        if slots is not None:
            self.counts.update(_read(slots, worker))  # of the worker before, if it was killed: counters never fall

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self.counts["nbprod_requests_total", route, str(status)] += 1
        self._observe("nbprod_request_seconds", SECONDS, seconds, route)

    def refused(self, route: str) -> None:
        """A request did not fit the signature."""
        self.counts["nbprod_refused_total", route] += 1

    def batch(self, requests: int, rows: int) -> None:
        """Requests were predicted together."""
        self._observe("nbprod_batch_requests", ROWS, requests)
        self._observe("nbprod_batch_rows", ROWS, rows)

    def predicted(self, served: Any, values: Any) -> None:
        """Rows were predicted; a regression's are not counted one by one."""
        counts, version = self.counts, served.version
        counts["nbprod_rows_total", version] += len(values)
        if not served.classes or len(served.classes) > CLASSES:
            return
        listed = values.tolist() if hasattr(values, "tolist") else values
        if len(listed) == 1:
            counts["nbprod_predictions_total", version, str(listed[0])] += 1
            return
        for name, count in Counter(map(str, listed)).items():
            counts["nbprod_predictions_total", version, name] += count

    def dropped(self) -> None:
        """The shadow did not score a request."""
        self.counts["nbprod_shadow_dropped_total",] += 1

    def _observe(self, name: str, bounds: Sequence[float], value: float, *labels: str) -> None:
        self.counts[(name, "bucket", str(bisect.bisect_left(bounds, value)), *labels)] += 1
        self.counts[(name, "sum", "", *labels)] += value  # type: ignore[assignment]

    def share(self) -> None:
        """Put the counters where other workers can read them."""
        if self._slots is not None:
            _write(self._slots, self._worker, self.counts)

    def text(self, gauges: Mapping[Key, float]) -> str:
        """Prometheus's text format, version 0.0.4."""
        total = Counter(self.counts)
        if self._slots is not None:
            for worker in range(self._workers):
                if worker != self._worker:
                    total.update(_read(self._slots, worker))
        return _exposition(total, gauges)


def shared(workers: int) -> mmap.mmap:
    """Memory that processes share which are forked after this."""
    return mmap.mmap(-1, SLOT * workers)


def _write(slots: mmap.mmap, worker: int, counts: Mapping[Key, float]) -> None:
    content = json.dumps([[*key, value] for key, value in list(counts.items())]).encode()
    if len(content) + _HEAD.size <= SLOT:
        start = worker * SLOT
        slots[start : start + _HEAD.size + len(content)] = _HEAD.pack(len(content), crc32(content)) + content


def _read(slots: mmap.mmap, worker: int) -> Counter[Key]:
    for _ in range(3):  # it may be written at this moment
        start = worker * SLOT
        size, check = _HEAD.unpack_from(slots, start)
        content = slots[start + _HEAD.size : start + _HEAD.size + min(size, SLOT)]
        if size and crc32(content) == check:
            return Counter({tuple(item[:-1]): item[-1] for item in json.loads(content)})
    return Counter()


_LABELS = {
    "nbprod_requests_total": ("route", "status"), "nbprod_predictions_total": ("version", "class"),
    "nbprod_rows_total": ("version",), "nbprod_refused_total": ("route",), "nbprod_request_seconds": ("route",),
    "nbprod_version": ("version", "role"),
}  # fmt: skip

_BOUNDS: dict[str, Sequence[float]] = {
    "nbprod_request_seconds": SECONDS, "nbprod_batch_requests": ROWS, "nbprod_batch_rows": ROWS,
}  # fmt: skip


def _exposition(counts: Mapping[Key, float], gauges: Mapping[Key, float]) -> str:
    lines = []
    for name, (kind, about) in HELP.items():
        lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
        own = {key[1:]: value for key, value in sorted({**counts, **gauges}.items()) if key[0] == name}
        if kind == "histogram":
            lines += _histogram(name, own)
        else:
            lines += [f"{name}{_labels(_LABELS.get(name, ()), key)} {_number(value)}" for key, value in own.items()]
    return "\n".join(lines) + "\n"


def _histogram(name: str, own: Mapping[Key, float]) -> list[str]:
    lines = []
    bounds = [*map(_number, _BOUNDS[name]), "+Inf"]
    names = _LABELS.get(name, ())
    for labels in sorted({key[2:] for key in own}):
        total = 0.0
        for position, bound in enumerate(bounds):
            total += own.get(("bucket", str(position), *labels), 0)
            lines.append(f"{name}_bucket{_labels((*names, 'le'), (*labels, bound))} {_number(total)}")
        lines.append(f"{name}_sum{_labels(names, labels)} {_number(own.get(('sum', '', *labels), 0.0))}")
        lines.append(f"{name}_count{_labels(names, labels)} {_number(total)}")
    return lines


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
