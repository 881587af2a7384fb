"""The target ``container``: an image built from the bundle, run with no more rights than the service needs."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from nbprod.errors import DeployError
from nbprod.targets import Deployment, Placement
from nbprod.targets.command import call
from nbprod.targets.state import now
from nbprod.trust.callers import add_key

ENGINES = ("podman", "docker")
"""Programs that build and run, in the order in which they are looked for."""

BUILDERS = (*ENGINES, "buildah")
"""Programs that build."""

READY = 120.0

KEY_FILE = "/run/secrets/nbprod/api-keys"
"""Where a service in a container finds the hashes of the API keys that it accepts."""


def container(
    placement: Placement,
    *,
    engine: str = "",
    image: str = "",
    port: int = 8080,
    api_key_file: str = "",
    push: str = "",
) -> Deployment:
    """Build a bundle's image and run it on this machine; what ran under the name before is replaced.

    Args:
        engine: ``podman``, ``docker`` or, to build only, ``buildah``; by default the first that is there.
        image: what to call it; by default ``nbprod-NAME:VERSION``.
        port: port of the loopback interface.
        api_key_file: the keys that callers may use, in a file that the image's user can read; by default one is made.
        push: where to push the image to; it is not run here then.

    Raises:
        DeployError: there is no engine, or it fails, or the service does not get ready.
    """
    program = find_engine(engine)
    wanted = placement.wanted
    tag = image or str(wanted.details["image"])
    build = ["bud" if Path(program).name == "buildah" else "build", "--tag", tag, "--file", "Containerfile", "."]
    call([program, *build], doing=f"build the image {tag}", folder=placement.bundle, timeout=3600)
    made = replace(wanted, since=now(), status="written", details={"engine": program, "image": tag})
    if push:
        call([program, "push", tag, push], doing=f"push the image to {push}", timeout=3600)
        return replace(made, details={**made.details, "pushed": push})
    if Path(program).name == "buildah":
        return replace(made, reason="buildah builds and does not run: run the image with podman or docker.")
    return _run(made, program=program, port=port, keys=_keys(placement, api_key_file))


def find_engine(name: str = "") -> str:
    """The program that builds images.

    Raises:
        DeployError: there is none.
    """
    for candidate in (name,) if name else BUILDERS:
        if found := shutil.which(candidate):
            return found
    raise DeployError(f"there is no {name or ', '.join(BUILDERS)} on this machine: install one, or use --target local.")


def _keys(placement: Placement, given: str) -> dict[str, str]:
    """Where the hashes of API keys are, as details of a deployment; a key is made where no file was given.

    The hashes are in a folder of their own, which the image's user can read and which is mounted whole, so that a
    change of the file is seen inside; the key itself is beside it and only its owner reads it.
    """
    if given:
        return {"api_key_file": str(Path(given).resolve())}
    folder = placement.folder / "keys" / placement.wanted.name
    folder.mkdir(parents=True, exist_ok=True)
    file, key = folder / Path(KEY_FILE).name, folder.with_suffix(".key")
    if not file.exists():
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_text(f"{add_key(file, 'deploy')}\n", encoding="utf-8")
    folder.chmod(0o755)
    file.chmod(0o644)
    return {"api_key_file": str(file.resolve()), "api_key": str(key.resolve())}


def _mounted(keys: dict[str, str]) -> str:
    """The volume of the keys: our own folder, or the one file that was given."""
    file = Path(keys["api_key_file"])
    return f"{file.parent}:{Path(KEY_FILE).parent}:ro" if "api_key" in keys else f"{file}:{KEY_FILE}:ro"


def _run(made: Deployment, *, program: str, port: int, keys: dict[str, str]) -> Deployment:
    name, image = f"nbprod-{made.details['label']}" if "label" in made.details else "", str(made.details["image"])
    name = name or image.rpartition("/")[2].partition(":")[0].partition("@")[0]
    remove = [program, "rm", "--force", name]
    call(remove, doing=f"remove the container {name} that was there")
    options = ["--detach", "--name", name, "--restart", "on-failure", "--read-only", "--tmpfs", "/tmp"]
    options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--publish", f"127.0.0.1:{port}:8080"]
    options += ["--volume", _mounted(keys), "--volume", f"{name}-data:/data"]
    call([program, "run", *options, image], doing=f"run the image {image}")
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + READY
    while not _ready(url):
        if time.monotonic() > end:
            call(remove, doing=f"remove the container {name}")
            raise DeployError(f"{made.ref} was not ready within {READY:g} seconds in a container, so it was removed.")
        time.sleep(0.2)
    return replace(made, status="ready", url=url, details={**made.details, "container": name, **keys})


def _ready(url: str) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(f"{url}/readyz", timeout=3) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError, ValueError):
        return False


def stop(deployment: Deployment) -> Deployment:
    """Stop and remove a container; its volume stays, since the journal of predictions is in it."""
    name, program = str(deployment.details.get("container", "")), str(deployment.details.get("engine", ""))
    if name:
        call([program, "rm", "--force", name], doing=f"remove the container {name}")
    return replace(deployment, status="stopped", reason="")
