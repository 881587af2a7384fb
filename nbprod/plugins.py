"""The one door for every extension: a plain function under an entry point, found by name and imported on use."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from nbprod.errors import UsageError, nearest


def resolve(group: str, name: str) -> Callable[..., Any]:
    """The function registered as ``name`` under the entry point group ``group``, such as ``nbprod.executors``.

    Raises:
        UsageError: nothing has that name, or importing it fails.
    """
    from importlib.metadata import entry_points

    found = entry_points(group=group)
    matches = [point for point in found if point.name == name]
    if not matches:
        raise UsageError(f"there is no '{name}' among the extensions of {group}.{nearest(name, found.names)}")
    try:
        extension: Callable[..., Any] = matches[0].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the extension '{name}' of {group} cannot be imported: {error}.") from error
    return extension


def check_signature(group: str, name: str, options: Mapping[str, Any], *, noun: str) -> Callable[..., Any]:
    """Hold options against the keywords of an extension's function, and return the function.

    Args:
        noun: what an extension of this group is called, such as ``gate``.

    Raises:
        UsageError: there is no such extension or option, a needed one is missing, or a value is of another type.
    """
    from nbprod.document import describe

    function = resolve(group, name)
    known = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    names = [parameter.name for parameter in known]
    hints = get_type_hints(function)
    for option, value in options.items():
        if option not in names:
            hint = nearest(option, names) or " It takes none."
            raise UsageError(f"the {noun} {name} has no option '{option}'.{hint}")
        if not _fits(value, hints.get(option, Any)):
            raise UsageError(f"{option} of the {noun} {name} must be {_shown(hints[option])}, not {describe(value)}.")
    missing = [p.name for p in known if p.default is p.empty and p.name not in options]
    if missing:
        raise UsageError(f"the {noun} {name} needs {', '.join(missing)}.")
    return function


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
