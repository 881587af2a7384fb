"""YAML as YAML 1.2 says it, with the line of every value.

PyYAML reads YAML 1.1, where ``no`` is false, ``1e-3`` is text and ``2015-01-01`` is a date. Here plain scalars follow
the core schema of YAML 1.2 (section 10.3.2): null, true/false, integers, floats; everything else is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import yaml

from nbprod.errors import PipelineError, nearest

Place = tuple[str | int, ...]
"""The keys and positions that lead to a value."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's safe loader with the core schema of YAML 1.2."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {}


_TAG = "tag:yaml.org,2002:"
_CORE = {
    "null": (re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    "int": (re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), list("-+0123456789")),
    "float": (
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
        list("-+0123456789."),
    ),
}
"""Kind of a plain scalar -> what it looks like, and the characters it may begin with."""

for _kind, (_pattern, _first) in _CORE.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", _pattern, _first)


def _number(text: str) -> int:
    for prefix, base in (("0o", 8), ("0x", 16)):
        if text.startswith(prefix):
            return int(text[2:], base)
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML file's content and where each part of it stands.

    Attributes:
        value: plain dicts, lists and scalars.
        lines: place -> 1-based line of the key or item.
    """

    file: str
    value: Any
    lines: dict[Place, int] = field(default_factory=dict)

    def line(self, *place: str | int) -> int | None:
        """The line of a place, or of the nearest one around it."""
        for length in range(len(place), -1, -1):
            if (line := self.lines.get(place[:length])) is not None:
                return line
        return None

    def error(self, message: str, *place: str | int) -> PipelineError:
        """An error that names this file and the line of ``place``."""
        return PipelineError(message, file=self.file, line=self.line(*place))

    def mapping(self, value: Any, *place: str | int) -> dict[str, Any]:
        """``value`` as a mapping with text keys; nothing (``null``) is an empty one.

        Raises:
            PipelineError: it is something else.
        """
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            name = ".".join(map(str, place)) or "the file"
            raise self.error(f"{name} must be a mapping (`key: value` lines), not {describe(value)}.", *place)
        for key in value:
            if not isinstance(key, str):
                raise self.error(f"the key {key!r} must be text: put it in quotes.", *place)
        return dict(value)

    def only(self, value: Mapping[str, Any], known: Iterable[str], *place: str | int) -> None:
        """Refuse keys that are not known, with the nearest that is."""
        known = list(known)
        for key in value:
            if key not in known:
                where = ".".join(map(str, place))
                raise self.error(
                    f"unknown key '{key}'{f' in {where}' if where else ''}.{nearest(key, known)}", *place, key
                )


def describe(value: Any) -> str:
    """A value's kind in the words of YAML, for error messages."""
    kinds = {
        dict: "a mapping",
        list: "a list",
        str: f"the text {value!r}",
        bool: str(value).lower(),
        type(None): "nothing",
    }
    return kinds.get(type(value), f"the number {value!r}")


def _wrong(node: yaml.Node, document: Document, message: str) -> PipelineError:
    return PipelineError(message, file=document.file, line=node.start_mark.line + 1)


def _tagged(node: yaml.Node, document: Document) -> PipelineError:
    return _wrong(node, document, f"the tag {node.tag} is not allowed here: write a plain value.")


def _build(node: yaml.Node, place: Place, document: Document) -> Any:
    if not isinstance(node, yaml.ScalarNode) and node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
        raise _tagged(node, document)
    if isinstance(node, yaml.MappingNode):
        built: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _build(key_node, place, document)
            if isinstance(key, (dict, list)):
                raise _wrong(key_node, document, "a key must be a plain word.")
            if key in built:
                raise _wrong(key_node, document, f"the key '{key}' stands twice: keep one.")
            document.lines[(*place, key)] = key_node.start_mark.line + 1
            built[key] = _build(value_node, (*place, key), document)
        return built
    if isinstance(node, yaml.SequenceNode):
        items = []
        for position, item in enumerate(node.value):
            document.lines[(*place, position)] = item.start_mark.line + 1
            items.append(_build(item, (*place, position), document))
        return items
    return _scalar(node, document)


def _scalar(node: yaml.Node, document: Document) -> Any:
    text, kind = str(node.value), node.tag.removeprefix(_TAG)
    if kind == "str":
        return text
    if kind not in _CORE or not _CORE[kind][0].match(text):
        raise _tagged(node, document)
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    try:
        return _number(text)
    except ValueError as error:  # Python refuses thousands of digits
        raise _wrong(node, document, "a number has too many digits: put it in quotes.") from error


def load_yaml(text: str, *, file: str) -> Document:
    """Read one YAML document.

    Args:
        file: what the user calls it, for error messages.

    Raises:
        PipelineError: it is not YAML, or a key stands twice; with the line.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or "it cannot be parsed").strip()
        raise PipelineError(
            f"is not valid YAML: {problem}.", file=file, line=mark.line + 1 if mark else None
        ) from error
    except yaml.YAMLError as error:
        raise PipelineError(f"is not valid YAML: {str(error).splitlines()[0]}.", file=file) from error
    document = Document(file=file, value=None, lines={})
    try:
        value = None if node is None else _build(node, (), document)
    except RecursionError:
        raise PipelineError("is nested too deeply: take an alias that holds itself away.", file=file) from None
    return Document(file=file, value=value, lines=document.lines)


def document_of(text: str, *, file: str | None) -> Document:
    """The file that a section stands in, so that errors name its line; with no text the file alone is named.

    Raises:
        PipelineError: it is not YAML.
    """
    return load_yaml(text, file=file or "") if text else Document(file=file or "", value=None)


def load_scalar(text: str) -> Any:
    """A value as one would write it in YAML: ``7``, ``true``, ``[1, 2]``, ``{a: 1}``, ``null``.

    Anything else is text.
    """
    try:
        return load_yaml(text, file="value").value
    except PipelineError:
        return text


DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)\Z")
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float | None:
    """A duration such as ``90s``, ``10m``, ``2h`` or ``1d`` in seconds; None if it is not one."""
    match = DURATION.match(text.strip())
    return float(match[1]) * UNITS[match[2]] if match else None


def span(duration: float) -> str:
    """A duration in seconds, in the largest unit that says it: ``3 days``, ``5 h``, ``12 min``."""
    duration = max(duration, 0.0)
    if duration >= 2 * 86400:
        return f"{duration / 86400:.0f} days"
    if duration >= 2 * 3600:
        return f"{duration / 3600:.0f} h"
    return f"{duration / 60:.0f} min" if duration >= 60 else f"{duration:.0f} s"


def moment(text: str) -> float:
    """A time or day in ISO 8601 as Unix seconds; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
