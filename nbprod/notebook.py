"""What a notebook calls: it reports metrics, artifacts and models, and loads models.

A report is an output of the cell that made it, so the executed notebook is the record. Artifacts and models are copied
when they are reported: in a stage into the stage's folder, elsewhere, as in JupyterLab, into ``runs/scratch`` of the
project. Reporting a name again replaces what was there.
"""

from __future__ import annotations

import json
import numbers
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.config import RUNS, find_root
from nbprod.errors import ArtifactError, NbprodError, ParameterError, UntrustedTypes, UsageError
from nbprod.records import Record, bundle, check_path, finite, number
from nbprod.store import remove, write_text, written_whole

if TYPE_CHECKING:
    from nbprod.flavors import Saved

SCRATCH = f"{RUNS}/scratch"
"""Where artifacts and models go outside a stage, from the project's root."""


def log_metric(
    name: str,
    value: float,
    *,
    dataset: str = "test",
    step: int | None = None,
    interval: Sequence[float] | None = None,
) -> None:
    """Report a number.

    A metric is known by its name and dataset; the last value counts. With ``step`` all values are its curve, too.

    Args:
        name: such as ``roc_auc``; it may hold slashes.
        value: a Python or NumPy number, NaN and infinities included.
        dataset: what it was measured on; it may not hold slashes.
        step: position on the curve, such as an epoch.
        interval: lower and upper bound, in the metric's unit.

    Raises:
        UsageError: the value is no number, or a name is no name.
    """
    if not dataset:
        raise ParameterError(f"the metric {name!r} has an empty dataset: name what it was measured on, such as 'test'.")
    what = f"the metric {name!r}"
    _show(
        Record(
            kind="metric",
            name=name,
            value=finite(value, what=what),
            dataset=dataset,
            interval=None if interval is None else _interval(interval, what=what),
            step=None if step is None else _step(step, what=what),
        )
    )


def log_metrics(mapping: Mapping[str, float], *, dataset: str = "test") -> None:
    """Report several numbers that were measured on one dataset; see `log_metric`."""
    for name, value in mapping.items():
        log_metric(name, value, dataset=dataset)


def log_artifact(value: Any, *, name: str | None = None) -> None:
    """Keep a copy of something under a name, which may be a path such as ``plots/roc.png``.

    Args:
        value: the path of a file or folder; a figure (anything with ``savefig`` or ``write_html``); a DataFrame, which
            becomes Parquet, or CSV if the name says so; or a dict or list, which becomes JSON. Text is always a path.
        name: needed for all but a path, which keeps its own; a missing ending is added.

    Raises:
        UsageError: there is nothing at the path, the name leaves the folder, or the value is none of these.
    """
    place = _place()
    if isinstance(value, (str, os.PathLike)):
        source = Path(value)
        name = source.resolve().name if name is None else name
        target = place.target(name, what="artifact")
        _copy(source, target)
    else:
        suffix, write = _writer(value)
        if name is None:
            raise UsageError(
                f"a {type(value).__name__} has no name of its own: give it one, such as name='it{suffix}'."
            )
        name = name if Path(name).suffix else f"{name}{suffix}"
        target = place.target(name, what="artifact")
        with _replacing(target) as part:
            write(value, part)
    _show(Record(kind="artifact", name=name, value={"path": name}), note=place.note(name))


def log_model(model: Any, *, example: Any, name: str = "model") -> None:
    """Keep a model, with its signature, an example of its input and the project's modules that it needs.

    Estimators are stored with skops, never pickled; models of other frameworks as MLflow does. Of the example the first
    five rows are kept.

    Args:
        model: a fitted model; or the path of an MLflow model folder or of a ``.skops`` file.
        example: rows as the model takes them, such as ``X.head()``.
        name: what the pipeline calls it.

    Raises:
        UsageError: the model holds what the notebook defines, or types that are not trusted, or it cannot answer its
            example.
    """
    if "/" in name:
        raise ParameterError(f"the name of a model may not hold '/', as {name!r} does.")
    place = _place()
    target = place.target(name, what="model")
    with _replacing(target) as part:
        saved, accepted = _save(model, part, example=example, place=place)
    note = place.note(name)
    if accepted:
        note += f"; a pipeline must say `model: {{trusted: [{', '.join(accepted)}]}}`"
    _show(Record(kind="model", name=name, value={"path": name, "flavor": saved.flavor}), note=note)


def load_model(uri: str | os.PathLike[str]) -> Any:
    """Load a model as it was logged, such as an estimator with all its methods.

    Args:
        uri: the path of a model folder or of a ``.skops`` file, or MLflow's name for a model, such as
            ``models:/income/3`` or ``runs:/<id>/model``. Code that travels with a model runs when it is loaded.

    Raises:
        UsageError: there is nothing at the path, or it holds types that are not trusted.
        ArtifactError: what is there is not a model, or not what was signed, or signed by somebody who is not trusted.
        RegistryError: MLflow has no such model.
    """
    from nbprod import flavors

    text = os.fspath(uri)
    path = flavors.download(text) if re.match(r"(models|runs):/", text) else Path(text)
    if not path.exists():
        raise UsageError("there is no model.", file=text)
    _check_signature(path, text)
    place = _place()
    trusted = place.trusted()
    try:
        return flavors.load(path, trusted=trusted)
    except UntrustedTypes as error:
        if place.strict or not error.own:
            raise
        return flavors.load(path, trusted={*trusted, *error.types})


def _check_signature(path: Path, uri: str) -> None:
    """Refuse a registered version that is not as it was signed; what was never signed is taken as it is."""
    from nbprod.trust.folder import SIGNATURE, check_folder
    from nbprod.trust.keys import Keys

    if not (path / SIGNATURE).is_file():
        return
    found = check_folder(path, Keys())
    if found.state == "ok":
        return
    why = {
        "unpinned": f"it was signed with the key {found.key}, which you do not trust: nbprod keys --pin, if you know "
        "whose it is.",
        "revoked": f"it was signed with the key {found.key}, which was revoked.",
    }.get(found.state, f"it is not what was signed: {' '.join(found.problems)}")
    raise ArtifactError(f"the model is not loaded, because {why}", file=uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where things are kept: in a stage its folder, elsewhere ``runs/scratch``."""

    root: Path
    folder: Path
    stage: str

    def target(self, name: str, *, what: str) -> Path:
        """The path for a name, whose folder is made; what is there already will be replaced."""
        check_path(name, what=what)
        target = self.folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(
                f"{name!r} cannot name an {what}, because a part of it is a file: choose another."
            ) from error
        if not target.parent.resolve().is_relative_to(self.folder.resolve()):
            raise UsageError(f"{name!r} cannot name an {what}, because a link leads out of the folder: choose another.")
        return target

    def note(self, name: str) -> str:
        """Where a person finds it; a stage's folder is another in each run, so there nothing is said."""
        return "" if self.stage else f" -> {SCRATCH}/{name}"

    @property
    def strict(self) -> bool:
        """Whether only listed types may be held: in a stage of a pipeline that has a file to list them in."""
        return bool(self.stage and os.environ.get("NBPROD_TRUSTED"))

    def trusted(self) -> frozenset[str]:
        """The types that may be loaded beside nbprod's own list; outside a stage any pipeline's list counts."""
        text = os.environ.get("NBPROD_TRUSTED") or "[]"
        try:
            listed = json.loads(text)
        except ValueError:
            listed = None
        if not isinstance(listed, list):
            raise UsageError(f'NBPROD_TRUSTED must be a JSON list of names, such as ["features.Ratio"], not {text}.')
        return frozenset(map(str, listed)) | (frozenset() if self.stage else _listed_in_pipelines(self.root))


def _place() -> _Place:
    known = os.environ.get("NBPROD_PROJECT")
    root = Path(known) if known else find_root(Path.cwd())
    if folder := os.environ.get("NBPROD_STAGE_DIR"):
        return _Place(root=root, folder=Path(folder), stage=os.environ.get("NBPROD_STAGE", "stage"))
    ignore = root / RUNS / ".gitignore"
    if not ignore.exists():
        write_text(ignore, "*\n")
    return _Place(root=root, folder=root / SCRATCH, stage="")


def _listed_in_pipelines(root: Path) -> frozenset[str]:
    """Every pipeline's ``model: trusted:``; a file that cannot be read is not this function's to report."""
    from nbprod.document import load_yaml

    found: set[str] = set()
    for file in sorted((root / "pipelines").glob("*.y*ml")):
        try:
            content = load_yaml(file.read_text(encoding="utf-8"), file=file.name).value
            found.update(content["model"]["trusted"])
        except (NbprodError, OSError, UnicodeDecodeError, KeyError, TypeError):
            continue
    return frozenset(found)


def _save(model: Any, part: Path, *, example: Any, place: _Place) -> tuple[Saved, tuple[str, ...]]:
    """Save a model; where no pipeline lists the trusted types, the project's own are accepted, and returned."""
    from nbprod import flavors

    trusted = place.trusted()
    try:
        return flavors.save(model, part, example=example, trusted=trusted), ()
    except UntrustedTypes as error:
        if place.strict or not error.own:
            raise
        accepted = error.types
    remove(part)
    return flavors.save(model, part, example=example, trusted={*trusted, *accepted}), accepted


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """As `written_whole`, also where a folder is replaced or replaces: the old one steps aside first."""
    with written_whole(target) as part:
        yield part
        if target.exists() and (part.is_dir() or target.is_dir()):
            os.rename(target, part.parent / ".old")


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder; one that is there already stays as it is."""
    if not source.exists():
        raise UsageError("there is no such file or folder to keep: write it first.", file=str(source))
    if target.exists() and source.resolve() == target.resolve():
        return
    if target.resolve().is_relative_to(source.resolve()):
        raise UsageError(
            "cannot be kept, since it holds the place where copies are kept: name a part of it.", file=str(source)
        )
    with _replacing(target) as part:
        if source.is_dir():
            shutil.copytree(source, part)
        else:
            shutil.copyfile(source, part)


def _writer(value: Any) -> tuple[str, Any]:
    """The ending that suits a value, and the function that writes it to a path."""
    if hasattr(value, "savefig"):
        return ".png", lambda figure, path: figure.savefig(path)
    if hasattr(value, "write_html"):
        return ".html", _write_interactive
    if any(hasattr(value, method) for method in ("to_parquet", "write_parquet")):
        return ".parquet", _write_frame
    if isinstance(value, (dict, list)):
        return ".json", _write_json
    raise UsageError(
        f"a {type(value).__name__} cannot be kept: give the path of a file or folder, a figure, a DataFrame, a dict or "
        "a list."
    )


def _write_interactive(figure: Any, path: Path) -> None:
    if path.suffix in (".html", ".htm"):
        figure.write_html(str(path))
    else:
        figure.write_image(str(path))


def _write_frame(frame: Any, path: Path) -> None:
    form = "csv" if ".csv" in path.suffixes else "parquet"
    if form == "parquet" and path.suffix not in (".parquet", ".pq"):
        raise UsageError(f"a table is kept as .parquet or .csv, not as {path.suffix}: name it otherwise.")
    if hasattr(frame, f"write_{form}"):
        getattr(frame, f"write_{form}")(path)
    elif form == "csv":
        names = getattr(frame.index, "names", [None])
        frame.to_csv(path, index=any(name is not None for name in names))
    else:
        frame.to_parquet(path)


def _write_json(value: Any, path: Path) -> None:
    try:
        text = json.dumps(_plain(value), indent=2, allow_nan=False)
    except TypeError as error:
        raise UsageError(f"it cannot be kept as JSON: {error}.") from error
    path.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """A value in JSON types: arrays as lists, non-finite numbers as text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _interval(bounds: Sequence[float], *, what: str) -> tuple[float, float]:
    if len(bounds) != 2:
        raise ParameterError(f"the interval of {what} must be two numbers, lower and upper bound.")
    low, high = (finite(bound, what=f"a bound of {what}") for bound in bounds)
    if low > high:
        raise ParameterError(f"the interval of {what} must have its lower bound first, not ({low:g}, {high:g}).")
    return low, high


def _step(step: object, *, what: str) -> int:
    if isinstance(step, bool) or not isinstance(step, numbers.Integral):
        raise ParameterError(f"the step of {what} must be a whole number, not {step!r}.")
    return int(step)


def _show(record: Record, *, note: str = "") -> None:
    """Make a record an output of the running cell; outside IPython print its line."""
    data, metadata = bundle(record, note=note)
    if _in_ipython():
        from IPython.display import display

        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
    else:
        print(data["text/plain"])


def _in_ipython() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
