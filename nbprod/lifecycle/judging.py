"""Judge a version by the gates that its entry holds, and keep what they found as a statement."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from nbprod.digest import sha256_json
from nbprod.entities import Fact, GateResult, ModelVersion, Statement
from nbprod.errors import ArtifactError
from nbprod.evidence.statements import APPROVAL, signature_of
from nbprod.evidence.statements import gates as gates_statement
from nbprod.flavors import begin_importing
from nbprod.gates.contender import Contender, Rules
from nbprod.gates.spec import GROUP, GateSpec, read_gates
from nbprod.lifecycle.attesting import attest
from nbprod.lifecycle.moving import read_log
from nbprod.lifecycle.sources import Bytes
from nbprod.lifecycle.workspace import Workspace
from nbprod.plugins import resolve
from nbprod.registry import CHAMPION, Registry
from nbprod.trust.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement(Fact):
    """What the gates found.

    Attributes:
        statement: sha256 of the statement that keeps it.
    """

    version: ModelVersion
    results: tuple[GateResult, ...]
    statement: str = ""

    @property
    def passed(self) -> bool:
        """Whether there are gates, and all of them passed."""
        return bool(self.results) and not self.refusing

    @property
    def refusing(self) -> tuple[GateResult, ...]:
        """The gates that did not pass: failed ones and undecided ones."""
        return tuple(result for result in self.results if result.verdict != "passed")


def gates_of(version: ModelVersion) -> tuple[GateSpec, ...]:
    """The gates that a version's own entry asks for, so that its policy survives its author."""
    return read_gates(version.entry["pipeline"]["sections"].get("gates"))


def judge(work: Workspace, registry: Registry, version: ModelVersion, *, also: tuple[GateSpec, ...] = ()) -> Judgement:
    """Ask every gate about a version, and keep the answers beside it.

    Args:
        version: with its entry.
        also: gates that are asked beside its own.

    Raises:
        UsageError: a gate needs what the entry does not have.
        ArtifactError: the version's own bytes are not the recorded ones.
    """
    specs = (*gates_of(version), *also)
    if not specs:
        return Judgement(version=version, results=())
    begin_importing()  # while the registry brings the version
    with ExitStack() as stack:
        source = Bytes(work=work, registry=registry, stack=stack)
        keys = Keys()
        source.folder(version)  # nothing is asked of a version that was tampered with
        rules = Rules(strict=work.project.settings.strict, licenses=work.project.settings.licenses)
        statements = confirmed(registry, version, keys)
        parent = _parent(work, registry, version, source)
        candidate = Contender(version, source=source, rules=rules, statements=statements, parent=parent)
        champions = _champions(work, registry, version, source)
        results = tuple(_ask(spec, candidate, champions) for spec in specs)
    found = gates_statement(version.digest, results, champion=_champion_ref(champions))
    statement = attest(registry, version, found, keys)
    return Judgement(version=version, results=results, statement=sha256_json(statement.to_dict()))


def confirmed(registry: Registry, version: ModelVersion, keys: Keys) -> tuple[Statement, ...]:
    """What was said of a version by somebody who is trusted: whoever writes to the registry could say anything.

    A statement counts if it is about this entry, and signed with a pinned key, by whom it says that it is; an approval
    if the signed audit log has it, too, so that none can be slipped in later.
    """
    log = read_log(registry, version.name, keys)
    lines = () if log.problems else log.lines
    approvals = {(line.key, line.user) for line in lines if line.action == "approve" and line.entry == version.digest}
    found = []
    for statement in registry.statements(version.name, version.version):
        vouched = signature_of(statement, keys)
        by = statement.body.get("by")
        who = (by.get("key"), by.get("user")) if isinstance(by, Mapping) else (vouched.key, "")
        if statement.subject != version.digest or vouched.state != "ok" or vouched.key != who[0]:
            continue
        if statement.schema != APPROVAL or who in approvals:
            found.append(statement)
    return tuple(found)


def _champions(work: Workspace, registry: Registry, version: ModelVersion, source: Bytes) -> Mapping[str, Contender]:
    """Alias -> the version that it points at."""
    found: dict[str, Contender] = {}
    for other in registry.versions(version.name):
        for alias in other.aliases:
            found[alias] = Contender(_with_entry(work, registry, other), source=source)
    return found


def _parent(work: Workspace, registry: Registry, version: ModelVersion, source: Bytes) -> Contender | None:
    """The version that it was made from, with those that came before; None where this registry has none."""
    if not version.entry.get("parent"):
        return None
    known = {item.digest: item for item in registry.versions(version.name)}
    chain = [version]
    while parent := chain[-1].entry.get("parent"):
        found = known.pop(str(parent["digest"]), None)  # each once, so that a circle ends
        if found is None:
            break
        chain.append(_with_entry(work, registry, found))
    older: Contender | None = None
    for item in reversed(chain[1:]):
        older = Contender(item, source=source, parent=older)
    return older


def _with_entry(work: Workspace, registry: Registry, version: ModelVersion) -> ModelVersion:
    from nbprod.lifecycle.versions import entry_of

    for known in work.index.versions(work.project.registry_uri(), version.name):
        if known.version == version.version and known.digest == version.digest and known.entry:
            return replace(version, entry=known.entry)
    return replace(version, entry=entry_of(registry, version))


def _champion_ref(champions: Mapping[str, Contender]) -> str:
    return champions[CHAMPION].ref if CHAMPION in champions else ""


def _ask(spec: GateSpec, candidate: Contender, champions: Mapping[str, Contender]) -> GateResult:
    """One gate's answer; bytes that are not to be had leave it undecided."""
    options: dict[str, Any] = dict(spec.options)
    champion = champions.get(str(options.get("alias", CHAMPION)))
    try:
        result: GateResult = resolve(GROUP, spec.name)(candidate, champion, **options)
    except ArtifactError as error:
        result = GateResult(gate=spec.name, verdict="undecided", reason=str(error))
    return replace(result, gate=spec.name, options=options)
