"""A version as gates see it: its entry, what was said of it since, and on demand its model and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nbprod.entities import ModelVersion, Statement
from nbprod.errors import ArtifactError, UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the project demands of every version.

    Attributes:
        strict: whether what is unknown is refused, where it is else only warned of.
        licenses: licences that data may have; empty for any.
    """

    strict: bool = False
    licenses: tuple[str, ...] = ()


class Source(Protocol):
    """Where the bytes of a version come from; every method raises `ArtifactError` where they are not to be had."""

    def folder(self, version: ModelVersion) -> Path:
        """The registered folder, whose files were compared with the entry."""
        ...

    def data(self, item: Mapping[str, Any]) -> Path:
        """The file or folder of a dataset, as the entry's ``inputs`` describe it; its digest was compared."""
        ...

    def found(self, item: Mapping[str, Any]) -> str:
        """The digest of what is now where a dataset was read; of what was kept of it, if nothing is there."""
        ...


class Contender:
    """A version that is judged, or that another is judged against.

    Args:
        version: with its entry.
        statements: what was said of it after it was registered.
        parent: the version that it was made from, which knows its own parent.
    """

    def __init__(
        self,
        version: ModelVersion,
        *,
        source: Source,
        rules: Rules | None = None,
        statements: Sequence[Statement] = (),
        parent: Contender | None = None,
    ) -> None:
        self.version = version
        self.parent = parent
        self.entry: Mapping[str, Any] = version.entry
        self.statements = tuple(statements)
        self.rules = rules or Rules()
        self._source = source
        self._frames: dict[str, pd.DataFrame] = {}
        self._model: Any = None

    @property
    def ref(self) -> str:
        """How a person writes it: ``name/version``."""
        return self.version.ref

    def folder(self) -> Path:
        """The registered folder; its bytes are the recorded ones."""
        return self._source.folder(self.version)

    def metric(self, name: str, dataset: str) -> Mapping[str, Any]:
        """A metric of the entry: ``value``, which may be the text ``nan``, and ``interval``.

        Raises:
            UsageError: nobody reported it; with the nearest that was.
        """
        metrics = self.entry["metrics"]
        for metric in metrics:
            if (metric["name"], metric["dataset"]) == (name, dataset):
                found: Mapping[str, Any] = metric
                return found
        known = {m["name"] for m in metrics if m["dataset"] == dataset}
        hint = nearest(name, known) if known else f" It has no metrics on '{dataset}'."
        raise UsageError(f"{self.ref} has no metric '{name}' on '{dataset}'.{hint}")

    def input(self, role: str) -> Mapping[str, Any]:
        """What the entry says of a dataset, by its role or name.

        Raises:
            UsageError: there is none.
        """
        inputs = self.entry["inputs"]
        for key in ("role", "name"):
            for item in inputs:
                if item[key] == role:
                    found: Mapping[str, Any] = item
                    return found
        known = {item[key] for item in inputs for key in ("role", "name")}
        raise UsageError(f"{self.ref} has no dataset '{role}': name it under `model.data`.{nearest(role, known)}")

    def path(self, role: str) -> Path:
        """The file or folder of a dataset; its bytes are the recorded ones."""
        return self._source.data(self.input(role))

    def found(self, item: Mapping[str, Any]) -> str:
        """The digest of what is now where a dataset was read."""
        return self._source.found(item)

    def rows(self, role: str = "test") -> pd.DataFrame:
        """A dataset as a table.

        Raises:
            UsageError: there is none of that role.
            ArtifactError: its bytes are not to be had, or are no table.
        """
        if role not in self._frames:
            self._frames[role] = read_table(self._source.data(self.input(role)))
        return self._frames[role]

    @property
    def target(self) -> str:
        """The column that the model predicts.

        Raises:
            UsageError: the pipeline does not say.
        """
        target = self.entry["model"]["target"]
        if not target:
            raise UsageError(f"{self.ref} does not say what it predicts: write `target:` under `model:`.")
        return str(target)

    def model(self) -> Any:
        """The model as it was logged, such as an estimator with all its methods."""
        if self._model is None:
            from nbprod import flavors

            self._model = flavors.load(self.folder(), trusted=self.entry["model"]["trusted"])
        return self._model

    def features(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The columns of some rows that the signature names; all of them where it names none.

        Raises:
            ArtifactError: columns are missing.
        """
        columns = [column.get("name") for column in self.entry["model"]["signature"]["inputs"] or ()]
        if not columns or None in columns:
            return rows.drop(columns=[self.target], errors="ignore")
        missing = [name for name in columns if name not in rows.columns]
        if missing:
            raise ArtifactError(f"the rows lack columns that {self.ref} takes: {', '.join(missing)}.")
        return rows[columns]

    def predictions(self, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
        """What the model answers to some rows: a label or number for each."""
        import numpy as np

        return np.asarray(self.model().predict(self.features(rows)))

    def scores(self, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
        """The probability of each class, rows x classes, in the order of `classes`.

        Raises:
            UsageError: the model gives none.
        """
        import numpy as np

        model = self.model()
        if not hasattr(model, "predict_proba"):
            raise UsageError(
                f"{self.ref} gives no probabilities: judge it by a metric of its labels, such as accuracy."
            )
        return np.asarray(model.predict_proba(self.features(rows)))

    @property
    def classes(self) -> list[Any]:
        """The classes of a classifier, in the order of its scores; empty for a regression."""
        return list(getattr(self.model(), "classes_", ()))


def read_table(path: Path) -> pd.DataFrame:
    """A file, or a folder of Parquet, as a table.

    Raises:
        ArtifactError: it is none, or of a format that is not read.
    """
    import pandas as pd

    name = path.name.removesuffix(".gz")
    try:
        if path.is_dir() or name.endswith((".parquet", ".pq")):
            return pd.read_parquet(path)
        if name.endswith((".csv", ".tsv")):
            return pd.read_csv(path, sep="\t" if name.endswith(".tsv") else ",")
        if name.endswith((".jsonl", ".ndjson")):
            return pd.read_json(path, lines=True)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot be read as a table ({type(error).__name__}).", file=str(path)) from error
    raise ArtifactError("is no table that nbprod reads: use Parquet, CSV or JSON lines.", file=str(path))
