"""Every error that nbprod raises on purpose.

    NbprodError                 exit code
    ├── UsageError              2   wrong before anything ran
    │   ├── PipelineError           the YAML: file, line, nearest match
    │   ├── ParameterError          a value, a name or a type
    │   ├── NotebookError           a notebook that cannot be read or run
    │   ├── UntrustedTypes          a model holds types that nobody said may be loaded
    │   └── MissingExtra            an optional dependency that is not installed
    ├── RunError                3   a stage failed or was stopped
    │   ├── StageFailed             a cell failed, or cells never ran
    │   └── StageTimeout            the stage took longer than allowed
    ├── ArtifactError           4   bytes are missing or not the ones recorded
    ├── RegistryError           5   the registry refused, or cannot be reached
    │   └── AliasConflict           somebody else moved the alias first
    ├── GateFailed              6   a check did not pass
    └── DeployError             7   a service could not be built or started
        └── JournalFull             a prediction could not be written down, so it must not be answered

The class is the exit code; Ctrl-C is 130 and any other exception is a bug (1). An error's text is one sentence that
says what is wrong, where, and what to do; its fields hold the parts for whoever wants to render them differently.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar


class NbprodError(Exception):
    """Root of the tree.

    Args:
        message: one sentence for the person: what is wrong and what to do.
        file: the file it is about, as the user would name it.
        line: 1-based line in that file.
        cell: 1-based number of a cell in a notebook, counting all cells.
        stage: the pipeline stage it is about.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        cell: int | None = None,
        stage: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.cell = cell
        self.stage = stage

    @property
    def where(self) -> str:
        """The place in one phrase, such as ``pipelines/a.yaml:12`` or ``notebooks/a.ipynb, cell 3``.

        Empty if unknown.
        """
        place = self.file or ""
        if self.cell is not None:
            place += f"{', ' if place else ''}cell {self.cell}"
        if self.line is not None:
            place += f":{self.line}" if place and self.cell is None else f"{', ' if place else ''}line {self.line}"
        return place

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UsageError(NbprodError):
    """What was asked for cannot be done as asked; found before anything ran."""

    exit_code = 2


class PipelineError(UsageError):
    """The pipeline's YAML is wrong."""


class ParameterError(UsageError):
    """A parameter's name, type or value is wrong."""


class NotebookError(UsageError):
    """A notebook cannot be read, or names a kernel that is not installed."""


class UntrustedTypes(UsageError):
    """A model holds types that nbprod does not trust and nobody listed.

    Args:
        types: their names, as ``module.Class``.
        own: whether all of them are from modules that are not installed, such as the project's own.
    """

    def __init__(self, message: str, *, types: Iterable[str], own: bool, file: str | None = None) -> None:
        super().__init__(message, file=file)
        self.types = tuple(types)
        self.own = own


class MissingExtra(UsageError):
    """An optional dependency is not installed.

    Args:
        feature: what the user wanted.
        extra: the extra of nbprod that brings it.
    """

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(f"{feature} needs the extra '{extra}': pip install 'nbprod[{extra}]'.")
        self.extra = extra


class RunError(NbprodError):
    """A run did not finish."""

    exit_code = 3


class StageFailed(RunError):
    """A stage's notebook failed, or ended before its last cell."""


class StageTimeout(RunError):
    """A stage took longer than its ``timeout``."""


class ArtifactError(NbprodError):
    """Bytes are missing, or are not the ones that were recorded."""

    exit_code = 4


class RegistryError(NbprodError):
    """The model registry refused a request or cannot be reached."""

    exit_code = 5


class AliasConflict(RegistryError):
    """An alias was moved by somebody else in the meantime."""


class GateFailed(NbprodError):
    """A gate did not pass.

    Args:
        results: what all gates found, as `GateResult`.
    """

    exit_code = 6

    def __init__(self, message: str, *, results: Iterable[Any] = (), **where: Any) -> None:
        super().__init__(message, **where)
        self.results = tuple(results)


class DeployError(NbprodError):
    """A service could not be built, started or reached."""

    exit_code = 7


class JournalFull(DeployError):
    """The prediction log cannot be written to: the disk or the log's limit is full, or the disk fails."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name: ``" Did you mean 'train'?"``, or the list of what there is, or nothing.

    The text begins with a space, so that it can be appended to a sentence.
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" There is: {', '.join(names)}." if names else ""
