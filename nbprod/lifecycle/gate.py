"""``nbprod gate``: run a version's gates."""

from __future__ import annotations

from nbprod.lifecycle.judging import Judgement, judge
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import open_existing


def gate(text: str) -> Judgement:
    """Run the gates of the version that a reference means, and keep what they found.

    Raises:
        UsageError: there is no such version, or a gate needs what its entry does not have.
    """
    with open_existing() as work:
        version = find_version(text, work)
        with open_registry(work.project) as registry:
            return judge(work, registry, version)
