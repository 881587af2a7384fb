"""What nbprod asks of a model registry, and how people name what is in it.

The protocol has two adapters: `nbprod.registry.memory`, the reference of its behaviour, and `nbprod.registry.mlflow`,
which `nbprod.registry.process` runs in a process of its own. All that goes in and comes out is a fact or plain JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nbprod.digest import sha256_bytes
from nbprod.entities import JSON, Fact, Metric, ModelVersion, Run, Statement
from nbprod.errors import RegistryError, UsageError, nearest

RUN_TAG = "nbprod.run"
"""Tag that holds nbprod's run id, on whatever was made during that run."""

STAGE_TAG = "nbprod.stage"
"""Tag that holds the stage's name."""

ATTEMPT_TAG = "nbprod.attempt"
"""Tag that holds which attempt at the stage it was, counted from 1."""

RECORD_TAG = "nbprod.record"
"""Tag of what nbprod itself recorded: ``run`` or ``stage``. What a notebook logs has no such tag."""

FOLDER = "nbprod"
"""Folder of nbprod's own files within a registered model."""

_NAME = re.compile(r"[^\s/:@]+\Z")
_ALIAS = re.compile(r"[\w-]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed(Fact):
    """What a notebook logged with plain MLflow calls.

    Attributes:
        runs: ids of the MLflow runs, in the order of their start.
        metrics: the last value of each; of a metric that was logged with steps also its curve.
        params: MLflow keeps them as text.
        models: name -> folder in the MLflow Model format.
    """

    metrics: tuple[Metric, ...] = ()
    params: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration(Fact):
    """A folder that is to become a version.

    Attributes:
        name: of the model.
        folder: has ``MLmodel`` at its root.
        digest: sha256 of the entry's canonical JSON.
        keys: digest over the keys of the stages that made it.
        run: nbprod's run id.
        tracking: what `Registry.record` returned.
        tags: whatever else to say of it.
    """

    name: str
    folder: str
    digest: str
    keys: str = ""
    run: str = ""
    tracking: str
    tags: dict[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref(Fact):
    """How a person names a version: ``name/version``, ``name@alias``, or ``name`` for its newest."""

    name: str
    version: str = ""
    alias: str = ""

    def __str__(self) -> str:
        if self.alias:
            return f"{self.name}@{self.alias}"
        return f"{self.name}/{self.version}" if self.version else self.name


class Registry(Protocol):
    """Where runs are recorded, model versions are kept, aliases point, and the audit log of each model lies.

    Every method raises `RegistryError` when the registry refuses or cannot be reached. Paths are text, so that they can
    cross a pipe.
    """

    def experiment(self, name: str) -> str:
        """The id of the group of runs called ``name``, which is made when there is none."""
        ...

    def observed(self, run: str, stage: str, folder: str) -> Observed:
        """What plain MLflow calls in a stage's kernel logged, in any experiment; of several attempts the last.

        Args:
            folder: where its models are copied to, each under its name; what is there already stays.
        """
        ...

    def record(
        self, run: Run, root: str, tags: Mapping[str, str], datasets: Mapping[str, Mapping[str, JSON]] | None = None
    ) -> str:
        """Record a run that ended, with a child for every stage that ran in it; a second time changes nothing.

        Args:
            root: the project's root, where the run's files lie.
            tags: whatever else to say of it, such as ``mlflow.source.git.commit``.
            datasets: sha256 of an input -> what is known of it: ``role``, ``rows``, ``columns``.

        Returns:
            The registry's id of the record.
        """
        ...

    def register(self, registration: Registration) -> ModelVersion:
        """Make a folder the next version of a model; no alias moves.

        A version with the same digest is returned as it is: nothing is registered twice.
        """
        ...

    def versions(self, name: str | None = None) -> tuple[ModelVersion, ...]:
        """All versions, or those of one model, by name and newest first; also those that nbprod did not make."""
        ...

    def download(self, name: str, version: str, target: str, part: str = "") -> str:
        """Bring a version's folder, or one file or folder of it, into the folder ``target``; returns where it is.

        Args:
            part: path within the version's folder, such as ``nbprod/nbprod.json``.
        """
        ...

    def attach(self, name: str, version: str, statement: Statement) -> None:
        """Keep a statement beside a version; one that is there is left as it is."""
        ...

    def statements(self, name: str, version: str) -> tuple[Statement, ...]:
        """The statements beside a version, by the time they were made."""
        ...

    def point(self, name: str, alias: str, version: str) -> None:
        """Let an alias point at a version; with no version the alias is removed."""
        ...

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of a model's audit log, or of `auditing.ERASURES`, in their order; they are not judged here."""
        ...

    def append(self, name: str, number: int, line: str) -> None:
        """Write line ``number`` of a model's audit log if there is none, and note it as the `head`.

        Raises:
            AliasConflict: somebody else wrote that line first.
        """
        ...

    def head(self, name: str) -> str:
        """What the registry itself notes of the last line, ``<number>:<sha256>``; empty if there is none."""
        ...


def head_of(number: int, line: str) -> str:
    """What a registry notes of the last line of an audit log; see `Registry.head`."""
    return f"{number}:{sha256_bytes(line.encode())}"


def is_behind(head: str, number: int) -> bool:
    """Whether a `head` is of an earlier line: whoever was held up must not note an old line as the last again."""
    noted = head.partition(":")[0]
    return not noted.isdecimal() or int(noted) < number


CHAMPION = "champion"
"""The alias of the version that serves, with which others are compared where a pipeline names no other."""


def check_alias(text: str) -> None:
    """Refuse what no alias can be called.

    Raises:
        UsageError: it holds other characters than letters, digits, ``-`` and ``_``, or is reserved by MLflow.
    """
    if not _ALIAS.match(text) or text == "latest" or re.fullmatch(r"v\d+", text):
        raise UsageError(f"'{text}' cannot be an alias: use a name of letters, digits, '-' and '_', such as champion.")


def parse_ref(text: str) -> Ref:
    """Read how a person names a version; MLflow's own ``models:/`` before it is allowed.

    Raises:
        UsageError: it is none of ``name``, ``name/version`` and ``name@alias``.
    """
    bare = text.strip().removeprefix("models:/")
    name, slash, version = bare.partition("/")
    if not slash:
        name, at, alias = bare.partition("@")
        if at and not _ALIAS.match(alias):
            raise UsageError(f"'{text}' names no alias: write NAME@ALIAS, such as {name or 'churn'}@champion.")
    else:
        alias = ""
        if not version.isdecimal() or int(version) == 0:
            raise UsageError(
                f"'{text}' names no version: versions are numbers, so write NAME/VERSION such as {name or 'churn'}/3, "
                "or NAME@ALIAS for an alias."
            )
    if not _NAME.match(name):
        raise UsageError(f"'{text}' names no model: write NAME, NAME/VERSION or NAME@ALIAS, such as churn/3.")
    return Ref(name=name, version=str(int(version)) if version else "", alias=alias)


def resolve(registry: Registry, ref: Ref) -> ModelVersion:
    """The version that a person means; see `choose`."""
    versions = registry.versions(ref.name)
    return choose(ref, versions or registry.versions())


def choose(ref: Ref, versions: Iterable[ModelVersion]) -> ModelVersion:
    """Of some versions the one that a person means.

    Raises:
        RegistryError: there is no such model, version or alias; with the nearest that there is.
    """
    known = tuple(versions)
    own = [version for version in known if version.name == ref.name]
    if not own:
        hint = nearest(ref.name, {version.name for version in known}) or " Nothing is registered yet: nbprod run."
        raise RegistryError(f"there is no model '{ref.name}' in the registry.{hint}")
    if ref.alias:
        for version in own:
            if ref.alias in version.aliases:
                return version
        aliases = {alias for version in own for alias in version.aliases}
        hint = nearest(ref.alias, aliases) or " It has no alias yet."
        raise RegistryError(f"the model '{ref.name}' has no alias '{ref.alias}'.{hint}")
    if ref.version:
        for version in own:
            if version.version == ref.version:
                return version
        numbers = sorted((int(version.version) for version in own), reverse=True)
        shown = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
        raise RegistryError(f"the model '{ref.name}' has no version {ref.version}. There is: {shown}.")
    return max(own, key=lambda version: int(version.version))
