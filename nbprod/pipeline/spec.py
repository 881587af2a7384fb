"""A pipeline's YAML: which keys are legal, and what they mean.

Everything that can be said without opening a notebook is checked here; `nbprod.pipeline.bind` checks the rest.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from nbprod.document import Document, describe, load_yaml, seconds
from nbprod.entities import ModelSpec, Pipeline, Stage
from nbprod.errors import PipelineError, UsageError, nearest

KEYS: dict[str, tuple[str, ...]] = {
    "pipeline": (
        "name", "stages", "model", "gates", "presets", "environment", "log", "monitor", "retrain", "update",
    ),
    "stage": (
        "notebook", "params", "inputs", "outputs", "env", "refresh", "timeout", "retries", "repeats", "warm",
        "resources", "environment",
    ),
    "input": ("path", "keep"),
    "model": (
        "name", "from", "metrics", "main_metric", "data", "target", "groups", "owner", "intended_use",
        "limitations", "trusted",
    ),
}  # fmt: skip
"""The legal keys of each part of the file."""

SECTIONS = ("gates", "log", "monitor", "retrain", "update")
"""Keys that other parts of nbprod read; here they are only kept."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
MODEL_NAME = re.compile(r"[^\s/:@.][^\s/:@]*\Z")


def load_pipeline(path: Path, *, label: str) -> Pipeline:
    """Read a pipeline's file.

    Args:
        label: what the user calls it, for error messages.

    Raises:
        PipelineError: with the file, the line and, for a mistyped word, the nearest legal one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise PipelineError(f"there is no such pipeline.{nearest(path.name, known)}", file=label) from None
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"cannot be read as a UTF-8 text file ({error}).", file=label) from error
    return parse_pipeline(text, file=label)


def parse_pipeline(text: str, *, file: str) -> Pipeline:
    """Read a pipeline from its text; see `load_pipeline`."""
    document = load_yaml(text, file=file)
    data = document.mapping(document.value)
    document.only(data, KEYS["pipeline"])
    if not data.get("stages"):
        raise document.error("a pipeline needs `stages:` with at least one stage.")
    environment = _environment(document, data.get("environment", "imports"), "environment")
    stages = tuple(
        _stage(document, name, body, environment) for name, body in document.mapping(data["stages"], "stages").items()
    )
    names = [stage.name for stage in stages]
    return Pipeline(
        name=_name(document, data.get("name", Path(file).stem), "name"),
        stages=stages,
        model=_model(document, data["model"], names) if data.get("model") is not None else None,
        path=file,
        text=text,
        presets=_presets(document, data.get("presets")),
        sections={key: _plain(document, data[key], key) for key in SECTIONS if data.get(key) is not None},
    )


def _name(document: Document, value: Any, *place: str) -> str:
    if not isinstance(value, str) or not NAME.match(value):
        raise document.error(
            f"{'.'.join(place)} must be a name of letters, digits, '_' and '-' that begins with a letter, "
            f"not {describe(value)}.",
            *place,
        )
    return value


def _text(document: Document, value: Any, *place: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise document.error(f"{'.'.join(place)} must be text, not {describe(value)}.", *place)
    return value.strip()


def _texts(document: Document, value: Any, *place: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise document.error(f"{'.'.join(place)} must be a list of names, not {describe(value)}.", *place)
    for item in value:
        if not isinstance(item, str):
            raise document.error(f"{'.'.join(place)} must be a list of names, but holds {describe(item)}.", *place)
    return tuple(value)


def _plain(document: Document, value: Any, *place: str) -> Any:
    """A free value; it must be expressible in JSON, except that floats may be non-finite."""
    try:
        json.dumps(value)
    except TypeError as error:
        raise document.error(f"{'.'.join(place)} holds a value that is not plain data.", *place) from error
    return value


def _environment(document: Document, value: Any, *place: str) -> str:
    if value not in ("imports", "full"):
        raise document.error(f"environment must be `imports` or `full`, not {describe(value)}.", *place)
    return str(value)


def _count(document: Document, value: Any, least: int, *place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise document.error(f"{place[-1]} must be a whole number of at least {least}, not {describe(value)}.", *place)
    return value


def _timeout(document: Document, value: Any, *place: str) -> float | None:
    if value is None:
        return None
    found = seconds(value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found < math.inf:
        raise document.error(
            f"timeout must be seconds or a duration such as 90s, 10m or 2h, not {describe(value)}.", *place
        )
    return float(found)


def _refresh(document: Document, value: Any, *place: str) -> str:
    text = _text(document, value, *place)
    if text and text != "always" and seconds(text) is None:
        raise document.error(f"refresh must be `always` or an age such as 1d or 6h, not {describe(value)}.", *place)
    return text


def _stage(document: Document, name: str, body: Any, environment: str) -> Stage:
    place = ("stages", name)
    _name(document, name, *place)
    data = document.mapping(body, *place)
    document.only(data, KEYS["stage"], *place)
    if not isinstance(data.get("notebook"), str):
        raise document.error(f"stage '{name}' needs `notebook:` with the path of a notebook.", *place)
    inputs, keep = _inputs(document, data.get("inputs"), *place, "inputs")
    warm = data.get("warm", False)
    if not isinstance(warm, bool):
        raise document.error(f"warm must be true or false, not {describe(warm)}.", *place, "warm")
    stage = Stage(
        name=name,
        notebook=data["notebook"],
        params=_plain(document, document.mapping(data.get("params"), *place, "params"), *place, "params"),
        inputs=inputs,
        outputs=_outputs(document, data.get("outputs"), *place, "outputs"),
        keep=keep,
        env=_texts(document, data.get("env"), *place, "env"),
        refresh=_refresh(document, data.get("refresh"), *place, "refresh"),
        timeout=_timeout(document, data.get("timeout"), *place, "timeout"),
        retries=_count(document, data.get("retries", 0), 0, *place, "retries"),
        repeats=_count(document, data.get("repeats", 1), 1, *place, "repeats"),
        warm=warm,
        resources=document.mapping(data.get("resources"), *place, "resources"),
        environment=_environment(document, data.get("environment", environment), *place, "environment"),
        line=document.line(*place) or 0,
    )
    _one_name_space(document, stage)
    return stage


def _one_name_space(document: Document, stage: Stage) -> None:
    """Params, inputs and outputs are all names in the parameters cell, so no name may stand in two of them."""
    seen: dict[str, str] = {}
    for kind, names in (("params", stage.params), ("inputs", stage.inputs), ("outputs", stage.outputs)):
        for name in names:
            place = ("stages", stage.name, kind, name)
            if not IDENTIFIER.match(name):
                raise document.error(f"'{name}' cannot be a parameter: it is not a Python name.", *place)
            if name in seen:
                raise document.error(f"'{name}' stands in both {seen[name]} and {kind}: keep one.", *place)
            seen[name] = kind


def _inputs(document: Document, value: Any, *place: str) -> tuple[dict[str, str], dict[str, bool]]:
    inputs: dict[str, str] = {}
    keep: dict[str, bool] = {}
    for name, item in document.mapping(value, *place).items():
        if isinstance(item, dict):
            document.only(item, KEYS["input"], *place, name)
            kept = item.get("keep", True)
            if not isinstance(kept, bool):
                raise document.error(f"keep must be true or false, not {describe(kept)}.", *place, name, "keep")
            keep[name] = kept
            item = item.get("path")
        if not isinstance(item, str) or not item:
            raise document.error(f"input '{name}' must be `stage.output`, a path or a URL.", *place, name)
        inputs[name] = item
    return inputs, keep


def _outputs(document: Document, value: Any, *place: str) -> dict[str, str]:
    outputs: dict[str, str] = {}
    for name, item in document.mapping(value, *place).items():
        if (
            not isinstance(item, str)
            or not Path(item).name
            or item.startswith(("/", "~"))
            or ".." in Path(item).parts
            or "\\" in item
        ):
            raise document.error(
                f"output '{name}' must be a file name within the stage's own folder, such as {name}.parquet.",
                *place,
                name,
            )
        if Path(item) in map(Path, outputs.values()):
            raise document.error(f"two outputs are called {item}: give each its own file name.", *place, name)
        outputs[name] = item
    return outputs


def _model(document: Document, body: Any, stages: list[str]) -> ModelSpec:
    data = document.mapping(body, "model")
    document.only(data, KEYS["model"], "model")
    for key in ("name", "from"):
        if not isinstance(data.get(key), str):
            raise document.error(f"model needs `{key}:`.", "model")
    check_model_name(data["name"], document=document)
    stage, dot, artifact = data["from"].partition(".")
    if stage not in stages or not dot or not artifact:
        raise document.error(f"model.from must be `stage.model`.{nearest(stage, stages)}", "model", "from")
    metrics = _texts(document, data.get("metrics"), "model", "metrics")
    for name in metrics:
        if name not in stages:
            raise document.error(f"model.metrics names no stage: '{name}'.{nearest(name, stages)}", "model", "metrics")
    roles = document.mapping(data.get("data"), "model", "data")
    texts = {key: _text(document, data.get(key), "model", key) for key in
             ("main_metric", "target", "owner", "intended_use", "limitations")}  # fmt: skip
    return ModelSpec(
        name=data["name"],
        source=data["from"],
        metrics=metrics,
        data={role: _text(document, item, "model", "data", role) for role, item in roles.items()},
        groups=_texts(document, data.get("groups"), "model", "groups"),
        trusted=_texts(document, data.get("trusted"), "model", "trusted"),
        line=document.line("model") or 0,
        **texts,
    )


def check_model_name(name: str, *, document: Document | None = None) -> None:
    """Refuse a model name that MLflow or a ``name/version`` reference cannot hold."""
    if not MODEL_NAME.match(name):
        message = f"a model's name holds no spaces and none of '/', ':', '@', and begins with no dot: {name!r} does."
        raise document.error(message, "model", "name") if document else UsageError(message)


def _presets(document: Document, value: Any) -> dict[str, dict[str, Any]]:
    return {
        name: _plain(document, document.mapping(body, "presets", name), "presets", name)
        for name, body in document.mapping(value, "presets").items()
    }
