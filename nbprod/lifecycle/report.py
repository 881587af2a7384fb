"""How to run, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.entities import GateResult, ModelVersion, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run.

    Attributes:
        name: register under another name than the pipeline says.
        jobs: stages at once; 0 for the project's setting.
        registering: ``"yes"`` or ``"no"``.
        save: ``"yes"`` to write the pipeline file of a single notebook.
        executor: name under the entry point ``nbprod.executors``.
    """

    name: str | None = None
    jobs: int = 0
    registering: str = "yes"
    save: str = "no"
    executor: str = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What became of it.

    Attributes:
        registered: whether the version is new.
        notes: sentences for the person.
        results: what the gates found of a new version.
    """

    run: Run
    version: ModelVersion | None = None
    registered: bool = False
    notes: tuple[str, ...] = ()
    results: tuple[GateResult, ...] = ()
