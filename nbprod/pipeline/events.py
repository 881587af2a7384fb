"""What a run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nbprod.entities import StageRun


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    """A stage's kernel is about to start."""

    stage: str
    reasons: tuple[str, ...]
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StageWaits:
    """Another process is running the same stage; its result will be used."""

    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStarted:
    """Code cell ``cell`` of ``cells`` began."""

    stage: str
    cell: int
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEnded:
    """A stage ended, was reused or was skipped."""

    stage: StageRun


Event = StageStarted | StageWaits | CellStarted | StageEnded
Watch = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Watch nothing."""
