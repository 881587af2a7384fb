"""API keys of callers: made here, kept as hashes in a file, and read again when the file changes.

A key is 32 random bytes, so a single sha256 is enough: nobody can try them all.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from pathlib import Path

from nbprod.errors import UsageError

SCHEMA = "# nbprod api keys 1"
PREFIX = "nbp_"
_LINE = re.compile(r"([A-Za-z0-9._-]{1,64})\s+sha256:([0-9a-f]{64})\Z")


def add_key(file: Path, name: str) -> str:
    """Make a key, keep its hash under a name, and return it: it is not to be had again.

    Raises:
        UsageError: the name is taken or is none, or the file is no file of keys.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise UsageError(f"'{name}' cannot name a key: use letters, digits, '.', '-' and '_'.")
    known = read_keys(file) if file.exists() else {}
    if name in known.values():
        raise UsageError(
            f"there is a key '{name}' already: name the new one otherwise, or delete the line.", file=str(file)
        )
    key = PREFIX + secrets.token_urlsafe(32)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else [SCHEMA]
    text = "\n".join([*lines, f"{name} sha256:{hashlib.sha256(key.encode()).hexdigest()}"]) + "\n"
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        opened.write(text)
    os.replace(part, file)
    return key


def read_keys(file: Path) -> dict[bytes, str]:
    """sha256 of a key -> its name.

    Raises:
        UsageError: the file cannot be read, or a line is no key's hash.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file of API keys cannot be read ({error}).", file=str(file)) from error
    found: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.match(text)
        if match is None:
            raise UsageError(
                "is no line of a file of API keys, which holds `NAME sha256:HASH`: make keys with --add-key NAME.",
                file=str(file), line=number,
            )  # fmt: skip
        found[bytes.fromhex(match[2])] = match[1]
    return found


class ApiKeys:
    """The keys of a file, as it is now: it is looked at once a second.

    Raises:
        UsageError: the file holds no key, or is none.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known = read_keys(file)
        if not self._known:
            raise UsageError("holds no key: make one with --add-key NAME.", file=str(file))
        self._seen = self._stamp()
        self._next = 0.0

    def name_of(self, key: str) -> str | None:
        """The name of a key; None if it is not one of them."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 1.0
            self._look()
        return self._known.get(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest())

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self.file.stat()
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def _look(self) -> None:
        """Read the file again if it changed; one that cannot be read leaves the keys as they are."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._known = read_keys(self.file)
        except UsageError as error:
            from nbprod.serving.events import tell

            tell("error", "the file of API keys cannot be used; those read before stay valid", error=str(error))
