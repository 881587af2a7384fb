"""The files of a model card."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from nbprod.entities import ModelVersion, Statement
from nbprod.errors import UsageError
from nbprod.lifecycle.card import card
from tests.evidence.modelcard.made import entry, fair, judged, version
from tests.fakes import Lab


@pytest.fixture
def known(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    """A version, with what the gates found of it; two of its metrics have names that are alike as files."""
    monkeypatch.chdir(lab.root)
    (lab.root / "pyproject.toml").write_text("[tool.nbprod]\n")
    made = entry()
    for name in ("a/b", "a b"):
        interval = [0.1, 0.3]
        made["metrics"].append(
            {"name": name, "value": 0.2, "dataset": "test[sex=1]", "interval": interval, "stage": "train"}
        )
    about = version(made)
    said: tuple[Statement, ...] = (judged(about, fair()).statement,)
    monkeypatch.setattr("nbprod.lifecycle.card.find_version", lambda text, work: about)
    monkeypatch.setattr("nbprod.lifecycle.card._statements", lambda work, version: said)
    return about


def test_the_markdown_has_its_plots_beside_it_each_in_a_file_of_its_own(known: ModelVersion) -> None:
    made = card(known.ref, markdown="out/the card.md")
    assert made.markdown == ""
    names = [Path(file).name for file in made.files]
    assert names == [
        "the card.md", "the card-metrics-test.svg", "the card-group-roc_auc.svg", "the card-group-a-b.svg",
        "the card-group-a-b-2.svg", "the card-fair-0-recall-by-sex.svg",
    ]  # fmt: skip
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(names)
    text = Path("out/the card.md").read_text(encoding="utf-8")
    for name in names[1:]:
        assert f"](./{name.replace(' ', '%20')})" in text
        assert "<style>" in Path("out", name).read_text(encoding="utf-8")


def test_a_page_is_one_file(known: ModelVersion) -> None:
    assert card(known.ref, html="card.html").files == ("card.html",)
    assert Path("card.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_without_a_file_it_is_a_text(known: ModelVersion) -> None:
    made = card(known.ref)
    assert made.files == ()
    assert made.markdown.startswith("---\nlicense: unknown\n")
    assert ".svg" not in made.markdown


def test_a_statement_without_a_signature_is_told_as_such(known: ModelVersion) -> None:
    assert "Take these results with care: the statement is not signed." in card(known.ref).markdown


@pytest.mark.parametrize("option", ["html", "markdown"])
def test_a_file_that_cannot_be_written_is_named(known: ModelVersion, option: Any) -> None:
    Path("taken").write_text("a file, no folder")
    with pytest.raises(UsageError, match=r"taken/card: cannot be written"):
        card(known.ref, **{option: "taken/card"})


def test_where_the_registry_is_no_local_file_it_is_asked_for_the_statements(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(lab.root)
    (lab.root / "pyproject.toml").write_text("[tool.nbprod]\nregistry = 'http://127.0.0.1:1'\n")
    about = version(entry())
    monkeypatch.setattr("nbprod.lifecycle.card.find_version", lambda text, work: about)

    class Remote:
        def statements(self, name: str, number: str) -> tuple[Statement, ...]:
            assert (name, number) == ("churn", "3")
            return (judged(about, fair(reason="told by the server.")).statement,)

    monkeypatch.setattr("nbprod.lifecycle.card.open_registry", lambda project: nullcontext(Remote()))
    assert "told by the server." in card(about.ref).markdown
