"""The log of erasures: written once, compared with the project's own copy, and told when it was tampered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbprod.entities import ModelVersion
from nbprod.errors import AliasConflict, GateFailed, RegistryError, UsageError
from nbprod.lifecycle.subject.close import remaining
from nbprod.lifecycle.subject.erase import delete_copies, refuse_ids
from nbprod.lifecycle.subject.erasures import read_erasures, write_tombstone
from nbprod.lifecycle.subject.indexing import Indexes, declared
from nbprod.lifecycle.subject.learned import check_version, rebuild_of
from nbprod.registry.auditing import ERASURES
from nbprod.registry.memory import MemoryRegistry
from nbprod.trust.keys import Keys
from nbprod.trust.subject_keys import OWN, SubjectKeys
from tests.lifecycle.subject.made import CARD, RAW, People


@pytest.fixture
def registry(tmp_path: Path) -> MemoryRegistry:
    return MemoryRegistry(tmp_path / "registry")


def erase(people: People, registry: Any, id: str, action: str = "erase", **more: Any) -> int:
    """Write a line about a subject with the own key; returns its number."""
    key = SubjectKeys().own()
    line = write_tombstone(
        people.work, registry, action=action, tokens=[key.token(id).hex()], subject_key=key.id, reason="asked", **more
    )
    return line.seq


def copies(people: People) -> list[Path]:
    """The files of the project's own copy of the log."""
    return sorted((people.lab.project.data / "tombstones").glob("*/*.json"))


def test_a_tombstone_is_kept_with_the_registry_and_in_the_project_without_the_id(
    people: People, registry: MemoryRegistry
) -> None:
    assert erase(people, registry, "Secret7") == 1
    assert erase(people, registry, "B") == 2
    found = read_erasures(people.work, registry)
    assert ([item.line for item in found.open], found.problems) == ([1, 2], ())
    assert [path.read_text() for path in copies(people)] == list(registry.lines(ERASURES))
    assert "Secret7" not in "".join(registry.lines(ERASURES))


def test_lines_that_vanish_from_the_registry_are_missed(people: People, registry: MemoryRegistry) -> None:
    erase(people, registry, "A")
    registry.log[ERASURES] = {}
    registry.heads[ERASURES] = ""
    found = read_erasures(people.work, registry)
    assert found.problems == ("it has 0 lines, but this project has a copy of 1: lines were taken away.",)
    with pytest.raises(RegistryError, match="the log of erasures cannot be trusted: it has 0 lines"):
        erase(people, registry, "B")


def test_a_line_that_was_changed_or_signed_by_a_stranger_is_told(people: People, registry: MemoryRegistry) -> None:
    erase(people, registry, "A")
    registry.log[ERASURES][1] = registry.log[ERASURES][1].replace('"payload"', '"payl0ad"')
    assert any("damaged" in problem for problem in read_erasures(people.work, registry).problems)


def test_who_loses_the_race_for_a_line_writes_the_next(people: People, registry: MemoryRegistry) -> None:
    class Racing(MemoryRegistry):
        def append(self, name: str, number: int, line: str) -> None:
            if number == 1 and not self.log.get(name):
                other = MemoryRegistry(self.folder)
                erase(people, other, "first")
                super().append(name, 1, other.lines(name)[0])
                raise AliasConflict("somebody else was first")
            super().append(name, number, line)

    racing = Racing(registry.folder)
    assert erase(people, racing, "second") == 2
    assert [item.line for item in read_erasures(people.work, racing).sound().open] == [1, 2]


def test_a_version_that_learned_from_an_erased_subject_is_not_pointed_at(
    people: People, registry: MemoryRegistry
) -> None:
    raw = people.data()
    bad, good = (
        people.version("1", [(raw, "train", CARD)]),
        people.version("2", [(people.data(ids="A C"), "train", CARD)]),
    )
    child = people.version(
        "3", [(people.data(ids="A"), "train", CARD)], parent={"relation": "incremental", "digest": bad.digest}
    )
    check_version(people.work, registry, bad)
    erase(people, registry, "B")
    check_version(people.work, registry, good)
    for version in (bad, child):
        with pytest.raises(GateFailed, match=rf"no alias moves to {version.ref}: churn/1 was made from data that held"):
            check_version(people.work, registry, version)


def test_a_closed_erasure_goes_on_blocking_what_is_older(people: People, registry: MemoryRegistry) -> None:
    old = people.version("1", [(people.data(), "train", CARD)])
    new = people.version("2", [(people.data(), "train", CARD)])
    new = ModelVersion.from_dict({**new.to_dict(), "created": "2999-01-01"})
    erase(people, registry, "B")
    erase(people, registry, "B", action="close")
    check_version(people.work, registry, new)
    with pytest.raises(GateFailed, match="who is erased"):
        check_version(people.work, registry, old)


def test_whose_data_nobody_can_ask_may_have_held_the_subject(people: People, registry: MemoryRegistry) -> None:
    version = people.version("1", [(people.data(), "train", CARD)])
    erase(people, registry, "Z")
    check_version(people.work, registry, version)
    (SubjectKeys().folder / OWN).unlink()
    with pytest.raises(GateFailed, match=r"may have held a subject who is erased .* is asked for with the subject key"):
        check_version(people.work, registry, version)


def test_a_replaced_tombstone_no_longer_blocks(people: People, registry: MemoryRegistry) -> None:
    version = people.version("1", [(people.data(), "train", CARD)])
    erase(people, registry, "Z")
    (SubjectKeys().folder / OWN).unlink()
    erase(people, registry, "Z", replaces=(1,))
    check_version(people.work, registry, version)


def test_a_log_that_cannot_be_trusted_stops_only_what_is_about_people(people: People, registry: MemoryRegistry) -> None:
    about = people.version("1", [(people.data(), "train", CARD)])
    other = people.version("2", [(people.data("data/towns.csv", subject="none"), "train", {"subject": "none"})])
    erase(people, registry, "A")
    registry.heads[ERASURES] = "9:abc"
    check_version(people.work, registry, other)
    with pytest.raises(RegistryError, match="cannot be trusted"):
        check_version(people.work, registry, about)


def test_copies_are_deleted_and_nothing_else(people: People) -> None:
    raw, towns = people.data(), people.data("data/towns.csv", "X Y", subject="none")
    model = people.output("r1", "train", "model")
    people.stage("r1", "train", [raw], [model])
    other = people.output("r2", "other", "model")
    people.stage("r2", "other", [towns], [other])
    people.lab.file("runs/latest/x", "")
    link = people.path("runs/latest/train")
    link.symlink_to(people.path("runs/r1/train"))
    found = people.trace("B")
    assert delete_copies(people.work, people.standings("B"), found)
    store = people.lab.store
    assert [store.holds(item) for item in (raw, model, towns, other)] == [False, False, True, True]
    there = [people.path(name).exists() for name in ("runs/r1/train", "runs/r1/train.ipynb", "runs/r2/other", RAW)]
    assert there == [False, False, True, True]
    assert not link.is_symlink()
    after = people.trace("B")
    assert list(remaining(after)) == [
        f"{RAW} (sha256 {raw.sha256[:12]}) still holds the subject: remove the rows, and run the pipeline again."
    ]
    people.data(ids="A C")
    assert list(remaining(people.trace("B"))) == []


@pytest.mark.parametrize("reason", ["request of C-1005", "c-1005 asked", "(C-1005)"])
def test_a_reason_may_not_hold_the_id(reason: str) -> None:
    refuse_ids("case 7 of C-10055", ["C-1005"])
    with pytest.raises(UsageError, match="the reason holds the ID"):
        refuse_ids(reason, [" C-1005 "])


def test_two_who_index_the_same_data_leave_one_index(people: People) -> None:
    people.data()
    ((_, _, dataset),) = list(declared(people.work, [RAW, RAW]))
    one, other = Indexes(work=people.work), Indexes(work=people.work)
    assert one.index(dataset, SubjectKeys().own()) == other.index(dataset, SubjectKeys().own())
    assert len(list(one.folder.iterdir())) == 1
    assert Keys().folder == SubjectKeys().folder


def test_an_update_chain_is_built_again_from_before_the_first_that_saw_the_subject(
    people: People, registry: MemoryRegistry
) -> None:
    clean, holds = people.data("data/1.csv", "A B"), people.data("data/2.csv", "A Secret7")
    inherits = {"relation": "incremental"}
    people.version("1", [(clean, "train", CARD)])
    people.version("2", [(holds, "train", CARD)], parent={**inherits, "digest": "1" * 64})
    last = people.version("3", [(clean, "train", CARD)], parent={**inherits, "digest": "2" * 64})
    anew = people.version("4", [(clean, "train", CARD)], parent={"relation": "retrain", "digest": "3" * 64})
    assert rebuild_of(people.work, last, registry) is None
    erase(people, registry, "Secret7")
    again = rebuild_of(people.work, last, registry)
    assert again is not None
    assert (again.seen, again.start, again.affected) == ("churn/2", "churn/1", ("churn/2", "churn/3"))
    assert rebuild_of(people.work, anew, registry) is None
    erase(people, registry, "B")
    whole = rebuild_of(people.work, last, registry)
    assert whole is not None and (whole.seen, whole.start) == ("churn/1", "")
