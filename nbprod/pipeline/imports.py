"""What a notebook imports: the project's own modules, followed through their imports, and the names of everything else.

It is read from the code; nothing is imported. A module counts wherever the kernel might find it: beside the notebook,
in the project's root and its ``src``, in folders of the project on PYTHONPATH, and in those that the code adds to the
path.
"""

from __future__ import annotations

import importlib.machinery
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nbprod.config import RUNS
from nbprod.digest import sha256_bytes
from nbprod.errors import NotebookError
from nbprod.pipeline.environment import Cache
from nbprod.pipeline.scan import Reference, Scan, scan_module, scan_notebook
from nbprod.pipeline.source import Source, read_source

SUFFIXES = (".py", *importlib.machinery.EXTENSION_SUFFIXES)
"""How a module's file may end."""

FRAMEWORK = "nbprod"
"""nbprod itself is never followed as a module of the project, even in its own repository."""

NOT_OURS = frozenset({"site-packages", "dist-packages", "node_modules", "__pycache__"})
"""Folders in a project that hold other people's code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    """What was found.

    Attributes:
        scan: the notebook's own code.
        modules: the project's files, relative to its root -> digest of their code in normal form.
        outside: first parts of the names of modules that are not the project's.
        shared: first parts of names of the project's that an installed distribution may bring as well.
    """

    scan: Scan
    modules: dict[str, str]
    outside: frozenset[str]
    shared: frozenset[str]


def find_imports(source: Source, project: Path, cache: Cache) -> Imports:
    """Everything that a notebook imports, directly or through the project's modules."""
    scan = scan_notebook(source, cache)
    folder = os.path.realpath(source.path.parent)
    search = _Search(os.path.realpath(project), folder, cache)
    search.written = {os.path.normpath(os.path.join(folder, r.name)) for r in scan.references if r.kind == "written"}
    search.follow(scan, folder)
    search.finish()
    names = {name.partition(".")[0] for name in search.names}
    return Imports(
        scan=scan,
        modules=dict(sorted(search.modules.items())),
        outside=frozenset(names - search.ours),
        shared=frozenset(names & search.ours),
    )


class _Search:
    """Follows references, each file once. Every place where a module may be found counts, not only the first."""

    def __init__(self, project: str, folder: str, cache: Cache) -> None:
        self.project = project
        self.folder = folder
        self.cache = cache
        self.roots: list[str] = []
        self.names: dict[str, set[str]] = {}
        self.ours: set[str] = set()
        self.modules: dict[str, str] = {}
        self.written: set[str] = set()
        self._listed: dict[str, frozenset[str]] = {}
        self._waiting: list[tuple[Scan, str]] = []
        on_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        for root in (folder, *filter(None, on_path), project, os.path.join(project, "src")):
            self.add_root(root)

    def follow(self, scan: Scan, folder: str) -> None:
        """Follow what code in a folder names."""
        self._waiting.append((scan, folder))

    def finish(self) -> None:
        """Follow until there is nothing new."""
        while self._waiting:
            scan, folder = self._waiting.pop()
            for reference in scan.references:
                self._refer(reference, folder)

    def add_root(self, path: str) -> None:
        """Look for modules in one more folder; those named before are looked for again."""
        root = os.path.realpath(os.path.join(self.folder, path))
        if root not in self.roots and self._inside(root) and os.path.isdir(root):
            self.roots.append(root)
            for name, members in self.names.items():
                self._look(root, name, members)

    def _refer(self, reference: Reference, folder: str) -> None:
        match reference.kind:
            case "folder":
                self.add_root(reference.name)
            case "file":
                self._add_script(os.path.join(self.folder, os.path.expanduser(reference.name)))
            case "module" | "member":
                members = {reference.member} if reference.member else set()
                name = reference.name.lstrip(".")
                for _ in range(len(reference.name) - len(name) - 1):
                    folder = os.path.dirname(folder)
                if reference.name.startswith("."):
                    self._import(folder, name, members)
                else:
                    self._name(name, members)

    def _name(self, name: str, members: set[str]) -> None:
        """Look for a module in every folder that is on the path."""
        new = name not in self.names or members - self.names[name]
        self.names.setdefault(name, set()).update(members)
        if new and name.partition(".")[0] != FRAMEWORK:
            for root in self.roots:
                self._look(root, name, members)

    def _look(self, root: str, name: str, members: set[str]) -> None:
        if self._import(root, name, members):
            self.ours.add(name.partition(".")[0])

    def _import(self, folder: str, name: str, members: set[str]) -> bool:
        """Add the files of a module below a folder, of the packages around it, and of members that are modules.

        Returns:
            Whether any file of the project was found.
        """
        added = False
        for part in filter(None, name.split(".")):
            files, folder = self._files(folder, part)
            found = [self._add(file) for file in files]
            added = any(found) or added
            if not folder:
                return added
        listed = self._list(folder)
        if not name and "__init__.py" in listed:
            added = self._add(os.path.join(folder, "__init__.py"))
        wanted = {entry.partition(".")[0] for entry in listed} if "*" in members else members
        found = [self._add(file) for member in sorted(wanted) for file in self._files(folder, member)[0]]
        return any(found) or added

    def _files(self, folder: str, part: str) -> tuple[list[str], str]:
        """The files that a name stands for in a folder, and the folder that it is, if it is one."""
        listed = self._list(folder)
        files = [os.path.join(folder, part + suffix) for suffix in SUFFIXES if part + suffix in listed]
        inner = os.path.join(folder, part)
        if part not in listed or not self._list(inner):
            return files, ""
        if "__init__.py" in self._list(inner):
            files.append(os.path.join(inner, "__init__.py"))
        return files, inner

    def _list(self, folder: str) -> frozenset[str]:
        """The names in a folder; nothing where there is none."""
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._listed[folder] = frozenset()
        return self._listed[folder]

    def _inside(self, path: str) -> bool:
        """Whether a real path is in the project, and of its own making."""
        folder = self.project
        if path != folder and not path.startswith(folder.rstrip(os.sep) + os.sep):
            return False
        parts = path[len(folder) :].strip(os.sep).split(os.sep)
        for part in filter(None, parts):
            folder = os.path.join(folder, part)
            if part in NOT_OURS or part.startswith(".") or "pyvenv.cfg" in self._list(folder):
                return False
        return parts[0] != RUNS

    def _add_script(self, path: str) -> None:
        """Add a file that is run by its path; its own folder is then on the path."""
        if os.path.isfile(path) and self._add(path):
            self.add_root(os.path.dirname(path))

    def _add(self, path: str) -> bool:
        """Add a file of the project and follow it; whether it counts."""
        real = os.path.realpath(path)
        if os.path.normpath(path) in self.written or not self._inside(real):
            return False
        relative = os.path.relpath(real, self.project).replace(os.sep, "/")
        if relative in self.modules:
            return True
        try:
            data = Path(real).read_bytes()
        except OSError:
            return False
        self.modules[relative] = sha256_bytes(data)
        if real.endswith(".py"):
            self._follow_file(relative, scan_module(data, self.cache), real)
        elif real.endswith(".ipynb"):
            with suppress(NotebookError):  # then it counts byte by byte
                self._follow_file(relative, scan_notebook(read_source(Path(real), label=relative), self.cache), real)
        return True

    def _follow_file(self, relative: str, scan: Scan, path: str) -> None:
        self.modules[relative] = scan.code + scan.parameters
        self.follow(scan, os.path.dirname(path))
