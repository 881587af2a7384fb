"""How data, stages, models and versions stand to a subject."""

from __future__ import annotations

import pandas as pd
import pytest

from nbprod.lifecycle.subject.close import remaining
from nbprod.trust.subject_keys import OWN, SubjectKeys
from tests.lifecycle.subject.made import CARD, RAW, People


def frame(ids: str, **more: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"customer": [None if id == "-" else id for id in ids.split()], **more})


def states(people: People, id: str) -> dict[str, str]:
    """Uri -> state of everything that is not absent."""
    return {place.uri: place.state for place in people.trace(id).places if place.role != "notebook"}


def test_data_hold_who_is_in_their_column_and_nobody_else(people: People) -> None:
    people.stage("r1", "prepare", [people.data()], [])
    assert states(people, "B") == {RAW: "holds"}
    assert people.trace("Z").places == ()
    assert people.trace("Z").unknown == ()


def test_an_output_with_the_column_is_asked_itself(people: People) -> None:
    out = [
        people.output("r1", "prepare", name, frame(ids))
        for name, ids in (("train.parquet", "A"), ("test.parquet", "B C"))
    ]
    people.stage("r1", "prepare", [people.data()], out)
    assert states(people, "B") == {RAW: "holds", "runs/r1/prepare/test.parquet": "holds"}


def test_an_output_without_the_column_or_with_nameless_rows_is_derived(people: People) -> None:
    out = [
        people.output("r1", "prepare", "bare.parquet", pd.DataFrame({"x": [1]})),
        people.output("r1", "prepare", "gaps.parquet", frame("A -")),
    ]
    people.stage("r1", "prepare", [people.data()], out)
    model = people.output("r1", "train", "model")
    people.stage("r1", "train", out[:1], [model])
    assert states(people, "B") == {
        RAW: "holds", "runs/r1/prepare/bare.parquet": "derived", "runs/r1/prepare/gaps.parquet": "derived",
        "runs/r1/train/model": "derived",
    }  # fmt: skip


def test_what_was_made_from_data_without_the_subject_is_clean(people: People) -> None:
    bare = people.output("r1", "prepare", "bare.parquet", pd.DataFrame({"x": [1]}))
    people.stage("r1", "prepare", [people.data()], [bare])
    people.version("1", [(bare, "train", "derived"), (people.data(), "input", CARD)])
    assert people.trace("Z").versions == ()


@pytest.mark.parametrize(
    ("subject", "why"),
    [(None, "has no card"), ("", "names no subject"), ("costumer", "has no column 'costumer'")],
)
def test_data_that_cannot_be_asked_are_unknown_and_so_is_all_that_came_of_them(
    people: People, subject: str | None, why: str
) -> None:
    raw = people.data(subject=subject)
    bare = people.output("r1", "prepare", "bare.parquet", pd.DataFrame({"x": [1]}))
    people.stage("r1", "prepare", [raw], [bare])
    people.version("1", [(bare, "train", "derived"), (raw, "input", "unknown")])
    found = people.trace("B")
    assert {place.state for place in found.places} == {"unknown"}
    assert [version.state for version in found.versions] == ["unknown"]
    (said,) = found.unknown
    assert said.startswith(f"{RAW} (sha256") and why in said
    assert any("is unknown" in line for line in remaining(found))


def test_data_that_cannot_be_read_as_a_table_are_unknown(people: People) -> None:
    path = people.lab.file("data/people.xlsx", b"PK")
    people.lab.file("data/people.xlsx.card.yaml", "subject: customer\n")
    raw = people.lab.store.artifact(path, name="raw", uri="data/people.xlsx", role="input")
    people.stage("r1", "prepare", [raw], [])
    assert states(people, "B") == {"data/people.xlsx": "unknown"}


def test_a_card_may_say_that_nobody_can_be_found(people: People) -> None:
    people.stage("r1", "prepare", [people.data("data/towns.csv", subject="none")], [])
    assert people.trace("A").places == ()


def test_a_lost_key_leaves_unknown_what_has_no_bytes_any_more(people: People) -> None:
    raw = people.data()
    people.stage("r1", "prepare", [raw], [])
    people.version("1", [(raw, "train", CARD)], aliases=())
    assert states(people, "B") == {RAW: "holds"}
    people.path(RAW).unlink()
    people.lab.store.delete(raw)
    assert states(people, "B") == {RAW: "holds"}  # the index is enough
    (SubjectKeys().folder / OWN).unlink()
    SubjectKeys().own()
    found = people.trace("B")
    assert [place.state for place in found.places if place.role == "data"] == ["unknown"]
    assert "has no subject index, and its bytes are no longer there" in found.unknown[0]
    assert [version.state for version in found.versions] == ["unknown"]


def test_a_damaged_index_is_made_anew_from_bytes_and_unknown_without(people: People) -> None:
    raw = people.data()
    people.stage("r1", "prepare", [raw], [])
    assert states(people, "B") == {RAW: "holds"}
    (index,) = (people.lab.project.data / "subjects").iterdir()
    index.write_bytes(index.read_bytes()[:-1])
    assert states(people, "B") == {RAW: "holds"}
    index.write_bytes(index.read_bytes()[:-1])
    people.path(RAW).unlink()
    people.lab.store.delete(raw)
    assert states(people, "B") == {RAW: "unknown"}
    assert "damaged" in people.trace("B").unknown[0]


def test_data_that_were_replaced_are_asked_from_the_kept_copy(people: People) -> None:
    raw = people.data()
    people.stage("r1", "prepare", [raw], [])
    people.data(ids="A C")
    (place,) = (place for place in people.trace("B").places if place.role == "data")
    assert (place.state, place.here, place.kept, place.sha256) == ("holds", False, True, raw.sha256)


def test_data_that_no_run_has_read_are_found_by_their_card(people: People) -> None:
    people.data("data/new.csv")
    assert states(people, "A") == {"data/new.csv": "holds"}


def test_a_stage_that_gives_back_what_it_read_does_not_hide_it(people: People) -> None:
    made = people.output("r1", "fetch", "rows.parquet", frame("A B"))
    people.stage("r1", "fetch", [people.data()], [made])
    again = people.output("r2", "copy", "rows.parquet", frame("A B"))
    assert again.sha256 == made.sha256
    people.stage("r2", "copy", [made], [again])
    bare = people.output("r2", "prepare", "bare.parquet", pd.DataFrame({"x": [1]}))
    people.stage("r2", "prepare", [again], [bare])
    assert states(people, "B")["runs/r2/prepare/bare.parquet"] == "derived"


def test_versions_say_how_and_those_that_go_on_learning_inherit(people: People) -> None:
    raw = people.data()
    people.version("1", [(raw, "train", CARD)], aliases=("champion",))
    clean = people.data("data/other.csv", "X Y")
    people.version("2", [(clean, "train", CARD)], parent={"relation": "incremental", "digest": "1" * 64})
    people.version("3", [(clean, "train", CARD)], parent={"relation": "retrain", "digest": "1" * 64})
    found = people.trace("B")
    assert {version.ref: (version.state, version.how) for version in found.versions} == {
        "churn/1": ("derived", ("train",)), "churn/2": ("derived", ("goes on from churn/1",)),
    }  # fmt: skip
    assert {version.ref: version.children for version in found.versions}["churn/1"] == ("churn/3", "churn/2")


def test_what_a_notebook_left_by_hand_is_unknown(people: People) -> None:
    people.lab.file("runs/scratch/rows.csv", "customer\nB\n")
    assert people.trace("B").unknown[0].startswith("runs/scratch/ holds what notebooks left")


def test_no_id_is_in_a_trace(people: People) -> None:
    people.stage("r1", "prepare", [people.data(ids="Secret7 B")], [])
    assert "Secret7" not in str(people.trace("Secret7").to_dict())


def test_data_of_which_a_stage_logged_a_copy_are_still_data(people: People) -> None:
    raw = people.data()
    copy = people.lab.file("runs/r1/prepare/copy.csv", people.path(RAW).read_bytes())
    made = people.lab.store.artifact(copy, name="copy", uri="runs/r1/prepare/copy.csv", role="output")
    assert made.sha256 == raw.sha256
    people.stage("r1", "prepare", [raw], [made])
    people.lab.store.delete(raw)
    (place,) = (place for place in people.trace("B").places if place.role != "notebook")
    assert (place.role, place.uri, place.state, place.here) == ("data", RAW, "holds", True)
    assert any(line.endswith("remove the rows, and run the pipeline again.") for line in remaining(people.trace("B")))
