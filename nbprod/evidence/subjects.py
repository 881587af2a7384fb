"""Who is in a dataset, as tokens: an index that answers for one ID and gives away none.

An index is a line of JSON and then the sorted 16-byte tokens of the distinct subjects, sealed with the subject key. A
file that is damaged, or was made with a key that is not here, answers nothing, never "no".
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from nbprod.entities import Fact
from nbprod.errors import ArtifactError
from nbprod.store import written_whole
from nbprod.trust.subject_keys import TOKEN_BYTES, SubjectKey

SCHEMA = "nbprod/subjects/1"

NOBODY = "none"
"""What a card says as ``subject`` where nobody can be found in the data."""

_WHOLE = re.compile(r"(-?\d+)\.0+\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head(Fact):
    """What stands before the tokens.

    Attributes:
        dataset: sha256 of the data.
        key: id of the subject key.
        columns: those that identify a subject.
        looked_for: those that were looked for; data that a stage made need not have them all.
        subjects: how many distinct subjects there are.
        missing: how many rows name none.
        seal: proves that whoever has the key wrote all of this.
    """

    schema: str = SCHEMA
    dataset: str
    key: str
    columns: tuple[str, ...]
    looked_for: tuple[str, ...]
    subjects: int
    missing: int
    seal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectIndex:
    """The tokens of a dataset's subjects."""

    head: Head
    body: bytes = field(repr=False)

    def holds(self, token: bytes) -> bool:
        """Whether a token, made with the key of the index, is in it."""
        place = bisect_left(range(len(self)), token, key=self._at)
        return place < len(self) and self._at(place) == token

    def _at(self, place: int) -> bytes:
        return self.body[place * TOKEN_BYTES : (place + 1) * TOKEN_BYTES]

    def __len__(self) -> int:
        return len(self.body) // TOKEN_BYTES


def canonical_subject(value: Any) -> str:
    """The one text that stands for an ID, however a file holds it; empty for a value that is missing.

    Text stays as it is written, without the blanks around it and in Unicode's composed form (NFC); upper and lower
    case, and zeros in front, count. A number without a fraction is its digits, so 42, 42.0 and the texts "42" and
    "42.0" are one subject. A day is ``2026-01-31``, also as a time at midnight.

    Raises:
        TypeError: it is a list, a mapping or the like, which identifies nobody.
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = _decoded(value)
    if isinstance(value, str):
        text = unicodedata.normalize("NFC", value.strip())
        whole = _WHOLE.match(text)
        return _positive(whole[1]) if whole else text
    if isinstance(value, (bool, date, time)):
        return _time(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, Decimal):
        return "" if value.is_nan() else canonical_subject(format(value, "f"))
    raise TypeError(f"a {type(value).__name__} identifies nobody")


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()


def _positive(digits: str) -> str:
    """There is no zero below zero."""
    return "0" if digits == "-0" else digits


def _time(value: bool | date | time) -> str:
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return str(value) if isinstance(value, bool) else value.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """The distinct IDs in a dataset, in canonical form, and how many rows have none."""

    ids: frozenset[str]
    missing: int = 0


def make_index(
    found: Subjects, key: SubjectKey, *, dataset: str, columns: Sequence[str], looked_for: Sequence[str] = ()
) -> SubjectIndex:
    """The index of a dataset.

    Args:
        dataset: sha256 of the data.
        columns: those that hold the IDs.
        looked_for: see `Head`; by default the same.
    """
    tokens = sorted({key.token(subject) for subject in found.ids})
    body = b"".join(tokens)
    head = Head(
        dataset=dataset,
        key=key.id,
        columns=tuple(columns),
        looked_for=tuple(looked_for or columns),
        subjects=len(tokens),
        missing=found.missing,
    )
    return SubjectIndex(head=_sealed(head, body, key), body=body)


def _sealed(head: Head, body: bytes, key: SubjectKey) -> Head:
    plain = {**head.to_dict(), "seal": ""}
    return Head.from_dict({**plain, "seal": key.seal(_line(plain) + body)})


def _line(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True).encode() + b"\n"


def index_path(folder: Path, dataset: str, key: str) -> Path:
    """Where the index of a dataset under a key is.

    Args:
        folder: that of all indexes.
        key: the key's id.
    """
    return folder / f"{dataset}.{key}"


def write_index(folder: Path, index: SubjectIndex) -> Path:
    """Write an index whole; one that is there is replaced."""
    path = index_path(folder, index.head.dataset, index.head.key)
    with written_whole(path) as part:
        part.write_bytes(_line(index.head.to_dict()) + index.body)
        part.chmod(0o600)
    return path


def read_index(folder: Path, dataset: str, key: SubjectKey) -> SubjectIndex | None:
    """The index of a dataset under a key; None if there is none.

    Raises:
        ArtifactError: it is damaged, was changed, or is of a later schema.
    """
    path = index_path(folder, dataset, key.id)
    try:
        line, _, body = path.read_bytes().partition(b"\n")
        head = Head.from_dict(json.loads(line))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactError("the subject index cannot be read: it is damaged.", file=path.name) from error
    if head.schema != SCHEMA:
        raise ArtifactError(f"the subject index has the schema {head.schema!r}: upgrade nbprod.", file=path.name)
    whole = (head.dataset, head.key, head.subjects * TOKEN_BYTES) == (dataset, key.id, len(body))
    if not whole or _sealed(head, body, key).seal != head.seal:
        raise ArtifactError("the subject index is not the one that was written: it is damaged.", file=path.name)
    return SubjectIndex(head=head, body=body)
