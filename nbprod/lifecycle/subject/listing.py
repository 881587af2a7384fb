"""``nbprod subject list``: every erasure of the registry, open or closed, by the beginning of its token."""

from __future__ import annotations

from nbprod.lifecycle.subject.erasures import Erasures, read_erasures
from nbprod.lifecycle.workspace import open_existing


def erasures() -> Erasures:
    """The erasures, and what is wrong with their log."""
    with open_existing() as work:
        return read_erasures(work)
