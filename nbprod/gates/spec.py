"""The ``gates`` section of a pipeline: which gates are asked for, and whether their options fit their signatures."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from nbprod.document import describe, load_yaml
from nbprod.entities import JSON, Fact
from nbprod.errors import PipelineError, UsageError, nearest
from nbprod.plugins import resolve

GROUP = "nbprod.gates"
"""The entry point group of gates: plain functions ``gate(candidate, champion, *, options) -> GateResult``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSpec(Fact):
    """A gate as the pipeline's YAML asks for it: its name and its options."""

    name: str
    options: dict[str, JSON] = field(default_factory=dict)


def read_gates(section: Any, *, file: str | None = None, text: str = "") -> tuple[GateSpec, ...]:
    """The gates that a pipeline asks for; their names and options are checked.

    Args:
        section: a list whose items are ``{name: {option: value}}``, or a bare name.
        file, text: the YAML file, so that an error names its line.

    Raises:
        PipelineError: a gate is unknown, or an option is unknown, missing or of the wrong type.
    """
    if section is None:
        return ()
    if not isinstance(section, list):
        raise _error(f"gates must be a list of gates, not {describe(section)}.", (), file=file, text=text)
    found = []
    for position, item in enumerate(section):
        try:
            found.append(_read(item))
        except UsageError as error:
            raise _error(error.message, (position,), file=file, text=text) from error
    return tuple(found)


def _error(message: str, place: tuple[int, ...], *, file: str | None, text: str) -> PipelineError:
    line = load_yaml(text, file=file or "").line("gates", *place) if text else None
    return PipelineError(message, file=file, line=line)


def _read(item: Any) -> GateSpec:
    if isinstance(item, str):
        item = {item: None}
    if not isinstance(item, Mapping) or len(item) != 1:
        raise UsageError(
            f"a gate must be a name with its options, such as `size: {{at_most: 50MB}}`, not {describe(item)}."
        )
    ((name, options),) = item.items()
    options = {} if options is None else options
    if not isinstance(options, Mapping):
        raise UsageError(f"the options of the gate {name} must be a mapping, not {describe(options)}.")
    check_options(str(name), options)
    return GateSpec(name=str(name), options=dict(options))


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Hold options against the signature of the gate's function.

    Raises:
        UsageError: there is no such gate or option, a needed one is missing, or a value is of another type.
    """
    function = resolve(GROUP, name)
    known = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    names = [parameter.name for parameter in known]
    hints = get_type_hints(function)
    for option, value in options.items():
        if option not in names:
            hint = nearest(option, names) or " It takes none."
            raise UsageError(f"the gate {name} has no option '{option}'.{hint}")
        if not _fits(value, hints.get(option, Any)):
            raise UsageError(f"{option} of the gate {name} must be {_shown(hints[option])}, not {describe(value)}.")
    _check_nested(name, options)
    missing = [p.name for p in known if p.default is p.empty and p.name not in options]
    if missing:
        raise UsageError(f"the gate {name} needs {', '.join(missing)}.")


def _check_nested(name: str, options: Mapping[str, Any]) -> None:
    """What stands deeper in the options of nbprod's own gates."""
    if name == "data_valid":
        from nbprod.gates.table import TableSchema

        TableSchema.read({key: value for key, value in options.items() if key != "dataset"})
    if name == "regression":
        from nbprod.gates.steady import read_rows, read_slices

        if options.get("slices") is not None:
            read_slices(options["slices"])
        if isinstance(options.get("rows"), list):
            read_rows(options["rows"], tolerance=0.0)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of a type; whole numbers are taken for floats, and true and false for no numbers."""
    if hint is Any:
        return True
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, choice) for choice in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    plain = origin or hint
    if plain is type(None):
        return value is None
    if plain is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if plain is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(plain, type) and issubclass(plain, Mapping):
        return isinstance(value, Mapping)
    if isinstance(plain, type) and issubclass(plain, Sequence) and plain is not str:
        items = get_args(hint)
        return isinstance(value, list) and all(_fits(item, items[0]) for item in value if items)
    return isinstance(value, plain)


def _shown(hint: Any) -> str:
    """A type as a person writes it."""
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_shown(choice) for choice in get_args(hint) if choice is not type(None))
    words = {str: "text", float: "a number", int: "a whole number", bool: "true or false"}
    origin = get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    return words.get(origin, "a list" if origin is not type(None) else "nothing")
