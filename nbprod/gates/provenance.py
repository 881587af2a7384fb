"""Gates of where a version comes from, who answers for it, and what it must not unlearn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbprod.entities import GateResult, Statement, Verdict
from nbprod.errors import ArtifactError, UsageError
from nbprod.gates.contender import Contender
from nbprod.gates.steady import Steady, kept_slices, pinned_dataset, pinned_rows, read_rows, read_slices
from nbprod.gates.words import several

APPROVAL = "nbprod/approval/1"
REGISTRATION = "nbprod/registration/1"
REPRODUCTION = "nbprod/reproduction/1"
CLEAN = "a commit and nothing else"
WORST: tuple[Verdict, ...] = ("failed", "undecided", "passed")


def clean_source(candidate: Contender, champion: Contender | None) -> GateResult:
    """The code was a commit and nothing else.

    Without git nothing is known of the code, which a strict project refuses and another leaves undecided; so it is
    where git was only asked after the run.
    """
    source = candidate.entry["source"]
    git = source["git"]
    verdict: Verdict
    if not isinstance(git, Mapping):
        verdict, reason = "failed" if candidate.rules.strict else "undecided", "Its code is in no commit."
        return GateResult(gate="clean_source", verdict=verdict, reason=reason, required=CLEAN)
    commit = git["commit"][:12]
    if git["dirty"]:
        verdict, reason = "failed", f"Its code differed from the commit {commit}: commit it, and run again."
    elif source["measured"] != "before_run":
        verdict, reason = "undecided", "Git was only asked after the run, so the code may have been another."
    else:
        verdict, reason = "passed", f"Its code is the commit {commit}."
    return GateResult(
        gate="clean_source",
        verdict=verdict,
        reason=reason,
        observed=f"{commit} and more" if git["dirty"] else commit,
        required=CLEAN,
        details={key: git[key] for key in ("commit", "branch", "remote", "dirty", "diff_omitted")},
    )


def inputs_unchanged(candidate: Contender, champion: Contender | None) -> GateResult:
    """Every dataset is still what it was when it was read; one that cannot be reached leaves it undecided."""
    changed, unreachable, details = [], [], {}
    inputs = candidate.entry["inputs"]
    for item in inputs:
        try:
            now = candidate.found(item)
        except ArtifactError as error:
            unreachable.append(f"{item['uri']} cannot be read: {error.message.rstrip('.')}")
            details[item["uri"]] = "unreachable"
            continue
        if now != item["sha256"]:
            changed.append(f"{item['uri']} has changed since it was read")
        details[item["uri"]] = "changed" if now != item["sha256"] else "unchanged"
    verdict: Verdict = "passed"
    reason = f"All {len(inputs)} datasets are what they were."
    if changed:
        verdict, reason = "failed", f"{several(changed)}."
    elif unreachable or not inputs:
        verdict, reason = "undecided", f"{several(unreachable) or 'Nothing is known of its data'}."
    same = sum(state == "unchanged" for state in details.values())
    return GateResult(
        gate="inputs_unchanged",
        verdict=verdict,
        reason=reason,
        observed=f"{same} of {len(inputs)}",
        required=f"{len(inputs)} of {len(inputs)}",
        details=details,
    )


def reproduced(candidate: Contender, champion: Contender | None, *, verdict: str = "within tolerance") -> GateResult:
    """Its recipe was run again with `nbprod reproduce`, and the same came out; the newest time counts.

    Args:
        verdict: ``within tolerance``, or ``identical`` where nothing at all may differ.
    """
    enough = ("identical", "within tolerance")
    if verdict not in enough:
        raise UsageError(f"verdict of the gate reproduced must be one of: {', '.join(enough)}.")
    done = [
        statement
        for statement in candidate.statements
        if statement.schema == REPRODUCTION and statement.subject == candidate.version.digest
    ]
    if not done:
        reason = f"Nobody ran its recipe again: nbprod reproduce {candidate.ref}"
        return GateResult(gate="reproduced", verdict="undecided", reason=reason, required=verdict)
    newest = max(done, key=lambda statement: statement.created)
    found = str(newest.body.get("verdict"))
    good = found in enough[: enough.index(verdict) + 1]
    return GateResult(
        gate="reproduced",
        verdict="passed" if good else "undecided" if found == "cannot" else "failed",
        reason=str(newest.body.get("reason")),
        observed=found,
        required=verdict,
        details={"created": newest.created, "tolerance": newest.body.get("tolerance")},
    )


def approved(
    candidate: Contender, champion: Contender | None, *, count: int = 1, not_author: bool = True
) -> GateResult:
    """So many people approve of this version, each with a key of their own.

    Args:
        not_author: whether who registered it is not counted; undecided where nobody knows who that was.
    """
    if count < 1:
        raise UsageError("count of the gate approved must be at least 1.")
    authors = list(_people(candidate, REGISTRATION))
    given = {key: user for key, user in _people(candidate, APPROVAL) if key}
    own = {key for key, user in given.items() if not_author and any(_same(key, user, author) for author in authors)}
    counted = {key: user for key, user in given.items() if key not in own}
    verdict: Verdict = "passed"
    reason = f"{several(sorted(set(counted.values())))} approved of it."
    if len(counted) < count:
        verdict = "failed"
        told = f" besides who registered it ({several(sorted(given[key] for key in own))})" if own else ""
        reason = (
            f"{len(counted)} of {count} people approved of it{told}: run `nbprod approve {candidate.ref} --reason`."
        )
    elif not_author and not authors:
        verdict, reason = "undecided", "Nobody knows who registered it, so who approved may be the same."
    return GateResult(
        gate="approved",
        verdict=verdict,
        reason=reason,
        observed=len(counted),
        required=count,
        details={"by": [{"key": key, "user": user} for key, user in sorted(counted.items())]},
    )


def _people(candidate: Contender, schema: str) -> Iterator[tuple[str, str]]:
    """Key id and user of whoever made the statements of a schema about this entry."""
    for statement in candidate.statements:
        if statement.schema == schema and statement.subject == candidate.version.digest:
            key, user = _by(statement)
            if key or user:
                yield key, user


def _by(statement: Statement) -> tuple[str, str]:
    by = statement.body.get("by")
    return (str(by.get("key") or ""), str(by.get("user") or "")) if isinstance(by, Mapping) else ("", "")


def _same(key: str, user: str, author: tuple[str, str]) -> bool:
    """Whether two are one person: either the key or the user is the same, so that a second key does not help."""
    return (bool(author[0]) and key == author[0]) or (bool(author[1]) and user == author[1])


def regression(
    candidate: Contender,
    champion: Contender | None,
    *,
    rows: str | list[Any] | None = None,
    slices: list[Any] | None = None,
    dataset: str = "test",
    tolerance: float = 0.0,
    min_rows: int = 50,
    positive: Any = None,
) -> GateResult:
    """What was right stays right: named rows, and slices of a dataset.

    Args:
        rows: ``{input: {column: value}, expect: value, tolerance: number}`` each; or a dataset of the entry, by role,
            name or path, whose target is expected. It must be one of `model.data`, so that its bytes are recorded.
        slices: ``{where: "age >= 65 and sex == 'f'", metric: recall, at_least: 0.8}`` each, or ``at_most``; see
            `nbprod.gates.where` for phrases and `nbprod.stats.measures` for metrics.
        dataset: of which the slices are.
        tolerance: by how much the answer to a row may differ where the row does not say.
        min_rows: a slice of fewer is undecided.
        positive: the positive class; by default the last of two.
    """
    if not rows and not slices:
        raise UsageError("the gate regression needs rows or slices that must stay right.")
    wanted = read_slices(slices or [])
    found: list[Steady] = []
    if isinstance(rows, str):
        found.append(pinned_dataset(candidate, _role(candidate, rows), tolerance=tolerance))
    elif rows:
        found.append(pinned_rows(candidate, read_rows(rows, tolerance=tolerance)))
    if wanted:
        found += kept_slices(candidate, wanted, dataset=dataset, positive=positive, min_rows=min_rows)
    worst = min(found, key=lambda each: WORST.index(each.verdict))
    told = [each.reason for each in found if each.verdict == worst.verdict]
    held = sum(each.verdict == "passed" for each in found)
    single = len(found) == 1
    return GateResult(
        gate="regression",
        verdict=worst.verdict,
        reason=f"{several(told)}.",
        observed=worst.observed if single else f"{held} of {len(found)}",
        required=worst.required if single else f"{len(found)} of {len(found)}",
        interval=worst.interval if single else None,
        details={"checks": [each.to_dict() for each in found]},
    )


def _role(candidate: Contender, text: str) -> str:
    """A dataset's role, from its role, name or path."""
    for item in candidate.entry["inputs"]:
        if item["uri"] == text:
            return str(item["role"] if candidate.input(item["role"]) is item else item["name"])
    return text
