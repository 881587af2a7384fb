"""What a service of one version installs: the least that serving needs, at the versions recorded, with hashes.

The versions are those of the version's environment; what was not installed there is taken at the version that nbprod
itself runs with, so that the same version gives the same lock. No address of an index is written: whoever installs has
one set, or the wheels beside the lock.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions, requires
from pathlib import Path
from typing import Any

from nbprod.entities import Fact
from nbprod.errors import DeployError, MissingExtra
from nbprod.targets.command import call

SERVING = ("click", "cryptography", "filelock", "fsspec", "numpy", "packaging", "pyarrow", "pyyaml", "rfc8785")
"""What `nbprod serve` imports of nbprod's own requirements, beside the extra `serve`; pyarrow is for its journal."""

TABLES = ("pandas",)
"""What a model is served with that was fitted on tables, whose signature names columns."""

MLFLOW = ("mlflow", "mlflow-skinny")
"""What loads every flavour but skops's."""

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)(\[[^\]]*\])?==(?P<version>[^\s;\\]+)\s*(;\s*(?P<marker>[^\\]+?))?\s*\\?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package(Fact):
    """One line of a lock.

    Attributes:
        marker: when it is installed, as PEP 508 writes it; empty for always.
        hashes: sha256 of every file that may be installed for it.
    """

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()


def needs(entry: Mapping[str, Any], *, extras: Collection[str] = ("serve",)) -> tuple[str, ...]:
    """The requirements of a service, as PEP 508 writes them, sorted.

    A model that skops saved is loaded without MLflow, and one whose signature is of arrays without pandas.

    Args:
        extras: of nbprod, whose requirements are among them.
    """
    model = entry["model"]
    own = _own_requirements()
    # without the extras of others: a service asks no bucket over HTTP
    wanted = [re.sub(r"\[.*?\]", "", line) for line in own if _name(line) in SERVING and "extra ==" not in line]
    for extra in extras:
        wanted += [line.partition(";")[0].strip() for line in own if re.search(rf"extra == ['\"]{extra}['\"]", line)]
    left_out = set(MLFLOW) if model["serialization"] == "skops" else set()
    if not _has_columns(model):
        left_out |= set(TABLES)
    wanted += [line for line in model["requirements"] if _name(line) not in left_out and _name(line) != "nbprod"]
    return tuple(sorted(set(wanted)))


def _own_requirements() -> list[str]:
    return list(requires("nbprod") or ())


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9][\w.-]*", requirement.strip())
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _has_columns(model: Mapping[str, Any]) -> bool:
    inputs = (model["signature"] or {}).get("inputs") or ()
    example = model["example"]
    return any("name" in column and column.get("type") != "tensor" for column in inputs) or (
        isinstance(example, Mapping) and "columns" in example
    )


def pins(entry: Mapping[str, Any], installed: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """``name==version`` for everything whose version is known: as recorded, else as installed here.

    Args:
        installed: name -> version; by default what this Python sees.
    """
    here = installed_here() if installed is None else installed
    known = {_name(name): version for name, version in here.items()}
    for line in entry["environment"]["freeze"]:
        name, found, version = str(line).partition("==")
        if found:
            known[_name(name)] = version
    known.pop("nbprod", None)
    plain = {name: version.partition("+")[0] for name, version in known.items()}
    return tuple(f"{name}=={version}" for name, version in sorted(plain.items()) if re.fullmatch(r"[\w.!]+", version))


def installed_here() -> dict[str, str]:
    """Name -> version of every distribution that this Python sees."""
    return {dist.name: dist.version for dist in distributions() if dist.name}


def resolve(wanted: Iterable[str], pinned: Iterable[str], *, python: str) -> str:
    """Lines with hashes for everything that is to be installed, without nbprod itself.

    Args:
        python: the version that will run it, such as ``3.11``.

    Raises:
        DeployError: it cannot be resolved; with uv's own words.
        MissingExtra: uv is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="nbprod-lock-") as scratch:
        asked, known = Path(scratch, "wanted.in"), Path(scratch, "known.txt")
        asked.write_text("".join(f"{line}\n" for line in wanted), encoding="utf-8")
        known.write_text("".join(f"{line}\n" for line in pinned), encoding="utf-8")
        options = (
            "--quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links "
            "--no-progress"
        )
        command: list[str | Path] = [find_uv(), "pip", "compile", *options.split(), "--python-version", python]
        command += ["--constraint", known, "--output-file", Path(scratch, "lock.txt"), asked]
        call(command, doing="resolve what the service needs", folder=Path(scratch))
        return Path(scratch, "lock.txt").read_text(encoding="utf-8")


def with_wheel(lock: str, wheel: Path, sha256: str) -> str:
    """A lock with nbprod's own wheel in it, in the order of the names."""
    _, version, *_ = wheel.name.split("-")
    blocks = [*_blocks(lock), f"nbprod=={version} \\\n    --hash=sha256:{sha256}\n"]
    return "".join(sorted(blocks, key=lambda block: block.partition("==")[0]))


def _blocks(lock: str) -> Iterator[str]:
    """A lock's lines, those of one package together."""
    block = ""
    for line in lock.splitlines(keepends=True):
        if not line.strip() or line.startswith("#"):
            continue
        if block and not line.startswith(" "):
            yield block
            block = ""
        block += line
    if block:
        yield block


def read_lock(text: str) -> tuple[Package, ...]:
    """The packages of a lock.

    Raises:
        DeployError: a line is no pin, or has no hash.
    """
    found = []
    for block in _blocks(text):
        head, *_ = block.splitlines()
        match, hashes = _PIN.fullmatch(head.strip()), tuple(sorted(_HASH.findall(block)))
        if match is None or not hashes:
            raise DeployError(f"the lock holds `{head.strip()}`, which is no pin with a hash: build the bundle again.")
        found.append(
            Package(name=match["name"], version=match["version"], marker=(match["marker"] or "").strip(), hashes=hashes)
        )
    return tuple(found)


def find_uv() -> str:
    """The program uv: beside this Python, or on the PATH.

    Raises:
        MissingExtra: it is not installed.
    """
    beside = Path(sys.executable).parent / ("uv.exe" if os.name == "nt" else "uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if not found:
        raise MissingExtra("Building a bundle", extra="build")
    return found


def find_python(version: str) -> str:
    """A Python of the version that a model was made with, as far as ``major.minor`` goes.

    Raises:
        DeployError: there is none on this machine.
    """
    minor = minor_of(version)
    if minor == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    found = shutil.which(f"python{minor}")
    if not found:
        raise DeployError(
            f"the model was made with Python {minor}, which is not on this machine, so nothing could be proven: "
            "install it, or build where it is."
        )
    return found


def minor_of(version: str) -> str:
    """``3.11`` of ``3.11.7``; this Python's where the version is not known."""
    found = re.match(r"\d+\.\d+", version)
    return found[0] if found else f"{sys.version_info[0]}.{sys.version_info[1]}"


def gather(lock: Path, wheels: Path, *, python: str) -> None:
    """Bring a wheel of everything in a lock into a folder; what has none is built, with a fixed time.

    Args:
        python: the interpreter that the wheels are for.

    Raises:
        DeployError: one cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="nbprod-wheels-") as scratch:
        place = Path(scratch, "pip")
        call([find_uv(), "venv", "--quiet", "--seed", "--python", python, place], doing="get pip")
        interpreter = environment_python(place)
        options = ["--quiet", "--no-deps", "--require-hashes", "--disable-pip-version-check", "--no-cache-dir"]
        command: list[str | Path] = [interpreter, "-m", "pip", "wheel", *options]
        command += ["--find-links", wheels, "--wheel-dir", wheels, "--requirement", lock]
        fixed = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", "PIP_NO_INPUT": "1"}
        call(command, doing="gather the wheels", environment=fixed, folder=Path(scratch))


def environment_python(place: Path) -> Path:
    """The interpreter of a virtual environment."""
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
