"""Say of every MLflow run and model that a notebook begins which stage of which nbprod run it belongs to.

MLflow finds this by the entry point ``mlflow.run_context_provider`` and asks it before it makes a run. Outside a stage
it says nothing.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from nbprod.registry import ATTEMPT_TAG, RUN_TAG, STAGE_TAG


def marker(folder: str | os.PathLike[str]) -> Path:
    """The file that tells that MLflow was used in a stage: the stage's folder with ``.mlflow`` behind its name."""
    return Path(f"{os.fspath(folder).rstrip('/')}.mlflow")


class StageContext:
    """A provider as MLflow wants it; it does not inherit from MLflow's, so that importing it costs nothing."""

    def in_context(self) -> bool:
        """Whether this is a stage's kernel."""
        return bool(os.environ.get("NBPROD_RUN") and os.environ.get("NBPROD_STAGE"))

    def tags(self) -> dict[str, str]:
        """The tags of a run that begins now; the runner is told that MLflow was used."""
        folder = os.environ.get("NBPROD_STAGE_DIR")
        if folder:
            with contextlib.suppress(OSError):  # the hint is lost, the user's own code must not be
                marker(folder).touch()
        found = {RUN_TAG: os.environ["NBPROD_RUN"], STAGE_TAG: os.environ["NBPROD_STAGE"]}
        if attempt := os.environ.get("NBPROD_ATTEMPT"):
            found[ATTEMPT_TAG] = attempt
        return found
