"""From a verified folder to a version that is ready to answer: load it, prove it, warm it; for skops without MLflow."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nbprod.digest import sha256_file
from nbprod.errors import ArtifactError, DeployError, NbprodError, UntrustedTypes
from nbprod.flavors import describe
from nbprod.serving.limits import Limits
from nbprod.serving.signature import Signature, read_signature
from nbprod.trust.folder import check_folder
from nbprod.trust.keys import Keys

UNNEEDED = ("dask", "pytest", "matplotlib", "lightgbm", "xgboost", "catboost", "quantile_forest")
"""What skops and scikit-learn import where it is installed though no service needs it; together they cost seconds.

A model that does need one gets it, since it is imported again when the model names it.
"""


PIN = "nbprod keys --pin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A version as it lies in a folder of this process alone.

    Attributes:
        folder: the registered folder, copied and verified; see `verified`.
        digest: of the entry.
        signed: ``ok`` with a pinned key, or ``unsigned``.
        kept: the columns that the prediction log keeps.
    """

    name: str
    version: str
    digest: str
    folder: Path
    entry: Mapping[str, Any]
    signed: Literal["ok", "unsigned"]
    kept: tuple[str, ...]

    @property
    def ref(self) -> str:
        """``name/version``."""
        return f"{self.name}/{self.version}"


def verified(folder: Path, entry: Mapping[str, Any], *, ref: str, pin: str = PIN) -> Literal["ok", "unsigned"]:
    """Hold a folder against its signature and the entry's digests, and say whether it may be loaded; nothing is loaded.

    Args:
        pin: how a person can say that the key is trusted.

    Raises:
        ArtifactError: a file is not the recorded or signed one, or the key is not trusted.
        DeployError: it is of a kind that runs code when it is loaded, and not signed.
    """
    found = check_folder(folder, Keys())
    if found.state not in ("ok", "unsigned"):
        why = {
            "unpinned": f"signed with the key {found.key}, which is not pinned: {pin}, if you know whose it is.",
            "revoked": f"signed with the key {found.key}, which was revoked.",
        }.get(found.state, f"not what was signed: {' '.join(found.problems)}")
        raise ArtifactError(f"{ref} is not loaded, because it is {why}")
    for name, sha256 in entry["model"]["files"].items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            raise ArtifactError(f"{ref} is not what was registered: its file {name} is missing or was changed.")
    if found.state == "ok":
        return "ok"
    if entry["model"]["serialization"] != "skops" or describe(folder).code:
        raise DeployError(
            f"{ref} is not signed, and loading it could run code that is stored in it ({entry['model']['flavor']}): "
            "only a version that is signed with a pinned key is served; register it again with nbprod."
        )
    return "unsigned"


def load(source: Source, limits: Limits) -> Any:
    """Load a version and prove how it may be asked; a `nbprod.serving.served.Served`.

    Raises:
        DeployError: it has no signature, or does not answer.
        UsageError: it holds types that are not trusted, or a package is missing.
    """
    with quiet(read_signature(source.entry)):
        model = _model(source)
    return prepare(model, source, limits)


def prepare(model: Any, source: Source, limits: Limits) -> Any:
    """A loaded model as a version that is ready to answer: it is asked about its example and about rows that are made.

    Raises:
        DeployError: it does not answer.
    """
    import orjson

    from nbprod.serving.asked import Journalled
    from nbprod.serving.decode import Decoder
    from nbprod.serving.frames import Shaper
    from nbprod.serving.proof import prove
    from nbprod.serving.served import Served

    one_thread(model)
    signature = read_signature(source.entry)
    shaper = Shaper(signature)
    predict, proba, classes = _methods(model)
    proof = prove([p for p in (predict, proba) if p], shaper, example_rows(source.entry, signature))
    if not proof.rows:
        raise DeployError(f"{source.ref} is not used: {proof.why}")
    return Served(
        name=source.name, version=source.version, digest=source.digest, entry=source.entry, signature=signature,
        decoder=Decoder(signature, limits), shaper=shaper, proof=proof, predict=predict, proba=proba, classes=classes,
        journalled=Journalled(signature, source.kept),
        head=orjson.dumps({"model": source.name, "version": source.version})[1:-1],
        tail=b',"classes":' + orjson.dumps(classes, default=str) if classes else b"",
    )  # fmt: skip


@contextmanager
def quiet(signature: Signature) -> Iterator[None]:
    """Keep packages out that are not needed, and warnings about names of columns that arrays do not have."""
    warnings.filterwarnings("ignore")
    names = [*UNNEEDED, *(() if "string" in signature.types else ("pyarrow",))]
    blocked = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked))
    try:
        import skops.io  # noqa: F401
    except ImportError:  # told by whoever loads
        pass
    finally:
        for name in blocked:
            sys.modules.pop(name, None)
    yield


def _model(source: Source) -> Any:
    from nbprod import flavors

    trusted = tuple(source.entry["model"]["trusted"]) if source.signed == "ok" else ()
    try:
        if source.entry["model"]["serialization"] == "skops":
            try:
                return flavors.load(source.folder, trusted=trusted)
            except UntrustedTypes as error:
                if source.signed != "ok" or not error.own:
                    raise
                return flavors.load(source.folder, trusted={*trusted, *error.types})
        flavors.import_mlflow()
        from mlflow import pyfunc

        return pyfunc.load_model(str(source.folder))
    except NbprodError:
        raise
    except Exception as error:
        raise DeployError(f"{source.ref} cannot be loaded ({type(error).__name__}: {error}).") from error


def one_thread(model: Any) -> None:
    """Let a forest answer in the thread that asks: threads for each tree cost more than they bring for few rows."""
    try:
        found = model.get_params()
        model.set_params(**{key: 1 for key, value in found.items() if key.split("__")[-1] == "n_jobs" and value})
    except Exception:  # not one of scikit-learn's estimators
        return


def _methods(model: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any] | None, tuple[Any, ...]]:
    raw = model
    if hasattr(model, "get_raw_model"):  # what MLflow wraps
        try:
            raw = model.get_raw_model()
        except Exception:
            raw = None
    proba = getattr(raw, "predict_proba", None)
    classes: Any = getattr(raw, "classes_", None) if proba else None
    return model.predict, proba, tuple(classes.tolist()) if hasattr(classes, "tolist") else ()


def example_rows(entry: Mapping[str, Any], signature: Signature) -> list[Any]:
    """The rows of the stored example in the signature's order and types; none where it is of another form."""
    example = entry["model"].get("example")
    if signature.tensor is not None:
        values = example.get("inputs", example.get("instances")) if isinstance(example, Mapping) else example
        return list(values) if isinstance(values, list) else []
    if not isinstance(example, Mapping) or "data" not in example:
        return []
    names, rows = example.get("columns", []), []
    for row in example["data"]:
        known = dict(zip(names, row, strict=False))
        values = [typed(column.type, known.get(column.name)) for column in signature.columns]
        if all(
            value is not None or not column.required for value, column in zip(values, signature.columns, strict=True)
        ):
            rows.append(tuple(values))
    return rows


def typed(kind: str, value: Any) -> Any:
    """A value of a stored example in its type; None where it is none."""
    from nbprod.serving.types import moment

    make: Mapping[str, Callable[[Any], Any]] = {
        "integer": int, "long": int, "double": float, "float": float, "boolean": bool, "string": str,
        "datetime": lambda text: moment(str(text)), "binary": lambda text: str(text).encode(),
    }  # fmt: skip
    try:
        return None if value is None else make.get(kind, lambda item: item)(value)
    except (ValueError, TypeError, OverflowError):
        return None


def kept_columns(entry: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that the log keeps, as the pipeline that made the version says it."""
    from nbprod.predictions.policy import marked_columns, policy_of

    return policy_of(entry).kept(columns, marked_columns(entry))
