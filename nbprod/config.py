"""The project and its settings: ``[tool.nbprod]`` in ``pyproject.toml``, overlaid by ``NBPROD_*``.

The project's root is the nearest folder, going up, that says so (``[tool.nbprod]``), was one before (``.nbprod/``) or
looks like one (``pipelines/``, ``.git``); without any of these it is the folder one started from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.errors import UsageError, nearest

DATA = ".nbprod"
"""Databases, caches and the store; never in git."""

RUNS = "runs"
"""Executed notebooks and outputs, where people can open them."""


LEAST = {"jobs": 1, "keep_max": 0, "timeout": 0}
"""The least value of settings that are numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a project may set; each has ``NBPROD_<NAME>`` as its environment variable.

    Attributes:
        registry: URI of the MLflow registry; ``MLFLOW_TRACKING_URI`` comes before it. Empty: SQLite under ``.nbprod/``.
        store: where artifacts are kept: a folder or any fsspec URL. Empty: ``.nbprod/store``.
        keep_max: inputs up to this many bytes are kept in the store.
        jobs: how many stages run at once.
        kernel: the kernel of notebooks that name none.
        timeout: seconds that a stage may take where the pipeline sets none; 0 is no limit.
        strict: gates, cards and clean sources are required to promote.
        licenses: the licences that data may have, as SPDX identifiers or URLs; empty for any. In the environment they
            are separated by commas.
        predictions: where rolled prediction logs go, a folder for each model: a folder or any fsspec URL. Empty: beside
            their journals, in ``.nbprod/predictions/``.
        dask_scheduler: address of the Dask scheduler that ``--engine dask`` uses, such as ``tcp://10.0.0.5:8786``.
            Empty: none.
    """

    registry: str = ""
    store: str = ""
    keep_max: int = 1_000_000_000
    jobs: int = 2
    kernel: str = "python3"
    timeout: float = 0.0
    strict: bool = False
    licenses: tuple[str, ...] = ()
    predictions: str = ""
    dask_scheduler: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder with notebooks and pipelines, and what was set for it."""

    root: Path
    settings: Settings

    @property
    def data(self) -> Path:
        """``.nbprod/``: databases, caches, store."""
        return self.root / DATA

    @property
    def runs(self) -> Path:
        """``runs/``: executed notebooks and outputs."""
        return self.root / RUNS

    def relative(self, path: Path) -> str:
        """A path as the user would name it: relative to the root with ``/`` where it lies inside, else absolute."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()

    def registry_uri(self) -> str:
        """The absolute URI of the MLflow registry."""
        return (
            os.environ.get("MLFLOW_TRACKING_URI")
            or self.settings.registry
            or f"sqlite:///{(self.data / 'mlflow.db').as_posix()}"
        )

    @property
    def rolled_predictions(self) -> str:
        """The setting ``predictions``: a URL, or an absolute folder; empty for beside the journals."""
        place = self.settings.predictions
        return place if not place or "://" in place else str(self.root / place)

    def prepare_folders(self) -> None:
        """Make ``.nbprod/`` and ``runs/``, both of which ignore themselves in git."""
        for folder in (self.data, self.runs):
            folder.mkdir(parents=True, exist_ok=True)
            ignore = folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")


def _table(pyproject: Path) -> Mapping[str, Any] | None:
    """The ``[tool.nbprod]`` table, or None where there is none."""
    if not pyproject.is_file():
        return None
    text = pyproject.read_text(encoding="utf-8")
    if "tool.nbprod" not in text:
        return None
    import tomllib

    try:
        table: Mapping[str, Any] | None = tomllib.loads(text).get("tool", {}).get("nbprod")
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"is not valid TOML: {error}.", file=str(pyproject)) from error
    return table


def is_project(folder: Path) -> bool:
    """Whether a folder is a project's root; `find_root` also gives one that is not, where there is none."""
    looks = any((folder / name).is_dir() for name in (DATA, "pipelines", ".git"))
    return looks or _table(folder / "pyproject.toml") is not None


def find_root(start: Path) -> Path:
    """The root of the project that ``start`` (a folder, or a file in it) belongs to."""
    start = start.resolve()
    folder = start if start.is_dir() else start.parent
    home = Path.home()
    for candidate in (folder, *folder.parents):
        if candidate in (home, Path(candidate.anchor)) and candidate != folder:
            break
        if is_project(candidate):
            return candidate
    return folder


def _convert(name: str, value: Any, *, file: str) -> Any:
    """A setting's value in the type of its default."""
    kind = type(getattr(Settings(), name))
    if kind is tuple:
        return _names(name, value, file=file)
    if kind is bool and isinstance(value, str):
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    elif kind in (int, float) and isinstance(value, (str, int)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            value = kind(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{name} must be of type {kind.__name__}, not {value!r}.", file=file)
    if name in LEAST and not value >= LEAST[name]:
        raise UsageError(f"{name} must be at least {LEAST[name]}, not {value!r}.", file=file)
    return value


def _names(name: str, value: Any, *, file: str) -> tuple[str, ...]:
    """A setting that is a list of names."""
    found = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise UsageError(f"{name} must be a list of names, not {value!r}.", file=file)
    return tuple(found)


def load_project(start: Path | None = None) -> Project:
    """The project around ``start`` (default: the working folder) with its settings.

    Raises:
        UsageError: an unknown setting or a value of another type, with the file and the nearest match.
    """
    root = find_root(start or Path.cwd())
    names = [f.name for f in dataclasses.fields(Settings)]
    values: dict[str, Any] = {}
    for name, value in (_table(root / "pyproject.toml") or {}).items():
        if name not in names:
            raise UsageError(
                f"there is no setting '{name}' in [tool.nbprod].{nearest(name, names)}", file="pyproject.toml"
            )
        values[name] = _convert(name, value, file="pyproject.toml")
    for name in names:
        variable = f"NBPROD_{name.upper()}"
        if variable in os.environ:
            values[name] = _convert(name, os.environ[variable], file=variable)
    return Project(root=root, settings=Settings(**values))
