"""The keys that a person signs with and trusts: ECDSA on P-256, in the user's configuration, never in a project.

The folder holds ``own.pem``, the private key, and ``known.json``, the public ones with what is thought of them. A key
that is not in it is unpinned: what it signed is whole, but nobody knows by whom.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbprod.entities import Fact
from nbprod.errors import UsageError, nearest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

SCHEMA = "nbprod/keys/1"
OWN = "own.pem"
KNOWN = "known.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey(Fact):
    """The public half of somebody's key.

    Attributes:
        id: the first 16 hex digits of the sha256 of its SubjectPublicKeyInfo in DER.
        pem: the key as text.
        status: ``revoked`` is trusted no longer, whatever it signed and when.
        comment: whose it is.
        created: when it became known here.
    """

    id: str
    pem: str
    status: Literal["pinned", "revoked"] = "pinned"
    comment: str = ""
    created: str = ""


class SigningKey:
    """A key that can sign.

    Args:
        private: of cryptography.
    """

    def __init__(self, private: EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public_pem = _public_pem(private.public_key())
        self.id = _id(private.public_key())

    def sign(self, data: bytes) -> bytes:
        """An ECDSA signature over the sha256 of some bytes, in DER."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        return self._private.sign(data, ECDSA(SHA256()))


class Keys:
    """The keys of whoever runs this.

    Args:
        folder: where they are; by default ``NBPROD_KEYS``, or ``nbprod/keys`` in the user's configuration folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    @property
    def has_own(self) -> bool:
        """Whether there is a key to sign with already."""
        return (self.folder / OWN).exists()

    def own(self) -> SigningKey:
        """The key to sign with; the first time it is made, and pinned.

        Raises:
            UsageError: its file cannot be read, or is none.
        """
        path = self.folder / OWN
        if not path.exists():
            self._make(path)
        key = _read(path)
        if self.find(key.id) is None:
            self.pin(key.public_pem, comment="own")
        return key

    def _make(self, path: Path) -> None:
        """Make a private key that appears whole, unless another process was first."""
        prepare_folder(self.folder)
        part = private_file(self.folder, _new_private_pem())
        with suppress(FileExistsError):
            os.link(part, path)  # unlike a rename it does not replace what somebody else made meanwhile
        part.unlink()

    def rotate(self) -> SigningKey:
        """Make a new key to sign with; the old one is set aside and stays pinned, for what it signed."""
        path = self.folder / OWN
        if path.exists():
            old = self.own()
            os.replace(path, self.folder / f"old-{old.id}.pem")
        return self.own()

    def all(self) -> tuple[PublicKey, ...]:
        """Every key that is known, in the order in which they became known.

        Raises:
            UsageError: the list is damaged.
        """
        path = self.folder / KNOWN
        if not path.exists():
            return ()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] != SCHEMA:
                raise ValueError(content["schema"])
            return tuple(PublicKey.from_dict(item) for item in content["keys"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                "is no list of keys that this nbprod can read: bring it back from a copy, or move it away and pin the "
                "keys again.",
                file=str(path),
            ) from error

    def find(self, id: str) -> PublicKey | None:
        """A known key by its id."""
        return next((key for key in self.all() if key.id == id), None)

    def pin(self, pem: str, *, comment: str = "") -> PublicKey:
        """Trust a public key from now on.

        Args:
            pem: of a P-256 key.

        Raises:
            UsageError: it is none, or it was revoked.
        """
        public = _load_public(pem)
        id = _id(public)
        known = self.find(id)
        if known and known.status == "revoked":
            raise UsageError(f"the key {id} was revoked, and stays so: ask whose it is for a new one.")
        made = PublicKey(
            id=id,
            pem=_public_pem(public),
            comment=comment or (known.comment if known else ""),
            created=known.created if known else datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._save(made)
        return made

    def revoke(self, id: str) -> PublicKey:
        """Trust a key no longer.

        Raises:
            UsageError: no key has that id.
        """
        known = self.find(id)
        if known is None:
            raise UsageError(f"there is no key '{id}'.{nearest(id, (key.id for key in self.all()))}")
        revoked = replace(known, status="revoked")
        self._save(revoked)
        return revoked

    def _save(self, key: PublicKey) -> None:
        from filelock import FileLock

        prepare_folder(self.folder)
        with FileLock(self.folder / f".{KNOWN}.lock"):
            found = {known.id: known for known in self.all()}
            found[key.id] = key
            text = json.dumps({"schema": SCHEMA, "keys": [item.to_dict() for item in found.values()]}, indent=1)
            os.replace(private_file(self.folder, text.encode()), self.folder / KNOWN)


def id_of(pem: str) -> str:
    """The id of a public key.

    Raises:
        UsageError: it is no P-256 key in PEM.
    """
    return _id(_load_public(pem))


def default_folder() -> Path:
    """Where this user's keys are."""
    if chosen := os.environ.get("NBPROD_KEYS"):
        return Path(chosen)
    if base := os.environ.get("XDG_CONFIG_HOME"):
        return Path(base) / "nbprod" / "keys"
    home = Path.home()
    return home / ("Library/Application Support" if sys.platform == "darwin" else ".config") / "nbprod" / "keys"


def verify(public: PublicKey, data: bytes, signature: bytes) -> bool:
    """Whether a key signed some bytes; what is thought of the key does not matter here."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    with suppress(InvalidSignature, ValueError):
        _load_public(public.pem).verify(signature, data, ECDSA(SHA256()))
        return True
    return False


def prepare_folder(folder: Path) -> None:
    """Make the folder of keys, which only its owner may enter."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def private_file(folder: Path, content: bytes) -> Path:
    """A temporary file that only its owner may read, on the disk."""
    handle, name = tempfile.mkstemp(prefix=".part-", dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _new_private_pem() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read(path: Path) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private: Any = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            "is no private key that can be read: bring it back from a copy, or move it away and a new one is made.",
            file=str(path),
        ) from error
    if not isinstance(private, EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
        raise UsageError("is no ECDSA key on P-256: move it away and a new one is made.", file=str(path))
    return SigningKey(private)


def _load_public(pem: str) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise UsageError("it is no public key in PEM: `nbprod keys --public` prints one.") from error
    if not isinstance(public, EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise UsageError("it is no ECDSA key on P-256: `nbprod keys --public` prints one.")
    return public


def _public_pem(public: EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _id(public: EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]
