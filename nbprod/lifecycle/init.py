"""Make a project whose first run is green."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from nbprod.errors import UsageError
from nbprod.store import written_whole


def init(folder: Path) -> tuple[str, ...]:
    """Write a project with data, notebooks and a pipeline; returns the files it wrote, relative to ``folder``.

    Raises:
        UsageError: a file that it would write is there already; nothing is written then.
    """
    templates = dict(_templates(files("nbprod").joinpath("templates"), ""))
    there = sorted(name for name in templates if (folder / name).exists())
    if there:
        raise UsageError(f"holds {there[0]} already: name a new folder.", file=str(folder))
    for name, template in templates.items():
        with written_whole(folder / name) as part:
            part.write_bytes(template.read_bytes())
    return tuple(sorted(templates))


def _templates(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    """Every template; names that begin with ``dot-`` stand for a leading dot, which packages tend to lose."""
    for item in folder.iterdir():
        if item.name in ("__pycache__", "__init__.py"):
            continue
        name = f"{prefix}{item.name.replace('dot-', '.', 1) if item.name.startswith('dot-') else item.name}"
        if item.is_dir():
            yield from _templates(item, f"{name}/")
        else:
            yield name, item
