"""From a notebook to a model version that is ready to deploy.

A notebook calls ``nbprod.log_metric``, ``log_metrics``, ``log_artifact``, ``log_model`` and ``load_model``. Importing
nbprod loads nothing of it; a name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbprod.notebook import load_model, log_artifact, log_metric, log_metrics, log_model

__version__ = "0.1.0"

__all__ = ["load_model", "log_artifact", "log_metric", "log_metrics", "log_model"]


def __getattr__(name: str) -> Any:
    """Load a name of ``__all__`` when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'nbprod' has no attribute {name!r}")
    from nbprod import notebook

    return getattr(notebook, name)


def __dir__() -> list[str]:
    """List the lazy names, too, so that they can be completed in a notebook."""
    return sorted({*globals(), *__all__})
