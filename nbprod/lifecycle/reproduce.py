"""``nbprod reproduce``: run a version's recipe again, from its code and data, and compare what comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.config import DATA, RUNS
from nbprod.entities import Fact, ModelVersion, Run
from nbprod.errors import ArtifactError, NbprodError, UsageError
from nbprod.evidence.compare import Compared, Reproduced, verdict_of
from nbprod.evidence.statements import reproduction
from nbprod.lifecycle.attesting import attest
from nbprod.lifecycle.environments import LISTED, Chosen, build, differences
from nbprod.lifecycle.probing import compared
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.sources import Bytes
from nbprod.lifecycle.subject.learned import check_version
from nbprod.lifecycle.updating import again_from
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.lifecycle.worktree import code_of, data_of
from nbprod.pipeline.environment import find_kernel
from nbprod.pipeline.source import read_source
from nbprod.registry import Registry
from nbprod.trust.folder import check_folder
from nbprod.trust.keys import Keys

PROGRAM = [sys.executable, "-P", "-c", "from nbprod.cli import main; main()"]
TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction(Fact):
    """What came out of running a recipe again.

    Attributes:
        reason: a sentence.
        code, environment: where they came from, in words.
        compared: everything that was held against its record.
    """

    version: ModelVersion
    verdict: Reproduced
    reason: str
    code: str = ""
    environment: str = ""
    compared: tuple[Compared, ...] = ()


def reproduce(
    text: str, *, tolerance: float = TOLERANCE, tell: Callable[[str], None] = lambda line: None
) -> Reproduction:
    """Run the recipe of the version that a reference means again, and keep the verdict beside it.

    Args:
        tell: is told what takes long.
        tolerance: by how much metrics and predictions may differ; see `nbprod.evidence.compare`.

    Raises:
        UsageError: there is no such version.
    """
    if not 0 <= tolerance < 1:
        raise UsageError("--tolerance must be from 0 to 1, such as 0.01.")
    with open_existing() as work, ExitStack() as stack:
        version = find_version(text, work)
        registry = stack.enter_context(open_registry(work.project))
        try:
            found = _again(work, registry, version, tolerance, stack=stack, tell=tell)
        except NbprodError as error:
            found = Reproduction(version=version, verdict="cannot", reason=error.message)
        said = reproduction(version.digest, found.to_dict(), tolerance=tolerance)
        attest(registry, version, said, Keys())
        return found


def _again(
    work: Workspace,
    registry: Registry,
    version: ModelVersion,
    tolerance: float,
    *,
    stack: ExitStack,
    tell: Callable[[str], None],
) -> Reproduction:
    """Put the recipe together, run it, and compare; what cannot be had is an error."""
    source = Bytes(work=work, registry=registry, stack=stack)
    registered = source.folder(version)
    signed = check_folder(registered, Keys())
    if signed.state != "ok":  # its code is about to run
        raise ArtifactError(
            f"its code is not run, because its signature is {signed.state}: nbprod verify {version.ref}"
        )
    check_version(work, registry, version, refused="{} is not run again")
    data, parent = data_of(version, source), again_from(work, registry, version)
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reproducing-", dir=work.project.data)))
    where = code_of(version, registered, project=work.project.root, into=scratch / "code")
    root, code = stack.enter_context(where)
    chosen = _environment(work, version, root, scratch, tell=tell)
    run = _run(version, root, chosen, settings={**_settings(version, data), **parent})
    found = tuple(compared(work, source, version, run=run, root=root, tolerance=tolerance))
    verdict = verdict_of(found)
    bad = [each.what for each in found if each.agreement == "different"]
    reasons = {
        "identical": "Metrics, predictions, rows and schema are the recorded ones.",
        "within tolerance": f"Nothing differs by more than the tolerance of {tolerance:g}.",
        "different": f"More than the tolerance of {tolerance:g} lies between the record and {', '.join(bad)}.",
        "cannot": "There is nothing to compare: the version reports no metric, and none of its data was kept.",
    }
    return Reproduction(
        version=version, verdict=verdict, reason=reasons[verdict], code=code, environment=chosen.told, compared=found
    )


def _environment(
    work: Workspace, version: ModelVersion, root: Path, scratch: Path, *, tell: Callable[[str], None]
) -> Chosen:
    """The environment that is here if it is the recorded one, else one that is built."""
    recorded = version.entry["environment"]
    made = next(s for s in version.entry["run"]["stages"] if s["name"] == version.entry["model"]["stage"])
    label = made["notebook"]
    try:
        source = read_source(root / label, label=label)
        here = find_kernel(source.kernel, default=work.project.settings.kernel, label=label, cache=work.index)
        unlike = differences(recorded, here)
    except NbprodError as error:
        unlike = [error.message]
    if not unlike:
        return Chosen(kernel="", told="the same as recorded, in all that counts", variables={})
    more = f", and {len(unlike) - LISTED} more" if len(unlike) > LISTED else ""
    tell(f"building the recorded environment of {len(recorded['freeze'])} packages, because here is {unlike[0]}{more}")
    built = build(recorded, scratch / "environment")
    told = f"{built.told}, because here is {'; '.join(unlike[:LISTED])}{more}"
    return Chosen(kernel=built.kernel, told=told, variables=built.variables)


def _settings(version: ModelVersion, data: Mapping[str, str]) -> dict[str, Any]:
    """What must be set: the parameters that were, and where the data are now."""
    stages = version.entry["run"]["stages"]
    values = {f"{stage['name']}.{name}": value for stage in stages for name, value in stage["parameters"].items()}
    return {**values, **data}


def _run(version: ModelVersion, root: Path, chosen: Chosen, *, settings: Mapping[str, Any]) -> Run:
    """Run the pipeline in a process, with a registry and a store of its own, so that nothing is reused.

    Raises:
        ArtifactError: a stage failed.
    """
    entry = version.entry
    target = entry["pipeline"]["path"] or entry["run"]["stages"][0]["notebook"]
    file = root / DATA / "settings.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    ours = ("NBPROD_", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT", "MLFLOW_RUN_ID")
    kept = ("NBPROD_KEYS",)
    environment = {name: value for name, value in os.environ.items() if name in kept or not name.startswith(ours)}
    environment |= chosen.variables
    environment["NBPROD_REGISTRY"] = f"sqlite:///{(root / '.nbprod' / 'mlflow.db').as_posix()}"
    environment["NBPROD_STORE"] = str(root / DATA / "store")
    kernel = ["--kernel", chosen.kernel] if chosen.kernel else []
    command = [*PROGRAM, "run", target, "--no-register", "--no-repeats", "--json", "-f", str(file), *kernel]
    done = subprocess.run(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        said = json.loads(done.stdout)
        run = Run.from_dict(json.loads((root / RUNS / said["run"] / "run.json").read_text(encoding="utf-8")))
    except (ValueError, KeyError, OSError) as error:
        message = _error_in(done.stdout) or f"nbprod run ended with the code {done.returncode}"
        raise ArtifactError(f"its pipeline cannot be run again: {message}") from error
    failed = next((stage for stage in run.stages if stage.error), None)
    if failed and failed.error:
        raise ArtifactError(f"its stage '{failed.stage}' fails now: {failed.error.message}")
    return run


def _error_in(stdout: str) -> str:
    try:
        return str(json.loads(stdout)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
