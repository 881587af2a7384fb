"""What the verb subject reads and prints."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from nbprod.cli.subject import read_ids
from nbprod.cli.traces import print_erased, print_trace
from nbprod.lifecycle.subject.erase import Done
from nbprod.lifecycle.subject.find import Learned, Place, Trace
from nbprod.lifecycle.subject.logs import Log

NOTHING = Trace(
    tokens=("6b208e92" * 4,), places=(), stages=(), copies=(), uncertain=(), tracked=(), versions=(), logs=(),
    unknown=(),
)  # fmt: skip
FOUND = Trace(
    tokens=NOTHING.tokens,
    places=(
        Place(
            role="data",
            uri="data/a.csv",
            sha256="0" * 64,
            state="holds",
            here=True,
            kept=True,
            roles=("churn/1 train",),
        ),
        Place(role="output", uri="runs/r1/gone.parquet", sha256="1" * 64, state="derived", here=False, kept=False),
    ),
    stages=("r1/train",),
    copies=("runs/r1/train",),
    uncertain=(),
    tracked=("abc",),
    versions=(Learned(ref="churn/1", state="derived", how=("train",), aliases=("champion",), children=("churn/2",)),),
    logs=(Log(model="churn", path=".nbprod/predictions/churn", state="holds", columns=("customer",), rows=3),),
    unknown=("data/b.csv has no card.",),
)


def test_ids_come_from_arguments_a_file_or_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("C-1\n\n C-2 \n"))
    file = tmp_path / "ids.txt"
    file.write_text("\ufeffC-3\nC-4\n", encoding="utf-8")
    assert read_ids(("C-0",), None) == ("C-0",)
    assert read_ids(("C-0",), str(file)) == ("C-0", "C-3", "C-4")
    assert read_ids((), None) == ("C-1", " C-2 ")
    monkeypatch.setattr("sys.stdin", io.StringIO("C-5\n"))
    assert read_ids(("C-0",), "-") == ("C-0", "C-5")


def test_a_trace_is_told_in_sections(capsys: pytest.CaptureFixture[str]) -> None:
    print_trace(FOUND, title="subject")
    out = capsys.readouterr().out
    assert "  data/a.csv  holds  there, kept in the store, churn/1 train, sha256 000000000000\n" in out
    assert "gone.parquet" not in out
    assert "  churn/1  derived  train, @champion; made from it: churn/2\n" in out
    assert "  churn@champion  points at a version that learned from the subject\n" in out
    assert "  .nbprod/predictions/churn  holds  3 predictions\n" in out
    assert out.endswith("Unknown\n  data/b.csv has no card.\n")


def test_of_somebody_unknown_it_is_said_that_nothing_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    print_trace(NOTHING, title="subject")
    out = capsys.readouterr().out
    assert "no prediction log" in out
    assert out.endswith("Nothing that is known here holds the subject.\n")


def test_an_erasure_says_what_is_left_to_do_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    print_erased(Done(tombstone=4, new=True, trace=FOUND, deleted=("runs/r0",), retrain=("pipelines/churn.yaml",)))
    out, err = capsys.readouterr()
    assert [line.strip() for line in out.splitlines()] == [
        "erased: tombstone 4",
        "deleted: runs/r0",
        "",
        "Left to do",
        "1. remove the rows of the subject from data/a.csv",
        "2. train again: nbprod run pipelines/churn.yaml",
        "3. move the alias: nbprod promote churn --to champion",
        "4. delete the copies (1 in the store, 1 in runs/, 3 predictions): nbprod subject erase --delete-copies "
        "--reason TEXT",
        "5. look into the MLflow run abc, which a notebook made by itself: nbprod does not know what it logged",
        "6. delete churn/1 in the registry by hand, when nothing needs it: nbprod never changes a version",
        "",
        "Unknown",
        "data/b.csv has no card.",
    ]
    assert err.startswith("next: nbprod subject close")
