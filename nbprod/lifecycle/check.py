"""Say everything that is wrong, or likely not meant, in a pipeline."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nbprod.entities import Fact
from nbprod.errors import NbprodError
from nbprod.lifecycle.cards import cards_of
from nbprod.lifecycle.plan import Bound, section_checks
from nbprod.lifecycle.updating import without_parent
from nbprod.lifecycle.workspace import find_pipeline, open_workspace, project_start
from nbprod.pipeline.bind import bind, problems, warnings
from nbprod.pipeline.repeats import repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport(Fact):
    """What was found.

    Attributes:
        errors: one mapping per error: text, type, message, file, line, cell, stage.
    """

    pipeline: str
    stages: int
    errors: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


def _error(error: NbprodError) -> dict[str, Any]:
    fields = {name: getattr(error, name) for name in ("message", "file", "line", "cell", "stage")}
    return {"type": type(error).__name__, "text": str(error), **fields}


def check(target: str | None) -> CheckReport:
    """Check a pipeline against its notebooks and files; errors are returned, not raised, when it can be read at all."""
    with open_workspace(project_start(target)) as work:
        pipeline = find_pipeline(target, work.project)
        checks = section_checks(pipeline, work)
        with suppress(NbprodError):  # the check of the section says it
            pipeline = without_parent(pipeline)
        errors = problems(pipeline, work.project, cache=work.index)
        for check_section in checks:
            try:
                check_section()
            except NbprodError as error:
                errors.append(error)
        found = []
        if not errors:
            bound = bind(pipeline, work.project, cache=work.index)
            found = warnings(pipeline, bound, work.project)
            try:
                cards_of(work, Bound(pipeline=pipeline, stages=bound))
                repeated(pipeline, bound)
            except NbprodError as error:
                errors.append(error)
        return CheckReport(
            pipeline=pipeline.path,
            stages=len(pipeline.stages),
            errors=tuple(_error(error) for error in errors),
            warnings=tuple(found),
        )
