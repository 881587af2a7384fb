"""A version and its folder that the tests of this room share; the model in it is a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nbprod.digest import sha256_bytes
from nbprod.entities import ModelVersion, Statement

LOCK = """\
numpy==2.4.6 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
scikit-learn==1.9.1 ; python_full_version < '3.15' \\
    --hash=sha256:{c}
""".format(a="a" * 64, b="b" * 64, c="c" * 64)


def entry(**model: Any) -> dict[str, Any]:
    """What packaging reads of an entry."""
    return {
        "name": "churn",
        "owner": "The retention | team",
        "intended_use": "Calls to customers.",
        "limitations": "Not for prices.",
        "environment": {
            "python": "3.11.7",
            "freeze": ["numpy==2.4.6", "nbprod==0.1.0", "torch==2.1.0+cpu", "# odd", "own @ file:///x"],
        },
        "model": {
            "sha256": "d" * 64,
            "flavor": "sklearn",
            "serialization": "skops",
            "signature": {"inputs": [{"type": "long", "name": "age", "required": True}]},
            "example": {"columns": ["age"], "data": [[31]]},
            "example_predictions": [1],
            "trusted": [],
            "requirements": ["mlflow-skinny==3.17.2", "numpy==2.4.6", "pandas==3.1.1", "scikit-learn==1.9.1"],
            **model,
        },
    }


VERSION = ModelVersion(name="churn", version="3", digest="e" * 64, entry=entry())
STATEMENT = Statement(schema="nbprod/registration/1", subject="e" * 64, created="2026-01-01T00:00:00+00:00")


def folder(place: Path) -> Path:
    """A registered folder."""
    (place / "nbprod").mkdir(parents=True)
    (place / "MLmodel").write_text("flavors: {}\n")
    (place / "registered_model_meta").write_text("when it was downloaded\n")
    (place / "nbprod" / "nbprod.json").write_text(json.dumps(entry()))
    return place


ABOUT: dict[str, Any] = {
    "name": "churn", "version": "3", "entry": "e" * 64, "python": "3.11", "nbprod": "0.1.0", "base": "python:3.11-slim",
    "wheels": "own", "platform": "", "packages": 2,
    "model": {"sha256": "d" * 64, "flavor": "sklearn", "signature": "ok", "key": "0123456789abcdef"},
}  # fmt: skip
"""The fields of a manifest but its files."""

SHA = sha256_bytes(b"")
