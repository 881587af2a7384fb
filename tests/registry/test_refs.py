"""How people name versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.entities import ModelVersion
from nbprod.errors import RegistryError, UsageError
from nbprod.registry import Ref, choose, parse_ref, resolve
from nbprod.registry.memory import MemoryRegistry

KNOWN = (
    ModelVersion(name="churn", version="1", aliases=("champion",)),
    ModelVersion(name="churn", version="10"),
    ModelVersion(name="churn", version="9"),
    ModelVersion(name="fraud", version="1"),
)


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("churn", Ref(name="churn")),
        ("churn/3", Ref(name="churn", version="3")),
        ("churn/03", Ref(name="churn", version="3")),
        ("churn@champion", Ref(name="churn", alias="champion")),
        ("models:/churn/3", Ref(name="churn", version="3")),
        ("models:/churn@champion", Ref(name="churn", alias="champion")),
    ],
)
def test_a_version_is_named_as_in_mlflow(text: str, ref: Ref) -> None:
    assert parse_ref(text) == ref


@pytest.mark.parametrize("text", ["churn", "churn/3", "churn@champion"])
def test_a_reference_prints_as_it_is_written(text: str) -> None:
    assert str(parse_ref(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no model"),
        ("a model", "names no model"),
        ("@champion", "names no model"),
        ("churn/", "versions are numbers"),
        ("churn/v3", "versions are numbers"),
        ("churn/0", "versions are numbers"),
        ("churn/3/4", "versions are numbers"),
        ("churn@", "names no alias"),
        ("churn@two words", "names no alias"),
    ],
)
def test_anything_else_is_refused_with_an_example(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse_ref(text)
    assert "churn" in refused.value.message


def test_without_a_version_the_newest_is_meant() -> None:
    assert choose(parse_ref("churn"), KNOWN).version == "10"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chrun", "there is no model 'chrun' in the registry. Did you mean 'churn'?"),
        ("churn/4", "the model 'churn' has no version 4. There is: 10, 9, 1."),
        ("churn@champoin", "the model 'churn' has no alias 'champoin'. Did you mean 'champion'?"),
        ("fraud@champion", "the model 'fraud' has no alias 'champion'. It has no alias yet."),
    ],
)
def test_what_is_not_there_is_refused_with_the_nearest(text: str, said: str) -> None:
    with pytest.raises(RegistryError) as refused:
        choose(parse_ref(text), KNOWN)
    assert refused.value.message == said


def test_an_empty_registry_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="Nothing is registered yet: nbprod run"):
        resolve(MemoryRegistry(tmp_path), parse_ref("churn"))


def test_the_nearest_name_is_looked_for_in_the_whole_registry(tmp_path: Path) -> None:
    registry = MemoryRegistry(tmp_path)
    registry.known.extend(KNOWN)

    assert resolve(registry, parse_ref("fraud")).ref == "fraud/1"
    with pytest.raises(RegistryError, match="Did you mean 'fraud'"):
        resolve(registry, parse_ref("frauds"))
