"""The recorded environment: the one that is here, if it is the same, or one that is built of the recorded versions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod import __version__
from nbprod.errors import ArtifactError
from nbprod.pipeline.environment import KernelEnvironment

KERNEL = "nbprod-reproduced"
"""The kernel of an environment that was built."""

OWN = "nbprod"
"""The distribution that is not installed from anywhere: the one that runs is copied."""

LISTED = 3
"""So many differences are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """In which environment something runs again.

    Attributes:
        kernel: the name of a kernel; empty for the one that each notebook names.
        told: the environment in words.
        variables: what the run's process must have in its environment.
    """

    kernel: str
    told: str
    variables: dict[str, str]


def differences(recorded: Mapping[str, Any], here: KernelEnvironment) -> list[str]:
    """How an environment differs from the recorded one, in what counts in the keys of the stages.

    Args:
        recorded: the entry's ``environment``.
    """
    found = []
    if here.minor and not f"{recorded['python']}.".startswith(f"{here.minor}."):
        found.append(f"Python {here.minor} instead of {recorded['python']}")
    installed = here.freeze() if here.python else {}
    for name, version in recorded["key"].items():
        if installed.get(name) != version:
            found.append(f"{name} {installed.get(name, 'missing')} instead of {version}")
    return found


def build(recorded: Mapping[str, Any], folder: Path) -> Chosen:
    """Make a virtual environment of the recorded versions, with a kernel.

    Raises:
        ArtifactError: the Python or a package is not to be had; with pip's own last line.
    """
    python = _python(str(recorded["python"]))
    _run([python, "-m", "venv", str(folder)], what="the environment cannot be made")
    own = str(folder / "bin" / "python")
    wanted = [line for line in recorded["freeze"] if line.partition("==")[0] not in (OWN, "pip", "setuptools")]
    listing = folder / "requirements.txt"
    listing.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    options = ["--quiet", "--no-deps", "--requirement", str(listing)]
    _run([own, "-m", "pip", "install", *options], what="the recorded packages cannot be installed")
    _copy_own(recorded, folder)
    kernel = folder / "share" / "jupyter" / "kernels" / KERNEL
    kernel.mkdir(parents=True, exist_ok=True)
    argv = [own, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    text = json.dumps({"argv": argv, "display_name": KERNEL, "language": "python"})
    (kernel / "kernel.json").write_text(text, encoding="utf-8")
    places = [str(folder / "share" / "jupyter"), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    return Chosen(
        kernel=KERNEL,
        told=f"built of the {len(wanted)} recorded packages",
        variables={"JUPYTER_PATH": os.pathsep.join(places)},
    )


def _python(version: str) -> str:
    """An interpreter of the recorded minor version."""
    minor = ".".join(version.split(".")[:2])
    if minor == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    found = shutil.which(f"python{minor}")
    if found is None:
        raise ArtifactError(f"it was made with Python {version}, and python{minor} is not installed: install it.")
    return found


def _copy_own(recorded: Mapping[str, Any], folder: Path) -> None:
    """Put the nbprod that runs into an environment, if it is the recorded one."""
    import nbprod

    wanted = dict(line.split("==", 1) for line in recorded["freeze"]).get(OWN, __version__)
    if wanted != __version__:
        raise ArtifactError(f"it was made with nbprod {wanted}, and this is {__version__}: install nbprod=={wanted}.")
    (site,) = (folder / "lib").glob("python*/site-packages")
    shutil.copytree(Path(nbprod.__file__).parent, site / OWN, ignore=shutil.ignore_patterns("__pycache__"))
    facts = site / f"{OWN}-{__version__}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {OWN}\nVersion: {__version__}\n", encoding="utf-8")


def _run(command: list[str], *, what: str) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800)
    except (OSError, subprocess.SubprocessError) as error:
        lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
        told = next((line for line in reversed(lines) if line.lower().startswith("error")), lines[-1] if lines else "")
        raise ArtifactError(f"{what}: {told or 'nothing was said'}.") from error
