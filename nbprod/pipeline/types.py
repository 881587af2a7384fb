"""The types of parameters: what Python's annotations mean for values of plain JSON types."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCALARS = {"str": str, "int": int, "float": float, "bool": bool, "None": type(None)}
LISTS = frozenset({"list", "List", "Sequence", "Iterable", "Collection", "tuple", "Tuple", "set", "Set", "frozenset"})
DICTS = frozenset({"dict", "Dict", "Mapping"})
WRAPPERS = frozenset({"Annotated", "Final", "ClassVar", "Required", "NotRequired"})
SYNONYMS = {"NoneType": "None", "Path": "str", "PurePath": "str", "PathLike": "str", "LiteralString": "str"}
"""Names that mean a type of JSON's; a path is given as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A type that a value can be checked against.

    Attributes:
        kind: ``any``, ``union``, ``literal``, ``list``, ``dict`` or a scalar's name.
        members: of a union; of a list its items'; of a dict its values'.
        values: of a literal.
    """

    kind: str = "any"
    members: tuple[Type, ...] = ()
    values: tuple[Any, ...] = ()

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of this type, or of all members of a union."""
        if self.kind != "union":
            return frozenset({self.kind})
        return frozenset().union(*(member.kinds for member in self.members))


ANY = Type()


def parse_type(text: str) -> Type:
    """The type that an annotation means; what is not known here takes anything."""
    if not text:
        return ANY
    try:
        return _type(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        return ANY


def _type(node: ast.expr) -> Type:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return parse_type(node.value)
        return Type(kind="None") if node.value is None else ANY
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Type(kind="union", members=(_type(node.left), _type(node.right)))
    if isinstance(node, ast.Subscript):
        return _generic(_name(node.value), node.slice)
    name = SYNONYMS.get(_name(node), _name(node))
    if name in SCALARS:
        return Type(kind=name)
    if name in LISTS:
        return Type(kind="list", members=(ANY,))
    return Type(kind="dict", members=(ANY,)) if name in DICTS else ANY


def _name(node: ast.expr) -> str:
    """The last part of a name, so that ``typing.Optional`` is ``Optional``."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _generic(base: str, inner: ast.expr) -> Type:
    items = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
    if base == "Literal":
        return _literal(inner)
    if not items:
        return Type(kind="list", members=(ANY,)) if base in LISTS else ANY
    if base == "Optional":
        return Type(kind="union", members=(_type(items[0]), Type(kind="None")))
    if base == "Union":
        return Type(kind="union", members=tuple(_type(item) for item in items))
    if base in LISTS:
        uniform = len(items) == 1 or _is_ellipsis(items[-1])
        return Type(kind="list", members=(_type(items[0]) if uniform else ANY,))
    if base in DICTS:
        return Type(kind="dict", members=(_type(items[-1]),))
    if base in WRAPPERS:
        return _type(items[0])
    return Type(kind="str") if SYNONYMS.get(base) == "str" else ANY


def _literal(inner: ast.expr) -> Type:
    try:
        found = ast.literal_eval(inner)
    except (ValueError, TypeError, SyntaxError):
        return ANY  # such as a member of an enumeration
    values = found if isinstance(inner, ast.Tuple) else (found,)
    return Type(kind="literal", values=values)


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def fits(value: Any, expected: Type) -> tuple[bool, Any]:
    """Whether a value has a type, and the value as that type has it: where only a float fits, an int becomes one.

    A bool is no number, and text is nothing but text. Keys of a dict are text.
    """
    match expected.kind:
        case "any":
            return is_plain(value), value
        case "union":
            found = [result for member in expected.members if (result := fits(value, member))[0]]
            exact = [result for result in found if type(result[1]) is type(value)]
            return next(iter([*exact, *found]), (False, value))
        case "literal":
            return any(type(value) is type(known) and value == known for known in expected.values), value
        case "list":
            return _all_fit(list(value), expected.members[0]) if isinstance(value, (list, tuple)) else (False, value)
        case "dict":
            if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
                return False, value
            ok, converted = _all_fit(list(value.values()), expected.members[0])
            return ok, dict(zip(value, converted, strict=True)) if ok else value
        case "float":
            return _as_float(value)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool), value
    return isinstance(value, SCALARS[expected.kind]), value


def _all_fit(values: list[Any], expected: Type) -> tuple[bool, Any]:
    found = [fits(value, expected) for value in values]
    return all(ok for ok, _ in found), [value for _, value in found]


def _as_float(value: Any) -> tuple[bool, Any]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False, value
    try:
        return True, float(value)
    except OverflowError:
        return False, value


def is_plain(value: Any) -> bool:
    """Whether a value is made of JSON types, with text as keys; floats may be infinite or not a number."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, (str, bool, int, float))


def type_of(value: Any) -> str:
    """A plain value's type in Python's notation; empty for ``None``, which does not say what else may stand there."""
    return "" if value is None else type(value).__name__


def shown(value: Any, limit: int = 60) -> str:
    """A value on one line, as one would type it; long ones are cut."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
