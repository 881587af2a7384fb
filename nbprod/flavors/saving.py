"""Save a model as a folder in the MLflow Model format, with signature, example, requirements and its own code."""

from __future__ import annotations

import inspect
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from nbprod.errors import ArtifactError, UsageError
from nbprod.flavors.answers import plain
from nbprod.flavors.contents import (
    Code,
    code_of,
    is_own,
    names_in,
    names_in_skops,
    names_of_type,
    refuse_notebook_names,
    root_of,
)
from nbprod.flavors.facts import keep_predictions, read_manifest
from nbprod.flavors.loading import first_line, import_mlflow, load_skops, restored_path, untrusted
from nbprod.flavors.requirements import environment_for
from nbprod.flavors.schema import head, signature_of
from nbprod.flavors.trusted import TRUSTED

FLAVORS = {
    "catboost": "catboost",
    "h2o": "h2o",
    "keras": "keras",
    "lightgbm": "lightgbm",
    "mlflow": "pyfunc",
    "onnx": "onnx",
    "paddle": "paddle",
    "pmdarima": "pmdarima",
    "prophet": "prophet",
    "sentence_transformers": "sentence_transformers",
    "sklearn": "sklearn",
    "spacy": "spacy",
    "statsmodels": "statsmodels",
    "tensorflow": "tensorflow",
    "torch": "pytorch",
    "transformers": "transformers",
    "xgboost": "xgboost",
}
"""The package that a model's class, or the nearest of its base classes, is from -> the MLflow flavour that saves it."""

PICKLED = frozenset({"pyfunc", "pytorch", "statsmodels"})
"""Flavours that pickle, so that whatever is in the model must be importable; the others have their own formats."""

INFERS_NOTHING = frozenset({"keras", "onnx", "spacy", "transformers"})
"""Flavours that make no signature by themselves, and do not know the value False that forbids it to the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What was saved.

    Attributes:
        code: names of the project's modules that travel with the model.
        trusted: the types that must be trusted to load it.
    """

    flavor: str
    code: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()


def save(model: Any, folder: Path, *, example: Any, trusted: Iterable[str] = ()) -> Saved:
    """Write a model to ``folder``, which does not exist yet; what is left there after an error is of no use.

    Estimators with scikit-learn's interface are saved with skops, every other model by the MLflow flavour of its
    framework. The signature is made from the example and the model's answer to it. Integer columns stay integers: an
    integer column says that no value was missing in training, and MLflow refuses floats there, so a column in which a
    value may be missing must hold floats in the example, as pandas makes it when one is missing. The first rows of
    the example are kept, with the answer to them, which `Replay` expects again.

    Args:
        model: a fitted model; or the path of an MLflow model folder, which is copied as it is, or of a ``.skops`` file.
        example: rows as the model takes them, such as ``X.head()``; not needed for an MLflow model folder.
        trusted: names of types beside nbprod's own list, as ``module.Class``.

    Raises:
        UntrustedTypes: the model holds types of the project, or others, that are in neither list.
        UsageError: it holds what the notebook defines, cannot be stored without pickle, or cannot answer its example.
    """
    if isinstance(model, (str, os.PathLike)):
        return _save_path(Path(model), folder, example=example, trusted=trusted)
    if example is None:
        raise UsageError("the model has no example: give a few rows as it takes them, such as example=X.head().")
    flavor = flavor_of(model)
    import_mlflow()
    write = _with_skops if flavor == "sklearn" or _is_lightgbm_estimator(model, flavor) else _with_flavor
    return write(model, folder, flavor=flavor, example=example, trusted=frozenset(trusted))


def wrap_skops(path: Path, folder: Path, *, example: Any, trusted: Iterable[str] = ()) -> Saved:
    """Make a model folder out of a ``.skops`` file; see `save`.

    Args:
        example: rows as the model takes them; of a DataFrame only the columns that the model was fitted on are used.
    """
    trusted = frozenset(trusted)
    model = load_skops(path, trusted=trusted)
    columns = getattr(model, "feature_names_in_", None)
    if columns is not None and hasattr(example, "columns"):
        missing = [str(name) for name in columns if name not in example.columns]
        if missing:
            raise UsageError(f"the example lacks columns that the model takes: {', '.join(missing)}.", file=str(path))
        example = example[list(columns)]
    return save(model, folder, example=example, trusted=trusted)


def flavor_of(model: Any) -> str:
    """The MLflow flavour that saves a model.

    Raises:
        UsageError: no flavour is known for its class.
    """
    for kind in type(model).__mro__:
        if flavor := FLAVORS.get(root_of(kind.__module__)):
            return flavor
    raise UsageError(
        f"there is no way to save a {type(model).__module__}.{type(model).__qualname__}: make it a scikit-learn "
        "estimator (a subclass of sklearn.base.BaseEstimator) or an mlflow.pyfunc.PythonModel."
    )


def _is_lightgbm_estimator(model: Any, flavor: str) -> bool:
    """LightGBM's estimators hold Python objects and go through skops; its bare boosters are a text of their own."""
    return flavor == "lightgbm" and hasattr(model, "get_params")


def _save_path(path: Path, folder: Path, *, example: Any, trusted: Iterable[str]) -> Saved:
    if path.suffix == ".skops" and path.is_file():
        return wrap_skops(path, folder, example=example, trusted=trusted)
    try:
        manifest = read_manifest(path)
    except ArtifactError as error:
        raise UsageError("is neither a model folder nor a .skops file.", file=str(path)) from error
    shutil.copytree(path, folder)
    return Saved(flavor=manifest.flavor, trusted=tuple(manifest.options.get("skops_trusted_types") or ()))


def _with_skops(model: Any, folder: Path, *, flavor: str, example: Any, trusted: frozenset[str]) -> Saved:
    from mlflow.exceptions import MlflowException

    names = names_in(model)
    refuse_notebook_names(names)
    _refuse_nameless(names)
    allowed = TRUSTED | trusted
    if any(is_own(name) and name not in allowed for name in names):
        _refuse_untrusted(model, names, allowed)
    rows = head(example)
    answer = _answer(model, rows)
    code = code_of(names)
    try:
        _write(
            model,
            folder,
            flavor=flavor,
            code=code,
            modules={"scipy", "skops", "sklearn", *map(root_of, names)},
            input_example=rows,
            signature=signature_of(example, answer),
            serialization_format="skops",
            skops_trusted_types=sorted(allowed),
        )
    except (MlflowException, RecursionError) as error:
        _refuse_untrusted(model, names, allowed)
        raise UsageError(f"a {type(model).__name__} cannot be stored with skops: {_reason(error)}.") from error
    skops = read_manifest(folder).skops
    needed = sorted(names_in_skops(skops) & allowed) if skops else []
    meta = _load_meta(folder)
    meta.flavors[flavor]["skops_trusted_types"] = needed
    meta.save(str(folder / "MLmodel"))
    keep_predictions(folder, plain(answer))
    return Saved(flavor=flavor, code=tuple(code.paths), trusted=tuple(needed))


def _with_flavor(model: Any, folder: Path, *, flavor: str, example: Any, trusted: frozenset[str]) -> Saved:
    from mlflow import pyfunc
    from mlflow.exceptions import MlflowException

    names = names_in(model) if flavor in PICKLED else names_of_type(model)
    refuse_notebook_names(names)
    if strange := sorted(name for name in names if is_own(name) and name not in trusted):
        raise untrusted(strange)
    rows = head(example)
    code = code_of(names)
    try:
        _write(
            model,
            folder,
            flavor=flavor,
            code=code,
            modules={"cloudpickle", *map(root_of, names)},
            input_example=rows,
            signature=None if flavor in INFERS_NOTHING else False,
        )
        with restored_path():
            answer = pyfunc.load_model(str(folder)).predict(rows)
    except MlflowException as error:
        raise UsageError(f"MLflow cannot save a {type(model).__name__}: {_reason(error)}.") from error
    meta = _load_meta(folder)
    if meta.signature is None:
        meta.signature = signature_of(example, answer)
        meta.save(str(folder / "MLmodel"))
    keep_predictions(folder, plain(answer))
    return Saved(flavor=flavor, code=tuple(code.paths), trusted=tuple(sorted(trusted & names)))


def _write(model: Any, folder: Path, *, flavor: str, code: Code, modules: Iterable[str], **options: Any) -> None:
    """Call the flavour's ``save_model`` with pinned requirements and the code that is to travel."""
    save_model = import_module(f"mlflow.{flavor}").save_model
    parameters = inspect.signature(save_model).parameters
    first = "python_model" if flavor == "pyfunc" else next(iter(parameters))
    own = set(code.paths)
    with tempfile.TemporaryDirectory(prefix="nbprod-code-") as staging:
        if code.paths:
            options["code_paths"] = code.stage(Path(staging))
        if code.paths and "code_paths" not in parameters:
            raise UsageError(
                f"a {flavor} model cannot take modules of the project along ({', '.join(own)}): install them."
            )
        save_model(
            **{first: model},
            path=str(folder),
            conda_env=environment_for({*modules, *code.imports} - own),
            **options,
        )


def _answer(model: Any, rows: Any) -> Any:
    """What a model answers to its example, asked as its own framework does."""
    if not hasattr(model, "predict"):
        raise UsageError(
            f"a {type(model).__name__} has no predict, so nobody could ask it: log a pipeline that ends in a model."
        )
    try:
        return model.predict(rows)
    except Exception as error:  # whatever a model raises, the example does not fit it
        raise UsageError(
            f"the model cannot answer its example ({type(error).__name__}: {first_line(error)}): fit it first, and "
            "give rows as its predict takes them."
        ) from error


def _refuse_nameless(names: Iterable[str]) -> None:
    nameless = sorted(name for name in names if "<" in name and is_own(name))
    if nameless:
        raise UsageError(
            f"the model holds {', '.join(nameless)}, which cannot be imported by that name: define it with a "
            "name of its own at the top level of its module."
        )


def _refuse_untrusted(model: Any, names: Iterable[str], allowed: frozenset[str]) -> None:
    """Raise for all types that keep a model from being loaded; nothing happens if it is something else that does."""
    import skops.io

    strange = {name for name in names if is_own(name)}
    with suppress(TypeError, ValueError, AttributeError, ImportError, RecursionError):  # then the caller says why
        strange.update(skops.io.get_untrusted_types(data=skops.io.dumps(model)))
    if strange - allowed:
        raise untrusted(strange - allowed)


def _reason(error: BaseException) -> str:
    """The innermost cause of an exception, in a line; it says more than what MLflow wraps around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, RecursionError):
        return "it refers to itself"
    return f"{type(error).__name__}: {first_line(error)}"


def _load_meta(folder: Path) -> Any:
    from mlflow.models import Model

    return Model.load(str(folder))
