"""Build and run images without a container engine's service: debootstrap, buildah, umoci and runc, as root.

Where Debian's packages come from is asked of apt, so no address stands here.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("apt-get", "buildah", "debootstrap", "podman", "runc", "tar", "umoci")
BASE = "localhost/nbprod-test-base:1"
LIMIT = 900

SHARED = {"network", "cgroup", "user"}
"""Namespaces that are not made: their rights are not to be had inside another container."""


def call(*command: str | Path, folder: Path | None = None, code: int = 0, limit: float = LIMIT) -> str:
    """Run a program and expect its exit code; returns what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=limit
    )
    assert done.returncode == code, f"{words[:3]} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def release() -> tuple[str, str]:
    """The code name of this system's release, and where apt gets its packages."""
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    listed = call("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)").splitlines()
    return codename, next(line.split()[1] for line in listed if line.split()[:1] == [codename])


class Images:
    """A store of images under a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = ["--root", f"{folder}/store", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]

    def make_base(self) -> str:
        """An image of this system's release, with Python and nothing else; returns its name."""
        root, (codename, mirror) = self.folder / "base", release()
        include = "python3,python3-venv,ca-certificates"
        components = "main,universe" if platform.freedesktop_os_release()["ID"] == "ubuntu" else "main"
        options = ["--variant=minbase", f"--include={include}", f"--components={components}"]
        call("debootstrap", *options, codename, root, mirror)
        archive = self.folder / "base.tar"
        call("tar", "-C", root, "-cf", archive, ".")
        call("podman", *self.options, "import", archive, BASE)
        return BASE

    def build(self, bundle: Path, tag: str) -> None:
        """Build a bundle's image, with no network in the steps of its recipe."""
        options = ["bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "--tag", tag]
        call("buildah", *self.options, *options, bundle)

    def unpack(self, tag: str) -> Path:
        """An image as runc takes it: ``config.json`` and the root's files."""
        layout, place = self.folder / "layout", self.folder / "unpacked"
        call("buildah", *self.options, "push", "--quiet", "--format", "oci", tag, f"oci:{layout}:1")
        call("umoci", "unpack", "--image", f"{layout}:1", place)
        return place


def configure(unpacked: Path, mounts: Mapping[str, Path], arguments: list[str]) -> dict[str, Any]:
    """Let an image run here: a read-only root, what is mounted, and no namespace that a container must not make.

    Args:
        mounts: place in the image -> file or folder.
        arguments: added to what the image runs.

    Returns:
        The process that it runs.
    """
    file = unpacked / "config.json"
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    config["process"].pop("rlimits", None)
    config["process"]["terminal"] = False
    config["process"]["args"] += arguments
    config["root"]["readonly"] = True
    linux = config["linux"]
    linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] not in SHARED]
    for name in ("uidMappings", "gidMappings", "resources"):
        linux.pop(name, None)
    config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] != "/sys/fs/cgroup"]
    options = ["nosuid", "nodev", "mode=1777"]
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options})
    for place, source in mounts.items():
        config["mounts"].append({"destination": place, "type": "bind", "source": str(source), "options": ["rbind"]})
    file.write_text(json.dumps(config), encoding="utf-8")
    process: dict[str, Any] = config["process"]
    return process


class Container:
    """What runs in the end."""

    def __init__(self, name: str, state: Path, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.runc = ["runc", "--rootless=true", "--root", str(state)]
        self.process = process

    def execute(self, *command: str, code: int = 0) -> str:
        """Run a command inside and expect its exit code."""
        return call(*self.runc, "exec", self.name, *command, code=code, limit=60)

    def stop(self) -> int:
        """Send SIGTERM; returns the exit code."""
        call(*self.runc, "kill", self.name, "TERM")
        return self.process.wait(timeout=60)


@contextmanager
def running(unpacked: Path, *, log: Path) -> Iterator[Container]:
    """Run what was unpacked; it is killed when the block ends."""
    state, name = unpacked.parent / "runc", f"nbprod-test-{os.getpid()}"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["runc", "--rootless=true", "--root", str(state), "run", "--bundle", str(unpacked), name],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, text=True,
        )  # fmt: skip
        try:
            yield Container(name, state, process)
        finally:
            if process.poll() is None:
                subprocess.run([*Container(name, state, process).runc, "kill", name, "KILL"], check=False)
                process.wait(timeout=30)


def missing() -> list[str]:
    """What the image test needs and does not find, as a person reads it."""
    from shutil import which

    found = [program for program in PROGRAMS if which(program) is None]
    return found + ([] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["root's rights"])


if __name__ == "__main__":
    lacking = missing()
    print(", ".join(lacking))
    sys.exit(1 if lacking else 0)
