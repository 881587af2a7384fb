"""The process behind `nbprod.packaging.proof`: in the bundle's own environment it loads the model and asks it again.

It is started as ``python -I -m nbprod.packaging.proof_child BUNDLE`` and prints one JSON document,
``{"rows", "compared"}`` or ``{"error": text}``.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from nbprod.errors import NbprodError
from nbprod.flavors.answers import plain, rows_of, same
from nbprod.flavors.example import example_of


def replay(bundle: Path) -> dict[str, Any]:
    """Load a bundle's model and compare its answer to its example with the recorded one."""
    folder = bundle / "model"
    entry = json.loads((folder / "nbprod" / "nbprod.json").read_text(encoding="utf-8"))
    model = entry["model"]
    loaded = _loaded(folder, model)
    if model["example"] is None:
        return {"rows": 0, "compared": False}
    found = plain(loaded.predict(example_of(model)))
    expected = model["example_predictions"]
    if expected is not None and not same(found, expected):
        return {"error": f"it answers its example otherwise than recorded: {_short(expected)} became {_short(found)}"}
    return {"rows": rows_of(found), "compared": expected is not None}


def _loaded(folder: Path, model: dict[str, Any]) -> Any:
    if model["serialization"] == "skops":
        from nbprod.flavors.loading import load

        return load(folder, trusted=model["trusted"])
    from nbprod.flavors.loading import import_mlflow

    import_mlflow()
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))


def _short(answer: Any) -> str:
    text = json.dumps(answer)
    return text if len(text) <= 60 else f"{text[:57]}..."


def main(arguments: list[str]) -> dict[str, Any]:
    """What a bundle's model does here."""
    try:
        return replay(Path(arguments[0]))
    except NbprodError as error:
        return {"error": str(error)}
    except Exception as error:  # whatever a model raises is the result
        lines = str(error).strip().splitlines()
        return {"error": f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(main(sys.argv[1:])))
