"""A registry in memory and a folder: for tests, and the reference of how a registry behaves."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nbprod.entities import JSON, ModelVersion, Run, Statement
from nbprod.errors import RegistryError
from nbprod.registry import Observed, Registration, head_of, is_behind
from nbprod.registry.auditing import taken
from nbprod.registry.recording import Entry, ran, run_entry, stage_entry
from nbprod.registry.statements import statement_name
from nbprod.store import written_whole


class MemoryRegistry:
    """A registry that is forgotten with the process.

    Args:
        folder: where it keeps registered folders.

    Attributes:
        seen: (run, stage) -> what `observed` is to return.
        entries: id of a record -> what was recorded.
        parents: id of a stage's record -> id of the run's.
        said: (name, version) -> file name -> statement.
        log: name -> number -> line of the audit log.
        heads: name -> what is noted of the last line.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.experiments: dict[str, str] = {}
        self.seen: dict[tuple[str, str], Observed] = {}
        self.entries: dict[str, Entry] = {}
        self.parents: dict[str, str] = {}
        self.known: list[ModelVersion] = []
        self.aliases: dict[tuple[str, str], str] = {}
        self.said: dict[tuple[str, str], dict[str, Statement]] = {}
        self.log: dict[str, dict[int, str]] = {}
        self.heads: dict[str, str] = {}

    def experiment(self, name: str) -> str:
        """See `Registry.experiment`."""
        return self.experiments.setdefault(name, str(len(self.experiments) + 1))

    def observed(self, run: str, stage: str, folder: str) -> Observed:
        """See `Registry.observed`."""
        found = self.seen.get((run, stage), Observed())
        models = {}
        for name, source in found.models.items():
            place = Path(folder, name)
            if not place.exists():
                shutil.copytree(source, place)
            models[name] = str(place)
        return replace(found, models=models)

    def record(
        self, run: Run, root: str, tags: Mapping[str, str], datasets: Mapping[str, Mapping[str, JSON]] | None = None
    ) -> str:
        """See `Registry.record`."""
        self.experiment(run.pipeline)
        tracking = f"record-{run.id}"
        if tracking not in self.entries:
            self.entries[tracking] = run_entry(run, tags=tags, datasets=datasets)
            for stage in ran(run):
                child = f"{tracking}-{stage.stage}"
                self.entries[child] = stage_entry(stage, run, tags=tags, datasets=datasets)
                self.parents[child] = tracking
        return tracking

    def register(self, registration: Registration) -> ModelVersion:
        """See `Registry.register`."""
        for version in self.versions(registration.name):
            if version.digest == registration.digest:
                return version
        if registration.tracking not in self.entries:
            raise RegistryError(f"cannot register '{registration.name}': there is no record {registration.tracking}.")
        number = str(1 + max((int(v.version) for v in self.known if v.name == registration.name), default=0))
        with written_whole(self._place(registration.name, number)) as part:
            shutil.copytree(registration.folder, part)
        made = ModelVersion(
            name=registration.name,
            version=number,
            digest=registration.digest,
            keys=registration.keys,
            run=registration.run,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            tracking=registration.tracking,
            tags=dict(registration.tags),
        )
        self.known.append(made)
        return made

    def versions(self, name: str | None = None) -> tuple[ModelVersion, ...]:
        """See `Registry.versions`."""
        found = [v for v in self.known if name in (None, v.name)]
        found.sort(key=lambda version: (version.name, -int(version.version)))
        return tuple(replace(v, aliases=self._aliases(v)) for v in found)

    def download(self, name: str, version: str, target: str, part: str = "") -> str:
        """See `Registry.download`."""
        source = self._place(name, version) / part
        if not source.exists():
            raise RegistryError(f"cannot fetch {name}/{version}: there is no {part or 'such version'}.")
        place = Path(target, part)
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
        return str(place)

    def attach(self, name: str, version: str, statement: Statement) -> None:
        """See `Registry.attach`."""
        if not any((v.name, v.version) == (name, version) for v in self.known):
            raise RegistryError(f"cannot attach a statement: there is no version {name}/{version}.")
        self.said.setdefault((name, version), {}).setdefault(statement_name(statement), statement)

    def statements(self, name: str, version: str) -> tuple[Statement, ...]:
        """See `Registry.statements`."""
        return tuple(sorted(self.said.get((name, version), {}).values(), key=lambda statement: statement.created))

    def point(self, name: str, alias: str, version: str) -> None:
        """See `Registry.point`."""
        if not version:
            self.aliases.pop((name, alias), None)
            return
        if not any((v.name, v.version) == (name, version) for v in self.known):
            raise RegistryError(f"cannot move the alias '{alias}': there is no version {name}/{version}.")
        self.aliases[(name, alias)] = version

    def lines(self, name: str) -> tuple[str, ...]:
        """See `Registry.lines`."""
        found = self.log.get(name, {})
        return tuple(found[number] for number in sorted(found))

    def append(self, name: str, number: int, line: str) -> None:
        """See `Registry.append`."""
        lines = self.log.setdefault(name, {})
        if number in lines:
            raise taken(name, number)
        lines[number] = line
        if is_behind(self.head(name), number):
            self.heads[name] = head_of(number, line)

    def head(self, name: str) -> str:
        """See `Registry.head`."""
        return self.heads.get(name, "")

    def _aliases(self, version: ModelVersion) -> tuple[str, ...]:
        return tuple(
            sorted(alias for (name, alias), v in self.aliases.items() if (name, v) == (version.name, version.version))
        )

    def _place(self, name: str, version: str) -> Path:
        return self.folder / name / version
