"""Whether a model is stale: the facts that its policy asks for, gathered from the registry, the data and monitoring."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from nbprod.digest import sha256_path
from nbprod.document import moment
from nbprod.entities import ModelVersion, Stage
from nbprod.errors import ArtifactError, NbprodError, UsageError
from nbprod.evidence.audit import AuditLine
from nbprod.lifecycle.observed import reports_folder
from nbprod.lifecycle.recipe import data_for, inputs_of, tip
from nbprod.lifecycle.updating import aliased
from nbprod.lifecycle.versions import known_versions
from nbprod.lifecycle.workspace import Workspace
from nbprod.monitoring import kept
from nbprod.monitoring.facts import MonitorReport
from nbprod.registry import CHAMPION
from nbprod.retraining.decide import BY_LABELS, Alarm, Facts, Known
from nbprod.retraining.policy import COMMIT, RetrainPolicy


def champion_of(name: str, work: Workspace) -> ModelVersion:
    """The version that is retrained: the champion, or the newest where there is none.

    Raises:
        UsageError: there is no such model, or nbprod did not register it.
    """
    found = aliased(work, name, CHAMPION)
    if found is None:
        own = [version for version in known_versions(work) if version.name == name]
        if not own:
            from nbprod.lifecycle.versions import find_version

            return find_version(name, work)  # says what is near
        found = max(own, key=lambda version: int(version.version))
    if not found.entry:
        raise UsageError(f"{found.ref} was not registered by nbprod, so nobody knows how it was made.")
    return found


def last_report(work: Workspace, version: ModelVersion) -> MonitorReport | None:
    """What monitoring found last about a version; None if it never looked."""
    return kept.last(reports_folder(work, version.name), lambda sentence: None, of=version.digest)


def alarms_of(report: MonitorReport | None) -> tuple[Alarm, ...]:
    """What a report found that a model may be retrained for: its alarms, and warnings of a loss that rests on labels.

    A warning without a value, such as one of labels of another type, is no loss.

    A person is alarmed only where a loss is surely larger than a tolerance; a retraining is judged by gates anyway, and
    pays as soon as there is surely a loss: see docs/retraining.md.
    """
    checks = report.checks if report else ()
    return tuple(
        Alarm(area=item.area, name=item.name, why=item.why, status=item.status)
        for item in checks
        if item.status == "ALARM" or (item.status == "WARN" and item.area in BY_LABELS and item.value is not None)
    )


def facts_of(
    work: Workspace,
    version: ModelVersion,
    policy: RetrainPolicy,
    lines: Iterable[AuditLine],
    *,
    now: float | None = None,
) -> Facts:
    """What deciding needs to know of a version.

    Args:
        version: with its entry.
        lines: the model's audit log.
    """
    data, data_why, read = _data(work, version, policy)
    erased, erased_at = _erased(work, version)
    code, code_why, commit = _code(work, version, policy)
    if "yes" in (data, code) and (known := _made_of(work, version, read, commit)):
        data, data_why, code, code_why = "no", f"{known.ref} was made of what is there, and is no champion", "no", ""
    return Facts(
        now=time.time() if now is None else now,
        champion=version.ref,
        registered=moment(version.created),
        alarms=alarms_of(last_report(work, version)),
        data=data,
        data_why=data_why,
        code=code,
        code_why=code_why,
        last=max((moment(line.time) for line in lines if line.action == "retrain"), default=None),
        erased=erased,
        erased_at=erased_at,
    )


def _erased(work: Workspace, version: ModelVersion) -> tuple[str, float]:
    """What learned from a subject who is erased, in words, and when the last one was erased."""
    from nbprod.lifecycle.subject.erasures import read_erasures
    from nbprod.lifecycle.subject.learned import rebuild_of

    again = rebuild_of(work, version)
    if again is None:
        return "", 0.0
    times = [moment(item.time) for item in read_erasures(work).erased]
    return f"{again.seen} learned from a subject who is erased", max(times, default=0.0)


def _made_of(work: Workspace, version: ModelVersion, read: Mapping[str, str], commit: str) -> ModelVersion | None:
    """The version that a retraining since brought of the same data and code, so that the same would come out.

    Args:
        read: ``stage.parameter`` -> digest of what lies there now; empty where that is not known.
        commit: the one that would run; empty for the recorded one.
    """
    if not read:
        return None
    for other in known_versions(work):
        parent = other.entry.get("parent") if other.entry else None
        if other.name != version.name or not parent or parent["digest"] != version.digest:
            continue
        same = commit in ("", _commit(other))
        if same and read.items() <= {name: item["sha256"] for name, item in inputs_of(other.entry).items()}.items():
            return other
    return None


def _data(work: Workspace, version: ModelVersion, policy: RetrainPolicy) -> tuple[Known, str, dict[str, str]]:
    """Whether there are new data, and which; with the digests of all that is there, if they are known."""
    known = inputs_of(version.entry)
    if any(stage.refresh for stage in _stages(version)):
        return "unknown", "a stage fetches its data itself", {}
    try:
        places = data_for(work, version.entry, policy)
    except ArtifactError as error:
        return "no", str(error), {}
    new, lost = [], list[str]()
    read = dict[str, str]()
    for name, text in places.items():
        try:
            path = work.inputs.fetch(text) if "://" in text else work.project.root / text
            if not path.exists():
                continue  # the store keeps what it was trained on
            read[name] = digest = sha256_path(path)
        except (NbprodError, OSError) as error:
            lost.append(f"{name}: {error}")
            continue
        if name not in known or digest != known[name]["sha256"]:
            new.append(f"{name} is {text}, which {version.ref} was not trained on")
    if new:
        return "yes", "; ".join(new), {} if lost else read
    return ("unknown", "; ".join(lost), {}) if lost else ("no", "", read)


def _stages(version: ModelVersion) -> tuple[Stage, ...]:
    from nbprod.pipeline.spec import parse_pipeline

    pipeline = version.entry["pipeline"]
    return parse_pipeline(pipeline["text"], file=pipeline["path"]).stages if pipeline["text"] else ()


def _code(work: Workspace, version: ModelVersion, policy: RetrainPolicy) -> tuple[Known, str, str]:
    """Whether there is new code, and which; with the commit of a branch."""
    if policy.source == COMMIT:
        return "no", "", ""
    try:
        now = tip(work.project.root, policy.source)
    except ArtifactError as error:
        return "unknown", str(error), ""
    if _commit(version) == now:
        return "no", "", now
    return "yes", f"the branch {policy.source} is at {now[:12]}", now


def _commit(version: ModelVersion) -> str:
    """The commit of the code that made it; empty where none was recorded."""
    git = version.entry["source"]["git"]
    return str(git["commit"]) if isinstance(git, Mapping) else ""


def shadows(work: Workspace, version: ModelVersion, *, since: float) -> int:
    """How many live requests a version has answered in the shadow of the champion; 0 where no service does that."""
    from nbprod.predictions.places import urls_of
    from nbprod.predictions.reading import read

    urls = urls_of(work.project.data, work.project.rolled_predictions, version.name)
    batches = read(urls, since=since, versions=[version.version], roles=["shadow"], columns=["request"])
    return sum(batch.num_rows for batch in batches)
