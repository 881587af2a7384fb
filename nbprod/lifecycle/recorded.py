"""What a registry says of a version, held against the version itself: statements, pointer, tags, parent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nbprod.entities import ModelVersion, Statement
from nbprod.evidence.entry import digest
from nbprod.evidence.statements import REGISTRATION, signature_of
from nbprod.lifecycle.checks import Check, of_signature
from nbprod.trust.keys import Keys


def of_statements(version: ModelVersion, statements: Sequence[Statement], keys: Keys) -> Iterator[Check]:
    """The registration, which alone binds the entry to its name and number; then whatever else was said."""
    yield _registration(version, [each for each in statements if each.schema == REGISTRATION], keys)
    others = [each for each in statements if each.schema != REGISTRATION]
    checks = [_statement(each, version, keys) for each in others]
    worst = next((check for state in ("FAIL", "unknown") for check in checks if check.state == state), None)
    if checks:
        yield worst or Check(name="statements", state="ok", why=f"all {len(checks)} are signed.")


def _statement(statement: Statement, version: ModelVersion, keys: Keys) -> Check:
    what = f"the statement {statement.schema} of {statement.created or 'an unknown time'}"
    if statement.subject != version.digest:
        return Check(name="statements", state="FAIL", why=f"{what} is about another entry.")
    vouched = signature_of(statement, keys)
    check = of_signature("statements", vouched.key, vouched.state, bad="was changed after it was signed.")
    return Check(name="statements", state=check.state, why=f"{what}: {check.why}")


def _registration(version: ModelVersion, found: Sequence[Statement], keys: Keys) -> Check:
    """The registry's pointer: whether this folder is the one that was given this name and number."""
    name = "registration"
    given = [
        each for each in found if (each.body.get("name"), each.body.get("version")) == (version.name, version.version)
    ]
    if not found:
        return Check(name=name, state="unknown", why="nothing says which name and number this entry was given.")
    if not given:
        others = ", ".join(f"{each.body.get('name')}/{each.body.get('version')}" for each in found)
        why = f"this entry was registered as {others}, and not as {version.ref}: the registry's pointer was moved."
        return Check(name=name, state="FAIL", why=why)
    if wrong := next((each for each in given if each.subject != version.digest), None):
        why = (
            f"{version.ref} was given to the entry {wrong.subject[:12]}, and not to this one: the registry's pointer "
            "was moved."
        )
        return Check(name=name, state="FAIL", why=why)
    checks = []
    for each in given:
        vouched = signature_of(each, keys)
        bad = "was changed after it was signed."
        checks.append(of_signature(name, vouched.key, vouched.state, bad=bad))
    order = ("FAIL", "ok", "unknown")
    return min(checks, key=lambda check: order.index(check.state))


def of_tags(version: ModelVersion) -> Check:
    """What the registry's tags repeat of the entry."""
    entry = version.entry
    git = entry["source"]["git"]
    commit = git["commit"] if isinstance(git, dict) else version.tags.get("nbprod.commit", "")
    recorded = {"nbprod.digest": digest(entry), "nbprod.run": entry["run"]["id"], "nbprod.commit": commit}
    found = {"nbprod.digest": version.digest, "nbprod.run": version.run, "nbprod.commit": commit}
    found |= {tag: value for tag, value in version.tags.items() if tag in recorded}
    for tag, value in recorded.items():
        if found[tag] != value:
            why = f"the tag {tag} is {found[tag] or 'missing'}, and the entry says {value}."
            return Check(name="tags", state="FAIL", why=why)
    return Check(name="tags", state="ok")


def of_parent(version: ModelVersion, others: Iterable[ModelVersion]) -> Iterator[Check]:
    """The version that it was made from, where it was made from one."""
    parent = version.entry["parent"]
    if not parent:
        return
    known = next((other for other in others if other.digest == parent["digest"]), None)
    if known is None:
        why = f"the entry {parent['digest'][:12]} that it was made from is not in this registry."
        yield Check(name="parent", state="unknown", why=why)
    else:
        yield Check(name="parent", state="ok", why=f"{parent['relation']} of {known.ref}.")
