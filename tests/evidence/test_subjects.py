"""Indexes of subjects: canonical IDs, membership, damage."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import ArtifactError
from nbprod.evidence.subjects import (
    Subjects,
    canonical_subject,
    index_path,
    make_index,
    read_index,
    write_index,
)
from nbprod.trust.subject_keys import SubjectKey

KEY = SubjectKey(secret=b"\7" * 32, id="k" * 16)
DATA = "d" * 64


def index(ids: frozenset[str], key: SubjectKey = KEY) -> Any:
    return make_index(Subjects(ids=ids, missing=2), key, dataset=DATA, columns=("customer",))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (42, "42"), (42.0, "42"), ("42", "42"), ("42.0", "42"), ("42.00", "42"), (Decimal("42.0"), "42"), (b"42", "42"),
        (" 42 ", "42"), ("042", "042"), ("-0.0", "0"), (-0.0, "0"), (-7.0, "-7"), (42.5, "42.5"), ("42.5", "42.5"),
        ("C-1", "C-1"), ("c-1", "c-1"), ("NA", "NA"), ("null", "null"), ("e\u0301", "\u00e9"), (2**70, str(2**70)),
        (True, "True"), (date(2026, 1, 31), "2026-01-31"), (datetime(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 12), "2026-01-31T12:00:00"), (b"\xff", "ff"),
        (None, ""), (float("nan"), ""), (Decimal("nan"), ""), ("", ""), ("  ", ""),
    ],
    ids=repr,
)  # fmt: skip
def test_an_id_has_one_form_however_a_file_holds_it(value: Any, text: str) -> None:
    assert canonical_subject(value) == text


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_what_identifies_nobody_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="identifies nobody"):
        canonical_subject(value)


@given(st.integers())
def test_whole_numbers_are_one_subject_as_number_and_as_text(number: int) -> None:
    forms = {canonical_subject(form) for form in (number, str(number), f"{number}.0", Decimal(number))}
    if abs(number) < 2**53:
        forms.add(canonical_subject(float(number)))
    assert forms == {str(number)}


@given(st.one_of(st.text(), st.integers(), st.floats(), st.decimals(allow_infinity=False)))
def test_the_canonical_form_of_a_canonical_form_is_itself(value: Any) -> None:
    once = canonical_subject(value)
    assert canonical_subject(once) == once


@given(st.frozensets(st.text(min_size=1)), st.frozensets(st.text(min_size=1)))
def test_an_index_holds_exactly_its_members(members: frozenset[str], others: frozenset[str]) -> None:
    found = index(members)
    assert {id for id in members | others if found.holds(KEY.token(id))} == members
    assert len(found) == len(members)
    assert found.body == b"".join(sorted(found.body[i : i + 16] for i in range(0, len(found.body), 16)))


def test_an_index_is_read_back_whole_and_without_any_id(tmp_path: Path) -> None:
    made = index(frozenset({"C-1005", "C-1006"}))
    path = write_index(tmp_path, made)
    assert read_index(tmp_path, DATA, KEY) == made
    assert path == index_path(tmp_path, DATA, KEY.id)
    assert (path.stat().st_mode & 0o777, b"C-100" in path.read_bytes()) == (0o600, False)
    assert read_index(tmp_path, "e" * 64, KEY) is None


def test_an_index_of_the_first_schema_is_read_back(tmp_path: Path) -> None:
    example = Path(__file__).parent / "examples" / "subjects-1.bin"
    index_path(tmp_path, DATA, KEY.id).write_bytes(example.read_bytes())
    found = read_index(tmp_path, DATA, KEY)
    assert found is not None
    assert (found.head.subjects, found.head.missing, found.head.columns) == (2, 2, ("customer",))
    assert (found.holds(KEY.token("42")), found.holds(KEY.token("43"))) == (True, False)


@pytest.mark.parametrize("place", [0, 40, -1, -17, -33])
def test_a_flipped_byte_makes_an_index_unreadable_not_empty(tmp_path: Path, place: int) -> None:
    path = write_index(tmp_path, index(frozenset({"1", "2", "3"})))
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="subject index"):
        read_index(tmp_path, DATA, KEY)


def test_a_token_that_was_cut_off_and_a_forged_head_are_found(tmp_path: Path) -> None:
    path = write_index(tmp_path, index(frozenset({"1", "2"})))
    line, _, body = path.read_bytes().partition(b"\n")
    head = json.loads(line)
    for changed, tokens in (({}, body[:16]), ({"subjects": 1}, body[:16]), ({"dataset": "e" * 64}, body)):
        path.write_bytes(json.dumps({**head, **changed}, sort_keys=True).encode() + b"\n" + tokens)
        with pytest.raises(ArtifactError, match="not the one that was written"):
            read_index(tmp_path, DATA, KEY)


def test_a_later_schema_is_told_from_damage(tmp_path: Path) -> None:
    path = write_index(tmp_path, index(frozenset({"1"})))
    line, _, body = path.read_bytes().partition(b"\n")
    path.write_bytes(line.replace(b"nbprod/subjects/1", b"nbprod/subjects/9") + b"\n" + body)
    with pytest.raises(ArtifactError, match="upgrade nbprod"):
        read_index(tmp_path, DATA, KEY)


def test_an_index_of_another_key_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    other = SubjectKey(secret=b"\1" * 32, id=KEY.id)
    write_index(tmp_path, index(frozenset({"1"})))
    with pytest.raises(ArtifactError, match="not the one that was written"):
        read_index(tmp_path, DATA, other)
