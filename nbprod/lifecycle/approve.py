"""``nbprod approve``: a person answers for a version."""

from __future__ import annotations

from nbprod.entities import ModelVersion
from nbprod.errors import UsageError
from nbprod.evidence.statements import approval
from nbprod.lifecycle.attesting import attest
from nbprod.lifecycle.moving import Move, append, current_user, sound_log
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import open_existing
from nbprod.trust.keys import Keys


def approve(text: str, *, reason: str) -> ModelVersion:
    """Keep beside a version, and in the model's audit log, that whoever runs this approves of it.

    Raises:
        UsageError: there is no such version, or no reason was given.
    """
    if not reason.strip():
        raise UsageError("an approval needs a reason that others can read later: say it with --reason.")
    keys = Keys()
    with open_existing() as work:
        version = find_version(text, work)
        with open_registry(work.project) as registry:
            log = sound_log(registry, version.name, keys)
            append(registry, version, Move(action="approve", alias="", reason=reason), keys, log=log)
            statement = approval(version.digest, key=keys.own().id, user=current_user(), reason=reason)
            attest(registry, version, statement, keys)
        return version
