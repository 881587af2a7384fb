"""The entry: what it holds, what it never holds, and that old ones can be read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from nbprod.digest import canonical, listing_digest, sha256_bytes
from nbprod.errors import ArtifactError
from nbprod.evidence.entry import SCHEMA, SCHEMAS, build, digest, plain, validate
from nbprod.evidence.validation import load_schema, problems
from tests.evidence.made import FILES, YAML, afterwards, evidence, stage

EXAMPLES = Path(__file__).with_name("examples")


def words(value: Any) -> set[str]:
    """Every key in an entry."""
    if isinstance(value, dict):
        return {*value, *(word for item in value.values() for word in words(item))}
    return {word for item in value for word in words(item)} if isinstance(value, list) else set()


def test_an_entry_says_who_what_whence_and_how_well() -> None:
    entry = build(evidence())

    assert entry["schema"] == "nbprod/model-version/1"
    assert (entry["owner"], entry["intended_use"]) == ("The retention team", "Calls to customers.")
    assert entry["limitations"] == "Not for prices."
    assert (entry["model"]["target"], entry["model"]["groups"]) == ("left", ["sex"])
    assert entry["model"]["files"] == FILES
    assert entry["model"]["sha256"] == listing_digest(FILES)
    assert entry["model"]["signature"]["inputs"] == [{"type": "long", "name": "age", "required": True}]
    assert entry["model"]["trusted"] == ["features.Scaler"]
    assert entry["model"]["types"] == ["sklearn.tree._tree.Tree"]
    assert entry["pipeline"]["text"] == YAML
    assert entry["pipeline"]["sections"]["gates"]


def test_an_entry_says_what_ran() -> None:
    run = build(evidence())["run"]

    assert run["pipeline_sha256"] == sha256_bytes(YAML.encode())
    assert (run["id"], run["seed"], run["seconds"], run["cells_pending"]) == ("r1", 0, 30.0, 0)
    (stage,) = run["stages"]
    assert stage["key"] == "c" * 64
    assert stage["parameters"] == {"seed": 0, "rate": "inf", "big": str(2**60)}
    assert stage["inputs"] == {"raw": "1" * 64}


def test_an_entry_says_by_which_code_and_holds_the_difference() -> None:
    source = build(evidence())["source"]

    assert source["git"]["commit"] == "f" * 40
    assert (source["git"]["dirty"], source["git"]["diff"]) == (True, "+x\n")
    assert source["git"]["diff_omitted"] == ["big.py"]
    assert source["notebooks"] == [
        {
            "stage": "train",
            "notebook": "notebooks/train.ipynb",
            "sha256": "0" * 64,
            "executed": "nbprod/notebooks/train.ipynb",
            "executed_sha256": "d" * 64,
        }
    ]


def test_an_entry_says_on_which_data_under_which_terms() -> None:
    test, raw = build(evidence())["inputs"]

    assert (test["role"], test["rows"], test["columns"], test["kept"]) == ("test", 5, ["age"], True)
    assert test["card"] == "derived"
    assert (raw["sha256"], raw["bytes"], raw["rows"], raw["columns"]) == ("1" * 64, 1000, None, None)
    assert raw["card"] == {"license": "MIT", "personal": ["age"]}


def test_numbers_that_are_not_finite_are_text() -> None:
    entry = build(evidence())

    assert [metric["value"] for metric in entry["metrics"]] == [0.9, "nan"]
    assert entry["metrics"][0]["interval"] == [0.8, "inf"]
    assert entry["model"]["example"]["data"] == [["nan"], [31]]


def test_a_curve_stays_with_the_run() -> None:
    assert "curve" not in words(build(evidence()))


def test_what_cannot_be_known_afterwards_is_unknown() -> None:
    entry = build(afterwards())

    assert entry["source"]["git"] == "unknown"
    assert entry["source"]["notebooks"][0]["sha256"] == "unknown"
    assert (entry["owner"], entry["intended_use"], entry["limitations"]) == ("unknown",) * 3
    assert (entry["run"]["pipeline_sha256"], entry["run"]["started"], entry["run"]["seconds"]) == ("unknown",) * 3
    assert entry["run"]["stages"][0]["key"] == "unknown"
    assert entry["environment"]["python"] == "unknown"
    assert entry["inputs"][0]["card"] == "unknown"
    assert entry["inputs"][0]["measured"] == entry["source"]["measured"] == "after_run"


def test_an_entry_holds_neither_version_alias_nor_gate_result() -> None:
    assert not words(build(evidence())) & {"version", "alias", "aliases", "gate_results", "created", "registered"}


def test_equal_evidence_makes_equal_bytes() -> None:
    assert canonical(build(evidence())) == canonical(build(evidence()))
    assert digest(build(evidence())) == sha256_bytes(canonical(build(evidence())))


def test_a_stage_with_cells_that_never_ran_makes_no_entry() -> None:
    with pytest.raises(ArtifactError, match=r"run\.cells_pending must be 0"):
        build(evidence(stages=(replace(stage(), pending=1),)))


def test_a_parent_is_named_by_its_digest() -> None:
    entry = build(evidence(parent={"relation": "retrain", "digest": "9" * 64}))

    assert entry["parent"] == {"relation": "retrain", "digest": "9" * 64}
    with pytest.raises(ArtifactError, match="parent"):
        build(evidence(parent={"relation": "cousin", "digest": "9" * 64}))


def test_text_that_is_no_unicode_does_not_stop_an_entry() -> None:
    assert plain({"a": ["x\udc80y", 2**53 - 1, 2**53, True, None]}) == {
        "a": ["x?y", 2**53 - 1, "9007199254740992", True, None]
    }


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_an_entry_that_was_written_once_can_be_read_for_ever(schema: str) -> None:
    """The files in ``examples`` are never changed: a new version of the schema gets a new file."""
    text = (EXAMPLES / f"{SCHEMAS[schema]}.json").read_bytes()

    entry = validate(json.loads(text))

    assert entry["schema"] == schema
    assert canonical(entry) == text.rstrip(b"\n")


def test_the_digest_of_the_stored_example_is_what_it_was() -> None:
    entry = json.loads((EXAMPLES / "model-version-1.json").read_bytes())

    assert digest(entry) == (EXAMPLES / "model-version-1.sha256").read_text(encoding="ascii").strip()


@pytest.mark.parametrize("entry", [build(evidence()), build(afterwards())])
def test_the_schema_says_the_same_to_jsonschema(entry: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(load_schema("model-version-1"))
    jsonschema.Draft202012Validator(load_schema("model-version-1")).validate(entry)


def set_in(entry: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """A copy of an entry with another value at a place; ``...`` takes the key out."""
    copied: Any = json.loads(json.dumps(entry))
    inner = copied
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return copied


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("model",), ..., "model is missing"),
        (("name",), "a/b", "name is not of the form"),
        (("owner",), None, "owner must be string"),
        (("extra",), 1, "extra is not known"),
        (("model", "sha256"), "abc", "model.sha256 is not of the form"),
        (("model", "files", "MLmodel"), 1, "model.files.MLmodel must be string"),
        (("model", "bytes"), -1, "model.bytes must be at least 0"),
        (("model", "bytes"), True, "model.bytes must be integer"),
        (("model", "groups"), "sex", "model.groups must be array"),
        (("run", "cells_pending"), 1, "run.cells_pending must be 0"),
        (("run", "seconds"), "long", "run.seconds is none of what is allowed"),
        (("source", "git"), "clean", "source.git is none of what is allowed"),
        (("source", "git", "dirty"), "no", "source.git is none of what is allowed"),
        (("inputs", 0, "measured"), "yesterday", "inputs[0].measured must be one of"),
        (("inputs", 0, "rows"), 1.5, "inputs[0].rows is none of what is allowed"),
        (("inputs", 0, "card"), "fine", "inputs[0].card is none of what is allowed"),
        (("metrics", 1, "value"), "many", "metrics[1].value is none of what is allowed"),
        (("metrics", 0, "interval"), [0, None], "metrics[0].interval is none of what is allowed"),
        (("environment", "freeze"), [1], "environment.freeze[0] must be string"),
        (("pipeline", "sections"), [], "pipeline.sections must be object"),
    ],
)
def test_a_damaged_entry_is_refused_by_us_as_by_jsonschema(place: tuple[str | int, ...], value: Any, said: str) -> None:
    damaged = set_in(build(evidence()), place, value)

    with pytest.raises(ArtifactError) as refused:
        validate(damaged)
    assert said in refused.value.message
    assert not jsonschema.Draft202012Validator(load_schema("model-version-1")).is_valid(damaged)


@pytest.mark.parametrize("value", [None, [], "text", {}, {"schema": 1}])
def test_what_is_no_entry_is_refused(value: Any) -> None:
    with pytest.raises(ArtifactError, match="no entry of nbprod's"):
        validate(value)


def test_an_entry_of_a_newer_schema_asks_for_a_newer_nbprod() -> None:
    with pytest.raises(ArtifactError, match=r"nbprod/model-version/2.*upgrade nbprod"):
        validate({**build(evidence()), "schema": "nbprod/model-version/2"})


def test_every_problem_is_found_not_only_the_first() -> None:
    damaged = set_in(set_in(build(evidence()), ("owner",), ...), ("limitations",), ...)

    assert list(problems(damaged, load_schema("model-version-1"))) == ["owner is missing", "limitations is missing"]


def test_every_field_is_explained_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "registry-entry.md").read_text(encoding="utf-8")
    schema = load_schema("model-version-1")
    parts = [schema, *(part for part in schema["$defs"].values() if "properties" in part)]

    missing = {name for part in parts for name in part["properties"] if f"`{name}`" not in text}

    assert missing == set()
    assert SCHEMA in text
