"""What a model is made of: its types and functions, where they are from, and the code that must travel with it."""

from __future__ import annotations

import ast
import json
import shutil
import site
import sys
import sysconfig
import types
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nbprod.errors import ArtifactError, UsageError

_UNWANTED = ("__pycache__", ".*", "*.pyc", "*.ipynb")


def names_in_skops(file: Path) -> frozenset[str]:
    """Every type and function that a ``.skops`` file names, as ``module.Class``; nothing is loaded or imported.

    Raises:
        ArtifactError: it is not a ``.skops`` file.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            schema = json.loads(archive.read("schema.json"))
        return frozenset(_named(schema))
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ArtifactError("is not a .skops file: it cannot be read.", file=str(file)) from error


def _named(node: Any) -> Iterator[str]:
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("__module__"), str) and isinstance(item.get("__class__"), str):
                yield f"{item['__module__']}.{item['__class__']}"
            if item.get("__loader__") == "MethodNode":  # which skops names by the object that it is bound to
                owner = item["content"]["obj"]
                yield f"{owner['__module__']}.{owner['__class__']}.{item['content']['func']}"
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


class _Sink:
    """Takes what a pickler writes and keeps nothing."""

    def write(self, data: bytes) -> int:
        return len(data)


def names_in(model: Any) -> frozenset[str]:
    """The types and functions in an object, as far as pickling it would go; milliseconds, since arrays are passed by.

    Where pickling fails the names up to there are returned: saving the model will say what is wrong with it.
    """
    import cloudpickle

    found: set[str] = set()

    class Probe(cloudpickle.Pickler):  # type: ignore[misc]
        def persistent_id(self, item: Any) -> None:
            kind = item if isinstance(item, (type, types.FunctionType, types.BuiltinFunctionType)) else type(item)
            found.add(f"{kind.__module__}.{kind.__qualname__}")

    try:
        Probe(_Sink(), protocol=5, buffer_callback=lambda buffer: None).dump(model)
    except Exception:
        return frozenset(found)
    return frozenset(found)


def names_of_type(model: Any) -> frozenset[str]:
    """The names of an object's class and its base classes, for models that are not pickled."""
    return frozenset(f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__)


def root_of(name: str) -> str:
    """The top-level module of ``module.Class``."""
    return name.partition(".")[0]


def refuse_notebook_names(names: Iterable[str]) -> None:
    """Refuse a model that holds what the notebook itself defines: no other process could import it.

    Raises:
        UsageError: it names them.
    """
    defined = {name.split(".")[1] for name in names if root_of(name) == "__main__" and "." in name}
    if not defined:
        return
    shown = ", ".join("a lambda" if name.startswith("<") else name for name in sorted(defined, reverse=True))
    raise UsageError(
        f"the model holds {shown}, defined in the notebook, where no other process can import it: move the definition "
        "to a module beside the notebook, such as features.py, import it from there, and fit and log the model again."
    )


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple({Path(path).resolve() for path in paths if path})


def _location(root: str) -> Path | None:
    """The file or package folder of a top-level module; None if it has none, or cannot be found."""
    module = sys.modules.get(root)
    file = getattr(module, "__file__", None)
    folders = list(getattr(module, "__path__", ()))
    if module is None:
        try:
            spec = find_spec(root)
        except (ImportError, ValueError):
            return None
        file = spec.origin if spec and spec.has_location else None
        folders = list(spec.submodule_search_locations or ()) if spec else []
    if folders:
        return Path(folders[0]).resolve()
    return Path(file).resolve() if file else None


def is_own(name: str) -> bool:
    """Whether a name is from code that is not installed: a module of the project, or a checkout that is on the path."""
    root = root_of(name)
    if root in sys.stdlib_module_names or root in ("__main__", "nbprod"):
        return False
    location = _location(root)
    if location is None or location.suffix in (".so", ".pyd"):
        return False
    if any(location.is_relative_to(folder) for folder in _installed_folders()):
        return False
    return next(location.parent.glob("*.dist-info"), None) is None  # as `pip install --target` leaves them


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The code that a model needs beside what is installed.

    Attributes:
        paths: files and package folders of top-level modules, by module.
        imports: the top-level modules that this code imports and that are installed.
    """

    paths: dict[str, Path]
    imports: frozenset[str]

    def stage(self, folder: Path) -> list[str]:
        """Copy it into a folder, without caches, notebooks and hidden files, and return the copies' paths."""
        copies = []
        for path in self.paths.values():
            target = folder / path.name
            if path.is_file():
                shutil.copyfile(path, target)
            else:
                plain = (path / "__init__.py").is_file()
                shutil.copytree(path, target, ignore=shutil.ignore_patterns(*_UNWANTED) if plain else _only_python)
            copies.append(str(target))
        return copies


def _only_python(folder: str, names: list[str]) -> set[str]:
    """For a package without ``__init__.py``, which may be any folder, data and all."""
    unwanted = shutil.ignore_patterns(*_UNWANTED)(folder, names)
    return {*unwanted, *(name for name in names if not name.endswith(".py") and not Path(folder, name).is_dir())}


def code_of(names: Iterable[str]) -> Code:
    """The code behind ``names`` that is not installed, followed through its imports."""
    paths: dict[str, Path] = {}
    imports: set[str] = set()
    waiting = sorted({root_of(name) for name in names if is_own(name)})
    while waiting:
        root = waiting.pop()
        location = _location(root)
        if root in paths or location is None:
            continue
        paths[root] = location
        for imported in _imports(location):
            if is_own(imported):
                waiting.append(imported)
            else:
                imports.add(imported)
    return Code(paths=dict(sorted(paths.items())), imports=frozenset(imports - sys.stdlib_module_names))


def _imports(location: Path) -> set[str]:
    """The top-level modules that a file, or the files of a package, import with absolute imports."""
    files = [location] if location.is_file() else sorted(location.rglob("*.py"))
    found: set[str] = set()
    for file in files:
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(root_of(alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(root_of(node.module))
    return found
