"""``nbprod retrain``: run a stale model's recipe on new data, judge what comes out, promote it if that is allowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

from nbprod.document import moment
from nbprod.entities import INCREMENTAL, Fact, GateResult, ModelVersion
from nbprod.errors import ArtifactError, GateFailed, NbprodError, RunError, UsageError
from nbprod.evidence.audit import AuditLine
from nbprod.gates.spec import GateSpec
from nbprod.lifecycle.judging import Judgement, gates_of, judge
from nbprod.lifecycle.moving import Move, append, sound_log
from nbprod.lifecycle.promote import CHALLENGER, Promoting, promote_in
from nbprod.lifecycle.recipe import Made, data_for, make, tip
from nbprod.lifecycle.registering import remember
from nbprod.lifecycle.requirements import requirements
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.shadowing import BEGUN as SHADOW
from nbprod.lifecycle.shadowing import paired, waiting
from nbprod.lifecycle.sources import check_bytes
from nbprod.lifecycle.stale import champion_of, facts_of, shadows
from nbprod.lifecycle.subject.learned import rebuild_of
from nbprod.lifecycle.versions import entry_of, known_versions
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.monitoring.policy import tolerated
from nbprod.registry import CHAMPION, Registry, parse_ref
from nbprod.retraining.decide import Decision, decide
from nbprod.retraining.policy import COMMIT, RetrainPolicy, policy_of
from nbprod.retraining.shadow import judge as weigh
from nbprod.stats.measures import MEASURES
from nbprod.trust.keys import Keys

State = Literal["fresh", "wait", "busy", "would", "unchanged", "failed", "refused", "challenger", "shadow", "promoted"]
"""``would``: a dry run that would retrain. ``refused``: a gate did not pass. ``challenger``: all passed, and a person
promotes it. ``shadow``: all passed, and it waits in the champion's shadow until both can be compared.
"""

FLOORS = ("metric_at_least", "metric_at_most", "cost_at_most")
"""Gates with a fixed bar: those of the champion hold for whatever comes after it, also where a branch asks for less."""

TOLERANCE = 0.02
"""How much worse than the champion is as good as equal where the pipeline asks for no comparison.

Of an error in the unit of what is predicted it is that share of the champion's.
"""

BEGUN = "retrain"
ENDS = ("judge", "retrain_failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is asked for.

    Attributes:
        when: ``now``, or only ``if_stale``.
        acting: ``no`` for a dry run.
    """

    name: str
    when: Literal["now", "if_stale"] = "now"
    acting: Literal["yes", "no"] = "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained(Fact):
    """What happened.

    Attributes:
        champion: the version that was looked at.
        version: what came out; empty if nothing did.
        reason: a sentence.
        results: what the gates found.
        notes: sentences for the person.
    """

    name: str
    state: State
    reason: str
    champion: str = ""
    trigger: str = ""
    version: str = ""
    results: tuple[GateResult, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What one retraining works with."""

    work: Workspace
    registry: Registry
    champion: ModelVersion
    policy: RetrainPolicy
    keys: Keys = field(default_factory=Keys)

    def note(self, version: ModelVersion, action: str, reason: str, *, gates: str = "") -> None:
        """Write a line into the model's audit log that moves no alias."""
        log = sound_log(self.registry, version.name, self.keys)
        wanted = Move(action=action, alias="", reason=reason, gates=gates)
        append(self.registry, version, wanted, self.keys, log=log)

    def lines(self) -> tuple[AuditLine, ...]:
        """The model's audit log.

        Raises:
            RegistryError: it cannot be trusted.
        """
        return sound_log(self.registry, self.champion.name, self.keys).lines

    def shadow(self) -> tuple[ModelVersion, AuditLine] | None:
        """The challenger that waits in the champion's shadow, and the line with which that began.

        One that was deleted meanwhile waits no more.
        """
        begun = waiting(self.lines())
        known = known_versions(self.work) if begun else ()
        return next(((item, begun) for item in known if begun and item.ref == f"{begun.model}/{begun.version}"), None)


def retrain(asking: Asking, *, tell: Callable[[str], None] = lambda line: None) -> Retrained:
    """Retrain a model, if it is asked for now, or stale.

    Args:
        tell: is told what takes long.

    Raises:
        UsageError: there is no such model, or it has no policy to be stale by.
        RegistryError: the registry refused, or the audit log cannot be trusted.
    """
    name = _name_of(asking.name)
    with open_existing() as work:
        champion = champion_of(name, work)
        policy = policy_of(champion.entry)
        if policy is None and asking.when == "if_stale":
            raise UsageError(
                f"{champion.ref} has no policy to be stale by: write `retrain:` in its pipeline, run it and promote it."
            )
        with open_registry(work.project) as registry, alone(work, name) as free:
            bench = Bench(work=work, registry=registry, champion=champion, policy=policy or RetrainPolicy())
            if free == "no" and asking.acting == "yes":
                return _said(bench, "busy", Decision(act="wait", reason="another retraining of it is running."))
            if asking.when == "if_stale" and (found := bench.shadow()):
                return _after_shadow(bench, *found, asking)
            decision = _decided(bench, asking)
            if decision.act != "retrain" or asking.acting == "no":
                return _would(bench, decision)
            return _retrained(bench, decision, tell)


def _name_of(text: str) -> str:
    ref = parse_ref(text)
    if ref.version or ref.alias not in (None, "", CHAMPION):
        raise UsageError(
            f"it is always the champion that is retrained, so name the model alone: {ref.name}, not {text}."
        )
    return ref.name


@contextmanager
def alone(work: Workspace, name: str) -> Iterator[Literal["yes", "no"]]:
    """Hold the lock of a model's retraining; the system frees it if the process dies. ``no`` if another holds it."""
    from filelock import FileLock, Timeout

    folder = work.project.data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"retrain-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield "no"
        return
    try:
        yield "yes"
    finally:
        lock.release()


def _said(bench: Bench, state: State, decision: Decision, **more: object) -> Retrained:
    found = Retrained(
        name=bench.champion.name, state=state, reason=decision.reason, champion=bench.champion.ref,
        trigger=decision.trigger,
    )  # fmt: skip
    return replace(found, **more)  # type: ignore[arg-type]


def _decided(bench: Bench, asking: Asking) -> Decision:
    if asking.when == "now":
        return Decision(act="retrain", trigger="asked", reason="somebody asked for it.")
    return decide(bench.policy, facts_of(bench.work, bench.champion, bench.policy, bench.lines()))


def _would(bench: Bench, decision: Decision) -> Retrained:
    """What is not done, or would not succeed: the data and the branch that the policy names must be there."""
    if decision.act != "retrain":
        return _said(bench, decision.act, decision)
    try:
        data_for(bench.work, bench.champion.entry, bench.policy)
        if bench.policy.source != COMMIT:
            tip(bench.work.project.root, bench.policy.source)
    except ArtifactError as error:
        return _said(bench, "wait", replace(decision, act="wait", reason=f"it would fail: {error}"))
    return _said(bench, "would", decision)


def unfinished(lines: tuple[AuditLine, ...]) -> AuditLine | None:
    """The last retraining, if it has no end in the log."""
    for line in reversed(lines):
        if line.action in ENDS:
            return None
        if line.action == BEGUN:
            return line
    return None


def _retrained(bench: Bench, decision: Decision, tell: Callable[[str], None]) -> Retrained:
    """Do it, and write down how it ended, whatever happens."""
    lost = unfinished(bench.lines())
    if lost is not None:
        bench.note(bench.champion, "retrain_failed", f"the retraining that began at {lost.time[:16]} was killed.")
    if decision.trigger in ("alarm", "performance", "drift"):
        bench.note(bench.champion, "alarm", decision.reason)
    bench.note(bench.champion, BEGUN, decision.reason)
    tell(f"retraining {bench.champion.ref}: {decision.reason}")
    try:
        made = _made(bench, tell)
        if made.version == bench.champion.version:
            reason = f"code and data are those of {bench.champion.ref}, so nothing new came out."
            bench.note(bench.champion, "judge", reason)
            return _said(bench, "unchanged", replace(decision, reason=reason))
        return _challenged(bench, decision, made)
    except NbprodError as error:
        bench.note(bench.champion, "retrain_failed", str(error))
        return _said(bench, "failed", replace(decision, reason=str(error)))
    except KeyboardInterrupt:
        bench.note(bench.champion, "retrain_failed", "it was interrupted.")
        raise


def _made(bench: Bench, tell: Callable[[str], None]) -> Made:
    """Run the recipe; of an update chain that learned from a subject who is erased those of all that came after it.

    Each then reads what lies at the places of its own data now, without the rows of the subject, and goes on from the
    one that was made before it; the first from the version that is older than the subject.
    """
    scratch = bench.work.project.data / "retraining" / bench.champion.name
    again = rebuild_of(bench.work, bench.champion, bench.registry)
    if again is None or "update" not in bench.champion.entry["pipeline"]["sections"]:
        return make(bench.work, bench.registry, bench.champion, bench.policy, scratch=scratch)
    known = {version.ref: version for version in known_versions(bench.work)}
    policy, onward = replace(bench.policy, data={}), ""
    for ref in again.affected:
        before = "the one before" if onward else again.start or "nothing"
        tell(f"building {ref} again without the subject, from {before}")
        made = make(bench.work, bench.registry, known[ref], policy, scratch=scratch, onward=onward)
        onward = _registered(bench, made).digest
    return made


def _challenged(bench: Bench, decision: Decision, made: Made) -> Retrained:
    """Make what came out the challenger, judge it, and promote it where the policy allows that."""
    version = _registered(bench, made)
    if CHALLENGER not in version.aliases:
        request = Promoting(ref=version.ref, alias=CHALLENGER, reason=f"retrained: {decision.reason}")
        promote_in(bench.work, bench.registry, version, request)
    judged = judge(bench.work, bench.registry, version, also=also_asked(version, bench.champion))
    refusing = _refusing(bench, version, judged)
    said = _verdict(version, refusing)
    bench.note(version, "judge", said, gates=judged.statement)
    notes = (f"the code was {made.code}.", *_shadow(bench, version))
    more = {"version": version.ref, "results": (*judged.results, *(r for r in refusing if r not in judged.results))}
    if refusing:
        return _said(bench, "refused", replace(decision, reason=said), notes=notes, **more)
    if bench.policy.promote == "never":
        reason = f"{said} The policy says `promote: never`, so a person promotes it."
        return _said(bench, "challenger", replace(decision, reason=reason), notes=notes, **more)
    if bench.policy.shadow:
        bench.note(version, SHADOW, f"{said} It waits in the champion's shadow.")
        return _said(bench, "shadow", replace(decision, reason=said), notes=notes, **more)
    request = Promoting(ref=version.ref, alias=CHAMPION, reason=f"retrained: {decision.reason}")
    promote_in(bench.work, bench.registry, version, request)
    return _said(bench, "promoted", replace(decision, reason=said), notes=notes, **more)


def _after_shadow(bench: Bench, version: ModelVersion, begun: AuditLine, asking: Asking) -> Retrained:
    """Compare the challenger that waits in the shadow with the champion, and promote it, refuse it, or let it wait."""
    found = paired(bench.work, bench.champion, version, since=moment(begun.time))
    act, said = weigh(found, over=time.time() - moment(begun.time) >= bench.policy.shadow)
    decision = Decision(act="retrain", trigger="shadow", reason=said)
    if act == "wait" or asking.acting == "no":
        return _said(bench, "shadow" if act == "wait" else "would", decision, version=version.ref)
    bench.note(version, "judge", said)
    if act == "refuse":
        return _said(bench, "refused", decision, version=version.ref)
    try:
        promote_in(bench.work, bench.registry, version, Promoting(ref=version.ref, reason=f"retrained: {said}"))
    except GateFailed as error:
        bench.note(version, "judge", error.message)
        return _said(bench, "refused", replace(decision, reason=error.message), version=version.ref)
    return _said(bench, "promoted", decision, version=version.ref)


def _registered(bench: Bench, made: Made) -> ModelVersion:
    """The version that came out, with its entry; the index learns of it, because another process registered it."""
    found = next(item for item in bench.registry.versions(bench.champion.name) if item.version == made.version)
    whole = replace(found, entry=entry_of(bench.registry, found))
    remember(bench.work, bench.registry, whole)
    return whole


def also_asked(version: ModelVersion, champion: ModelVersion) -> tuple[GateSpec, ...]:
    """The gates that a retrained version must pass beside its own.

    The champion's fixed bars; a comparison with the champion on the same rows, and for one that went on learning the
    gate against forgetting, where its pipeline asks for none and its main metric can be computed.
    """
    own = gates_of(version)
    found = [spec for spec in gates_of(champion) if spec.name in FLOORS and spec not in own]
    names = {spec.name for spec in own}
    model = version.entry["model"]
    metric = model["main_metric"]
    tested = any(item["role"] == "test" for item in version.entry["inputs"])
    if metric in MEASURES and model["target"] and tested:
        if "not_worse_than" not in names:
            known = [item for item in champion.entry["metrics"] if (item["name"], item["dataset"]) == (metric, "test")]
            much = tolerated(metric, None, TOLERANCE, known[0]["value"] if known else 0.0)
            found.append(GateSpec(name="not_worse_than", options={"metric": metric, "tolerance": much}))
        parent = version.entry.get("parent")
        if parent and parent["relation"] == INCREMENTAL and "forgetting" not in names:
            found.append(GateSpec(name="forgetting", options={"metric": metric}))
    return tuple(found)


def _refusing(bench: Bench, version: ModelVersion, judged: Judgement) -> tuple[GateResult, ...]:
    """What did not pass, with what the project demands of every version."""
    signed = check_bytes(bench.work, bench.registry, version).state
    strict = bench.work.project.settings.strict
    missing = requirements(version, gated=len(gates_of(version)), strict=strict, signed=signed)
    return (*judged.refusing, *missing)


def _verdict(version: ModelVersion, refusing: tuple[GateResult, ...]) -> str:
    if not refusing:
        return f"all gates of {version.ref} passed."
    first = refusing[0]
    more = f" (and {len(refusing) - 1} more did not pass)" if len(refusing) > 1 else ""
    return f"{first.gate} of {version.ref} {first.verdict}: {first.reason.rstrip('.')}{more}."


def _shadow(bench: Bench, version: ModelVersion) -> tuple[str, ...]:
    count = shadows(bench.work, version, since=moment(version.created))
    if not count:
        return ()
    return (f"a service let it answer {count:,} rows in the champion's shadow: nbprod monitor {version.ref}",)


def exit_code(asking: Asking, found: Retrained) -> int:
    """What an ending means for whoever started it: 3 where it failed, 6 where a gate did not pass, else 0.

    That another retraining is running is an error only for who asked for one now: on a schedule it is as it should be.
    """
    if found.state == "failed" or (found.state == "busy" and asking.when == "now"):
        return RunError.exit_code
    return GateFailed.exit_code if found.state == "refused" else 0
