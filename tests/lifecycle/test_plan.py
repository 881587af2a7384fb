"""Reading, completing and checking what was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from nbprod.errors import ParameterError, UsageError
from nbprod.lifecycle.check import check
from nbprod.lifecycle.plan import Bound, Request, plan, prepare
from nbprod.lifecycle.workspace import open_workspace
from nbprod.pipeline.bind import Setting
from tests.fakes import Lab

THREE = """\
name: p
stages:
  a: {notebook: notebooks/a.ipynb, outputs: {out: a.txt}}
  b: {notebook: notebooks/b.ipynb, inputs: {x: a.out}}
  c: {notebook: notebooks/c.ipynb}
presets:
  smoke: {n: 1, b.n: 2}
  wrong: {nn: 1}
"""


@pytest.fixture(autouse=True)
def project(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Three stages, of which ``b`` needs ``a``."""
    monkeypatch.chdir(lab.root)
    lab.notebook("a", "write(out, 'x')", parameters="out = ''  # output\nn = 10")
    lab.notebook("b", "read(x)", parameters="x = ''  # input\nn = 10")
    lab.notebook("c", "x = 1")
    return lab.pipeline(THREE)


def prepared(**request: Any) -> Bound:
    with open_workspace() as work:
        return prepare(Request(**request), work)


def test_a_stage_is_prepared_with_what_it_needs_and_nothing_else() -> None:
    bound = prepared(stages=("b",))
    assert ([item.name for item in bound.stages], bound.partial, bound.forced) == (["a", "b"], True, ())


def test_without_stages_all_of_them_are_prepared() -> None:
    bound = prepared()
    assert ([item.name for item in bound.stages], bound.partial) == (["a", "b", "c"], False)


def test_force_is_for_the_stages_that_were_named_or_for_all() -> None:
    assert prepared(stages=("b",), forced="yes").forced == ("b",)
    assert sorted(prepared(forced="yes").forced) == ["a", "b", "c"]


def test_a_preset_is_laid_under_what_was_typed() -> None:
    bound = prepared(preset="smoke", settings=(Setting(name="a.n", value="3", text=True, origin="-p a.n"),))
    assert [item.params for item in bound.stages] == [{"n": 3}, {"n": 2}, {}]


@pytest.mark.parametrize(
    ("request_", "kind", "said"),
    [
        ({"stages": ("bb",)}, UsageError, "pipelines/p.yaml: there is no stage 'bb'. Did you mean 'b'?"),
        ({"preset": "smok"}, UsageError, "pipelines/p.yaml: there is no preset 'smok'. Did you mean 'smoke'?"),
        ({"preset": "wrong"}, ParameterError, "preset wrong: no notebook has a parameter 'nn'. Did you mean 'n'?"),
    ],
)
def test_what_is_not_there_is_refused(request_: dict[str, Any], kind: type[UsageError], said: str) -> None:
    with pytest.raises(kind) as caught:
        prepared(**request_)
    assert str(caught.value) == said


def test_planning_tells_the_pipelines_name_and_a_decision_per_stage() -> None:
    name, decisions = plan(Request())
    assert name == "p"
    assert [(d.stage, d.action, d.reasons) for d in decisions] == [
        ("a", "run", ("it never ran",)),
        ("b", "run", ("a runs before it",)),
        ("c", "run", ("it never ran",)),
    ]


def test_a_single_notebook_is_planned_as_a_pipeline_of_one_stage() -> None:
    name, (decision,) = plan(Request(target="notebooks/c.ipynb"))
    assert (name, decision.stage, decision.action) == ("c", "c", "run")


def test_checking_tells_warnings_where_nothing_is_wrong() -> None:
    report = check(None)
    assert (report.pipeline, report.stages, report.errors) == ("pipelines/p.yaml", 3, ())
    assert [warning.partition(" has no inputs")[0] for warning in report.warnings] == ["stage 'a'", "stage 'c'"]


def test_checking_tells_every_error_with_its_fields(project: Lab) -> None:
    project.pipeline(THREE.replace("{x: a.out}", "{y: a.out}").replace("notebooks/c", "notebooks/d"))
    report = check(None)
    assert [(error["type"], error["line"]) for error in report.errors] == [
        ("ParameterError", 4),
        ("NotebookError", None),
    ]
    assert report.errors[0]["text"] == (
        "pipelines/p.yaml:4: notebooks/b.ipynb (cell 1) has no parameter 'y'. There is: n, x."
    )
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("{inputs: al}", "pipelines/p.yaml:6: log.inputs must be `all`, `none` or a list of columns"),
        ("{retian: 90d}", "pipelines/p.yaml:6: unknown key 'retian' in log. Did you mean 'retain'?"),
        (
            "{inputs: [age, name]}",
            "pipelines/p.yaml:6: log.inputs names columns that a dataset card marks: 'name' (personal); say why",
        ),
        ("{inputs: [age, name], because: a court wants it}", ""),
        ("{inputs: [age], retain: 90d}", ""),
    ],
)
def test_the_policy_of_the_log_is_checked_before_anything_runs(project: Lab, log: str, said: str) -> None:
    project.file("d.csv")
    (project.root / "d.csv.card.yaml").write_text("personal: [name]\n")
    project.notebook("b", "read(x)", parameters="x = ''  # input\nn = 10\nd = ''  # input")
    text = THREE.replace("{x: a.out}", "{x: a.out, d: d.csv}").replace("presets:", f"log: {log}\npresets:")
    project.pipeline(text)
    found = [error["text"] for error in check(None).errors]
    assert [text[: len(said)] for text in found] == ([said] if said else [])
    if said:
        with pytest.raises(UsageError) as caught:
            prepared()
        assert str(caught.value) == found[0]


@pytest.mark.parametrize(
    ("update", "said"),
    [
        (
            "{from: champion, stage: b, param: parent}",
            "notebooks/b.ipynb (cell 1) has no parameter 'parent'. There is:",
        ),
        ("{from: champion, stage: b, param: n, replay: 9}", "notebooks/b.ipynb (cell 1) has no parameter 'replay'."),
        ("{from: champion, stage: bb, param: n}", "bb"),
        ("{from: champion, stage: b, param: n}", ""),
    ],
)
def test_the_notebook_that_goes_on_from_a_parent_must_take_it(project: Lab, update: str, said: str) -> None:
    project.notebook("b", "read(x)", parameters="x = ''  # input\nn = None")
    project.pipeline(f"{THREE}update: {update}\n")
    found = [error["text"] for error in check(None).errors]
    assert len(found) == bool(said)
    assert not said or said in found[0]


def test_every_section_is_checked_without_a_run(project: Lab) -> None:
    wrong = "gates: {}\nlog: {inptus: all}\nmonitor: {windw: 1d}\nretrain: {wehn: []}\n"
    project.pipeline(THREE + wrong)
    found = [error["text"] for error in check(None).errors]
    assert len(found) == 4
    for section, key in (("log", "inptus"), ("monitor", "windw"), ("retrain", "wehn")):
        assert any(f"unknown key '{key}' in {section}" in text for text in found), found
