"""The API keys that a service accepts: those of its file, which is read again when it changes."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from nbprod.errors import UsageError
from nbprod.trust.callers import read_keys


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
