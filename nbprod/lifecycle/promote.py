"""``nbprod promote``: let an alias point at a version whose gates pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbprod.entities import Fact, GateResult, ModelVersion
from nbprod.errors import GateFailed, UsageError, nearest
from nbprod.evidence.statements import promotion
from nbprod.lifecycle.attesting import attest
from nbprod.lifecycle.judging import Judgement, judge
from nbprod.lifecycle.moving import Move, move
from nbprod.lifecycle.requirements import requirements
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.sources import check_bytes
from nbprod.lifecycle.subject.learned import check_version
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.registry import CHAMPION, Registry, check_alias
from nbprod.trust.keys import Keys

CHALLENGER = "challenger"
"""The alias that moves without gates, to what is tried beside the champion; it is audited as the others are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoting:
    """What is asked for.

    Attributes:
        overrides: names of gates that need not pass.
    """

    ref: str
    alias: str = CHAMPION
    reason: str = ""
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted(Fact):
    """An alias that was moved.

    Attributes:
        before: the version that it pointed at; empty if it is new.
        results: what the gates found.
        overrides: those of them that did not pass and were overridden.
    """

    version: ModelVersion
    alias: str
    before: str
    results: tuple[GateResult, ...] = ()
    overrides: tuple[str, ...] = ()


def promote(request: Promoting) -> Promoted:
    """Run the gates of a version and, if they pass, move an alias to it.

    Raises:
        UsageError: an override names nothing that did not fail, or has no reason.
        GateFailed: a gate did not pass, or the version learned from a subject who is erased; the alias stays where it
            is.
        AliasConflict: somebody else moved an alias of this model at the same time; the alias stays where it is.
    """
    check_alias(request.alias)
    if request.overrides and not request.reason:
        raise UsageError("an override needs a reason that others can read later: say it with --reason.")
    with open_existing() as work:
        version = find_version(request.ref, work)
        with open_registry(work.project) as registry:
            return _promote(work, registry, version, request)


def promote_in(work: Workspace, registry: Registry, version: ModelVersion, request: Promoting) -> Promoted:
    """The same as `promote`, in a project and a registry that are open."""
    check_alias(request.alias)
    return _promote(work, registry, version, request)


def _promote(work: Workspace, registry: Registry, version: ModelVersion, request: Promoting) -> Promoted:
    judged = Judgement(version=version, results=())
    results: tuple[GateResult, ...] = ()
    used: tuple[str, ...] = ()
    signed = check_bytes(work, registry, version).state
    check_version(work, registry, version)
    if request.alias != CHALLENGER:
        judged = judge(work, registry, version)
        strict = work.project.settings.strict
        missing = requirements(version, gated=len(judged.results), strict=strict, signed=signed)
        results = (*judged.results, *missing)
        used = _used(results, request)
    wanted = Move(
        action="challenge" if request.alias == CHALLENGER else "promote",
        alias=request.alias,
        reason=request.reason,
        gates=judged.statement,
        overrides=used,
    )
    keys = Keys()
    before = move(registry, version, wanted, keys)
    statement = promotion(version.digest, alias=request.alias, before=before, reason=request.reason, overrides=used)
    attest(registry, version, statement, keys)
    return Promoted(version=version, alias=request.alias, before=before, results=results, overrides=used)


def _used(results: Sequence[GateResult], request: Promoting) -> tuple[str, ...]:
    """The overrides that were needed.

    Raises:
        GateFailed: something did not pass and is not overridden.
    """
    refusing = [result for result in results if result.verdict != "passed"]
    for name in request.overrides:
        if name not in {result.gate for result in results}:
            known = {result.gate for result in refusing}
            raise UsageError(f"--override {name}: there is no such gate.{nearest(name, known)}")
    left = [result.gate for result in refusing if result.gate not in request.overrides]
    if left:
        overrides = " ".join(f"--override {gate}" for gate in left)
        raise GateFailed(
            f"{request.alias} stays where it is, because of {request.ref} {', '.join(left)} did not pass: mend it, or "
            f"take the responsibility with {overrides} --reason TEXT",
            results=results,
        )
    return tuple(result.gate for result in refusing)
