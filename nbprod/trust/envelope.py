"""Sealed texts: DSSE envelopes, as in-toto and Sigstore use them.

The format is that of https://github.com/secure-systems-lab/dsse, protocol version 1: the signature is over the type and
the payload, so that neither can be taken for another.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nbprod.errors import ArtifactError
from nbprod.trust.keys import Keys, SigningKey, verify

State = Literal["ok", "unsigned", "unpinned", "revoked", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was in an envelope.

    Attributes:
        key: id of the key that it says it was signed with.
        state: ``ok``; ``unpinned`` or ``revoked``, when the key is not trusted; ``bad``, when it did not sign this.
    """

    payload: bytes
    key: str
    state: State


def pae(kind: str, payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding of the type and the payload."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def seal(kind: str, payload: bytes, key: SigningKey) -> dict[str, Any]:
    """An envelope around some bytes, in JSON types.

    Args:
        kind: the payload's type, such as ``application/vnd.in-toto+json``.
    """
    return {
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [sign_detached(kind, payload, key)],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """Who vouches for some bytes, and what that is worth.

    Attributes:
        key: id of the key that it says it was made with; empty if there is none.
        state: as of `Opened`; ``unsigned`` where there is none.
    """

    key: str
    state: State


def sign_detached(kind: str, payload: bytes, key: SigningKey) -> dict[str, str]:
    """An envelope's signature by itself, for a payload that is kept elsewhere."""
    return {"keyid": key.id, "sig": base64.b64encode(key.sign(pae(kind, payload))).decode()}


def check_detached(kind: str, payload: bytes, signed: Mapping[str, Any], keys: Keys) -> Vouched:
    """What a signature that is kept beside its payload is worth."""
    try:
        key, signature = _decoded(signed)
    except (KeyError, TypeError, ValueError):
        return Vouched(key="", state="bad")
    known = keys.find(key)
    if known is None:
        return Vouched(key=key, state="unpinned")
    if not verify(known, pae(kind, payload), signature):
        return Vouched(key=key, state="bad")
    return Vouched(key=key, state="revoked" if known.status == "revoked" else "ok")


def _decoded(signed: Mapping[str, Any]) -> tuple[str, bytes]:
    """A signature's key id and bytes; binascii's error is a ValueError."""
    return str(signed["keyid"]), base64.b64decode(signed["sig"], validate=True)


def open_envelope(envelope: Mapping[str, Any], keys: Keys, *, kind: str) -> Opened:
    """What is in an envelope, and whether somebody who is trusted signed it.

    Args:
        kind: the type that the payload must have.

    Raises:
        ArtifactError: it is no envelope, or holds something of another type.
    """
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        (signed,) = envelope["signatures"]
        _decoded(signed)
        found = str(envelope["payloadType"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError("is no signed envelope: it is damaged.") from error
    if found != kind:
        raise ArtifactError(f"is a signed envelope of the type {found}, not {kind}.")
    checked = check_detached(kind, payload, signed, keys)
    return Opened(payload=payload, key=checked.key, state=checked.state)
