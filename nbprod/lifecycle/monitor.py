"""``nbprod monitor``: hold what happens against what was registered; and one row of health for each model."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from nbprod.digest import sha256_path
from nbprod.document import moment, seconds
from nbprod.entities import ModelVersion
from nbprod.errors import RegistryError, UsageError
from nbprod.evidence.entry import input_names
from nbprod.lifecycle.observed import Model, Observation, answered, from_log, profile_bytes, reports_folder, was_used
from nbprod.lifecycle.partitions import files_of, from_files, on_dask
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.monitoring import kept
from nbprod.monitoring.facts import MonitorReport, Window, overall
from nbprod.monitoring.judge import Subject, judged
from nbprod.monitoring.policy import MonitorPolicy, policy_of
from nbprod.monitoring.profile import Profile, read_profile
from nbprod.monitoring.windows import Plan, gaps_between, seen
from nbprod.predictions.places import models_at, urls_of
from nbprod.predictions.policy import marked_columns
from nbprod.predictions.policy import policy_of as log_policy_of
from nbprod.registry import CHAMPION


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to look at.

    Attributes:
        since: an age such as ``30d``, or a day; empty for as many windows as the policy says.
        window: how long one is; empty for the policy's.
        files, labels: files of new rows, and of what was true of them.
        predictions: folders or fsspec URLs in which the logs of all models are; empty for the project's own.
        engine: where files are counted: ``local``, or ``dask`` for the scheduler that the project sets.
        keep: whether the report becomes the last that is known of the model.
    """

    since: str = ""
    window: str = ""
    files: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    predictions: tuple[str, ...] = ()
    engine: Literal["local", "dask"] = "local"
    keep: Literal["yes", "no"] = "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A report, with what it was made from, for those who draw it."""

    report: MonitorReport
    reference: Profile
    current: Profile | None
    kept: str = ""
    policy: MonitorPolicy = field(default_factory=MonitorPolicy)

    def page(self) -> str:
        """The report as a page of HTML that needs nothing else."""
        from nbprod.monitoring.page import page

        return page(self.report, self.reference, self.current)


def monitor(name: str, request: Request) -> Looked:
    """Look at a model's champion, or at its newest version if it has none, or at the version that is named.

    Raises:
        UsageError: there is no such version, it has no profile, or the request makes no sense.
        ArtifactError: a file cannot be read, or the profile is not the registered one.
    """
    now = time.time()
    with open_existing() as work:
        return look_at(work, version_of(name, work), request, now=now)


def version_of(name: str, work: Workspace) -> ModelVersion:
    """The version that is meant: the champion where only a model is named and has one."""
    if "/" not in name and "@" not in name:
        try:
            return find_version(f"{name}@{CHAMPION}", work)
        except RegistryError:  # no champion yet
            return find_version(name, work)
    return find_version(name, work)


def look_at(work: Workspace, version: ModelVersion, request: Request, *, now: float) -> Looked:
    """Look at one version; see `monitor`."""
    entry, problems = version.entry, list[str]()
    policy = _policy(entry, request)
    reference = read_profile(profile_bytes(work, version), file=f"{version.ref}: nbprod/profile.json")
    plan = _plan(entry, reference, policy, logged=not request.files)
    with ExitStack() as stack:
        model = Model(work=work, version=version, stack=stack, problems=problems)
        observation = _observation(work, version, request, policy, now=now)
        if request.files:
            run = stack.enter_context(on_dask(work.project)) if request.engine == "dask" else map
            gathered = from_files(plan, model, observation, now=now, run=run)
            gaps: tuple[str, ...] = ()
        else:
            gathered = from_log(plan, model, observation)
            if not gathered:
                _check_places(request)
            gaps = _gaps(version, observation, [one.start for one in gathered], policy, now=now)
    closed = [one for one in gathered if one.end <= now]
    used = closed or gathered
    windows: Sequence[Window] = [seen(one, plan) for one in used]
    report = MonitorReport(
        name=version.name,
        ref=version.ref,
        digest=version.digest,
        made=datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        status="INSUFFICIENT",
        source="files" if request.files else "log",
        aliases=version.aliases,
        owner=str(entry["owner"]),
        age=max(0.0, now - moment_or(version.created, now)),
        windows=tuple(windows),
        policy=policy.to_dict(),
    )
    folder = reports_folder(work, version.name)
    if request.files:
        windows = [*kept.earlier(folder, report, problems.append, count=policy.windows), *windows]
    subject = _subject(work, version, plan, gaps=gaps)
    timeline, checks = judged(subject, windows, now=now)
    report = replace(report, windows=timeline, checks=checks, status=overall(checks), problems=tuple(problems))
    path = str(kept.keep(folder, report)) if request.keep == "yes" else ""
    current = used[-1].profile if used else None
    return Looked(report=report, reference=plan.reference, current=current, kept=path, policy=policy)


def _policy(entry: Mapping[str, Any], request: Request) -> MonitorPolicy:
    policy = policy_of(entry)
    if not request.window:
        return policy
    length = seconds(request.window)
    if not length:
        raise UsageError(f"--window must be a time such as 1d or 12h, not '{request.window}'.")
    return replace(policy, window=length)


def _plan(entry: Mapping[str, Any], reference: Profile, policy: MonitorPolicy, *, logged: bool) -> Plan:
    """Only columns that can be there: what the log's own policy keeps, and never the target."""
    inputs = input_names(entry)
    wanted = list(log_policy_of(entry).kept(inputs, marked_columns(entry)) if logged else inputs)
    truth = reference.columns.get(str(entry["model"]["target"]))
    classes = truth.values if truth is not None and truth.kind == "category" and not truth.other else ()
    columns = {name: column for name, column in reference.columns.items() if name in wanted}
    if logged and set(columns) != set(reference.columns):
        reference = replace(reference, repeated=None)  # that was found in all columns
    main = entry["model"]["main_metric"]
    names = [main] if main else [metric["name"] for metric in entry["metrics"] if metric["dataset"] == "test"]
    return Plan(
        reference=replace(reference, columns=columns),
        policy=policy,
        columns=tuple(columns),
        groups=tuple(policy.fairness.columns or entry["model"]["groups"]),
        classes=classes,
        metrics=tuple(dict.fromkeys([*names, *policy.performance.metrics, *policy.performance.floor])),
    )


def _observation(
    work: Workspace, version: ModelVersion, request: Request, policy: MonitorPolicy, *, now: float
) -> Observation:
    for given, words in (
        (request.since, "--since"),
        (request.window, "--window"),
        (request.predictions, "--predictions"),
    ):
        if request.files and given:
            raise UsageError(
                f"{words} is about the log, and --input names files: each is a window and looked at whole."
            )
    if request.engine == "dask" and not request.files:
        raise UsageError("--engine dask is about files: name them with --input.")
    since = now - policy.windows * policy.window
    if request.since:
        since = _since(request.since, now)
        if since >= now:
            raise UsageError(f"--since {request.since} is in the future.")
    own = urls_of(work.project.data, work.project.rolled_predictions, version.name)
    named = tuple(f"{folder.rstrip('/')}/{version.name}" for folder in request.predictions)
    return Observation(
        since=since,
        log=named or own,
        files=files_of(request.files),
        labels=files_of(request.labels),
        target=str(version.entry["model"]["target"] or ""),
    )


def _check_places(request: Request) -> None:
    """Refuse a place that was named and holds no log of any model; asked only where nothing was found."""
    for folder in request.predictions:
        if not models_at(folder):
            raise UsageError(
                f"--predictions {folder} holds no log of any model: name the folder in which each has its own."
            )


def _since(text: str, now: float) -> float:
    if age := seconds(text):
        return now - age
    try:
        return moment(text)
    except ValueError as error:
        raise UsageError(f"--since must be an age such as 30d, or a day such as 2026-05-28, not '{text}'.") from error


def moment_or(text: str, default: float) -> float:
    """A time in Unix seconds; the default where the text is none."""
    try:
        return moment(text)
    except ValueError:
        return default


def _gaps(
    version: ModelVersion, seen: Observation, starts: Sequence[float], policy: MonitorPolicy, *, now: float
) -> tuple[str, ...]:
    """Windows in which nothing was recorded; one in which another version answered, as before a rollback, is none."""
    if starts:
        if not gaps_between(starts, policy.window, until=now):
            return ()
        others = (start for start in answered(seen.log, seen.since, policy.window) if start > min(starts))
        return gaps_between([*starts, *others], policy.window, until=now)
    if was_used(seen.log, version) and not answered(seen.log, seen.since, policy.window):
        return (f"since {datetime.fromtimestamp(seen.since, UTC):%Y-%m-%d}",)
    return ()


def _subject(work: Workspace, version: ModelVersion, plan: Plan, *, gaps: tuple[str, ...]) -> Subject:
    entry = version.entry
    days = [_data_until(item["card"]) for item in entry["inputs"] if isinstance(item.get("card"), Mapping)]
    return Subject(
        reference=plan.reference,
        policy=plan.policy,
        created=moment_or(version.created, time.time()),
        main=str(entry["model"]["main_metric"] or ""),
        data_until=max((day for day in days if day is not None), default=None),
        newer=tuple(_newer(work, entry)),
        gaps=gaps,
        classes=plan.classes,
        inputs=tuple(input_names(entry)),
    )


def _data_until(card: Mapping[str, Any]) -> float | None:
    """The end of a card's ``temporalCoverage``, such as ``2015-01-01/2018-12-31`` or ``2015/2018``."""
    text = str(card.get("temporalCoverage", "")).rpartition("/")[2].strip()
    if text.isdigit() and len(text) == 4:
        text = f"{text}-12-31"
    found = moment_or(text, -1.0)
    return None if found < 0 else found


def _newer(work: Workspace, entry: Mapping[str, Any]) -> list[str]:
    """Files from outside that have other bytes now than the model was trained on; remote ones are not asked."""
    found = []
    for item in entry["inputs"]:
        place = work.project.root / item["uri"]
        if item["stage"] or "://" in item["uri"] or not place.exists():
            continue
        if os.path.getmtime(place) > moment_or(entry["run"]["started"], 0.0) and sha256_path(place) != item["sha256"]:
            found.append(str(item["name"]))
    return found
