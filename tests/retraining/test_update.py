"""The ``update`` section: what it means, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.document import load_yaml
from nbprod.errors import PipelineError
from nbprod.retraining.update import KEYS, UpdatePolicy, read_update

STAGES = {"prepare": {"raw": "x.csv"}, "train": {"rows": "prepare.rows"}}


def read(text: str) -> UpdatePolicy | None:
    return read_update(load_yaml(text, file="p.yaml").value.get("update"), STAGES, file="p.yaml", text=text)


def test_a_section_is_read() -> None:
    assert read("name: x") is None
    assert read("update: {stage: train}") == UpdatePolicy(stage="train")
    assert read("update: {from: live, stage: train, param: old, replay: 50}") == UpdatePolicy(
        stage="train", param="old", alias="live", replay=50
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("update: champion", "p.yaml:1: update must be a mapping (`key: value` lines), not the text 'champion'."),
        ("update:\n  form: champion", "p.yaml:2: unknown key 'form' in update. Did you mean 'from'?"),
        ("update: {}", "p.yaml:1: update needs `stage:` with the stage that goes on from the version before."),
        ("update: {stage: trian}", "p.yaml:1: update.stage names no stage: 'trian'. Did you mean 'train'?"),
        ("update: {stage: train, param: 7}", "p.yaml:1: update.param must be a name, not the number 7."),
        ("update: {stage: train, replay: true}", "p.yaml:1: update.replay must be a number of rows, not true."),
        ("update: {stage: train, replay: -1}", "p.yaml:1: update.replay must be a number of rows, not the number -1."),
        ("update: {stage: train, param: rows}",
         "p.yaml:1: the stage 'train' sets 'rows' itself: take it away there, update gives it."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read(text)
    assert str(caught.value) == said


def test_every_key_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "retraining.md").read_text(encoding="utf-8")
    assert [key for key in KEYS if f"\n  {key}:" not in page] == []
