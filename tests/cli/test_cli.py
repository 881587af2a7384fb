"""The command line: help, exit codes, and one document on stdout with ``--json``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbprod import __version__, errors
from nbprod.cli import GROUPS, VERBS, main
from nbprod.cli.progress import plain
from nbprod.cli.show import data_lines, model_lines
from nbprod.entities import Run, StageRun
from nbprod.errors import NbprodError, PipelineError
from nbprod.lifecycle.card import Carded
from nbprod.lifecycle.report import RunReport
from nbprod.pipeline.events import CellStarted, StageEnded, StageStarted, StageWaits
from tests.cli.made import ANSWERS, CALLS, DONE, ENTRY, FAILED
from tests.fakes import Lab

Call = Callable[..., tuple[int, str, str]]

PIPELINE = """\
name: p
stages:
  a:
    notebook: notebooks/a.ipynb
    inputs: {raw: data.csv}
"""


@pytest.fixture
def nbprod(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line: exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert isinstance(caught.value.code, int)
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return call


@pytest.fixture
def project(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A project that one stands in."""
    lab.file("data.csv")
    lab.notebook("a", "x = 1", parameters="raw = ''")
    monkeypatch.chdir(lab.root)
    return lab.pipeline(PIPELINE)


@pytest.fixture
def answers(project: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would need kernels or a registry answers at once."""
    for name, answer in ANSWERS.items():
        monkeypatch.setattr(f"nbprod.lifecycle.{name}", lambda *arguments, answer=answer, **options: answer)


def test_help_shows_every_verb_in_its_group(nbprod: Call) -> None:
    code, out, _ = nbprod("--help")
    assert code == 0
    places = [out.index(f"\n{group}:") for group in GROUPS]
    assert places == sorted(places)
    for group, verbs in GROUPS.items():
        section = out[out.index(f"\n{group}:") :].split("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines()[2:] if line[2] != " "] == list(verbs)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_takes_json(nbprod: Call, verb: str) -> None:
    code, out, _ = nbprod(verb, "--help")
    assert code == 0
    assert out.startswith(f"Usage: nbprod {verb} ")
    assert "--json" in out


def test_the_version_is_told(nbprod: Call) -> None:
    assert nbprod("--version") == (0, f"nbprod {__version__}\n", "")


def test_without_a_verb_there_is_help(nbprod: Call) -> None:
    code, out, err = nbprod()
    assert code == 2
    assert "Usage: nbprod" in out + err


@pytest.mark.parametrize(
    ("verb", "hint"),
    [
        ("rnu", " Did you mean 'run'?"),
        ("xyz", f" There is: {', '.join(sorted(VERBS))}."),
    ],
)
def test_an_unknown_verb_gets_the_nearest(nbprod: Call, verb: str, hint: str) -> None:
    code, out, err = nbprod(verb)
    assert (code, out, err) == (2, "", f"error: there is no verb '{verb}'.{hint}\n")


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("verb", VERBS)
def test_with_json_every_verb_prints_one_document_on_stdout(nbprod: Call, verb: str) -> None:
    code, out, _ = nbprod(*CALLS[verb], "--json")
    assert code == 0
    assert isinstance(json.loads(out, parse_constant=pytest.fail), dict | list)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "show"])
def test_without_json_every_verb_ends_with_the_next_command(nbprod: Call, verb: str) -> None:
    code, _, err = nbprod(*CALLS[verb])
    assert code == 0
    assert err.splitlines()[-1].startswith("next: ")


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("arguments", [("--jsno",), ("--json", "--jsno")])
def test_an_unknown_option_is_refused(nbprod: Call, verb: str, arguments: tuple[str, ...]) -> None:
    code, out, err = nbprod(verb, *arguments)
    assert code == 2
    assert "No such option" in err
    if "--json" in arguments:
        error = json.loads(out)["error"]
        assert error["type"] == "UsageError"
        assert "--jsno" in error["message"]


ERRORS = [
    errors.UsageError,
    errors.RunError,
    errors.StageFailed,
    errors.ArtifactError,
    errors.RegistryError,
    errors.AliasConflict,
    errors.GateFailed,
    errors.DeployError,
    errors.JournalFull,
]


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("kind", ERRORS)
def test_the_exit_code_is_the_errors_class(
    nbprod: Call, monkeypatch: pytest.MonkeyPatch, kind: type[NbprodError]
) -> None:
    def fail(*arguments: Any) -> None:
        raise kind("is wrong.", file="a.yaml", line=7)

    monkeypatch.setattr("nbprod.lifecycle.run.run", fail)
    assert nbprod("run") == (kind.exit_code, "", "error: a.yaml:7: is wrong.\n")


@pytest.mark.usefixtures("answers")
def test_with_json_an_error_is_one_document_with_its_fields(nbprod: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise PipelineError("is wrong.", file="a.yaml", line=7, stage="a")

    monkeypatch.setattr("nbprod.lifecycle.run.run", fail)
    code, out, err = nbprod("run", "--json")
    assert (code, err) == (2, "error: a.yaml:7: is wrong.\n")
    assert json.loads(out) == {
        "error": {"type": "PipelineError", "message": "is wrong.", "file": "a.yaml", "line": 7, "stage": "a"}
    }


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_ctrl_c_exits_with_130(nbprod: Call, monkeypatch: pytest.MonkeyPatch, as_json: tuple[str, ...]) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nbprod.lifecycle.run.run", interrupt)
    code, out, err = nbprod("run", *as_json)
    assert code == 130
    assert "interrupted" in err
    if as_json:
        assert json.loads(out)["error"]["type"] == "Interrupted"


@pytest.mark.usefixtures("answers")
def test_any_other_exception_is_a_bug_and_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("nbprod.lifecycle.run.run", break_down)
    with pytest.raises(ZeroDivisionError):
        main(["run"])


@pytest.mark.usefixtures("answers")
def test_a_run_that_registered_names_the_version(nbprod: Call) -> None:
    assert nbprod("run") == (0, "unchanged: churn/3\n", "next: nbprod show churn/3\n")
    document = json.loads(nbprod("run", "--json")[1])
    assert document == {
        "run": "r1",
        "status": "succeeded",
        "stages": [
            {
                "name": "train", "action": "run", "status": "succeeded", "reasons": ["it never ran"], "seconds": 1.5,
                "executed": "runs/r1/train.ipynb",
            }
        ],
        "version": {"name": "churn", "version": "3"},
    }  # fmt: skip


@pytest.mark.usefixtures("answers")
def test_a_run_that_failed_shows_the_cell_and_exits_with_3(nbprod: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    report = RunReport(run=Run(id="r1", pipeline="p", status="failed", stages=(FAILED,)))
    monkeypatch.setattr("nbprod.lifecycle.run.run", lambda *arguments: report)
    code, out, err = nbprod("run")
    assert (code, out) == (3, "run r1: failed\n")
    assert err.splitlines() == [
        "failed: stage train (notebooks/train.ipynb, cell 3)",
        "      1 | x = 0",
        "      2 | 1 / x",
        "  ZeroDivisionError: division by zero",
        "  one",
        "  two",
        "  2 later cells never ran.",
        "  executed notebook: runs/r1/train.ipynb",
        "next: jupyter lab runs/r1/train.ipynb    # the failed notebook, with its parameters",
    ]
    code, out, _ = nbprod("run", "--json")
    assert (code, json.loads(out)["version"], json.loads(out)["stages"][0]["error"]["cell"]) == (3, None, 3)


@pytest.mark.usefixtures("answers")
def test_where_the_line_is_known_it_is_marked_and_the_traceback_is_left_to_the_notebook(
    nbprod: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FAILED.error is not None
    failed = replace(FAILED, error=replace(FAILED.error, line=2))
    report = RunReport(run=Run(id="r1", pipeline="p", status="failed", stages=(failed,)))
    monkeypatch.setattr("nbprod.lifecycle.run.run", lambda *arguments: report)
    assert nbprod("run")[2].splitlines()[1:5] == [
        "      1 | x = 0",
        "  >   2 | 1 / x",
        "  ZeroDivisionError: division by zero",
        "  2 later cells never ran.",
    ]


@pytest.mark.usefixtures("answers")
def test_show_prints_exactly_the_entry(nbprod: Call) -> None:
    assert json.loads(nbprod("show", "churn/3", "--json")[1]) == ENTRY


def test_a_tensor_and_a_model_without_inputs_are_told_in_words() -> None:
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
    model = {
        "flavor": "sklearn", "serialization": "skops", "bytes": 1, "sha256": "0" * 64, "trusted": [],
        "signature": {"inputs": [tensor]},
    }  # fmt: skip
    assert "takes array of float64 (rows x 4)" in model_lines(model)
    assert data_lines([]) == ["unknown: no input is named, so nothing is known of the data that it learned from"]


def test_plan_says_what_would_run_and_why(nbprod: Call, project: Lab) -> None:
    code, out, err = nbprod("plan")
    assert (code, err) == (0, "next: nbprod run\n")
    assert [line.split(maxsplit=2) for line in out.splitlines()] == [
        ["STAGE", "ACTION", "WHY"],
        ["a", "run", "it never ran"],
    ]
    document = json.loads(nbprod("plan", "--json")[1])
    assert document["stages"] == [{"name": "a", "action": "run", "reasons": ["it never ran"]}]


def test_check_tells_warnings_and_exits_with_0(nbprod: Call, project: Lab) -> None:
    code, out, err = nbprod("check")
    assert (code, err) == (0, "next: nbprod plan\n")
    assert out.startswith("warning: stage 'a': data.csv has no card")
    assert out.endswith("pipelines/p.yaml: 1 stage, nothing wrong.\n")


def test_check_tells_errors_and_exits_with_2(nbprod: Call, project: Lab) -> None:
    project.pipeline(PIPELINE.replace("raw", "rwa"))
    code, out, err = nbprod("check")
    said = "pipelines/p.yaml:3: notebooks/a.ipynb (cell 1) has no parameter 'rwa'. Did you mean 'raw'?"
    assert (code, out, err) == (2, "", f"error: {said}\n")
    code, out, _ = nbprod("check", "--json")
    assert (code, [error["text"] for error in json.loads(out)["errors"]]) == (2, [said])


def test_settings_come_from_files_and_then_from_the_command_line(nbprod: Call, project: Lab) -> None:
    project.notebook("a", "x = 1", parameters="raw = ''\nn: int = 1\nm: int = 1")
    project.file("params.yaml", "n: 2\nm: 2\n")
    project.file("other.csv", "other")
    assert nbprod("plan", "-f", "params.yaml", "-p", "n", "3", "-p", "a.raw", "other.csv")[0] == 0
    project.file("params.yaml", "n: 2\nm: many\n")
    code, _, err = nbprod("plan", "-f", "params.yaml")
    assert (code, err) == (2, 'error: params.yaml:2: m must be int, not str ("many").\n')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nn: ]", "params.yaml:2: is not valid YAML"),
        (b"n: \xff", "params.yaml: cannot be read as a UTF-8 text file"),
        (b"[1]", "params.yaml: the file must be a mapping"),
    ],
)
def test_a_parameters_file_that_cannot_be_read_is_refused(
    nbprod: Call, project: Lab, content: bytes, said: str
) -> None:
    project.file("params.yaml", content)
    code, out, err = nbprod("plan", "-f", "params.yaml")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}")


def test_a_project_is_made_in_a_new_folder(nbprod: Call, project: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    code, out, err = nbprod("init", str(folder))
    assert code == 0
    assert f"{folder}/pipelines/wine.yaml" in out.splitlines()
    assert err == f"next: cd {folder} && nbprod run\n"
    code, _, err = nbprod("init", str(folder))
    assert (code, "already: name a new folder." in err) == (2, True)


def test_without_a_terminal_progress_is_a_line_per_event(capsys: pytest.CaptureFixture[str]) -> None:
    for event in (
        StageStarted(stage="train", reasons=("it never ran",)),
        StageStarted(stage="train", reasons=("it never ran",), attempt=2),
        StageWaits(stage="prepare"),
        CellStarted(stage="train", cell=1, cells=2),
        StageEnded(stage=DONE),
        StageEnded(
            stage=StageRun(stage="prepare", action="reuse", status="succeeded", reasons=("same key as run r1",))
        ),
        StageEnded(stage=StageRun(stage="join", status="skipped", reasons=("stage 'left' did not succeed",))),
    ):
        plain(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "train: run (it never ran)",
        "train: run (it never ran, attempt 2)",
        "prepare: waiting for another process that is running it",
        "train: succeeded in 1.5 s (2 cells)",
        "prepare: reuse (same key as run r1)",
        "join: skipped (stage 'left' did not succeed)",
    ]


@pytest.mark.usefixtures("answers")
def test_a_card_is_printed_as_markdown_with_how_to_make_a_page_of_it(nbprod: Call) -> None:
    code, out, err = nbprod("show", "churn/3", "--card")
    assert (code, out) == (0, "# churn/3\n")
    assert err.startswith("next: nbprod show churn/3 --card --html card.html")


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("option", ["--html", "--markdown"])
def test_a_card_in_a_file_is_said_to_be_there(nbprod: Call, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    def write(ref: str, *, html: str | None, markdown: str | None) -> Carded:
        return Carded(ref=ref, files=(str(html or markdown),))

    monkeypatch.setattr("nbprod.lifecycle.card.card", write)
    for more in ((), ("--card",)):
        code, out, err = nbprod("show", "churn/3", option, "c.out", *more)
        assert (code, out) == (0, "c.out\n")
        assert err.startswith("next: nbprod verify churn/3")


@pytest.mark.usefixtures("answers")
def test_with_json_a_card_is_one_document(nbprod: Call) -> None:
    code, out, _ = nbprod("show", "churn/3", "--card", "--json")
    assert code == 0
    assert json.loads(out) == {"ref": "churn/3", "markdown": "# churn/3\n", "files": []}
