"""``nbprod serve``: find the versions, verify copies of them, and let workers answer with them."""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nbprod.config import Project, load_project
from nbprod.entities import Fact, ModelVersion
from nbprod.errors import ArtifactError, UsageError
from nbprod.evidence.entry import digest, validate
from nbprod.evidence.folder import ENTRY
from nbprod.lifecycle.apart import apart
from nbprod.lifecycle.following import Follower, first_version
from nbprod.lifecycle.scratch import scratch
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.packaging.bundle import KEYS, MANIFEST, MODEL, check_bundle
from nbprod.predictions.places import folder_of, url_of
from nbprod.predictions.policy import policy_of
from nbprod.registry import parse_ref
from nbprod.serving.keys import ApiKeys
from nbprod.serving.limits import Limits
from nbprod.serving.loading import PIN, Source, kept_columns, verified
from nbprod.serving.server import Follow, Plan, listen, warm, work
from nbprod.serving.signature import read_signature
from nbprod.trust.callers import add_key

PREDICTIONS = "predictions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asked for.

    Attributes:
        ref: of a version, or a bundle's folder.
        shadow: a reference; empty for none.
        canary: ``REF=10%``; empty for none.
        predictions: the folder of prediction logs; None for the project's.
    """

    ref: str
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    shadow: str = ""
    canary: str = ""
    predictions: Path | None = None
    api_keys: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    fsync: Literal["never", "second", "batch"] = "never"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving(Fact):
    """A service that answers.

    Attributes:
        url: where.
    """

    ref: str
    url: str
    log: str
    locked: bool


def serve(wish: Wish, tell: Callable[[Serving], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        tell: called once, when it answers.

    Raises:
        UsageError: there is no such version, or the options do not go together.
        ArtifactError: a version is not what was registered or signed.
        DeployError: it cannot be served.
    """
    check_wish(wish)
    with scratch() as folder:
        # Several workers are forked later, and OpenMP's threads would not survive that.
        plan = apart(lambda: _plan(wish, folder), meanwhile=warm if wish.workers == 1 else lambda: None)
        follow = _follower(wish, plan, folder)
        listener = listen(wish.host, wish.port)
        port = listener.getsockname()[1]
        scheme = "https" if wish.certificate else "http"
        host = f"[{wish.host}]" if ":" in wish.host else wish.host
        serving = Serving(
            ref=plan.answer.ref, url=f"{scheme}://{host}:{port}", log=str(plan.log), locked=wish.api_keys is not None
        )
        if wish.workers == 1:
            work(plan, listener, ready=lambda: tell(serving), follow=follow)
        else:
            _workers(plan, listener, lambda: tell(serving), follow)


def _workers(plan: Plan, listener: socket.socket, ready: Callable[[], None], follow: Follow | None) -> None:
    from nbprod.serving.metrics import shared
    from nbprod.serving.workers import Workers

    slots = shared(plan.workers)

    def one(worker: int, answers: Callable[[], None]) -> None:
        work(plan, listener, worker=worker, slots=slots, ready=answers, follow=follow)

    Workers(one, plan.workers, drain=plan.limits.drain, ready=ready).run()


def new_key(file: Path, name: str) -> str:
    """Make a key for a caller; see `nbprod.trust.callers.add_key`."""
    return add_key(file, name)


def check_wish(wish: Wish) -> None:
    """Refuse options that do not go together, before anything is loaded.

    Raises:
        UsageError: it says which.
    """
    _need_packages()
    check_ref(wish.ref)
    if wish.api_keys is None and not is_loopback(wish.host):
        raise UsageError(
            f"{wish.host} can be reached from other machines, so callers need keys: make one with --api-key-file FILE "
            "--add-key NAME, and serve with --api-key-file FILE."
        )
    if (wish.certificate is None) != (wish.private_key is None):
        raise UsageError("--tls-cert and --tls-key belong together.")
    if wish.api_keys is not None:
        ApiKeys(wish.api_keys)
    if wish.canary:
        read_canary(wish.canary)


def _need_packages() -> None:
    from importlib.util import find_spec

    from nbprod.errors import MissingExtra

    if not all(map(find_spec, ("uvicorn", "uvloop", "httptools", "starlette", "msgspec", "orjson"))):
        raise MissingExtra("nbprod serve", extra="serve")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_canary(text: str) -> tuple[str, float]:
    """A reference and a share from 0 to 1, from ``REF=10%``.

    Raises:
        UsageError: it is none.
    """
    ref, _, share = text.rpartition("=")
    try:
        part = float(share.removesuffix("%")) / 100 if share.endswith("%") else float("nan")
    except ValueError:
        part = float("nan")
    if not ref or not 0 < part < 1:
        raise UsageError(f"--canary is REF=SHARE with a share between 0% and 100%, such as churn/4=10%, not '{text}'.")
    return ref, part


def _plan(wish: Wish, scratch: Path) -> Plan:
    canary, share = read_canary(wish.canary) if wish.canary else ("", 0.0)
    options: dict[str, Any] = {
        "limits": wish.limits, "workers": wish.workers, "api_keys": wish.api_keys, "certificate": wish.certificate,
        "private_key": wish.private_key, "fsync": wish.fsync, "share": share,
    }  # fmt: skip
    if is_folder(wish.ref):
        if wish.shadow or canary:
            raise UsageError("a bundle is served by itself: --shadow and --canary need the registry.")
        source = from_folder(Path(wish.ref), scratch / "answer")
        return Plan(answer=source, **_kept(source, wish), **options)
    with open_existing() as work:
        asked = (("answer", wish.ref), ("shadow", wish.shadow), ("canary", canary))
        sources: dict[str, Any] = {
            role: from_registry(find_version(found, work), work, scratch / role)
            for role, ref in asked
            if ref and (found := audited_ref(ref, work, needed="no" if role == "shadow" else "yes"))
        }
        shadow = sources.get("shadow")
        if shadow and parse_ref(wish.shadow).alias and shadow.version == sources["answer"].version:
            del sources["shadow"]  # it became the one that answers
        for role, source in sources.items():
            if source.name != sources["answer"].name:
                raise UsageError(f"--{role} must be another version of {sources['answer'].name}, not {source.ref}.")
        kept = _kept(sources["answer"], wish, work.project)
    return Plan(**kept, **sources, **options)


def _kept(source: Source, wish: Wish, project: Project | None = None) -> dict[str, Any]:
    """How long the prediction log is kept, and where, as the version and the settings say."""
    log, rolled = log_of(source.name, wish.predictions, project)
    return {"log": log, "rolled": rolled, "retain": policy_of(source.entry).retain}


def log_of(name: str, predictions: Path | None, project: Project | None = None) -> tuple[Path, str | None]:
    """The folder of a model's prediction log, and where it is rolled to; None for beside it.

    Args:
        predictions: where somebody wants the logs to be.
        project: of the registry; None for a bundle, whose log is below the working folder.
    """
    own = Path(PREDICTIONS, name) if project is None else folder_of(project.data, name)
    place = (project or load_project()).rolled_predictions
    return predictions / name if predictions else own, url_of(place, name)


def audited_ref(text: str, work: Workspace, *, needed: Literal["yes", "no"] = "yes") -> str:
    """A reference without an alias: the version at which the audit log left it; empty if nothing has it."""
    ref = parse_ref(text)
    if not ref.alias:
        return text
    version = first_version(work, ref.name, ref.alias, needed=needed)
    return f"{ref.name}/{version}" if version else ""


def _follower(wish: Wish, plan: Plan, scratch: Path) -> Follow | None:
    """What follows the aliases of the answer and the shadow, if any was asked for."""
    if is_folder(wish.ref):
        return None
    alias, shadow = parse_ref(wish.ref).alias, parse_ref(wish.shadow).alias if wish.shadow else ""
    if not alias and not shadow:
        return None

    def bring(text: str, target: Path) -> Source:
        with open_existing() as opened:
            return from_registry(find_version(text, opened), opened, target)

    follower = Follower(
        project=load_project(), name=plan.answer.name, alias=alias, shadow=shadow, bring=bring, scratch=scratch
    )
    return follower.begin


def check_ref(ref: str) -> None:
    """Refuse a folder that holds no version.

    Raises:
        UsageError: it is one.
    """
    if os.sep in ref and Path(ref).is_dir() and not is_folder(ref):
        raise UsageError("is a folder, but no bundle and no registered one: nbprod build makes one.", file=ref)


def is_folder(ref: str) -> bool:
    """Whether a bundle or a registered folder is meant."""
    folder = Path(ref)
    return folder.is_dir() and ((folder / MANIFEST).is_file() or (folder / ENTRY).is_file())


def from_folder(folder: Path, target: Path) -> Source:
    """A copy of a bundle's model, or of a registered folder, verified.

    Raises:
        ArtifactError: it is not what was built, registered or signed.
    """
    bundle = check_bundle(folder) if (folder / MANIFEST).is_file() else None
    inside = folder / MODEL if bundle else folder
    try:
        entry = validate(json.loads((inside / ENTRY).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ArtifactError("holds no registry entry that can be read.", file=str(folder)) from error
    if bundle and (bundle.name != entry["name"] or bundle.entry != digest(entry)):
        raise ArtifactError(
            f"is not the bundle that was built: its {MANIFEST} is about another entry.", file=str(folder)
        )
    pin = f"NBPROD_KEYS={shlex.quote(str(folder / KEYS))}, or nbprod keys --pin" if bundle else PIN
    return _copied(inside, target, name=entry["name"], version=bundle.version if bundle else "0", pin=pin)


def from_registry(version: ModelVersion, work: Workspace, target: Path) -> Source:
    """A copy of a registered version, verified.

    Raises:
        ArtifactError: it is not what was registered or signed.
    """
    from nbprod.lifecycle.sources import registered_folder

    with registered_folder(version, work, target.parent) as folder:
        source = _copied(folder, target, name=version.name, version=version.version)
    if source.digest != version.digest:
        raise ArtifactError(f"the entry of {version.ref} is not the one that was registered: its digest differs.")
    return source


def _copied(folder: Path, target: Path, *, name: str, version: str, pin: str = PIN) -> Source:
    """Copy first and verify the copy, so that what is loaded is what was verified."""
    shutil.copytree(folder, target)
    try:
        entry = validate(json.loads((target / ENTRY).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"the registry entry of {name}/{version} cannot be read.") from error
    signed = verified(target, entry, ref=f"{name}/{version}", pin=pin)
    return Source(
        name=name, version=version, digest=digest(entry), folder=target, entry=entry, signed=signed,
        kept=kept_columns(entry, _inputs(entry)),
    )  # fmt: skip


def _inputs(entry: Any) -> tuple[str, ...]:
    signature = read_signature(entry)
    return signature.names or ((signature.tensor.name or "rows",) if signature.tensor else ())
