"""The ``gates`` section of a pipeline: which gates are asked for, and whether their options fit their signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbprod.document import describe, load_yaml
from nbprod.entities import JSON, Fact
from nbprod.errors import PipelineError, UsageError
from nbprod.plugins import check_signature

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
    check_signature(GROUP, name, options, noun="gate")
    _check_nested(name, options)


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
