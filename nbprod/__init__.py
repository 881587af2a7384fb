"""From a notebook to a model version that is ready to deploy.

A notebook calls ``nbprod.log_metric``, ``log_metrics``, ``log_artifact``, ``log_model`` and ``load_model``, and
``nbprod.monitor`` looks at what was registered. Importing nbprod loads nothing of it; a name is loaded when it is first
used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date
    from os import PathLike

    from nbprod.lifecycle.monitor import Looked
    from nbprod.notebook import load_model, log_artifact, log_metric, log_metrics, log_model

__version__ = "0.1.0"

__all__ = ["load_model", "log_artifact", "log_metric", "log_metrics", "log_model", "monitor"]


def monitor(
    name: str,
    *,
    files: str | PathLike[str] | Iterable[str | PathLike[str]] = (),
    labels: str | PathLike[str] | Iterable[str | PathLike[str]] = (),
    since: str | date = "",
    window: str = "",
) -> Looked:
    """Say whether what runs is still like what was measured, as ``nbprod monitor`` does.

    What is found is kept beside the project's data, so that the next look knows of it.

    Args:
        name: a model, of which the champion is meant, or ``name/version`` or ``name@alias``.
        files: new rows, a window each, or one file; none for the prediction log.
        labels: what was true of them: a file for each of `files`, or any number for the log.
        since, window: of the log: an age such as ``30d``, a day or a moment, and how long a window is, such as ``1d``.

    Returns:
        A report (``report.checks``, ``report.windows``), with the profiles it was made from; its ``page()`` is HTML.

    Raises:
        UsageError: there is no such version, it has no profile, or the request makes no sense.
        ArtifactError: a file cannot be read.
    """
    from os import PathLike, fspath

    from nbprod.lifecycle.monitor import Request
    from nbprod.lifecycle.monitor import monitor as look

    given = ((paths,) if isinstance(paths, str | PathLike) else paths for paths in (files, labels))
    rows, truths = (tuple(fspath(path) for path in paths) for paths in given)
    return look(name, Request(files=rows, labels=truths, since=str(since), window=str(window)))


def __getattr__(name: str) -> Any:
    """Load a name of ``__all__`` when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'nbprod' has no attribute {name!r}")
    from nbprod import notebook

    return getattr(notebook, name)


def __dir__() -> list[str]:
    """List the lazy names, too, so that they can be completed in a notebook."""
    return sorted({*globals(), *__all__})
