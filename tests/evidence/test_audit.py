"""The audit log: a chain of signed lines in which no change goes unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbprod.evidence.audit import AuditLine, aliases_of, read_lines, seal_line
from nbprod.registry import head_of
from nbprod.trust.keys import Keys


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "mine")


def line(seq: int, previous: str, key: str, **changes: Any) -> AuditLine:
    values: dict[str, Any] = {
        "seq": seq, "time": f"2026-01-0{seq}T12:00:00.000+00:00", "key": key, "user": "ana", "action": "promote",
        "model": "churn", "version": str(seq), "alias": "champion", "before": str(seq - 1) if seq > 1 else "",
        "reason": "better", "previous": previous,
    }  # fmt: skip
    return AuditLine(**{**values, **changes})


def a_log(keys: Keys, count: int = 3) -> list[str]:
    """So many lines, each a promotion of the next version."""
    texts: list[str] = []
    for seq in range(1, count + 1):
        previous = read_lines(texts, keys, model="churn", head=head(texts)).last
        texts.append(seal_line(line(seq, previous, keys.own().id), keys.own()))
    return texts


def head(texts: list[str]) -> str:
    return head_of(len(texts), texts[-1]) if texts else ""


def problems(texts: list[str], keys: Keys, noted: str | None = None) -> tuple[str, ...]:
    return read_lines(texts, keys, model="churn", head=head(texts) if noted is None else noted).problems


def test_a_log_is_read_as_it_was_written(keys: Keys) -> None:
    log = read_lines(texts := a_log(keys), keys, model="churn", head=head(texts))
    assert log.problems == ()
    assert [(entry.seq, entry.version, entry.before) for entry in log.lines] == [
        (1, "1", ""),
        (2, "2", "1"),
        (3, "3", "2"),
    ]
    assert aliases_of(log.lines) == {"champion": "3"}


def test_a_model_without_changes_has_an_empty_log(keys: Keys) -> None:
    assert problems([], keys) == ()


def test_an_approval_moves_no_alias(keys: Keys) -> None:
    text = seal_line(line(1, "", keys.own().id, action="approve", alias=""), keys.own())
    log = read_lines([text], keys, model="churn", head=head([text]))
    assert aliases_of(log.lines) == {}
    assert log.problems == ()


def test_a_line_that_was_taken_out_is_missed(keys: Keys) -> None:
    first, _, third = a_log(keys)
    assert problems([first, third], keys, head([first, third])) == (
        "line 2 was written as line 3: lines were taken out, put in or moved.",
    )


def test_lines_that_were_cut_off_are_missed_by_the_registrys_note(keys: Keys) -> None:
    texts = a_log(keys)
    assert problems(texts[:1], keys, head(texts)) == (
        "the log has 1 lines, but the registry notes 3 as its last: lines were cut off or added, or the note was "
        "changed.",
    )
    (said,) = problems([], keys, head(texts))
    assert said.startswith("the log has 0 lines, but the registry notes 3 as its last")


def test_two_lines_that_changed_places_are_seen(keys: Keys) -> None:
    first, second, third = a_log(keys)
    said = problems([second, first, third], keys)
    assert said[0] == "line 1 was written as line 2: lines were taken out, put in or moved."


def test_a_line_that_was_replaced_by_a_signed_one_breaks_the_chain(keys: Keys) -> None:
    texts = a_log(keys)
    texts[1] = seal_line(
        line(2, read_lines(texts[:1], keys, model="churn", head="").last, keys.own().id, reason="no"), keys.own()
    )
    assert problems(texts, keys) == ("line 3 does not follow the line before it: one of the two was replaced.",)


def test_the_last_line_is_held_against_the_registrys_note(keys: Keys) -> None:
    texts = a_log(keys)
    noted = head(texts)
    texts[2] = seal_line(
        line(3, read_lines(texts[:2], keys, model="churn", head="").last, keys.own().id, version="7"), keys.own()
    )
    assert problems(texts, keys, noted) == ("line 3 is not the one that the registry notes as the last.",)


def test_a_process_that_was_stopped_before_the_note_does_no_harm(keys: Keys) -> None:
    texts = a_log(keys)
    assert problems(texts, keys, head(texts[:2])) == ()
    assert problems(texts[:1], keys, "") == ()


def test_an_edited_line_is_seen(keys: Keys) -> None:
    import base64

    texts = a_log(keys, 1)
    envelope = json.loads(texts[0])
    payload = base64.b64decode(envelope["payload"]).replace(b"better", b"bettor")
    envelope["payload"] = base64.b64encode(payload).decode()
    texts[0] = json.dumps(envelope)
    assert problems(texts, keys) == ("line 1 was changed after it was signed.",)


def test_a_line_of_another_models_log_is_seen(keys: Keys) -> None:
    text = seal_line(line(1, "", keys.own().id, model="other"), keys.own())
    assert problems([text], keys) == ("line 1 is about 'other' and was put here from another log.",)


def test_a_line_by_a_stranger_or_with_a_revoked_key_is_seen(keys: Keys, tmp_path: Path) -> None:
    stranger = Keys(tmp_path / "stranger").own()
    text = seal_line(line(1, "", stranger.id), stranger)
    (said,) = problems([text], keys)
    assert said.startswith(f"line 1 is signed with the key {stranger.id}, which is not pinned")
    keys.pin(stranger.public_pem)
    assert problems([text], keys) == ()
    keys.revoke(stranger.id)
    assert problems([text], keys) == (f"line 1 is signed with the key {stranger.id}, which was revoked.",)


def test_a_line_that_names_another_signer_is_seen(keys: Keys) -> None:
    text = seal_line(line(1, "", "0" * 16), keys.own())
    assert problems([text], keys) == (f"line 1 says that {'0' * 16} signed it, but {keys.own().id} did.",)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.integers(0, 2), st.integers(0, 10_000), st.integers(1, 94))
def test_no_byte_can_be_changed_unseen(keys: Keys, which: int, place: int, shift: int) -> None:
    texts = a_log(keys)
    noted = head(texts)
    place %= len(texts[which])  # no two signatures of a key are equally long
    other = chr(32 + (ord(texts[which][place]) - 32 + shift) % 95)
    texts[which] = texts[which][:place] + other + texts[which][place + 1 :]
    assert problems(texts, keys, noted) != ()
