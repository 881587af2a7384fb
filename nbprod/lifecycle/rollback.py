"""``nbprod rollback``: let an alias point again at the version before."""

from __future__ import annotations

from nbprod.errors import UsageError
from nbprod.evidence.audit import Log
from nbprod.evidence.statements import promotion
from nbprod.lifecycle.attesting import attest
from nbprod.lifecycle.moving import Move, move, sound_log, target_of
from nbprod.lifecycle.promote import Promoted
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.sources import check_bytes
from nbprod.lifecycle.subject.learned import check_version
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import open_existing
from nbprod.registry import CHAMPION, parse_ref
from nbprod.trust.keys import Keys


def rollback(name: str, *, alias: str = CHAMPION, reason: str = "") -> Promoted:
    """Move an alias back to where it pointed before its last promotion; no gate is asked, the move is audited.

    Raises:
        UsageError: there is nothing to go back to.
        GateFailed: that version learned from a subject who is erased.
    """
    model = parse_ref(name).name
    keys = Keys()
    with open_existing() as work, open_registry(work.project) as registry:
        now = target_of(registry, model, alias)
        before = previous(sound_log(registry, model, keys), alias, now)
        if not before:
            raise UsageError(
                f"the alias '{alias}' of '{model}' has no version before to go back to: nbprod history {model}"
            )
        version = find_version(f"{model}/{before}", work)
        check_bytes(work, registry, version)
        check_version(work, registry, version)
        move(registry, version, Move(action="rollback", alias=alias, reason=reason), keys)
        statement = promotion(version.digest, alias=alias, before=now, reason=reason, overrides=())
        attest(registry, version, statement, keys)
        return Promoted(version=version, alias=alias, before=now)


def previous(log: Log, alias: str, now: str) -> str:
    """The version that an alias pointed at before it was promoted to where it is; empty if there was none.

    A rollback is no promotion, so rolling back twice goes back two steps.
    """
    for line in reversed(log.lines):
        if line.alias == alias and line.version == now and line.action in ("promote", "challenge"):
            return line.before
    return ""
