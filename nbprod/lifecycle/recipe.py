"""Run a version's recipe on new data: its code in a folder of its own, its result in the project's registry."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.config import DATA, RUNS
from nbprod.entities import ModelVersion, Run
from nbprod.errors import ArtifactError, RunError
from nbprod.evidence.card import card_path
from nbprod.lifecycle.sources import Bytes
from nbprod.lifecycle.workspace import Workspace
from nbprod.lifecycle.worktree import checked_out, code_of, prefix_of, run_git
from nbprod.pipeline.graph import reference
from nbprod.pipeline.spec import load_pipeline
from nbprod.registry import Registry
from nbprod.retraining.policy import COMMIT, RetrainPolicy
from nbprod.retraining.update import given_of
from nbprod.store import remove
from nbprod.trust.folder import check_folder
from nbprod.trust.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came out.

    Attributes:
        version: its number.
        registered: whether it is new; else the same code and data had made it before.
        code: where the code came from, in words.
    """

    version: str
    registered: bool
    run: str
    code: str


def inputs_of(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """``stage.parameter`` -> what the entry says of it, for all that a version read from outside."""
    stages = entry["run"]["stages"]
    made = {digest for stage in stages for digest in stage["outputs"].values()}
    outside = {item["sha256"]: item for item in entry["inputs"] if not item["stage"]}
    given = given_of(entry["pipeline"]["sections"].get("update"))
    return {
        f"{stage['name']}.{parameter}": outside[digest]
        for stage in stages
        for parameter, digest in stage["inputs"].items()
        if digest in outside and digest not in made and f"{stage['name']}.{parameter}" not in given
    }


def resolved(work: Workspace, text: str) -> str:
    """A path, pattern or URL of a policy as one path or URL; of several that fit a pattern the last by name.

    Raises:
        ArtifactError: nothing fits.
    """
    if "://" in text:
        return text
    if glob.has_magic(text):
        known = sorted(glob.glob(text, root_dir=work.project.root))
        found = [name for name in known if not name.endswith(".card.yaml")]
        if not found:
            raise ArtifactError("is a pattern that fits no file yet: bring the new data.", file=text)
        return Path(found[-1]).as_posix()
    if not (work.project.root / text).exists():
        raise ArtifactError("is not there: bring the new data.", file=text)
    return text


def data_for(work: Workspace, entry: Mapping[str, Any], policy: RetrainPolicy) -> dict[str, str]:
    """``stage.parameter`` -> where it is read from now: what the policy names, else where it was read before.

    Raises:
        ArtifactError: the policy names what is not there.
    """
    known = {name: str(item["uri"]) for name, item in inputs_of(entry).items()}
    return {**known, **{name: resolved(work, text) for name, text in policy.data.items()}}


def make(
    work: Workspace,
    registry: Registry,
    version: ModelVersion,
    policy: RetrainPolicy,
    *,
    scratch: Path,
    onward: str = "",
) -> Made:
    """Run the recipe; the version that comes out is registered, and no alias moves.

    Args:
        version: with its entry; it is the parent of what comes out.
        onward: digest of the entry of the version that an update goes on from; empty for the one that its alias says.
        scratch: a folder that is made, and removed afterwards.

    Raises:
        ArtifactError: code or data cannot be had.
        RunError: it failed.
    """
    remove(scratch)
    scratch.mkdir(parents=True)
    with ExitStack() as stack:
        stack.callback(remove, scratch)
        source = Bytes(work=work, registry=registry, stack=stack)
        registered = source.folder(version)
        signed = check_folder(registered, Keys())
        if signed.state != "ok":  # its code is about to run
            raise ArtifactError(
                f"its code is not run, because its signature is {signed.state}: nbprod verify {version.ref}"
            )
        into = scratch / "code"
        if policy.source == COMMIT:
            where = code_of(version, registered, project=work.project.root, into=into)
        else:
            where = branch(policy.source, project=work.project.root, into=into)
        root, code = stack.enter_context(where)
        data = data_for(work, version.entry, policy)
        _lay_out(work, source, version, root=root, data=data)
        answer = _asked(work, root, {**_request(version, policy, data), "onward": onward})
        run = str(answer.get("run", ""))
        if run:
            _adopt(work, root, run)
        if "error" in answer:
            new = ", ".join(f"{name} was {data[name]}" for name in policy.data)
            raise RunError(f"its recipe could not be run again{new and f' ({new})'}: {answer['error']}")
        return Made(version=answer["version"], registered=answer["registered"], run=run, code=code)


@contextmanager
def branch(name: str, *, project: Path, into: Path) -> Iterator[tuple[Path, str]]:
    """The tip of a branch in a folder of its own, as `code_of` gives a commit."""
    commit = tip(project, name)
    with checked_out(commit, prefix_of(project), project=project, into=into) as root:
        yield root, f"the branch {name} at {commit[:12]}"


def tip(project: Path, name: str) -> str:
    """The commit at which a branch is.

    Raises:
        ArtifactError: there is no such branch.
    """
    for place in (f"refs/heads/{name}", f"refs/remotes/origin/{name}"):
        with suppress(ArtifactError):
            return run_git(project, "rev-parse", "--verify", "--quiet", f"{place}^{{commit}}").strip()
    raise ArtifactError(f"there is no branch '{name}', which the policy names as its source: git fetch, or mend it.")


def _request(version: ModelVersion, policy: RetrainPolicy, data: Mapping[str, str]) -> dict[str, Any]:
    """What the process is asked: of a commit with the recorded parameters, of a branch with those that it says."""
    entry = version.entry
    left = given_of(entry["pipeline"]["sections"].get("update"))
    stages = entry["run"]["stages"]
    values = {f"{stage['name']}.{name}": value for stage in stages for name, value in stage["parameters"].items()}
    if policy.source != COMMIT:
        values, data = {}, {name: path for name, path in data.items() if name in policy.data}
    return {
        "target": entry["pipeline"]["path"] or stages[0]["notebook"],
        "settings": {name: value for name, value in {**values, **data}.items() if name not in left},
        "parent": version.digest,
        "name": version.name,
    }


def _lay_out(work: Workspace, source: Bytes, version: ModelVersion, *, root: Path, data: Mapping[str, str]) -> None:
    """Let the folder see the project's data at the same places, whether git has them or not."""
    project = work.project.root
    known = inputs_of(version.entry)
    for name, text in data.items():
        if "://" in text:
            continue
        place = project / text
        if not place.exists():  # it was kept when it was read
            place = source.data(known[name])
        _link(root, text, place)
    path = version.entry["pipeline"]["path"]
    if path and (root / path).is_file():
        pipeline = load_pipeline(root / path, label=path)
        names = [stage.name for stage in pipeline.stages]
        for text in {text for stage in pipeline.stages for text in stage.inputs.values()}:
            outside = "://" not in text and not reference(text, names)
            if outside and not (root / text).exists() and (project / text).exists():
                _link(root, text, project / text)


def _link(root: Path, text: str, place: Path) -> None:
    """Put a link to some data, and to their card, where the code will look for them."""
    if Path(text).is_absolute():
        return
    for target, real in ((root / text, place), (card_path(root / text), card_path(place))):
        if not real.exists():
            continue
        if target.exists() or target.is_symlink():
            # What git tracks there is older; that data are newer than the commit is no change of the code.
            with suppress(ArtifactError):
                run_git(root, "update-index", "--skip-worktree", "--", target.relative_to(root).as_posix())
            remove(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(real.resolve())


def _asked(work: Workspace, root: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run it in a process that ends with this one.

    Raises:
        RunError: the process died.
    """
    settings = work.project.settings
    environment = {**os.environ, "NBPROD_REGISTRY": work.project.registry_uri()}
    environment["NBPROD_STORE"] = settings.store or str(work.project.data / "store")
    for name in ("artifacts", "subjects"):  # a subject's index may be all that is left of data that were erased
        own = work.project.data / name
        own.mkdir(parents=True, exist_ok=True)
        (root / DATA / name).symlink_to(own.resolve())
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "nbprod.lifecycle.recipe_child"],
        cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()  # and left open: when it closes, as when this process dies, the child stops
        said = process.stdout.readline()
        process.stdin.close()
        code = process.wait()
    try:
        found: dict[str, Any] = json.loads(said)
    except ValueError as error:
        raise RunError(f"the process that ran its recipe ended with the code {code} and said nothing.") from error
    return found


def _adopt(work: Workspace, root: Path, run: str) -> None:
    """Make the run one of the project's own."""
    folder, target = root / RUNS / run, work.project.runs / run
    if target.exists() or not folder.is_dir():
        return
    shutil.move(folder, target)
    file = target / "run.json"
    if file.is_file():
        found = Run.from_dict(json.loads(file.read_text(encoding="utf-8")))
        work.index.save_run(found)
        for stage in found.stages:
            if stage.status == "succeeded" and stage.run == run:
                work.index.save_result(stage)
