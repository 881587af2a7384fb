"""Signed folders, in the format of OpenSSF model signing: its own tool checks what nbprod signed, and vice versa.

The signature is a Sigstore bundle: a sealed in-toto statement that lists every file with its sha256, and whose subject
is the sha256 over the digests of all files in the order of their names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nbprod.digest import members, sha256_file
from nbprod.entities import Fact
from nbprod.trust.envelope import pae, seal
from nbprod.trust.keys import Keys, PublicKey, SigningKey, verify

SIGNATURE = "nbprod/model.sig"
"""Where the signature lies in a folder."""

UNSIGNED = frozenset({"registered_model_meta"})
"""What MLflow adds to a version that it downloads: no part of what was signed."""

GIT = (".git", ".github", ".gitattributes", ".gitignore")
"""What the official tool leaves out unless it is told otherwise."""

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
KIND = "application/vnd.in-toto+json"

State = Literal["ok", "unsigned", "unpinned", "revoked", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked(Fact):
    """What was found of a folder's signature.

    Attributes:
        state: ``bad`` where the signature or a file is not as it was; ``unpinned`` and ``revoked`` where all is as it
            was but the key is not trusted.
        key: id of the key; of one that is not known the beginning of the hint in the signature.
        problems: what is wrong, a sentence each, every file by its name.
    """

    state: State
    key: str = ""
    problems: tuple[str, ...] = ()


def sign_folder(folder: Path, key: SigningKey) -> Path:
    """Sign all files of a folder but the signature itself; returns the signature's file."""
    target = folder / SIGNATURE
    listing = _listing(folder, sha256_file, skipped={SIGNATURE, *UNSIGNED})
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": folder.name, "digest": {"sha256": _root(list(listing.values()))}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": sorted({SIGNATURE, *UNSIGNED}),
            },
            "resources": [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in listing.items()],
        },
    }
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": _hint(key.public_pem)}, "tlogEntries": []},
        "dsseEnvelope": seal(KIND, json.dumps(statement).encode(), key),
    }
    target.parent.mkdir(exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.write_text(json.dumps(bundle), encoding="utf-8")
    os.replace(part, target)
    return target


def check_folder(
    folder: Path, keys: Keys, *, signature: str = SIGNATURE, hash_file: Callable[[Path], str] = sha256_file
) -> Checked:
    """Hold a folder against its signature; nothing in it is loaded.

    Args:
        signature: the signature's file, relative to the folder.
        hash_file: gives a file's sha256; one that remembers spares whoever has other questions a second reading.
    """
    file = folder / signature
    if not file.is_file():
        return Checked(state="unsigned")
    try:
        bundle = json.loads(file.read_bytes())
        hint = str(bundle["verificationMaterial"]["publicKey"]["hint"])
        payload, signed = _opened(bundle["dsseEnvelope"])
        listing = _recorded(json.loads(payload))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, binascii.Error) as error:
        why = str(error) if isinstance(error, _Unreadable) else "is no signature that nbprod can read"
        return Checked(state="bad", problems=(f"{signature} {why}.",))
    known = _known(keys, hint)
    if known is not None and not verify(known, pae(KIND, payload), signed):
        return Checked(state="bad", key=known.id, problems=(f"{signature} is not signed with the key that it names.",))
    problems = tuple(_differences(listing, _listing(folder, hash_file, skipped={signature, *UNSIGNED})))
    key = known.id if known else hint[:16]
    if problems:
        return Checked(state="bad", key=key, problems=problems)
    if known is None:
        return Checked(state="unpinned", key=key)
    return Checked(state="revoked" if known.status == "revoked" else "ok", key=key)


class _Unreadable(ValueError):
    """A signature that is well formed but not of a kind that nbprod reads."""


def _opened(envelope: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The payload and the signature of an envelope."""
    if envelope["payloadType"] != KIND:
        raise _Unreadable(f"holds {envelope['payloadType']}, not an in-toto statement")
    return (
        base64.b64decode(envelope["payload"], validate=True),
        base64.b64decode(envelope["signatures"][0]["sig"], validate=True),
    )


def _recorded(statement: Mapping[str, Any]) -> dict[str, str]:
    """File -> sha256, as a statement lists them."""
    if statement["predicateType"] != PREDICATE:
        raise _Unreadable(f"is of the kind {statement['predicateType']}, which nbprod does not read")
    method = statement["predicate"]["serialization"]["method"]
    if method != "files":
        raise _Unreadable(f"lists the model by {method}, and nbprod reads lists of files")
    resources = statement["predicate"]["resources"]
    if any(item["algorithm"] != "sha256" for item in resources):
        raise _Unreadable("uses another algorithm than sha256")
    listing = {str(item["name"]): str(item["digest"]) for item in resources}
    (subject,) = statement["subject"]
    if subject["digest"]["sha256"] != _root([str(item["digest"]) for item in resources]):
        raise _Unreadable("contradicts itself: its root digest is not that of its files")
    return listing


def _root(digests: list[str]) -> str:
    """The sha256 over the digests, as bytes, in the order of the list."""
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()


def _hint(pem: str) -> str:
    """How the format names a key: the sha256 of its PEM."""
    return hashlib.sha256(pem.encode()).hexdigest()


def _known(keys: Keys, hint: str) -> PublicKey | None:
    return next((key for key in keys.all() if _hint(key.pem) == hint), None)


def _listing(folder: Path, hash_file: Callable[[Path], str], *, skipped: set[str]) -> dict[str, str]:
    """File -> sha256, in the order of their names; every byte is read."""
    return {name: hash_file(path) for name, path in members(folder) if name not in skipped}


def _differences(listing: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    unlisted = [name for name in found if name not in listing and name.split("/")[0] not in GIT]
    return [
        *(f"{name} is missing." for name in listing if name not in found),
        *(f"{name} was changed." for name in listing if name in found and found[name] != listing[name]),
        *(f"{name} was added." for name in unlisted),
    ]
