"""Tombstones: signed, chained, and what they come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbprod.evidence.tombstones import Tombstone, read_tombstones, seal_tombstone, standing
from nbprod.registry import head_of
from nbprod.trust.keys import Keys

A, B = "aa" * 16, "bb" * 16


def line(seq: int, action: str = "erase", *tokens: str, **changes: Any) -> Tombstone:
    values = {"key": "k" * 16, "user": "ana", "time": f"2026-01-0{seq}", "subject_key": "s" * 16, **changes}
    return Tombstone(seq=seq, action=action, tokens=tokens or (A,), **values)


def states(*lines: Tombstone) -> list[tuple[int, str, str, int]]:
    return [(item.line, item.token[:2], item.closed, item.replaced) for item in standing(lines)]


def test_an_erasure_is_open_until_it_is_closed() -> None:
    assert states(line(1)) == [(1, "aa", "", 0)]
    assert states(line(1), line(2, "close")) == [(1, "aa", "2026-01-02", 0)]
    assert states(line(1), line(2, "close"), line(3)) == [(1, "aa", "2026-01-02", 0), (3, "aa", "", 0)]


def test_one_line_may_name_several_subjects_and_close_one_of_them() -> None:
    assert states(line(1, "erase", A, B), line(2, "close", B)) == [(1, "aa", "", 0), (1, "bb", "2026-01-02", 0)]


def test_who_is_erased_already_is_not_erased_twice_and_who_is_not_cannot_be_closed() -> None:
    assert states(line(1), line(2)) == [(1, "aa", "", 0)]
    assert states(line(1, "close"), line(2, "close", B)) == []


def test_a_token_of_another_subject_key_is_another_subject() -> None:
    assert states(line(1), line(2, "close", subject_key="t" * 16)) == [(1, "aa", "", 0)]


def test_a_tombstone_whose_key_is_lost_is_replaced() -> None:
    found = standing([line(1), line(2, "erase", B, subject_key="t" * 16, replaces=(1,))])
    assert [(item.line, item.open, item.replaced) for item in found] == [(1, False, 2), (2, True, 0)]


def test_lines_are_signed_and_chained(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    own = keys.own()
    first = seal_tombstone(line(1, key=own.id), own)
    chain = read_tombstones([first], keys, head=head_of(1, first))
    assert (chain.problems, chain.lines[0].tokens) == ((), (A,))
    second = seal_tombstone(line(2, "close", key=own.id, previous=chain.last), own)
    assert read_tombstones([first, second], keys, head=head_of(2, second)).problems == ()
    assert "does not follow" in read_tombstones([second, second], keys, head=head_of(2, second)).problems[1]
    assert "lines were cut off" in read_tombstones([], keys, head=head_of(2, second)).problems[0]
    assert "is not pinned" in read_tombstones([first], Keys(tmp_path / "other"), head=head_of(1, first)).problems[0]


def test_a_line_of_the_audit_log_is_no_tombstone(tmp_path: Path) -> None:
    from nbprod.evidence.audit import AuditLine, seal_line

    keys = Keys(tmp_path)
    own = keys.own()
    other = seal_line(AuditLine(seq=1, time="t", key=own.id, user="u", action="promote", model="m", version="1"), own)
    assert "of the type" in read_tombstones([other], keys, head=head_of(1, other)).problems[0]


def test_a_tombstone_of_the_first_schema_is_read_back() -> None:
    example = Path(__file__).parent / "examples" / "tombstone-1.json"
    import json

    found = Tombstone.from_dict(json.loads(example.read_text()))
    assert found == line(1, "erase", A, B, reason="request of 2 March", replaces=(7,))
