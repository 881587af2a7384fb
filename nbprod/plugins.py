"""The one door for every extension: a plain function under an entry point, found by name and imported on use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbprod.errors import UsageError, nearest


def resolve(group: str, name: str) -> Callable[..., Any]:
    """The function registered as ``name`` under the entry point group ``group``, such as ``nbprod.executors``.

    Raises:
        UsageError: nothing has that name, or importing it fails.
    """
    from importlib.metadata import entry_points

    found = entry_points(group=group)
    matches = [point for point in found if point.name == name]
    if not matches:
        raise UsageError(f"there is no '{name}' among the extensions of {group}.{nearest(name, found.names)}")
    try:
        extension: Callable[..., Any] = matches[0].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the extension '{name}' of {group} cannot be imported: {error}.") from error
    return extension
