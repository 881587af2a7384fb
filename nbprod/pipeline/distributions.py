"""What is installed: distributions, the modules they bring and what they require, read from their metadata folders.

Listing the folders' names is enough to see that nothing changed; opening them all is slow, so that is done once for
each set of installed distributions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nbprod.entities import Fact

SUFFIXES = (".dist-info", ".egg-info")
MODULES = (".py", ".so", ".pyd")
EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)|["']([^"']+)["']\s*==\s*extra""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distributions(Fact):
    """Everything that an interpreter finds installed. Names are in their normal form (PEP 503).

    Attributes:
        versions: distribution -> version.
        modules: top-level module -> the distributions that bring it.
        requires: ``name`` or ``name[extra]`` -> what it requires on this platform, written in the same way.
    """

    versions: dict[str, str] = field(default_factory=dict)
    modules: dict[str, list[str]] = field(default_factory=dict)
    requires: dict[str, list[str]] = field(default_factory=dict)

    def closure(self, modules: Iterable[str]) -> dict[str, str]:
        """The distributions that bring top-level modules, with everything they require -> version.

        A module that no distribution brings is listed by its own name with the version ``unknown``: it is not
        installed, or was put there by hand. Requirements that are not installed are left out, and extras that nothing
        asks for.
        """
        found: dict[str, str] = {}
        left: list[str] = []
        for module in modules:
            brought_by = self.modules.get(module)
            if brought_by:
                left += brought_by
            else:
                found[module] = "unknown"
        seen: set[str] = set()
        while left:
            wanted = left.pop()
            if wanted in seen:
                continue
            seen.add(wanted)
            name = wanted.partition("[")[0]
            if name in self.versions:
                found[name] = self.versions[name]
                left += self.requires.get(wanted, ())
                if wanted != name:
                    left.append(name)
        return dict(sorted(found.items()))


def normal_name(name: str) -> str:
    """A distribution's name, or an extra's, in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def listing(folders: Iterable[str]) -> list[str]:
    """What tells whether anything was installed or removed: the metadata folders' names, and when it was."""
    found: list[str] = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(SUFFIXES))
            changed = os.stat(folder).st_mtime_ns if folder.endswith("-packages") else 0
        except OSError:
            continue
        if names:
            found += [f"{folder} {changed}", *names]
    return found


def read_distributions(folders: Iterable[str], markers: Mapping[str, str]) -> Distributions:
    """Open the metadata of everything that is installed.

    Args:
        folders: where to look; of two distributions with the same name the first counts, as when importing.
        markers: the interpreter's environment markers (PEP 508).
    """
    found = Distributions()
    for folder in map(Path, folders):
        metadata = sorted(path for path in _entries(folder) if path.name.endswith(SUFFIXES) and path.name[0] != "~")
        for path in metadata:
            headers = _headers(path)
            name = normal_name((headers.get("name") or [path.name.partition("-")[0]])[0])
            if name in found.versions:
                continue
            found.versions[name] = (headers.get("version") or ["unknown"])[0]
            lines = headers.get("requires-dist") or list(_old_requirements(path))
            for wanted, required in _requirements(name, lines, markers).items():
                found.requires[wanted] = required
            for module in sorted(set(_modules(path, name))):
                found.modules.setdefault(module, []).append(name)
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _headers(metadata: Path) -> dict[str, list[str]]:
    """The headers of a distribution's metadata, by lower-case name."""
    text = _text(metadata / "METADATA") or _text(metadata / "PKG-INFO") or _text(metadata)
    found: dict[str, list[str]] = {}
    for line in text.partition("\n\n")[0].splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith((" ", "\t")):
            found.setdefault(name.lower(), []).append(value.strip())
    return found


def _old_requirements(metadata: Path) -> Iterator[str]:
    """The requirements of an ``.egg-info`` folder, in sections ``[extra]``, ``[:marker]`` or ``[extra:marker]``."""
    conditions: list[str] = []
    for line in map(str.strip, _text(metadata / "requires.txt").splitlines()):
        if line.startswith("["):
            extra, _, marker = line.strip("[]").partition(":")
            conditions = [f"({marker})"] * bool(marker) + [f'extra == "{extra}"'] * bool(extra)
        elif line:
            yield f"{line}; {' and '.join(conditions)}" if conditions else line


def _requirements(name: str, lines: Iterable[str], markers: Mapping[str, str]) -> dict[str, list[str]]:
    """``name`` and ``name[extra]`` -> what they require on this platform."""
    from packaging.requirements import InvalidRequirement, Requirement

    found: dict[str, list[str]] = {}
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        required = normal_name(requirement.name)
        targets = [f"{required}[{normal_name(extra)}]" for extra in sorted(requirement.extras)] or [required]
        if requirement.marker is None or requirement.marker.evaluate({**markers, "extra": ""}):
            found.setdefault(name, []).extend(targets)
            continue
        for extra in {first or second for first, second in EXTRA.findall(str(requirement.marker))}:
            if requirement.marker.evaluate({**markers, "extra": extra}):
                found.setdefault(f"{name}[{normal_name(extra)}]", []).extend(targets)
    return found


def _modules(metadata: Path, name: str) -> Iterator[str]:
    """The top-level modules that a distribution brings."""
    count = 0
    for module in (*_text(metadata / "top_level.txt").split(), *_recorded(metadata)):
        count += 1
        yield module
    if not count:
        yield name.replace("-", "_")  # metadata that lists no files, such as a system package's


def _recorded(metadata: Path) -> Iterator[str]:
    """The top-level modules among a distribution's files; of an editable one, those in the folders it points at."""
    for line in _text(metadata / "RECORD").splitlines():
        first, slash, rest = line.partition(",")[0].partition("/")
        if slash and first.isidentifier() and rest.endswith(MODULES):
            yield first
        elif not slash and first.endswith(MODULES):
            yield first.partition(".")[0]
        elif not slash and first.endswith(".pth"):
            yield from _pointed_at(metadata.parent / first)


def _pointed_at(pth: Path) -> Iterator[str]:
    """The packages and modules in the folders that a ``.pth`` file adds to the path."""
    for line in _text(pth).splitlines():
        if not line.strip() or line.startswith(("#", "import ", "import\t")):
            continue
        for path in _entries(pth.parent / line.strip()):
            if path.suffix == ".py" and path.stem.isidentifier():
                yield path.stem
            elif path.name.isidentifier() and (path / "__init__.py").is_file():
                yield path.name
