"""What a notebook reports, on the wire: one scrapbook scrap per record, in a display output of the notebook itself.

A record is the mime type ``application/scrapbook.scrap.json+json`` with scrapbook's payload, named
``<kind>/<dataset or ->/<name>``, beside a line of text for people. `scrapbook.read_notebook` reads it; in the other
direction `read` takes the numbers of a plain ``scrapbook.glue`` for metrics on the dataset ``test``.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from nbprod.entities import JSON
from nbprod.errors import NotebookError, ParameterError

SCHEMA = "nbprod/record/1"
MIME = "application/scrapbook.scrap.json+json"

Kind = Literal["metric", "artifact", "model"]

_KINDS = ("metric", "artifact", "model")
_FAMILY, _VERSION = SCHEMA.rsplit("/", 1)
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that a notebook reported.

    Attributes:
        value: a float for a metric; for an artifact or a model ``{"path": ...}``, relative to the stage's folder.
        dataset: what a metric was measured on; empty for what belongs to no dataset.
        interval: lower and upper bound of a metric, in its unit.
        step: position on a metric's curve.
    """

    kind: Kind
    name: str
    value: JSON
    dataset: str = ""
    interval: tuple[float, float] | None = None
    step: int | None = None

    def __post_init__(self) -> None:
        check_name(self.name, what=self.kind)
        if self.dataset:
            check_name(self.dataset, what="dataset")
            if "/" in self.dataset or self.dataset == "-":
                raise ParameterError(f"the dataset {self.dataset!r} may not hold '/' nor be '-': call it otherwise.")

    @property
    def scrap(self) -> str:
        """Its name for scrapbook; of several steps of a curve scrapbook shows the last."""
        return f"{self.kind}/{self.dataset or '-'}/{self.name}"


def check_name(name: object, *, what: str) -> None:
    """Refuse what cannot name a record: anything but text, empty text, blanks around it, line breaks."""
    if not isinstance(name, str):
        raise ParameterError(f"the name of a {what} must be text, not {name!r}.")
    if not name or name != name.strip() or _CONTROL.search(name):
        raise ParameterError(
            f"{name!r} cannot name a {what}: use text without line breaks, and without blanks around it."
        )


def check_path(path: object, *, what: str) -> None:
    """Refuse what is not a plain path below a folder: ``/x``, ``../x``, ``a//b``, ``.x``, ``C:x``, backslashes."""
    check_name(path, what=what)
    text = str(path)
    if "\\" in text or ":" in text or any(not part or part.startswith(".") for part in text.split("/")):
        raise ParameterError(
            f"{text!r} cannot name the {what}: use a path below the stage's folder, such as 'plots/roc.png', "
            "in which no part begins with a dot."
        )


def finite(value: object, *, what: str) -> float:
    """A Python float from any real number: int, float, a NumPy scalar, an array or tensor without dimensions.

    Args:
        what: what it is, for the error's sentence.

    Raises:
        ParameterError: it is something else; ``True`` and ``False`` are, too.
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ParameterError(f"{what} must be a number, not {_shown(value)}.")
    try:
        return float(value)
    except OverflowError as error:
        raise ParameterError(f"{what} is too large for a floating-point number.") from error


def number(value: float) -> float | str:
    """A float as JSON can hold it: itself, or ``"nan"``, ``"inf"``, ``"-inf"``."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def from_number(value: JSON) -> float:
    """The inverse of `number`; ValueError for anything that `number` does not give."""
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{_shown(value)} is not a number")


def bundle(record: Record, *, note: str = "") -> tuple[dict[str, JSON], dict[str, JSON]]:
    """A record as one display output: its data by mime type, and its metadata.

    Args:
        note: what to add to the line for people; it must not vary between equal runs, since nbval compares it.
    """
    value = number(record.value) if record.kind == "metric" else record.value
    payload = {
        "schema": SCHEMA,
        "kind": record.kind,
        "name": record.name,
        "value": value,
        "dataset": record.dataset,
        "interval": None if record.interval is None else [number(bound) for bound in record.interval],
        "step": record.step,
    }
    data: dict[str, JSON] = {
        MIME: {"name": record.scrap, "data": payload, "encoder": "json", "version": 1},
        "text/plain": line(record) + note,
    }
    return data, {"scrapbook": {"name": record.scrap, "data": True, "display": False}}


def line(record: Record) -> str:
    """A record for people: ``roc_auc (test) = 0.931 [0.92, 0.94]``, with six significant digits."""
    if record.kind != "metric":
        flavor = record.value.get("flavor", "") if isinstance(record.value, Mapping) else ""
        return f"{record.kind} {record.name}{f' ({flavor})' if flavor else ''}"
    dataset = f" ({record.dataset})" if record.dataset else ""
    step = "" if record.step is None else f" step {record.step}"
    interval = "" if record.interval is None else f" [{_short(record.interval[0])}, {_short(record.interval[1])}]"
    return f"{record.name}{dataset}{step} = {_short(record.value)}{interval}"


def read(notebook: Mapping[str, JSON]) -> tuple[Record, ...]:
    """The records in a notebook's outputs, in order; a cell that failed does not hide what it reported before.

    Args:
        notebook: as ``json.load`` gives it.

    Raises:
        NotebookError: a record is damaged or of a newer schema, with the number of its cell.
    """
    return tuple(record for _, record in read_cells(notebook))


def read_cells(notebook: Mapping[str, JSON]) -> Iterator[tuple[int, Record]]:
    """As `read`, each record with the 1-based number of its cell."""
    cells = notebook.get("cells", [])
    if not isinstance(cells, Sequence) or isinstance(cells, str):
        raise NotebookError("its cells are not a list: it is not a notebook of format 4.")
    for position, cell in enumerate(cells, start=1):
        outputs = cell.get("outputs") if isinstance(cell, Mapping) else None
        for output in outputs if isinstance(outputs, Sequence) else ():
            for payload in _payloads(output):
                try:
                    record = _ours(payload["data"]) if _is_ours(payload) else _glued(payload)
                except NotebookError as error:
                    raise NotebookError(error.message, cell=position) from error
                except (ParameterError, ValueError, TypeError, KeyError) as error:
                    raise NotebookError(
                        f"it holds a damaged record ({_why(error)}): run it again.", cell=position
                    ) from error
                if record is not None:
                    yield position, record


def _payloads(output: object) -> Iterator[Mapping[str, JSON]]:
    """The payloads of scrapbook's ``json`` encoder; its other encoders hold no numbers."""
    data = output.get("data") if isinstance(output, Mapping) else None
    payload = data.get(MIME) if isinstance(data, Mapping) else None
    if isinstance(payload, Mapping):
        yield payload


def _is_ours(payload: Mapping[str, JSON]) -> bool:
    data = payload.get("data")
    return isinstance(data, Mapping) and str(data.get("schema", "")).startswith(f"{_FAMILY}/")


def _ours(data: Mapping[str, JSON]) -> Record:
    version = str(data["schema"]).rsplit("/", 1)[1]
    if version != _VERSION:
        if version.isdigit() and int(version) > int(_VERSION):
            raise NotebookError(f"it holds a record of the newer schema {data['schema']}: upgrade nbprod to read it.")
        raise ValueError(f"its schema is {data['schema']!r}")
    kind, dataset, interval, step = data["kind"], data.get("dataset") or "", data.get("interval"), data.get("step")
    if kind not in _KINDS:
        raise ValueError(f"its kind is {kind!r}")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
        raise ValueError(f"its step is {_shown(step)}")
    value = data["value"]
    if kind != "metric":
        if not isinstance(value, Mapping):
            raise ValueError("it names no path")
        check_path(value.get("path"), what=kind)
    return Record(
        kind=kind,
        name=data["name"],
        value=from_number(value) if kind == "metric" else dict(value),
        dataset=dataset,
        interval=None if interval is None else _interval(interval),
        step=step,
    )


def _interval(bounds: JSON) -> tuple[float, float]:
    low, high = bounds
    return from_number(low), from_number(high)


def _glued(payload: Mapping[str, JSON]) -> Record | None:
    """A metric where ``scrapbook.glue`` kept a number under a usable name; NaN is kept there as the text ``nan``."""
    name = payload.get("name")
    try:
        check_name(name, what="metric")
        return Record(kind="metric", name=cast(str, name), value=from_number(payload.get("data")), dataset="test")
    except (ParameterError, ValueError):
        return None


def _short(value: float) -> str:
    """Six significant digits; whole numbers in full, so that a count stays a count."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 40 else f"a {type(value).__name__}"


def _why(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error).rstrip(".")
