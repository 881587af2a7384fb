"""Content-addressed artifacts: bytes are kept once, under their sha256, in a folder or at any fsspec URL.

A file goes in and comes out by reflink where the file system can, else as a hard link of a read-only file, else as a
copy. Root may write to read-only files, so for root a hard link would not protect the store: it copies instead.
A folder is kept as its files and one listing of them, under the digest of that listing.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal, Protocol

from nbprod.digest import (
    Memory,
    listing_bytes,
    listing_digest,
    members,
    remembered_sha256,
    sha256_file,
    sha256_path,
    size_of,
)
from nbprod.entities import Artifact, Role
from nbprod.errors import ArtifactError

CHUNK = 1 << 20


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its name when the block ends well.

    And is removed when it does not.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    part = temporary / target.name
    try:
        yield part
        os.replace(part, target)
    finally:
        remove(temporary)


def write_text(target: Path, text: str) -> None:
    """Write a text file whole: under a temporary name, then renamed."""
    with written_whole(target) as part:
        part.write_text(text, encoding="utf-8")


def remove(path: Path) -> bool:
    """Remove a file or a folder, read-only members included; false, and nothing happens, if it is not there."""
    there = path.exists() or path.is_symlink()
    if path.is_dir() and not path.is_symlink():
        path.chmod(0o755)
        for root, folders, _ in os.walk(path):
            for folder in folders:
                if not Path(root, folder).is_symlink():
                    Path(root, folder).chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return there


def _reflink(source: Path, target: Path) -> bool:
    """Make ``target`` share the blocks of ``source``; False where the file system cannot."""
    platform: str = sys.platform
    if platform == "darwin":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.clonefile(os.fsencode(source), os.fsencode(target), 0) == 0)
    if platform == "linux":
        import fcntl

        ficlone = 0x40049409  # from linux/fs.h
        with source.open("rb") as reader, target.open("wb") as writer:
            try:
                fcntl.ioctl(writer.fileno(), ficlone, reader.fileno())
            except OSError:
                return False
        return True
    return False


def _copy(reader: IO[bytes], writer: IO[bytes]) -> str:
    """Copy in bounded memory and return the sha256 of what was copied."""
    digest = hashlib.sha256()
    while chunk := reader.read(CHUNK):
        digest.update(chunk)
        writer.write(chunk)
    return digest.hexdigest()


def _changed(path: Path) -> ArtifactError:
    return ArtifactError("changed while it was being copied: run again when nobody writes to it.", file=str(path))


class Objects(Protocol):
    """Files under their sha256."""

    def has(self, sha256: str) -> bool:
        """Whether these bytes are kept."""
        ...

    def put(self, path: Path, sha256: str) -> None:
        """Keep a file; ``path`` itself is left as it is."""
        ...

    def adopt(self, path: Path, sha256: str) -> None:
        """Keep a file that is nbprod's own: it becomes read-only and may share its bytes with the store."""
        ...

    def get(self, sha256: str, target: Path) -> None:
        """Put the bytes at ``target``, which does not exist."""
        ...

    def delete(self, sha256: str) -> None:
        """Keep these bytes no longer; nothing happens if they are not kept."""
        ...


class LocalObjects:
    """Objects in a folder of this machine."""

    def __init__(self, root: Path, memory: Memory) -> None:
        self.root = root
        self.memory = memory

    def path(self, sha256: str) -> Path:
        """Where these bytes lie."""
        return self.root / sha256[:2] / sha256[2:]

    def has(self, sha256: str) -> bool:
        """Whether these bytes are kept."""
        return self.path(sha256).is_file()

    def put(self, path: Path, sha256: str) -> None:
        """Keep a file; ``path`` itself is left as it is."""
        if self.has(sha256):
            return
        with written_whole(self.path(sha256)) as part:
            self._duplicate(path, part, sha256)
            part.chmod(0o444)

    def adopt(self, path: Path, sha256: str) -> None:
        """Keep a file that is nbprod's own: it becomes read-only and may share its bytes with the store."""
        path.chmod(0o444)
        if self.has(sha256):
            return
        with written_whole(self.path(sha256)) as part:
            self._share(path, part, sha256)
            part.chmod(0o444)

    def get(self, sha256: str, target: Path) -> None:
        """Put the bytes at ``target``, which does not exist.

        A damaged object is taken out of the store and reported.
        """
        kept = self.path(sha256)
        if not kept.is_file():
            raise ArtifactError(f"the store does not hold {sha256[:12]}: run the stage that makes it with --force.")
        if remembered_sha256(kept, self.memory) != sha256:
            remove(kept)
            raise ArtifactError(
                "its bytes were changed after it was stored, so it was taken out: run again, the stage that makes "
                "it will rerun.",
                file=str(kept),
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as part:
            self._share(kept, part, sha256)
            part.chmod(0o444)

    def delete(self, sha256: str) -> None:
        """Keep these bytes no longer; nothing happens if they are not kept."""
        remove(self.path(sha256))

    def _share(self, source: Path, target: Path, sha256: str) -> None:
        if _reflink(source, target):
            return
        if hasattr(os, "geteuid") and os.geteuid() != 0:
            target.unlink(missing_ok=True)
            try:
                os.link(source, target)
                return
            except OSError:
                pass  # another file system, or one without hard links: copy
        self._duplicate(source, target, sha256)

    @staticmethod
    def _duplicate(source: Path, target: Path, sha256: str) -> None:
        if _reflink(source, target):
            found = sha256_file(target)
        else:
            with source.open("rb") as reader, target.open("wb") as writer:
                found = _copy(reader, writer)
        if found != sha256:
            raise _changed(source)


class RemoteObjects:
    """Objects at an fsspec URL, such as a bucket."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.files, self.root = fsspec.core.url_to_fs(url)

    def path(self, sha256: str) -> str:
        """Where these bytes lie in the file system."""
        return f"{self.root.rstrip('/')}/{sha256[:2]}/{sha256[2:]}"

    def has(self, sha256: str) -> bool:
        """Whether these bytes are kept."""
        return bool(self.files.exists(self.path(sha256)))

    def put(self, path: Path, sha256: str) -> None:
        """Keep a file; ``path`` itself is left as it is."""
        if self.has(sha256):
            return
        final = self.path(sha256)
        part = f"{final}.{secrets.token_hex(8)}.new"
        self.files.makedirs(final.rsplit("/", 1)[0], exist_ok=True)
        try:
            self.files.put_file(str(path), part)
            if sha256_file(path) != sha256:
                raise _changed(path)
            self.files.mv(part, final)
        except BaseException:
            with suppress(OSError):
                self.files.rm_file(part)
            raise

    def adopt(self, path: Path, sha256: str) -> None:
        """Keep a file that is nbprod's own; it becomes read-only."""
        path.chmod(0o444)
        self.put(path, sha256)

    def get(self, sha256: str, target: Path) -> None:
        """Put the bytes at ``target``, which does not exist."""
        if not self.has(sha256):
            raise ArtifactError(f"the store does not hold {sha256[:12]}: run the stage that makes it with --force.")
        with written_whole(target) as part:
            self.files.get_file(self.path(sha256), str(part))
            if sha256_file(part) != sha256:
                raise ArtifactError(f"the store's bytes are not {sha256[:12]}: delete that object and run again.")
            part.chmod(0o444)

    def delete(self, sha256: str) -> None:
        """Keep these bytes no longer; nothing happens if they are not kept."""
        if self.has(sha256):
            self.files.rm_file(self.path(sha256))


class Store:
    """Files and folders under their digest.

    Args:
        url: a folder or any fsspec URL.
        memory: remembers digests of files that did not change.
    """

    def __init__(self, url: str, memory: Memory) -> None:
        self.memory = memory
        self.objects: Objects
        if "://" in url and not url.startswith("file://"):
            self.objects = RemoteObjects(url)
        else:
            self.objects = LocalObjects(Path(url.removeprefix("file://")), memory)

    def measure(self, path: Path) -> tuple[str, int]:
        """Digest and size of a file or folder, without reading what did not change."""
        return sha256_path(path, self.memory), size_of(path)

    def artifact(self, path: Path, *, name: str, uri: str, role: Role) -> Artifact:
        """A file or folder of this machine as an artifact; see `measure`."""
        sha256, size = self.measure(path)
        kind: Literal["file", "folder"] = "folder" if path.is_dir() else "file"
        return Artifact(name=name, uri=uri, sha256=sha256, size=size, kind=kind, role=role)

    def keep(self, path: Path) -> str:
        """Keep somebody else's file or folder, which is left as it is; returns its digest."""
        return self._add(path, self.objects.put)

    def adopt(self, path: Path) -> str:
        """Keep a file or folder that is nbprod's own: it becomes read-only; returns its digest."""
        return self._add(path, self.objects.adopt)

    def holds(self, artifact: Artifact) -> bool:
        """Whether a file, or a folder with all its files, is kept."""
        if artifact.kind == "file" or not self.objects.has(artifact.sha256):
            return self.objects.has(artifact.sha256)
        try:
            listing = self._listing(artifact.sha256)
        except ArtifactError:  # damaged
            return False
        return all(self.objects.has(sha256) for sha256 in listing.values())

    def place(self, artifact: Artifact, target: Path) -> None:
        """Put an artifact at ``target``, replacing what is there, never half.

        Raises:
            ArtifactError: the store does not hold it, or holds other bytes.
        """
        if artifact.kind == "file":
            if target.is_dir():
                remove(target)
            self.objects.get(artifact.sha256, target)
            return
        listing = self._listing(artifact.sha256)
        with written_whole(target) as part:
            part.mkdir()
            for name, sha256 in listing.items():
                self.objects.get(sha256, part / name)
            remove(target)

    def place_copy(self, artifact: Artifact, target: Path) -> None:
        """Put a file at ``target`` as `place` does, but writable and with bytes of its own: for a person to edit."""
        self.place(artifact, target)
        with written_whole(target) as part:
            shutil.copyfile(target, part)

    def parts(self, artifact: Artifact) -> frozenset[str]:
        """The digests of the objects that an artifact is kept as: of a folder its listing and its files."""
        if artifact.kind == "file" or not self.objects.has(artifact.sha256):
            return frozenset({artifact.sha256})
        return frozenset({artifact.sha256, *self._listing(artifact.sha256).values()})

    def delete(self, artifact: Artifact, *, shared: Collection[str] = ()) -> None:
        """Keep an artifact no longer.

        Args:
            shared: objects that stay, because others have them, too.
        """
        for sha256 in self.parts(artifact) - set(shared):
            self.objects.delete(sha256)

    def _add(self, path: Path, add: Callable[[Path, str], None]) -> str:
        if not path.is_dir():
            sha256 = remembered_sha256(path, self.memory)
            add(path, sha256)
            return sha256
        listing: dict[str, str] = {}
        for name, file in members(path):
            listing[name] = remembered_sha256(file, self.memory)
            add(file, listing[name])
        return self._add_listing(listing)

    def _add_listing(self, listing: dict[str, str]) -> str:
        """Keep a folder's listing: its bytes are exactly what its digest is made of."""
        sha256 = listing_digest(listing)
        if not self.objects.has(sha256):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "listing")
                file.write_bytes(listing_bytes(listing))
                self.objects.put(file, sha256)
        return sha256

    def _listing(self, sha256: str) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "listing")
            self.objects.get(sha256, file)
            lines = file.read_bytes().decode().split("\n")
        return {line[66:]: line[:64] for line in lines if line}
