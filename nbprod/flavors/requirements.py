"""The distributions that a model needs, at their installed versions; nothing is imported to find out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "imblearn": "imbalanced-learn",
    "skimage": "scikit-image",
    "cv2": "opencv-python",
}
"""Distributions that are not called as the module they bring; the others are asked for by the module's name first."""

ALWAYS = ("mlflow", "numpy", "pandas")
"""What loading any model through MLflow imports."""


def requirements_for(modules: Iterable[str]) -> list[str]:
    """Pinned requirements for top-level modules and for what MLflow needs to load a model, sorted.

    Modules of the standard library, and those of no distribution, need none. A local version such as ``2.1.0+cpu`` is
    cut at the plus sign, since no index has it.
    """
    found: dict[str, str] = {}
    for module in sorted({*ALWAYS, *modules} - set(sys.stdlib_module_names)):
        for distribution in _distributions(module):
            found[distribution] = f"{distribution}=={version(distribution).partition('+')[0]}"
    return [found[name] for name in sorted(found)]


def environment_for(modules: Iterable[str]) -> dict[str, Any]:
    """The same requirements as a conda environment, which MLflow also writes as ``requirements.txt``.

    Given bare requirements MLflow would ask for pip's version, and warn where pip is not installed, as in environments
    that uv made.
    """
    python = ".".join(map(str, sys.version_info[:3]))
    pip = {"pip": requirements_for(modules)}
    return {"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": [f"python={python}", "pip", pip]}


def _distributions(module: str) -> list[str]:
    candidates = [DISTRIBUTIONS.get(module, module)]
    if module == "mlflow":
        candidates.append("mlflow-skinny")
    for name in candidates:
        try:
            version(name)
        except PackageNotFoundError:
            continue
        return [name]
    if module in ("__main__", "nbprod", "builtins") or module.startswith("_"):
        return []
    return sorted(set(packages_distributions().get(module, [])))[:1]
