"""In which environment it was: Python, platform, and every distribution that the kernel saw."""

from __future__ import annotations

import platform
from collections.abc import Mapping

from nbprod.digest import sha256_bytes
from nbprod.entities import JSON

UNKNOWN = "unknown"


def freeze_text(distributions: Mapping[str, str]) -> str:
    """``name==version`` lines, sorted; what ``freeze.txt`` holds."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(distributions.items()))


def python_of(notebook: Mapping[str, JSON], *, minor: str) -> str:
    """The version of the Python that executed a notebook, as its kernel said it; ``minor`` where it said none.

    Args:
        notebook: the executed notebook as ``json.load`` gives it.
        minor: the kernel's version as far as it is known without asking it, such as ``3.11``.
    """
    language = notebook.get("metadata", {}).get("language_info", {})
    said = str(language.get("version", "")) if isinstance(language, Mapping) else ""
    return said if said.startswith(f"{minor}.") or (said and not minor) else minor


def environment_entry(
    *, python: str, installed: Mapping[str, str], in_keys: Mapping[str, str], measured: str
) -> dict[str, JSON]:
    """What ``nbprod.json`` says of the environment.

    Args:
        python: the kernel's version: whole, or as ``3.11`` when no more is known.
        installed: everything that was installed for the kernel.
        in_keys: the part that counted in the stages' keys.
        measured: ``before_run``, or ``after_run`` where it may have changed since the notebook ran.
    """
    text = freeze_text(installed)
    here = platform.python_version()
    return {
        "python": (here if here.startswith(f"{python}.") else python) or UNKNOWN,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "freeze": text.splitlines(),
        "sha256": sha256_bytes(text.encode()),
        "key": dict(sorted(in_keys.items())),
        "measured": measured,
    }
