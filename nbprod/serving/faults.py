"""What is wrong with a body, in words of the signature instead of the parser's; without the values themselves."""

from __future__ import annotations

import re

import msgspec

from nbprod.serving import types
from nbprod.serving.refusal import Refused
from nbprod.serving.signature import Signature

SHOWN = 60
"""So many letters of a strange key are shown."""

_AT = re.compile(r" - at `(\$.*)`\Z", re.DOTALL)
_CELL = re.compile(r"\[(\d+)\]\[(\d+)\]\Z")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)|\(char (\d+)\)")
_LENGTH = re.compile(r"Expected `array` of length (\d+)")
_KINDS = {
    "int": "whole number", "float": "number", "str": "text", "bool": "true or false", "array": "list",
    "object": "object", "null": "null", "bytes": "bytes as base64 text",
}  # fmt: skip


def malformed(error: Exception) -> Refused:
    """The answer to what is no JSON."""
    if isinstance(error, RecursionError):
        return Refused("the JSON is nested too deeply.", path="$")
    if isinstance(error, UnicodeDecodeError):
        return Refused("the body is not UTF-8.", path="$")
    text = str(error)
    if "truncated" in text:
        return Refused("the body is not valid JSON: it ends too early.", path="$")
    at = _BYTE.search(text)
    place = f" at byte {next(filter(None, at.groups()))}" if at else ""
    return Refused(f"the body is not valid JSON{place}; NaN and Infinity are not.", path="$")


def refused(error: Exception, signature: Signature, where: str = "$") -> Refused:
    """The answer to a body, or to what stands at a path in it, that a typed decoder refused."""
    if not isinstance(error, msgspec.ValidationError):
        return malformed(error)
    text = str(error)
    found = _AT.search(text)
    path = where + (found[1][1:] if found else "")
    text = text[: found.start()] if found else text
    if match := _UNKNOWN.match(text):
        name = _short(match[1])
        what = "column" if path != "$" else "key"
        return Refused(f"there is no {what} {name} at {path}.", path=path, status=422)
    if match := _MISSING.match(text):
        return Refused(f"{_short(match[1])} is missing at {path}.", path=path, status=422)
    if match := _LENGTH.match(text):
        expected = f"list of {match[1]} values, one a column"
        return Refused(f"expected a {expected}, at {path}.", path=path, expected=expected, status=422)
    expected = _expected(text, path, signature)
    return Refused(f"expected {expected} at {path}.", path=path, expected=expected, status=422)


def _short(name: str) -> str:
    return repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")


def _expected(text: str, path: str, signature: Signature) -> str:
    """What should stand at a path: the column's type, where the path leads to one."""
    for column in signature.columns:
        if path.endswith(f"].{column.name}"):
            return types.word(column)
    if (cell := _CELL.search(path)) and int(cell[2]) < len(signature.columns):
        return types.word(signature.columns[int(cell[2])])
    names = re.findall(r"`([a-z| ]+)`", text.partition(", got")[0])
    words = [_KINDS.get(name.strip(), name.strip()) for part in names for name in part.split("|")]
    return " or ".join(words) or "another value"
