"""The ``retrain`` section: what it means, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.document import load_yaml
from nbprod.errors import PipelineError
from nbprod.retraining.policy import DAY, KEYS, PLAIN, WITH_VALUE, RetrainPolicy, check_stages, policy_of, read_retrain


def read(text: str) -> RetrainPolicy:
    return read_retrain(load_yaml(text, file="p.yaml").value.get("retrain"), file="p.yaml", text=text)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("retrain:", RetrainPolicy()),
        ("retrain: {when: performance}", RetrainPolicy(when=("performance",), age=None)),
        ('retrain: {when: [alarm, drift, age: 30d, new_data, schedule: "0 3 * * 1"]}',
         RetrainPolicy(when=("alarm", "drift", "new_data"), age=30 * DAY, schedule="0 3 * * 1")),
        ("retrain: {when: []}", RetrainPolicy(when=(), age=None)),
        ("retrain: {data: {prepare.raw: data/*.parquet}, source: main, cool_down: 0d, promote: when_gates_pass}",
         RetrainPolicy(data={"prepare.raw": "data/*.parquet"}, source="main", cool_down=0.0,
                       promote="when_gates_pass")),
        ("retrain: {guard: 2d}", RetrainPolicy(guard=2 * DAY)),
    ],
)  # fmt: skip
def test_a_section_is_read(text: str, policy: RetrainPolicy) -> None:
    assert read(text) == policy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retrain: weekly", "p.yaml:1: retrain must be a mapping (`key: value` lines), not the text 'weekly'."),
        ("retrain:\n  wen: alarm", "p.yaml:2: unknown key 'wen' in retrain. Did you mean 'when'?"),
        ("retrain:\n  when:\n    - alarm\n    - drft",
         "p.yaml:4: there is no trigger 'drft' for retrain.when. Did you mean 'drift'?"),
        ("retrain:\n  when: [age]", "p.yaml:2: age in retrain.when needs a value: `age: 30d`."),
        ("retrain:\n  when:\n    - age: 30",
         "p.yaml:3: age in retrain.when must be a time such as 30d, not the number 30."),
        ("retrain:\n  when: [alarm, alarm]", "p.yaml:2: retrain.when names 'alarm' twice: keep one."),
        ("retrain:\n  when: [alarm: 3]", "p.yaml:2: alarm in retrain.when takes no value."),
        ("retrain:\n  when: 7", "p.yaml:2: retrain.when must be a list of triggers, not the number 7."),
        ('retrain:\n  when: [schedule: "0 3 31 2 *"]',
         "p.yaml:2: the schedule '0 3 31 2 *' never comes: no month has such a day."),
        ("retrain:\n  when: [schedule: daily]",
         "p.yaml:2: a schedule has five fields, such as '0 3 * * 1' for Mondays at 3:00 UTC, not 'daily'."),
        ("retrain:\n  data: {raw: x}",
         "p.yaml:2: retrain.data names 'raw': write the stage and its input, such as prepare.raw."),
        ("retrain:\n  data: {a.raw: 7}",
         "p.yaml:2: retrain.data.a.raw must be a path, a pattern or a URL, not the number 7."),
        ("retrain:\n  source: --upload-pack=x",
         "p.yaml:2: retrain.source must be `commit` or the name of a branch, not the text '--upload-pack=x'."),
        ("retrain:\n  cool_down: 7", "p.yaml:2: retrain.cool_down must be a time such as 7d or 12h, not the number 7."),
        ("retrain:\n  promote: when_gate_passes",
         "p.yaml:2: retrain.promote must be `never` or `when_gates_pass`, not the text 'when_gate_passes'. "
         "Did you mean 'when_gates_pass'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read(text)
    assert str(caught.value) == said


def test_data_must_be_read_by_a_stage_from_outside() -> None:
    text = "retrain:\n  data:\n    train.raw: x\n"
    inputs = {"prepare": {"raw": "data.csv"}, "train": {"rows": "prepare.rows"}}
    with pytest.raises(PipelineError) as caught:
        check_stages(read(text), inputs, load_yaml(text, file="p.yaml"))
    assert str(caught.value) == (
        "p.yaml:3: retrain.data names 'train.raw', which no stage reads from outside. Did you mean 'prepare.raw'?"
    )


def test_the_policy_of_an_entry_is_that_of_its_pipeline() -> None:
    entry = {"pipeline": {"path": "p.yaml", "sections": {"retrain": {"promote": "when_gates_pass"}}}}
    assert policy_of(entry) == RetrainPolicy(promote="when_gates_pass")
    assert policy_of({"pipeline": {"path": "p.yaml", "sections": {}}}) is None


def test_every_key_and_trigger_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "retraining.md").read_text(encoding="utf-8")
    assert [key for key in KEYS if f"\n  {key}:" not in page] == []
    assert [name for name in (*PLAIN, *WITH_VALUE) if f"`{name}`" not in page] == []
