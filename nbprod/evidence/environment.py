"""In which environment it was: Python, platform, and every distribution that the kernel saw."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from nbprod.digest import sha256_bytes


def freeze_text(distributions: Mapping[str, str]) -> str:
    """``name==version`` lines, sorted; what ``freeze.txt`` holds."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(distributions.items()))


def environment_entry(
    *, python: str, installed: Mapping[str, str], in_keys: Mapping[str, str], measured: str
) -> dict[str, Any]:
    """What ``nbprod.json`` says of the environment.

    Args:
        python: the kernel's version, such as ``3.11``.
        installed: everything that was installed for the kernel.
        in_keys: the part that counted in the stages' keys.
    """
    text = freeze_text(installed)
    return {
        "python": platform.python_version() if platform.python_version().startswith(f"{python}.") else python,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "freeze": text.splitlines(),
        "sha256": sha256_bytes(text.encode()),
        "key": dict(sorted(in_keys.items())),
        "measured": measured,
    }
