"""Update chains: who goes on from whom, and where a chain is cut after an erasure."""

from __future__ import annotations

from nbprod.entities import ModelVersion
from nbprod.retraining.chain import chain_of, rebuild_from


def version(number: int, parent: int = 0, relation: str = "incremental") -> ModelVersion:
    entry = {"parent": {"relation": relation, "digest": f"d{parent}"} if parent else None}
    return ModelVersion(name="churn", version=str(number), digest=f"d{number}", entry=entry)


CHAIN = [version(1), version(2, 1), version(3, 2), version(4, 3)]


def test_a_chain_ends_where_a_version_was_trained_anew() -> None:
    assert [item.version for item in chain_of(CHAIN[3], CHAIN)] == ["4", "3", "2", "1"]
    anew = version(5, 4, "retrain")
    assert chain_of(anew, [*CHAIN, anew]) == (anew,)
    assert [item.version for item in chain_of(CHAIN[3], CHAIN[2:])] == ["4", "3"]


def test_a_chain_that_bites_its_tail_ends() -> None:
    one, two = version(1, 2), version(2, 1)
    assert chain_of(one, [one, two]) == (one, two)


def test_a_chain_is_built_again_from_before_the_first_that_saw_the_subject() -> None:
    found = rebuild_from(CHAIN[3], CHAIN, lambda item: item.version in ("2", "4"))
    assert found is not None
    assert (found.seen, found.start, found.affected) == ("churn/2", "churn/1", ("churn/2", "churn/3", "churn/4"))


def test_a_chain_whose_first_version_saw_the_subject_begins_with_nothing() -> None:
    found = rebuild_from(CHAIN[3], CHAIN, lambda item: item.version == "1")
    assert found is not None
    assert (found.seen, found.start) == ("churn/1", "")


def test_a_chain_that_never_saw_the_subject_stays() -> None:
    assert rebuild_from(CHAIN[3], CHAIN, lambda item: False) is None
