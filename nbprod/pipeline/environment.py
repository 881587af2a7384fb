"""The kernel that a notebook names, and the distributions that its interpreter sees.

jupyter_client and importlib.metadata are not asked when planning: finding a kernel is reading a small JSON file, and
the map from modules to distributions is made once per set of installed distributions and then remembered.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Protocol

from nbprod.digest import sha256_bytes
from nbprod.errors import NotebookError, nearest
from nbprod.pipeline.distributions import Distributions, listing, read_distributions

NATIVE = "python3"
"""The kernel that is there without being installed, where ipykernel is: this interpreter."""

MAP_VERSION = 1
"""Raised when `Distributions` are read differently, so that old ones are not recalled."""

QUESTION = """
import json, os, platform, sys
version = ".".join(map(str, sys.version_info[:2]))
print(json.dumps({
    "minor": version,
    "folders": [path for path in sys.path if path and os.path.isdir(path)],
    "standard": sorted(getattr(sys, "stdlib_module_names", sys.builtin_module_names)),
    "markers": {
        "implementation_name": sys.implementation.name,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_system": platform.system(),
        "python_full_version": platform.python_version(),
        "python_version": version,
        "sys_platform": sys.platform,
    },
}))
"""
"""What another interpreter is asked: what it is and where its modules are."""


class Cache(Protocol):
    """Where texts are remembered by name."""

    def recall(self, name: str, /) -> str | None:
        """What was remembered under a name."""
        ...

    def remember(self, name: str, text: str, /) -> None:
        """Keep a text under a name."""
        ...


@dataclass(frozen=True, kw_only=True)
class KernelEnvironment:
    """A kernel and what is installed for it.

    Attributes:
        kernel: its name.
        python: its interpreter; empty for a kernel whose interpreter is not Python, or cannot be told.
        minor: Python's version as ``3.11``; empty likewise.
        folders: where its modules are, in the order of its ``sys.path``.
        standard: names of the standard library's modules.
        markers: its environment markers; empty for this interpreter's own.
    """

    kernel: str
    python: str = ""
    minor: str = ""
    folders: tuple[str, ...] = ()
    standard: frozenset[str] = frozenset()
    markers: dict[str, str] = field(default_factory=dict)
    cache: Cache = field(repr=False, compare=False)

    @cached_property
    def distributions(self) -> Distributions:
        """What is installed; recalled unless something was installed or removed since."""
        facts = json.dumps([MAP_VERSION, self.python, self.minor, listing(self.folders)])
        name = f"distributions {sha256_bytes(facts.encode())}"
        known = self.cache.recall(name)
        if known is None:
            found = read_distributions(self.folders, self.markers)
            known = json.dumps(found.to_dict())
            self.cache.remember(name, known)
        return _loaded(known)

    def freeze(self) -> dict[str, str]:
        """Every installed distribution -> its version."""
        return dict(sorted(self.distributions.versions.items()))

    def closure(self, imports: Iterable[str], *, maybe: Iterable[str] = ()) -> dict[str, str]:
        """The distributions that top-level import names belong to, with everything they require -> version.

        Names of the standard library count nothing. A name that no distribution brings is listed with the version
        ``unknown``. For a kernel that is not Python's there is nothing to say, and the result is empty.

        Args:
            maybe: names that count only where a distribution brings them.
        """
        if not self.python:
            return {}
        known = self.distributions
        wanted = [name for name in imports if name not in self.standard and name != "__main__"]
        return known.closure([*wanted, *(name for name in maybe if name in known.modules)])


@lru_cache(maxsize=8)
def _loaded(text: str) -> Distributions:
    return Distributions(**json.loads(text))


def find_kernel(name: str, *, default: str, label: str, cache: Cache) -> KernelEnvironment:
    """The kernel that a notebook names, or the project's default if it names none.

    Args:
        label: the notebook, for error messages.

    Raises:
        NotebookError: it is not installed, or its interpreter is gone; with the nearest that is.
    """
    wanted = name or default
    argv, language = _command(wanted, label)
    if language.lower() != "python":
        return KernelEnvironment(kernel=wanted, cache=cache)
    python = argv[0] if argv else "python"
    if _is_this(python):
        return KernelEnvironment(
            kernel=wanted,
            python=sys.executable,
            minor=f"{sys.version_info[0]}.{sys.version_info[1]}",
            folders=_own_folders(),
            standard=sys.stdlib_module_names,
            cache=cache,
        )
    if not os.path.basename(python).lower().startswith(("python", "pypy")):
        return KernelEnvironment(kernel=wanted, cache=cache)  # started by another program, such as conda
    told = _ask(python, wanted, label, cache)
    return KernelEnvironment(
        kernel=wanted,
        python=told["path"],
        minor=told["minor"],
        folders=tuple(told["folders"]),
        standard=frozenset(told["standard"]),
        markers=told["markers"],
        cache=cache,
    )


def _is_this(python: str) -> bool:
    """Whether a kernel's command starts this interpreter; a plain ``python`` does, as in jupyter_client."""
    version = sys.version_info
    if python in ("python", f"python{version[0]}", f"python{version[0]}.{version[1]}"):
        return True
    path, own = os.path.abspath(python), os.path.abspath(sys.executable)
    # A link into another folder is another virtual environment.
    return path == own or (
        os.path.dirname(path) == os.path.dirname(own) and os.path.realpath(path) == os.path.realpath(own)
    )


def _own_folders() -> tuple[str, ...]:
    """This interpreter's ``sys.path`` without the standard library, which brings no distributions."""
    standard = os.path.dirname(os.__file__)
    skipped = (standard, os.path.join(standard, "lib-dynload"))
    return tuple(path for path in sys.path if path and path not in skipped and not path.endswith(".zip"))


def _command(name: str, label: str) -> tuple[list[str], str]:
    """The command and the language of an installed kernel."""
    folder = next(_kernels_named(name.lower(), kernel_folders()), None) or next(_rarely_found(name), None)
    if folder is None:
        if name == NATIVE and _has_ipykernel():
            return [sys.executable], "python"
        known = {*_installed(), *([NATIVE] if _has_ipykernel() else [])}
        hint = nearest(name, known) or " None is: pip install ipykernel."
        raise NotebookError(
            f"names the kernel '{name}', which is not installed.{hint} Choose a kernel in JupyterLab and save, or run "
            f"with --kernel {NATIVE}.",
            file=label,
        )
    file = os.path.join(folder, "kernel.json")
    try:
        with open(file, encoding="utf-8") as opened:
            spec = json.load(opened)
        return [str(word) for word in spec["argv"]], str(spec.get("language", "python"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotebookError(
            f"names the kernel '{name}', whose {file} is damaged: install it again.", file=label
        ) from error


def _has_ipykernel() -> bool:
    from importlib.util import find_spec

    return find_spec("ipykernel") is not None


def _rarely_found(name: str) -> Iterator[str]:
    """What only Jupyter itself can say, where its folders are set up in an unusual way."""
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return
    yield from _kernels_named(name.lower(), jupyter_path("kernels"))


def _kernels_named(name: str, folders: Iterable[str]) -> Iterator[str]:
    """The folders of kernels with a name, given in lower case."""
    for folder in folders:
        if os.path.isfile(os.path.join(folder, name, "kernel.json")):
            yield os.path.join(folder, name)
            continue
        for entry in _listed(folder):
            if entry.lower() == name and os.path.isfile(os.path.join(folder, entry, "kernel.json")):
                yield os.path.join(folder, entry)


def _installed() -> list[str]:
    """The names of all installed kernels."""
    return sorted(
        {
            entry.lower()
            for folder in kernel_folders()
            for entry in _listed(folder)
            if os.path.isfile(os.path.join(folder, entry, "kernel.json"))
        }
    )


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def kernel_folders() -> list[str]:
    """Where Jupyter looks for kernels, in its order, without importing it (40 ms)."""
    paths = [path for path in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if path]
    own = [os.path.join(sys.prefix, "share", "jupyter")]
    paths += [*own, *_user_folders()] if _prefers_environment() else [*_user_folders(), *own]
    if os.name != "nt":
        paths += ["/usr/local/share/jupyter", "/usr/share/jupyter"]
    ipython = os.environ.get("IPYTHONDIR") or os.path.join(os.path.expanduser("~"), ".ipython")
    return list(dict.fromkeys(os.path.join(path, "kernels") for path in [*paths, ipython]))


def _user_folders() -> list[str]:
    """The user's data folder for Jupyter, and the one beside the packages that were installed for the user."""
    import site

    home = os.path.expanduser("~")
    if chosen := os.environ.get("JUPYTER_DATA_DIR"):
        data = chosen
    elif sys.platform == "darwin":
        data = os.path.join(home, "Library", "Jupyter")
    elif os.name == "nt":
        data = os.path.join(os.environ.get("APPDATA") or os.path.join(home, ".jupyter", "data"), "jupyter")
    else:
        data = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share"), "jupyter")
    base = site.getuserbase() if site.ENABLE_USER_SITE else None
    return [data, *([os.path.join(base, "share", "jupyter")] if base else [])]


def _prefers_environment() -> bool:
    """Whether kernels of this environment come before the user's."""
    if "JUPYTER_PREFER_ENV_PATH" in os.environ:
        return os.environ["JUPYTER_PREFER_ENV_PATH"].lower() not in ("no", "n", "false", "off", "0", "0.0")
    conda = os.environ.get("CONDA_PREFIX")
    in_conda = bool(conda and sys.prefix.startswith(conda) and os.environ.get("CONDA_DEFAULT_ENV", "base") != "base")
    return (sys.prefix != sys.base_prefix or in_conda) and os.access(sys.prefix, os.W_OK)


def _ask(python: str, kernel: str, label: str, cache: Cache) -> dict[str, Any]:
    """What another interpreter says of itself, asked once until it changes."""
    import shutil
    import subprocess

    problem = f"names the kernel '{kernel}', whose interpreter {python}"
    python = shutil.which(python) or python
    try:
        facts = [python, os.stat(python).st_mtime_ns, os.environ.get("PYTHONPATH", ""), QUESTION]
        name = f"interpreter {sha256_bytes(json.dumps(facts).encode())}"
        known = cache.recall(name)
        if known is None:
            asked = subprocess.run([python, "-c", QUESTION], capture_output=True, text=True, timeout=30, check=True)
            known = asked.stdout
        told: dict[str, Any] = json.loads(known)
    except FileNotFoundError:
        raise NotebookError(f"{problem} is not there: install that kernel again.", file=label) from None
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise NotebookError(f"{problem} does not answer: install that kernel again.", file=label) from error
    cache.remember(name, known)
    return {**told, "path": python}
