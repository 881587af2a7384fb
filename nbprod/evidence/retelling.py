"""An entry told back as the run that made it, for a registry in which that run never was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from nbprod.entities import Artifact, Metric, Role, Run, StageRun
from nbprod.evidence.entry import UNKNOWN


def run_of(entry: Mapping[str, Any]) -> Run:
    """The run, as far as the entry tells; places of executed notebooks are relative to the registered folder."""
    stages = tuple(_stage_run(entry, stage) for stage in entry["run"]["stages"])
    started = _known(entry["run"]["started"])
    return Run(
        id=entry["run"]["id"],
        pipeline=entry["pipeline"]["name"],
        status="succeeded",
        started=started,
        ended=max((stage.ended for stage in stages), default=started),
        stages=stages,
        params={stage.stage: stage.params for stage in stages},
    )


def _stage_run(entry: Mapping[str, Any], stage: Mapping[str, Any]) -> StageRun:
    seconds = float(_known(stage["seconds"]) or 0)
    started = _known(stage["started"])
    written = next(item for item in entry["source"]["notebooks"] if item["stage"] == stage["name"])
    executed = None
    if written["executed"]:
        executed = Artifact(name=stage["name"], uri=written["executed"], sha256=written["executed_sha256"], size=0)
    return StageRun(
        stage=stage["name"],
        notebook=stage["notebook"],
        pipeline=entry["pipeline"]["name"],
        run=stage["run"],
        action="run" if stage["run"] == entry["run"]["id"] else "reuse",
        status="succeeded",
        key=_known(stage["key"]),
        params=stage["parameters"],
        inputs={name: _artifact(entry, name, sha256, "input") for name, sha256 in stage["inputs"].items()},
        outputs={name: _artifact(entry, name, sha256, "output") for name, sha256 in stage["outputs"].items()},
        metrics=tuple(Metric.from_dict(metric) for metric in entry["metrics"] if metric["stage"] == stage["name"]),
        executed=executed,
        cells=stage["cells"],
        attempts=stage["attempts"],
        started=started,
        ended=_later(started, seconds),
        seconds=seconds,
    )


def _artifact(entry: Mapping[str, Any], name: str, sha256: str, role: Role) -> Artifact:
    """Bytes, with the place that the entry has of them; what it has none of is called by its name."""
    known = next((item for item in entry["inputs"] if item["sha256"] == sha256), None)
    if role == "output" and sha256 == entry["model"]["sha256"]:
        return Artifact(
            name=name, uri=name, sha256=sha256, size=entry["model"]["bytes"], kind="folder", role="model"
        )  # fmt: skip
    if known is None:
        return Artifact(name=name, uri=name, sha256=sha256, size=0, role=role)
    return Artifact(name=name, uri=known["uri"], sha256=sha256, size=known["bytes"], kind=known["kind"], role=role)


def _known(value: Any) -> Any:
    """A value of the entry; empty where it is unknown."""
    return "" if value == UNKNOWN else value


def _later(started: str, seconds: float) -> str:
    """When something that began then was over."""
    if not started:
        return ""
    return (datetime.fromisoformat(started) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
