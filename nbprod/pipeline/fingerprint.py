"""The key of a stage: a digest over everything that decides its result, so that equal keys need no second run.

It covers the notebook's code and parameters cell (`nbprod.pipeline.normal`), the values, the sha256 of every input, the
names of the output files, the project's own modules that the notebook imports, the versions of the distributions that
those import with everything they require, Python's minor version and the kernel. Of what is installed but not imported
nothing
counts, unless the stage says ``environment: full``. Environment variables, and what the code fetches itself, cannot
count: such a stage says ``refresh``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbprod.digest import sha256_json
from nbprod.entities import JSON, Stage
from nbprod.pipeline.environment import KernelEnvironment
from nbprod.pipeline.imports import FRAMEWORK, find_imports
from nbprod.pipeline.source import Source

KEY_VERSION = 1
"""Raised whenever the same project would get other keys, so that old results are not mistaken for new ones."""

SAFE_INTEGER = 2**53 - 1
"""The largest integer that canonical JSON can hold."""

SHOWN = 60
"""How many characters of a value are shown."""

LISTED = 8
"""How many distributions are listed before the rest is only counted."""

_ABSENT = object()


def parts(
    *,
    source: Source,
    stage: Stage,
    params: Mapping[str, JSON],
    inputs: Mapping[str, str],
    project: Path,
    environment: KernelEnvironment,
) -> dict[str, JSON]:
    """What a key is made of, as canonical JSON can hold it.

    Args:
        params: the values that are set; others are in the parameters cell.
        inputs: parameter -> sha256.
        project: its root.
        environment: of the kernel; what was found out of unchanged code and installations is recalled from its cache.
    """
    imports = find_imports(source, project, environment.cache)
    if stage.environment == "full":
        distributions = environment.freeze()
    else:
        distributions = environment.closure(imports.outside - {FRAMEWORK}, maybe=imports.shared)
        if FRAMEWORK in imports.outside:
            # Of nbprod its own version counts and not what it requires: it records, and does not compute results.
            distributions = {**distributions, FRAMEWORK: environment.freeze().get(FRAMEWORK, "unknown")}
    return {
        "version": KEY_VERSION,
        "code": imports.scan.code,
        "parameters": imports.scan.parameters,
        "values": {name: _exact(value) for name, value in params.items()},
        "inputs": dict(inputs),
        "outputs": dict(stage.outputs),
        "modules": imports.modules,
        "distributions": distributions,
        "python": environment.minor,
        "kernel": environment.kernel,
    }


def key(parts: Mapping[str, JSON]) -> str:
    """The key: sha256 over the canonical JSON of its parts."""
    return sha256_json(dict(parts))


def _exact(value: JSON) -> JSON:
    """A value so that canonical JSON keeps what Python tells apart.

    Canonical JSON writes ``200.0`` as ``200`` and knows neither ``nan`` nor large integers; these become
    ``{"$float": "nan"}`` and the like, and a key that begins with ``$`` gets another one.
    """
    if isinstance(value, float) and (not math.isfinite(value) or value.is_integer()):
        return {"$float": repr(value)}
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        return {"$int": str(value)}
    if isinstance(value, str) and not _is_unicode(value):
        return {"$text": json.dumps(value)}
    if isinstance(value, Mapping):
        return {f"${name}" if str(name).startswith("$") else str(name): _exact(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_exact(item) for item in value]
    return value


def _is_unicode(text: str) -> bool:
    """Whether text has an encoding, which half of a surrogate pair has not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def differences(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> tuple[str, ...]:
    """What differs between the parts of two keys, in words, the likeliest cause first; nothing if they are equal."""
    return tuple(_differences(old, new))


def _differences(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> Iterator[str]:
    if old.get("version") != new.get("version"):
        yield "nbprod computes keys in another way now"
    if old.get("code") != new.get("code"):
        yield "code of the notebook"
    if old.get("parameters") != new.get("parameters"):
        yield "parameters cell of the notebook"
    for name, before, after in _changed(old, new, "values"):
        yield f"{name}: {_shown(before)} -> {_shown(after)}"
    for name, before, after in _changed(old, new, "inputs"):
        yield f"input {name} {_how(before, after, 'changed')}"
    for name, before, after in _changed(old, new, "outputs"):
        yield f"output {name} {_how(before, after, f'{before} -> {after}')}"
    for name, before, after in _changed(old, new, "modules"):
        yield f"module {name} {_how(before, after, '')}".rstrip()
    for name in ("python", "kernel"):
        if old.get(name) != new.get(name):
            yield f"{name} {old.get(name) or 'none'} -> {new.get(name) or 'none'}"
    found = [
        f"{name} {_how(before, after, f'{before} -> {after}', version=True)}"
        for name, before, after in _changed(old, new, "distributions")
    ]
    yield from found[:LISTED]
    if len(found) > LISTED:
        yield f"{len(found) - LISTED} more distributions"


def _changed(old: Mapping[str, JSON], new: Mapping[str, JSON], part: str) -> Iterator[tuple[str, Any, Any]]:
    """(name, before, after) for whatever differs in a part."""
    before, after = old.get(part) or {}, new.get(part) or {}
    for name in sorted({*before, *after}):
        pair = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if json.dumps(pair, default=str) != json.dumps(pair[::-1], default=str):
            yield name, *pair


def _how(before: Any, after: Any, changed: str, *, version: bool = False) -> str:
    if before is _ABSENT:
        return f"{after} is new" if version else "is new"
    if after is _ABSENT:
        return f"{before} is gone" if version else "is gone"
    return changed


def _shown(value: Any) -> str:
    """A value on one line; long ones are cut."""
    if value is _ABSENT:
        return "the notebook's default"
    text = json.dumps(_unwrapped(value), ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _unwrapped(value: JSON) -> JSON:
    """The inverse of `_exact`."""
    if isinstance(value, list):
        return [_unwrapped(item) for item in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("$float", str(text))]:
            return float(text)
        case [("$int", str(text))]:
            return int(text)
        case [("$text", str(text))]:
            return json.loads(text)
    return {name[1:] if name.startswith("$") else name: _unwrapped(item) for name, item in value.items()}
