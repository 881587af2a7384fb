"""Sealed texts."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbprod.errors import ArtifactError
from nbprod.trust.envelope import open_envelope, pae, seal
from nbprod.trust.keys import Keys

KIND = "application/x-test"


def test_what_is_signed_is_the_type_and_the_payload_with_their_lengths() -> None:
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.binary(max_size=200))
def test_a_sealed_text_is_opened_again(tmp_path: Path, payload: bytes) -> None:
    keys = Keys(tmp_path / "keys")
    key = keys.own()
    opened = open_envelope(seal(KIND, payload, key), keys, kind=KIND)
    assert (opened.payload, opened.key, opened.state) == (payload, key.id, "ok")


def test_it_is_told_whether_the_key_is_trusted_and_whether_it_signed_this(tmp_path: Path) -> None:
    keys, other = Keys(tmp_path / "keys"), Keys(tmp_path / "other")
    envelope = seal(KIND, b"text", keys.own())
    other.own()
    assert open_envelope(envelope, other, kind=KIND).state == "unpinned"
    changed = {**envelope, "payload": base64.b64encode(b"texts").decode()}
    assert open_envelope(changed, keys, kind=KIND).state == "bad"
    keys.revoke(keys.own().id)
    assert open_envelope(envelope, keys, kind=KIND).state == "revoked"


def test_one_type_cannot_be_taken_for_another(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    envelope = seal(KIND, b"text", keys.own())
    with pytest.raises(ArtifactError, match="is a signed envelope of the type application/x-test, not application/x-y"):
        open_envelope(envelope, keys, kind="application/x-y")
    assert open_envelope({**envelope, "payloadType": "application/x-y"}, keys, kind="application/x-y").state == "bad"


@pytest.mark.parametrize(
    "change",
    [{"payload": "*"}, {"payload": 3}, {"signatures": []}, {"signatures": [{"keyid": "k"}]}, {"signatures": "x"}],
)
def test_what_is_no_envelope_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    keys = Keys(tmp_path / "keys")
    with pytest.raises(ArtifactError, match="is no signed envelope: it is damaged"):
        open_envelope({**seal(KIND, b"text", keys.own()), **change}, keys, kind=KIND)
