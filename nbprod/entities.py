"""The nouns of nbprod: frozen facts, with a plain form for JSON (``to_dict``) and back (``from_dict``).

Times are ISO 8601 in UTC, sizes are bytes, durations are seconds, paths are relative to the project's root with ``/``.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Self

JSON = Any
"""A value that ``json.dumps`` accepts."""

Role = Literal["input", "output", "artifact", "model"]
Status = Literal["running", "succeeded", "failed", "interrupted", "skipped"]
Action = Literal["run", "reuse"]
Verdict = Literal["passed", "failed", "undecided"]
INCREMENTAL = "incremental"  # a version to its parent, if it goes on learning from what that learned


def _plain(value: Any) -> JSON:
    if isinstance(value, Fact):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    return value


@cache
def _hints(cls: Any) -> list[tuple[str, Any]]:
    hints = typing.get_type_hints(cls)
    return [(f.name, None if hints[f.name] in (str, int, bool) else hints[f.name]) for f in dataclasses.fields(cls)]


def _typed(hint: Any, value: Any) -> Any:
    """Rebuild ``value`` as ``hint`` says: facts inside optionals, tuples and dicts; anything else as it is."""
    if value is None:
        return None
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Fact):
        return hint.from_dict(value)
    if origin is tuple:
        return tuple(_typed(args[0], v) for v in value)
    if origin is dict:
        return {k: _typed(args[1], v) for k, v in value.items()}
    if args and type(None) in args:
        return _typed(next(a for a in args if a is not type(None)), value)
    return float(value) if hint is float and isinstance(value, str) else value


class Fact:
    """Base of every noun: conversion to and from plain JSON types, one rule for all."""

    __slots__ = ()

    def to_dict(self) -> dict[str, JSON]:
        """This fact in JSON types; every field is present, and numbers that are not finite are text."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, data: Mapping[str, JSON]) -> Self:
        """The inverse of `to_dict`; fields that a newer version added are ignored."""
        return cls(**{n: _typed(hint, data[n]) if hint else data[n] for n, hint in _hints(cls) if n in data})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Fact):
    """Named bytes.

    Attributes:
        name: within a stage: an output's or input's parameter, or the name it was logged under.
        uri: where it is: a path relative to the project's root, or a URL.
        sha256: digest of the file's bytes, or of a folder's sorted members (see `nbprod.digest`).
        size: bytes; for a folder the sum of its files.
        kind: ``file`` or ``folder``.
        role: what it is to the stage.
    """

    name: str
    uri: str
    sha256: str
    size: int
    kind: Literal["file", "folder"] = "file"
    role: Role = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Fact):
    """A number that a notebook reported. Non-finite values are kept as Python floats here, as text in JSON.

    Attributes:
        dataset: what it was measured on, such as ``test``.
        interval: lower and upper bound, in the metric's unit.
        curve: ``(step, value)`` pairs when it was logged with steps; `value` is then the last one.
        stage: the stage that reported it.
    """

    name: str
    value: float
    dataset: str = "test"
    interval: tuple[float, ...] | None = None
    curve: tuple[tuple[float, ...], ...] = ()
    stage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter(Fact):
    """One name that a notebook's parameters cell assigns.

    Attributes:
        type: the type in Python's notation (``int``, ``None | str``, ``list[int]``, ``Literal['a', 'b']``); empty if
            unknown.
        default: the default in JSON types; ``None`` when `literal` is false.
        literal: whether the default could be read without running the cell.
        role: ``input`` or ``output`` when its comment begins so.
        description: the rest of the comment.
        cell: 1-based number of the cell in the notebook.
        line: 1-based line in that cell.
    """

    name: str
    type: str = ""
    default: JSON = None
    literal: bool = True
    role: Literal["", "input", "output"] = ""
    description: str = ""
    cell: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Fact):
    """A notebook with its parameters, inputs and outputs, as the YAML says it.

    Attributes:
        inputs: parameter -> reference (``stage.name``), path or URL.
        outputs: parameter -> file name within the stage's folder.
        keep: parameter -> false for inputs whose bytes are not copied into the store.
        env: names of environment variables that are passed on, never recorded.
        refresh: ``""``, ``always`` or an age such as ``1d``.
        timeout: seconds for the whole stage.
        environment: ``imports`` (what it imports counts in the key) or ``full`` (all that is installed).
        line: where it stands in the pipeline's file.
    """

    name: str
    notebook: str
    params: dict[str, JSON] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    keep: dict[str, bool] = field(default_factory=dict)
    env: tuple[str, ...] = ()
    refresh: str = ""
    timeout: float | None = None
    retries: int = 0
    repeats: int = 1
    warm: bool = False
    resources: dict[str, JSON] = field(default_factory=dict)
    environment: str = "imports"
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec(Fact):
    """The pipeline's ``model`` section: which artifact becomes a version, and what its owner says of it.

    Attributes:
        source: ``stage.name`` of the model (``from`` in the YAML).
        metrics: stages whose metrics describe it; empty means every stage.
        data: role (``train``, ``test``, ...) -> reference or path.
        trusted: ``module.Class`` names that skops may load beside nbprod's own list.
    """

    name: str
    source: str
    metrics: tuple[str, ...] = ()
    main_metric: str = ""
    data: dict[str, str] = field(default_factory=dict)
    target: str = ""
    groups: tuple[str, ...] = ()
    owner: str = ""
    intended_use: str = ""
    limitations: str = ""
    trusted: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline(Fact):
    """A DAG of stages: one YAML file under ``pipelines/``, or one notebook.

    Attributes:
        path, text: the YAML file, and all that it says; empty for a notebook that is run by itself.
        presets: name -> ``[stage.]parameter`` -> value.
        sections: legal top-level keys that other parts of nbprod read: gates, log, monitor, retrain, update.
    """

    name: str
    stages: tuple[Stage, ...]
    model: ModelSpec | None = None
    path: str = ""
    text: str = ""
    presets: dict[str, dict[str, JSON]] = field(default_factory=dict)
    sections: dict[str, JSON] = field(default_factory=dict)

    def stage(self, name: str) -> Stage:
        """The stage called ``name``; KeyError if there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellError(Fact):
    """Why a stage did not succeed.

    Attributes:
        cell: 1-based number of the cell, 0 if no cell is to blame.
        line: 1-based line of that cell's code, 0 if it is not known.
        source: that cell's code.
        traceback: as the kernel printed it, with terminal colours.
    """

    message: str
    cell: int = 0
    line: int = 0
    source: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun(Fact):
    """One execution of a stage, or its reuse.

    Attributes:
        key: digest over everything that decides the result; `parts` is what it was made from.
        reasons: why it ran, or from which run it was reused.
        executed: the executed notebook.
        cells: number of code cells; `pending` of them never ran.
        run: the run that executed it (for a reused stage, an earlier one).
        pipeline: the pipeline's name.
        seconds: how long it took.
        tracked: ids of the runs that plain MLflow calls in the notebook made.
    """

    stage: str
    notebook: str = ""
    pipeline: str = ""
    run: str = ""
    action: Action = "run"
    status: Status = "running"
    key: str = ""
    parts: dict[str, JSON] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    params: dict[str, JSON] = field(default_factory=dict)
    inputs: dict[str, Artifact] = field(default_factory=dict)
    outputs: dict[str, Artifact] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    executed: Artifact | None = None
    cells: int = 0
    pending: int = 0
    attempts: int = 1
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    tracked: tuple[str, ...] = ()
    error: CellError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Fact):
    """One execution of a pipeline."""

    id: str
    pipeline: str
    status: Status = "running"
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    stages: tuple[StageRun, ...] = ()
    params: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion(Fact):
    """A registry entry as it is found in the registry; `entry` is the content of its ``nbprod.json``.

    Attributes:
        digest: sha256 of the entry's canonical JSON.
        keys: digest over the keys of the stages that made it: equal keys need no second registration.
        aliases: what points at it now; asked afresh, never part of the entry.
        created: when it was registered.
        tracking: id of the registry's own record of the run.
        tags: what the registry says of it beside the fields above.
    """

    name: str
    version: str
    digest: str = ""
    keys: str = ""
    run: str = ""
    created: str = ""
    aliases: tuple[str, ...] = ()
    entry: dict[str, JSON] = field(default_factory=dict)
    tracking: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """How a person writes it: ``name/version``."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Fact):
    """A small immutable record about a version, made after it: it names the entry's digest, never changes the entry.

    Attributes:
        schema: what kind it is, such as ``nbprod/registration/1``.
        subject: digest of the entry it speaks of.
        body: what it says.
        signatures: DSSE signatures of all that, ``keyid`` and ``sig``; see `nbprod.evidence.statements`.
    """

    schema: str
    subject: str
    created: str = ""
    body: dict[str, JSON] = field(default_factory=dict)
    signatures: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult(Fact):
    """What a gate found; undecided is not passed.

    Attributes:
        gate: its name.
        reason: one sentence.
        observed, required: what was found, such as a metric's value, and what it is held against.
        interval: lower and upper bound of what was observed, in its unit.
        options: what the pipeline's YAML says for this gate.
        details: more to show, such as the value of each group.
    """

    gate: str
    verdict: Verdict
    reason: str = ""
    observed: JSON = None
    required: JSON = None
    interval: tuple[float, float] | None = None
    options: dict[str, JSON] = field(default_factory=dict)
    details: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard(Fact):
    """What describes a dataset, and what may be done with it; the first half has Croissant's names (MLCommons).

    Attributes:
        license: an SPDX identifier or a URL.
        origin: who published or measured it, and where it was taken from.
        terms: terms of use beyond the licence.
        collection: how the data came to be.
        personal: columns that say something about a person.
        sensitive: columns of special categories, such as health or ethnicity.
        subject: the column that identifies a person; empty if there is none.
        retention: how long it may be kept.
        contact: whom to ask.
    """

    name: str = ""
    description: str = ""
    license: str = ""
    url: str = ""
    version: str = ""
    creator: str = ""
    publisher: str = ""
    citeAs: str = ""
    datePublished: str = ""
    temporalCoverage: str = ""
    keywords: tuple[str, ...] = ()
    origin: str = ""
    terms: str = ""
    collection: str = ""
    personal: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    subject: str = ""
    retention: str = ""
    contact: str = ""
