"""A pipeline against its notebooks: what is refused before anything runs, and what is only warned of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbprod.errors import NbprodError, NotebookError, ParameterError, PipelineError
from nbprod.pipeline.bind import BoundStage, Setting, problems, warnings
from tests.fakes import CACHE, Lab

TWO = """\
name: p
stages:
  prepare:
    notebook: notebooks/prepare.ipynb
    params: {sample: 100}
    inputs: {raw: data.csv}
    outputs: {train: train.csv}
  train:
    notebook: notebooks/train.ipynb
    params: {rate: 1}
    inputs: {train: prepare.train}
"""


@pytest.fixture
def two(lab: Lab) -> Lab:
    """Two stages whose notebooks share the parameter ``seed``."""
    lab.file("data.csv")
    lab.notebook("prepare", "pass", parameters="raw = ''  # input\ntrain = ''  # output\nsample = 10\nseed: int = 0")
    lab.notebook(
        "train", "log_model(1)", parameters="train = ''  # input\nrate: float = 0.1\nseed: int = 0\nword: str = ''"
    )
    return lab.pipeline(TWO)


def by_name(bound: tuple[BoundStage, ...]) -> dict[str, BoundStage]:
    return {item.name: item for item in bound}


def refusal(lab: Lab, *settings: Setting, kind: type[NbprodError] = PipelineError) -> str:
    """What is said of a pipeline that is refused."""
    with pytest.raises(kind) as caught:
        lab.bind(*settings)
    assert type(caught.value) is kind
    return str(caught.value)


def typed(name: str, value: str) -> Setting:
    """A setting as ``-p`` gives it."""
    return Setting(name=name, value=value, text=True, origin=f"-p {name}")


def preset(name: str, value: Any) -> Setting:
    return Setting(name=name, value=value, origin="preset smoke")


def test_a_bound_stage_has_its_values_and_knows_where_its_inputs_come_from(two: Lab) -> None:
    prepare, train = two.bind()
    assert (prepare.name, prepare.params, prepare.files, prepare.sources) == (
        "prepare", {"sample": 100}, {"raw": "data.csv"}, {},
    )  # fmt: skip
    assert (train.files, train.sources) == ({}, {"train": ("prepare", "train")})


def test_stages_with_the_same_kernel_share_it_so_that_what_is_installed_is_listed_once(two: Lab) -> None:
    prepare, train = two.bind()
    assert prepare.kernel is train.kernel


def test_values_take_the_type_of_the_parameters_cell(two: Lab) -> None:
    rate = by_name(two.bind())["train"].params["rate"]
    assert (rate, type(rate)) == (1.0, float)


def test_stages_come_in_an_order_in_which_they_can_run(two: Lab) -> None:
    head, prepare, train = TWO.partition("  prepare:")[0], TWO.partition("stages:\n")[2].partition("  train:")[0], ""
    train = TWO[TWO.index("  train:\n") :]
    two.pipeline(head + train + prepare)
    assert [item.name for item in two.bind()] == ["prepare", "train"]


def test_the_seed_is_the_value_or_else_the_default(two: Lab) -> None:
    assert [item.seed for item in two.bind(typed("train.seed", "7"))] == [0, 7]


def test_a_notebook_without_a_seed_has_none(lab: Lab) -> None:
    lab.notebook("a", "pass")
    assert lab.pipeline("stages: {a: {notebook: notebooks/a.ipynb}}").bind()[0].seed is None


@pytest.mark.parametrize(
    ("name", "changed"),
    [("seed", {"prepare": 7, "train": 7}), ("train.seed", {"train": 7}), ("prepare.seed", {"prepare": 7})],
)
def test_a_setting_is_for_every_stage_that_has_it_or_for_the_one_it_names(
    two: Lab, name: str, changed: dict[str, int]
) -> None:
    found = {item.name: item.params["seed"] for item in two.bind(typed(name, "7")) if "seed" in item.params}
    assert found == changed


def test_a_later_setting_wins(two: Lab) -> None:
    bound = by_name(two.bind(preset("sample", 1), preset("prepare.sample", 2), typed("sample", "3")))
    assert bound["prepare"].params["sample"] == 3


def test_what_is_typed_is_read_by_the_parameters_type(two: Lab) -> None:
    bound = by_name(two.bind(typed("word", "007"), typed("rate", "1e-3")))
    assert bound["train"].params == {"rate": 0.001, "word": "007"}


def test_a_setting_may_name_an_input(two: Lab) -> None:
    two.file("other.csv")
    bound = by_name(two.bind(typed("raw", "other.csv"), typed("train.train", "data.csv")))
    assert (bound["prepare"].files, bound["train"].files) == ({"raw": "other.csv"}, {"train": "data.csv"})
    assert bound["train"].sources == {}


def test_a_setting_may_name_an_input_that_only_the_notebook_declares(two: Lab) -> None:
    two.pipeline(TWO.replace("    inputs: {raw: data.csv}\n", ""))
    assert by_name(two.bind(typed("raw", "data.csv")))["prepare"].files == {"raw": "data.csv"}


def test_a_name_that_is_one_stages_output_and_anothers_input_means_the_input(two: Lab) -> None:
    bound = by_name(two.bind(typed("train", "data.csv")))
    assert bound["train"].files == {"train": "data.csv"}
    assert bound["prepare"].stage.outputs == {"train": "train.csv"}


@pytest.mark.parametrize("declared", ["pipeline", "notebook"])
def test_a_setting_that_names_an_output_is_refused(two: Lab, declared: str) -> None:
    if declared == "notebook":
        two.pipeline(TWO.replace("    outputs: {train: train.csv}\n", "").replace("prepare.train", "data.csv"))
    assert refusal(two, typed("prepare.train", "x.csv"), kind=ParameterError) == (
        "-p prepare.train: 'train' is an output of stage 'prepare', and outputs cannot be set."
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (typed("sampel", "1"), "-p sampel: no notebook has a parameter 'sampel'. Did you mean 'sample'?"),
        (
            typed("prepare.sampel", "1"),
            "-p prepare.sampel: no notebook has a parameter 'prepare.sampel'. Did you mean 'prepare.sample'?",
        ),
        (
            typed("xyz", "1"),
            "-p xyz: no notebook has a parameter 'xyz'. There is: rate, raw, sample, seed, train, word.",
        ),
        (preset("sampel", 1), "preset smoke: no notebook has a parameter 'sampel'. Did you mean 'sample'?"),
        (typed("sample", "many"), '-p sample: sample must be int, not str ("many").'),
        (preset("rate", "fast"), 'preset smoke: rate must be float, not str ("fast").'),
        (
            preset("seed", 1.5),
            "preset smoke: seed must be int, not float (1.5). The parameters cell makes it int: "
            "write `seed: float = ...` there to allow fractions.",
        ),
    ],
)
def test_a_setting_that_fits_nowhere_is_refused(two: Lab, setting: Setting, said: str) -> None:
    assert refusal(two, setting, kind=ParameterError) == said


def test_where_no_notebook_has_parameters_that_is_said(lab: Lab) -> None:
    lab.notebook("a", "pass")
    lab.pipeline("stages: {a: {notebook: notebooks/a.ipynb}}")
    assert refusal(lab, typed("x", "1"), kind=ParameterError) == (
        "-p x: no notebook has a parameter 'x'. No notebook has a cell tagged `parameters`."
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "{sample: 100}",
            "{sampel: 100}",
            "p.yaml:3: notebooks/prepare.ipynb (cell 1) has no parameter 'sampel'. Did you mean 'sample'?",
        ),
        (
            "{raw: data",
            "{row: data",
            "p.yaml:3: notebooks/prepare.ipynb (cell 1) has no parameter 'row'. Did you mean 'raw'?",
        ),
        (
            "{train: train.csv}",
            "{train: train.csv, test: test.csv}",
            "p.yaml:3: notebooks/prepare.ipynb (cell 1) has no parameter 'test'. There is: raw, sample, seed, train.",
        ),
        ("{rate: 1}", "{rate: fast}", 'p.yaml:8: rate must be float, not str ("fast").'),
        (
            "{sample: 100}",
            "{sample: 1.5}",
            "p.yaml:3: sample must be int, not float (1.5). The parameters cell makes it int: "
            "write `sample: float = ...` there to allow fractions.",
        ),
    ],
)
def test_a_name_or_value_that_the_notebook_does_not_take_is_refused(two: Lab, old: str, new: str, said: str) -> None:
    two.pipeline(TWO.replace(old, new))
    assert refusal(two, kind=ParameterError) == f"pipelines/{said}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "data.csv",
            "daat.csv",
            "p.yaml:3: input 'raw' of stage 'prepare' is 'daat.csv', which is no file in the project and no "
            "output of a stage. Did you mean 'data.csv'?",
        ),
        (
            "data.csv",
            "nowhere/x",
            "p.yaml:3: input 'raw' of stage 'prepare' is 'nowhere/x', which is no file in the project and no "
            "output of a stage.",
        ),
        (
            "prepare.train",
            "prepar.train",
            "p.yaml:8: input 'train' of stage 'train' is 'prepar.train', which is no file in the project and no "
            "output of a stage. Did you mean 'prepare.train'?",
        ),
        (
            "prepare.train",
            "prepare.trian",
            "p.yaml:8: input 'train' of stage 'train' refers to 'prepare.trian', which stage 'prepare' does not "
            "make. Did you mean 'train'?",
        ),
    ],
)
def test_an_input_that_is_not_there_is_refused(two: Lab, old: str, new: str, said: str) -> None:
    two.pipeline(TWO.replace(old, new))
    assert refusal(two) == f"pipelines/{said}"


def test_a_file_called_mean_is_not_taken_for_a_hint(two: Lab) -> None:
    two.file("folder/mean.csv")
    two.pipeline(TWO.replace("raw: data.csv", "raw: folder/census_of_all.parquet"))
    assert refusal(two).endswith("which is no file in the project and no output of a stage.")


def test_an_input_behind_a_url_is_not_looked_for(two: Lab) -> None:
    two.pipeline(TWO.replace("data.csv", "https://data.example/data.csv"))
    assert by_name(two.bind())["prepare"].files == {"raw": "https://data.example/data.csv"}


def test_a_stage_that_makes_nothing_cannot_be_referred_to(two: Lab) -> None:
    two.pipeline(TWO.replace("    outputs: {train: train.csv}\n", ""))
    assert refusal(two) == (
        "pipelines/p.yaml:7: input 'train' of stage 'train' refers to 'prepare.train', which stage 'prepare' "
        "does not make."
        " It has no outputs and logs nothing: call nbprod.log_model in it."
    )


@pytest.mark.parametrize(
    ("cell", "source", "hint"),
    [
        ("log_model(1)", "train.model", None),
        ("log_model(1, name='forest')", "train.forest", None),
        ("log_model(1, name=word)", "train.anything", None),
        ("log_artifact('plots/roc.png')", "train.roc.png", None),
        ("log_model(1, name='forest')", "train.model", " There is: forest."),
        ("log_model(1, name='modle')", "train.model", " Did you mean 'modle'?"),
        ("pass", "train.model", " It has no outputs and logs nothing: call nbprod.log_model in it."),
    ],
)
def test_a_model_must_be_something_that_its_notebook_can_be_seen_to_log(
    two: Lab, cell: str, source: str, hint: str | None
) -> None:
    two.notebook("train", cell, parameters="train = ''\nrate = 0.1\nword = ''")
    two.pipeline(f"{TWO}model: {{name: churn, from: {source}}}\n")
    if hint is None:
        assert len(two.bind()) == 2
    else:
        assert (
            refusal(two)
            == f"pipelines/p.yaml:12: model.from refers to '{source}', which stage 'train' does not make.{hint}"
        )


def test_a_parameter_that_is_named_like_a_secret_is_refused(lab: Lab) -> None:
    lab.notebook("a", "pass", parameters="db_password = ''")
    lab.pipeline("stages: {a: {notebook: notebooks/a.ipynb}}")
    assert refusal(lab, kind=ParameterError) == (
        "notebooks/a.ipynb: 'db_password' looks like a secret, and parameters are recorded: "
        "read it from os.environ['DB_PASSWORD'] and list DB_PASSWORD under the stage's `env:`."
    )


def test_a_notebook_that_is_not_there_gets_the_nearest_that_is(two: Lab) -> None:
    two.pipeline(TWO.replace("notebooks/train.ipynb", "notebooks/trian.ipynb"))
    assert refusal(two, kind=NotebookError) == (
        "notebooks/trian.ipynb: there is no such notebook. Did you mean 'train.ipynb'?"
    )


def test_a_file_that_is_called_as_a_stage_needs_a_dot_and_a_slash(two: Lab) -> None:
    two.file("prepare.csv")
    two.pipeline(TWO.replace("train: prepare.train", "train: prepare.csv"))
    assert refusal(two).endswith("which stage 'prepare' does not make. If the file is meant, write ./prepare.csv")
    two.pipeline(TWO.replace("train: prepare.train", "train: ./prepare.csv"))
    assert two.bind()[1].files["train"] == "./prepare.csv"


def test_a_circle_is_refused(two: Lab) -> None:
    two.pipeline(TWO.replace("raw: data.csv", "raw: train.model"))
    assert "stages need each other in a circle" in refusal(two)


def test_a_pipeline_in_which_all_is_well_has_no_warnings(two: Lab) -> None:
    two.file("data.csv.card.yaml")
    assert warnings(two.spec, two.bind(), two.project) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "",
            "",
            "stage 'prepare': data.csv has no card: write data.csv.card.yaml with its origin, licence and terms "
            "of use.",
        ),
        (
            "    inputs: {raw: data.csv}\n",
            "",
            "stage 'prepare' has no inputs, so it runs once and never again until its code changes: name its "
            "data under `inputs:`, or set `refresh:` if it fetches something.",
        ),
        (
            "    inputs: {raw: data.csv}\n",
            "    refresh: 1d\n",
            "stage 'prepare': the notebook calls 'raw' an input, but the pipeline does not set it under "
            "`inputs:`, so it is not tracked.",
        ),
        (
            "    outputs: {train: train.csv}\n",
            "",
            "stage 'prepare': the notebook calls 'train' an output, but the pipeline does not set it under "
            "`outputs:`, so it is not tracked.",
        ),
    ],
)
def test_what_is_likely_not_meant_is_warned_of(two: Lab, old: str, new: str, said: str) -> None:
    text = TWO.replace(old, new)
    if "train: train.csv" not in text:
        text = text.replace("prepare.train", "data.csv")
    two.pipeline(text)
    assert said in warnings(two.spec, two.bind(), two.project)


def test_a_stage_that_fetches_by_age_needs_no_inputs(lab: Lab) -> None:
    lab.notebook("a", "pass")
    lab.pipeline("stages: {a: {notebook: notebooks/a.ipynb, refresh: 1d}}")
    assert warnings(lab.spec, lab.bind(), lab.project) == []


def test_all_problems_are_told_a_stage_at_a_time(two: Lab) -> None:
    two.pipeline(TWO.replace("{sample: 100}", "{sampel: 100}").replace("{rate: 1}", "{rate: fast}"))
    assert [type(error) for error in problems(two.spec, two.project, cache=CACHE)] == [ParameterError, ParameterError]


def test_problems_between_stages_are_told_when_the_stages_are_well(two: Lab) -> None:
    two.pipeline(TWO.replace("prepare.train", "prepare.trian"))
    (error,) = problems(two.spec, two.project, cache=CACHE)
    assert "which stage 'prepare' does not make" in str(error)


def test_nothing_that_is_wrong_is_no_problem(two: Lab) -> None:
    assert problems(two.spec, two.project, cache=CACHE) == []


def test_another_kernel_runs_all_notebooks(two: Lab, tmp_path: Path) -> None:
    with pytest.raises(
        NotebookError, match=r"notebooks/prepare.ipynb: names the kernel 'no-such', which is not installed"
    ):
        from nbprod.pipeline.bind import bind

        bind(two.spec, two.project, kernel="no-such", cache=CACHE)
