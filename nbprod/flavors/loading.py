"""Load a model folder or a ``.skops`` file, trusting nbprod's own list of types and what the caller adds."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from nbprod.errors import ArtifactError, RegistryError, UntrustedTypes, UsageError
from nbprod.flavors.contents import is_own, names_in_skops
from nbprod.flavors.facts import read_manifest
from nbprod.flavors.trusted import TRUSTED


def import_mlflow() -> None:
    """Import MLflow with its telemetry off, unless somebody chose otherwise, and without its import's warnings."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_module("mlflow.pyfunc")


def load(folder: Path, *, trusted: Iterable[str] = ()) -> Any:
    """The model in a folder (or in a ``.skops`` file) as it was logged: an estimator with all its methods, for example.

    What was saved with skops is loaded with nbprod's own list of types and ``trusted``; the list that is stored
    beside the model is never used, since a forged model would trust itself. A flavour that stores pickles, and code
    that travels with a model, run when they are loaded: check the folder's digest first.

    Args:
        trusted: names of types, as ``module.Class``.

    Raises:
        ArtifactError: it is not a model, or is damaged.
        UntrustedTypes: it holds types that are in neither list.
        UsageError: a package that it needs is not installed.
    """
    if folder.suffix == ".skops" and folder.is_file():
        return load_skops(folder, trusted=trusted)
    manifest = read_manifest(folder)
    skops = manifest.skops
    generic = manifest.content["flavors"].get("python_function", {})
    code = manifest.options.get("code") or generic.get("code")
    with code_on_path(manifest.member(code) if code else None):
        if skops is not None:
            return load_skops(skops, trusted=trusted)
        import_mlflow()
        try:
            flavor = import_module(f"mlflow.{manifest.flavor}")
            if not hasattr(flavor, "load_model"):
                raise ArtifactError(f"MLflow cannot load the flavour '{manifest.flavor}'.", file=str(folder))
            return flavor.load_model(str(folder.resolve()))
        except ModuleNotFoundError as error:
            raise UsageError(
                f"this {manifest.flavor} model needs the module '{error.name}', which is not installed: install "
                "the packages in its requirements.txt.",
                file=str(folder),
            ) from error


def begin_importing() -> threading.Thread:
    """Import in the background what loading and asking a model needs, while something else is waited for.

    What is missing is told when a model is loaded.
    """

    def bring() -> None:
        for name in ("pandas", "skops.io", "scipy.stats"):
            with suppress(ImportError):
                import_module(name)

    thread = threading.Thread(target=bring, daemon=True, name="imports")
    thread.start()
    return thread


def download(uri: str) -> Path:
    """Fetch a model by MLflow's name for it, such as ``models:/income/3`` or ``runs:/<id>/model``, into a local folder.

    Raises:
        RegistryError: MLflow has none of that name, or cannot be reached.
    """
    import_mlflow()
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        return Path(download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        raise RegistryError(f"the model {uri} cannot be fetched: {first_line(error)}.") from error


def load_skops(path: Path, *, trusted: Iterable[str] = ()) -> Any:
    """The object in a ``.skops`` file; see `load`."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    allowed = TRUSTED | set(trusted)
    try:
        return skops.io.load(path, trusted=sorted(names_in_skops(path) & allowed))
    except UntrustedTypesFoundException as error:
        strange = sorted(set(skops.io.get_untrusted_types(file=path)) - allowed)
        raise untrusted(strange, file=str(path)) from error
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the model needs the module '{error.name}', which can be imported neither from here nor from the "
            "model's folder: install it, or log the model again with nbprod.log_model, which takes the project's "
            "modules along.",
            file=str(path),
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"the model cannot be loaded ({type(error).__name__}: {first_line(error)}); if it is not damaged, the "
            "installed packages are not those of its requirements.txt.",
            file=str(path),
        ) from error


def untrusted(types: Iterable[str], *, file: str | None = None) -> UntrustedTypes:
    """The error for types that nobody listed: it names them, and the line to add."""
    types = sorted(types)
    listed = ", ".join(types)
    message = (
        f"the model holds {listed}, which nbprod does not trust by itself: if you do, write "
        f"`model: {{trusted: [{listed}]}}` in the pipeline's YAML, which `nbprod run NOTEBOOK.ipynb --save` begins."
    )
    if any(name.startswith("scipy.stats.") for name in types):
        message = (
            f"the model holds {listed}, and distributions of scipy.stats run stored code when they are loaded: log the "
            "search's best_estimator_ instead of the search."
        )
    return UntrustedTypes(message, types=types, own=all(is_own(name) for name in types), file=file)


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, without a full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


@contextmanager
def code_on_path(code: Path | None) -> Iterator[None]:
    """Let modules be imported from a model's own code first; afterwards last, for what it imports only later."""
    if code is None:
        yield
        return
    entry = str(code.resolve())
    sys.path[:] = [entry, *(path for path in sys.path if path != entry)]
    try:
        yield
    finally:
        sys.path[:] = [*(path for path in sys.path if path != entry), entry]


@contextmanager
def restored_path() -> Iterator[None]:
    """Put the import path back, where MLflow adds the folder of a model that will be moved."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before
