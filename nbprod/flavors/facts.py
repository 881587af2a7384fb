"""What a model folder says of itself, read without loading it: flavour, signature, example, types, requirements."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbprod.digest import size_of
from nbprod.entities import JSON, Fact
from nbprod.errors import ArtifactError

PREDICTIONS = "nbprod/example_predictions.json"
"""Within a model folder: what the model answered to its input example when it was saved."""

PREDICTIONS_SCHEMA = "nbprod/example-predictions/1"

_NON_FINITE = {"NaN": None, "Infinity": "inf", "-Infinity": "-inf"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts(Fact):
    """A model folder's own words; nothing here was checked.

    Attributes:
        flavor: the framework's MLflow flavour, such as ``sklearn``; ``pyfunc`` if there is no other.
        flavors: every flavour that it can be loaded as.
        serialization: how the model is stored; see `Manifest`.
        inputs, outputs, params: the signature, as MLflow's lists of columns or tensors; None if there is none.
        example: the input example as it is stored, such as ``{"columns": [...], "data": [...]}``, missing values as
            None; None if there is none.
        example_predictions: what the model answered to it; None if that was not kept.
        trusted: the types that MLflow will trust when it loads this folder.
        requirements: lines of its ``requirements.txt``.
        code: top-level files and folders of code that travel with it.
        python, mlflow: versions that it was saved with.
        size: bytes of all its files.
    """

    flavor: str
    flavors: tuple[str, ...] = ()
    serialization: str = ""
    inputs: list[JSON] | None = None
    outputs: list[JSON] | None = None
    params: list[JSON] | None = None
    example: JSON = None
    example_predictions: JSON = None
    trusted: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    python: str = ""
    mlflow: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A folder's ``MLmodel`` file.

    Attributes:
        content: the file as it was read.
        flavor: name of the framework's flavour.
        options: what that flavour stored.
    """

    folder: Path
    content: dict[str, Any]
    flavor: str
    options: dict[str, Any] = field(default_factory=dict)

    def member(self, name: object) -> Path:
        """A file or folder that the manifest names; ArtifactError if that leaves the folder or is not there."""
        path = self.folder / str(name)
        if not path.resolve().is_relative_to(self.folder.resolve()) or not path.exists():
            raise ArtifactError(
                f"its file MLmodel names {str(name)!r}, which is not in the folder.", file=str(self.folder)
            )
        return path

    @property
    def serialization(self) -> str:
        """``skops``, ``pickle``, ``cloudpickle``, or empty where the flavour has a format of its own."""
        if self.options.get("model_class") == "lightgbm.basic.Booster":
            return ""  # a text, whatever format is named
        pickled = self.content["flavors"].get("python_function", {}).get("python_model")
        return str(self.options.get("serialization_format") or ("cloudpickle" if pickled else ""))

    @property
    def skops(self) -> Path | None:
        """The file in skops's format that holds the model, if one does; its name is the manifest's to choose."""
        if self.serialization != "skops":
            return None
        return self.member(self.options.get("pickled_model") or self.options.get("data"))


def read_manifest(folder: Path) -> Manifest:
    """Read the ``MLmodel`` file of a folder.

    Raises:
        ArtifactError: there is none, or it is not one.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load((folder / "MLmodel").read_text(encoding="utf-8"), Loader=loader)
    except FileNotFoundError as error:
        raise ArtifactError("is not a model folder: it holds no file MLmodel.", file=str(folder)) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ArtifactError("its file MLmodel cannot be read.", file=str(folder)) from error
    flavors = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavors, dict) or not all(isinstance(options, dict) for options in flavors.values()):
        raise ArtifactError("its file MLmodel names no flavours.", file=str(folder))
    own = [name for name in flavors if name != "python_function" and str(name).isidentifier()]
    flavor = own[0] if own else "pyfunc"
    return Manifest(folder=folder, content=content, flavor=flavor, options=flavors.get(flavor, {}))


def describe(folder: Path) -> ModelFacts:
    """What a model folder says of itself, without importing MLflow or loading the model.

    Raises:
        ArtifactError: it is not a model folder, or a file that it names is missing.
    """
    manifest = read_manifest(folder)
    content, options = manifest.content, manifest.options
    generic = content["flavors"].get("python_function", {})
    signature = content.get("signature") or {}
    code = options.get("code") or generic.get("code")
    predictions = folder / PREDICTIONS
    return ModelFacts(
        flavor=manifest.flavor,
        flavors=tuple(sorted(content["flavors"])),
        serialization=manifest.serialization,
        inputs=_columns(signature.get("inputs")),
        outputs=_columns(signature.get("outputs")),
        params=_columns(signature.get("params")),
        example=_example(manifest),
        example_predictions=_read_json(predictions).get("predictions") if predictions.is_file() else None,
        trusted=tuple(options.get("skops_trusted_types") or ()),
        requirements=_requirements(folder / "requirements.txt"),
        code=tuple(sorted(path.name for path in manifest.member(code).iterdir())) if code else (),
        python=str(generic.get("python_version", "")),
        mlflow=str(content.get("mlflow_version", "")),
        size=size_of(folder),
    )


def keep_predictions(folder: Path, answer: JSON) -> None:
    """Keep what the model answered to its example, in JSON types: a replay elsewhere must find the same."""
    target = folder / PREDICTIONS
    target.parent.mkdir(exist_ok=True)
    content = {"schema": PREDICTIONS_SCHEMA, "predictions": answer}
    target.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def _columns(text: object) -> list[JSON] | None:
    found = json.loads(text) if isinstance(text, str) else None
    return found if isinstance(found, list) else None


def _example(manifest: Manifest) -> JSON:
    saved = manifest.content.get("saved_input_example_info")
    if not isinstance(saved, dict) or not saved.get("artifact_path"):
        return None
    return _read_json(manifest.member(saved["artifact_path"]))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_NON_FINITE.get)
    except (OSError, ValueError) as error:
        raise ArtifactError("is not valid JSON.", file=str(path)) from error


def _requirements(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))
