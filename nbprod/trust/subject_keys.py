"""The secret with which tokens of data subjects are made; it lies beside the signing keys, never in a project.

Without it nobody can tell from a token whose it is, nor try out IDs until one fits. ``subjects.key`` is the user's own;
``subjects-<id>.key`` are others, such as a colleague's, which are only looked up with.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nbprod.errors import UsageError
from nbprod.trust.keys import default_folder, prepare_folder, private_file

SCHEMA = "nbprod/subject-key/1"
OWN = "subjects.key"
TOKEN_BYTES = 16
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectKey:
    """A secret, and the name by which indexes and tombstones speak of it.

    Attributes:
        id: the first 16 hex digits of the sha256 of the schema's name and the secret.
    """

    secret: bytes = field(repr=False)
    id: str

    def token(self, subject: str) -> bytes:
        """The 16 bytes that stand for a subject: the first half of an HMAC-SHA256.

        Args:
            subject: an ID in its canonical form, see `nbprod.evidence.subjects`.
        """
        return hmac.digest(self.secret, subject.encode("utf-8", "surrogatepass"), "sha256")[:TOKEN_BYTES]

    def seal(self, content: bytes) -> str:
        """What proves that some bytes were written by whoever has the secret (HMAC-SHA256, in hex)."""
        return hmac.digest(self.secret, b"nbprod seal\0" + content, "sha256").hex()


class SubjectKeys:
    """The subject keys of whoever runs this.

    Args:
        folder: where they are; by default where the signing keys are.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    @property
    def has_own(self) -> bool:
        """Whether there is a key to make tokens with already."""
        return (self.folder / OWN).exists()

    def own(self) -> SubjectKey:
        """The key to make tokens with; it is made the first time.

        Raises:
            UsageError: its file cannot be read, or is none.
        """
        path = self.folder / OWN
        if not path.exists():
            prepare_folder(self.folder)
            part = private_file(self.folder, f"{SCHEMA} {secrets.token_hex(SECRET_BYTES)}\n".encode())
            with suppress(FileExistsError):
                os.link(part, path)  # unlike a rename it does not replace what another process made meanwhile
            part.unlink()
        return _read(path)

    def all(self) -> tuple[SubjectKey, ...]:
        """Every key that is here, the own one first; none is made."""
        paths = [path for path in (self.folder / OWN,) if path.exists()]
        found = [_read(path) for path in (*paths, *sorted(self.folder.glob("subjects-*.key")))]
        return tuple({key.id: key for key in reversed(found)}.values())[::-1]

    def find(self, id: str) -> SubjectKey | None:
        """A key by its id; None if it is not here."""
        return next((key for key in self.all() if key.id == id), None)


def _read(path: Path) -> SubjectKey:
    try:
        schema, _, text = path.read_text(encoding="ascii").strip().partition(" ")
        secret = bytes.fromhex(text)
        if schema != SCHEMA or len(secret) != SECRET_BYTES:
            raise ValueError(schema)
    except (OSError, ValueError) as error:
        raise UsageError(
            "is no key for subjects that this nbprod can read: bring it back from a copy; without it the subject "
            "indexes that were made with it tell nothing.",
            file=str(path),
        ) from error
    return SubjectKey(secret=secret, id=hashlib.sha256(SCHEMA.encode() + b"\0" + secret).hexdigest()[:16])
