"""A placeholder."""

from typing import Any


def page(*a: Any) -> str:
    """P."""
    return ""
