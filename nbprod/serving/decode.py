"""From a body to checked rows: decoders that are compiled once from the model's signature.

Nothing is converted: a text is no number, nor is ``true``, and a number that does not fit is refused, as are keys that
stand twice, rows that are too long or too short, and columns that the model does not have.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from nbprod.serving import types
from nbprod.serving.asked import Asked
from nbprod.serving.faults import malformed, refused
from nbprod.serving.limits import Limits
from nbprod.serving.refusal import Refused
from nbprod.serving.signature import Signature
from nbprod.serving.tensors import array_of
from nbprod.serving.wide import Wide

LETTERS = 32
"""So many bytes a cell, and a column's name, may have at most in a body that is logged as it came."""

FORMS = 'send {"records": [{...}]} or {"columns": [...], "rows": [[...]]}'


class Shapes:
    """The types of a signature's rows."""

    def __init__(self, signature: Signature) -> None:
        fields: list[Any] = []
        for number, column in enumerate(signature.columns):
            own = types.column_type(column)
            if column.required:
                fields.append((f"f{number}", own, msgspec.field(name=column.name)))
            else:
                fields.append((f"f{number}", own | UnsetType, msgspec.field(name=column.name, default=UNSET)))
        self.cells = tuple(types.column_type(column) for column in signature.columns)
        self.row: Any = tuple[self.cells]  # type: ignore[name-defined]
        self.record: Any = msgspec.defstruct("Row", fields, kw_only=True, forbid_unknown_fields=True, gc=False)
        self.by_column: Any = msgspec.defstruct(
            "Columns",
            [
                (f"f{n}", list[cell], msgspec.field(name=column.name))  # type: ignore[valid-type]
                for n, (column, cell) in enumerate(zip(signature.columns, self.cells, strict=True))
            ],
            kw_only=True,
            forbid_unknown_fields=True,
        )


class Decoder:
    """Reads ``/predict``'s bodies, and gives other protocols what they need to read theirs."""

    def __init__(self, signature: Signature, limits: Limits) -> None:
        self.signature = signature
        self.limits = limits
        self.names = list(signature.names)
        self.dated = [n for n, column in enumerate(signature.columns) if column.type == "datetime"]
        self.wide = Wide(signature)
        self._complete = signature.complete
        self._finished = not self.dated and not signature.types & {"object", "array", "map"}
        self._ambiguous = any(":" in name for name in self.names) or "map" in signature.types
        if signature.tensor is None:
            self.shapes = Shapes(signature)
            self._body: Any = msgspec.json.Decoder(self._form())
        else:
            rows = types.tensor_type(signature.tensor)
            self._body = msgspec.json.Decoder(
                msgspec.defstruct("Body", [("rows", rows)], kw_only=True, forbid_unknown_fields=True)
            )
        self._permuted = lru_cache(maxsize=64)(self._decoder_for)

    def _form(self) -> Any:
        return msgspec.defstruct(
            "Body",
            [
                ("records", list[self.shapes.record] | UnsetType, UNSET),  # type: ignore[name-defined]
                ("columns", list[str] | UnsetType, UNSET),
                ("rows", list[self.shapes.row] | UnsetType, UNSET),  # type: ignore[name-defined]
                ("proba", bool | UnsetType, UNSET),
            ],
            kw_only=True,
            forbid_unknown_fields=True,
        )

    def predict(self, body: bytes) -> Asked:
        """The rows of a body of ``/predict``.

        Raises:
            Refused: it is no such body, or does not fit the signature.
        """
        if self.signature.tensor is not None:
            found = self.typed(self._body, body)
            self.single_keys(body, 1)
            return Asked(matrix=array_of(found.rows, self.signature.tensor, "$.rows"))
        if (matrix := self.wide.table(body)) is not None:
            self.check_count(len(matrix))
            return Asked(matrix=matrix)
        try:
            found = self._body.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if isinstance(error, msgspec.ValidationError) and (permuted := self._other_order(body)) is not None:
                return permuted
            found = refused(error, self.signature)
            if found.path == "$":  # often a bare record, or a bare list of them
                found.message = f"{found.message[:-1]}: {FORMS}."
            raise found from None
        keys, proba = 1 + (found.proba is not UNSET), found.proba is True
        if found.records is not UNSET:
            if found.columns is not UNSET or found.rows is not UNSET:
                raise Refused(f"the body mixes two forms: {FORMS}, not both.", path="$")
            return self.of_records(found.records, body, keys, proba=proba)
        if found.columns is UNSET or found.rows is UNSET:
            raise Refused(f"the body holds no rows: {FORMS}.", path="$")
        if found.columns != self.names:
            other = self._other_order(body)
            if other is None:  # pragma: no cover - the names differ, so it is refused there
                raise Refused("the columns are not the model's.", path="$.columns")
            return other
        self.check_count(len(found.rows))
        self.single_keys(body, keys + 1)
        plain = keys == 1 and self._as_it_came(body, len(found.rows))
        return Asked(rows=self.finished(found.rows, "rows"), proba=proba, raw=body if plain else b"")

    def _as_it_came(self, body: bytes, rows: int) -> bool:
        """Whether a table's body may stand in the log as it is: spaces must not swell it."""
        return len(body) <= LETTERS * (1 + rows) * len(self.names)

    def typed(self, decoder: Any, body: bytes, *, where: str = "$", columns: Sequence[str] = ()) -> Any:
        """Decode with one of msgspec's decoders.

        Args:
            where: the path of what is decoded within the body.
            columns: the order of the cells, where it is not the model's.

        Raises:
            Refused: in words of the signature.
        """
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refused(error, self.signature.in_order(columns), where) from None

    def of_records(
        self, records: Sequence[Any], body: bytes, keys: int, *, proba: bool = False, where: str = "records"
    ) -> Asked:
        """Records as rows.

        Args:
            keys: how many keys the body has around the records.
        """
        self.check_count(len(records))
        rows: Any = list(map(msgspec.structs.astuple, records))
        present = len(records) * len(self.names)
        if not self._complete:
            present -= sum(row.count(UNSET) for row in rows)
            rows = [tuple(None if value is UNSET else value for value in row) for row in rows]
        self.single_keys(body, keys + present)
        return Asked(rows=self.finished(rows, where), proba=proba)

    def check_count(self, count: int) -> None:
        """Refuse no rows, and too many."""
        if not count:
            raise Refused("there are no rows to predict: send at least one.", path="$")
        if count > self.limits.rows:
            raise Refused(
                f"there are {count} rows, and one request may hold {self.limits.rows}: send several.", status=413
            )

    def single_keys(self, body: bytes, keys: int) -> None:
        """Refuse an object that has a key twice, of which JSON's readers silently take the last.

        Args:
            keys: how many different keys were read. Each is followed by a colon, so if the body holds as many colons
                none stands twice; if it holds more they may be in texts, and a slower reader looks. -1 is unknown.
        """
        if self._ambiguous or body.count(b":") != keys:
            _read_again(body)

    def finished(self, rows: Sequence[tuple[Any, ...]], where: str) -> Sequence[tuple[Any, ...]]:
        """Rows whose dates are dates and whose nested values are plain."""
        if self._finished:
            return rows
        found = []
        for number, row in enumerate(rows):
            values = [msgspec.to_builtins(v) if isinstance(v, (msgspec.Struct, list, dict)) else v for v in row]
            for at in self.dated:
                values[at] = self._moment(values[at], f"$.{where}[{number}]", at)
            found.append(tuple(values))
        return found

    def _moment(self, text: str | None, row: str, at: int) -> Any:
        try:
            return None if text is None else types.moment(text)
        except (ValueError, OverflowError):
            column = self.signature.columns[at]
            path = f"{row}.{column.name}"
            expected = types.word(column)
            raise Refused(f"expected {expected} at {path}.", path=path, expected=expected, status=422) from None

    def _other_order(self, body: bytes) -> Asked | None:
        """Rows whose columns stand in another order; None if the body is not of that form."""
        try:
            head = _HEAD.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if head.columns == self.names:
            return None
        rows = self.ordered(head.columns, head.rows, where="$")
        self.single_keys(body, 2 + (head.proba is not UNSET))
        return Asked(rows=self.finished(rows, "rows"), proba=head.proba is True)

    def ordered(
        self, columns: Sequence[str], rows: msgspec.Raw, *, where: str, key: str = "rows"
    ) -> Sequence[tuple[Any, ...]]:
        """Rows in the model's order, from rows in the order of ``columns``.

        Args:
            where: the path of the object that holds both, the rows under ``key``.

        Raises:
            Refused: the columns are not the model's.
        """
        self.check_columns(columns, f"{where}.columns")
        decoder, places = self._permuted(tuple(columns))
        decoded = self.typed(decoder, bytes(rows), where=f"{where}.{key}", columns=columns)
        self.check_count(len(decoded))
        if places is None:
            found: Sequence[tuple[Any, ...]] = decoded
        else:
            found = [tuple(None if at is None else row[at] for at in places) for row in decoded]
        return found

    def check_columns(self, columns: Sequence[str], where: str) -> None:
        """Refuse columns that the model does not have, that stand twice, or that are missing."""
        known = set(self.names)
        for number, name in enumerate(columns):
            if name not in known:
                raise Refused("the model has no such column.", path=f"{where}[{number}]", status=422)
        if len(set(columns)) < len(columns):
            raise Refused("a column stands twice.", path=where, status=422)
        for column in self.signature.columns:
            if column.required and column.name not in columns:
                raise Refused(f"the column {column.name!r} is missing.", path=where, status=422)

    def _decoder_for(self, columns: tuple[str, ...]) -> tuple[Any, list[int | None] | None]:
        cells = tuple(self.shapes.cells[self.names.index(name)] for name in columns)
        decoder = msgspec.json.Decoder(list[tuple[cells]])  # type: ignore[valid-type]
        if list(columns) == self.names:
            return decoder, None
        return decoder, [columns.index(name) if name in columns else None for name in self.names]


class _Head(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    columns: list[str]
    rows: msgspec.Raw
    proba: bool | UnsetType = UNSET


_HEAD = msgspec.json.Decoder(_Head)


def _read_again(body: bytes) -> None:
    def once(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) < len(pairs):
            raise Refused("an object has the same key twice.", path="$")

    try:
        json.loads(body, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise malformed(error) from None
