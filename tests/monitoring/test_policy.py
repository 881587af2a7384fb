"""The section ``monitor``: what it means, and what is wrong with it, by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.document import load_yaml
from nbprod.errors import PipelineError
from nbprod.lifecycle.plan import check_monitor
from nbprod.monitoring.policy import KEYS, Goal, MonitorPolicy, read_monitor, tolerated
from tests.fakes import load_yaml_pipeline

DOCS = Path(__file__).parents[2] / "docs/monitoring.md"


def test_without_a_section_everything_has_a_default() -> None:
    assert read_monitor(None) == MonitorPolicy()
    assert MonitorPolicy.from_dict(MonitorPolicy().to_dict()) == MonitorPolicy()


def test_the_example_in_the_docs_is_good_and_names_every_key() -> None:
    text = DOCS.read_text(encoding="utf-8").partition("```yaml\nmonitor:")[2].partition("```")[0]
    section = load_yaml(f"monitor:{text}", file="docs").value["monitor"]
    section["drift"].pop("options")
    made = read_monitor(section)
    assert set(section) == set(KEYS)
    assert made.business == {"revenue": Goal(target=12.0, floor=8.0)}
    assert made.staleness.max_age == 365 * 86400


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("[]", "monitor must be a mapping"),
        ("{windw: 1d}", "unknown key 'windw' in monitor. Did you mean 'window'?"),
        ("{window: soon}", "monitor.window must be a time such as 1d or 12h, not the text 'soon'."),
        ("{gaps: never}", "must be alarm, warn or ignore, not the text 'never'"),
        ("{drift: {alfa: 0.1}}", "unknown key 'alfa' in monitor.drift. Did you mean 'alpha'?"),
        ("{drift: {alpha: 2}}", "monitor.drift.alpha must be a number from 0 to 1, not the number 2."),
        ("{drift: {test: kz}}", "monitor.drift.test must be the name of a drift test: there is no 'kz'"),
        ("{drift: {alarms: 4}}", "alarms must not be more than of_last"),
        ("{drift: {test: psi, options: {treshold: 1}}}", "psi has no option 'treshold'. Did you mean 'threshold'?"),
        ("{performance: {floor: {roc: 0.5}}}", "not 'roc'. Did you mean 'roc_auc'?"),
        ("{performance: {floor: {mae: low}}}", "floor must be a mapping of metrics to numbers: mae is the text 'low'."),
        ("{business: {revenue: {target: 5, floor: 8}}}", "floor must not be above its target: higher is better."),
        (
            "{business: {c: {target: 8, floor: 5, better: lower}}}",
            "floor must not be below its target: lower is better.",
        ),
        ("{performance: {floor: 3}}", "must be a mapping such as {roc_auc: 0.8}, not the number 3."),
        ("{performance: {min_rows: true}}", "must be a whole number from 1, not true"),
        ("{business: {revenue: {goal: 1}}}", "unknown key 'goal' in monitor.business.revenue"),
        ("{notify: {webhook: slack}}", "or $NAME of the environment variable that holds it, not the text 'slack'"),
        ("{notify: {email: 3}}", "must be a list of names, not the number 3"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(section: str, words: str) -> None:
    text = f"name: p\nmonitor:\n  {section}\n"
    value = load_yaml(text, file="p.yaml").value["monitor"]
    with pytest.raises(PipelineError) as caught:
        read_monitor(value, file="p.yaml", text=text)
    assert words in caught.value.message
    assert (caught.value.file, caught.value.line) in (("p.yaml", 2), ("p.yaml", 3))


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
NESTED = st.recursive(SCALARS, lambda kids: st.lists(kids, max_size=3) | st.dictionaries(st.text(max_size=9), kids))


@given(st.one_of(NESTED, st.dictionaries(st.sampled_from(KEYS), NESTED)))
def test_whatever_stands_there_is_read_or_refused(section: Any) -> None:
    try:
        made = read_monitor(section)
    except PipelineError as error:
        assert error.message.endswith((".", "?"))
    else:
        assert isinstance(made, MonitorPolicy)


def test_a_pipeline_is_checked_before_it_runs() -> None:
    text = "name: p\nstages: {a: {notebook: a.ipynb}}\nmonitor:\n  drift: {effct: 1}\n"
    with pytest.raises(PipelineError, match=r"p.yaml:4: .*Did you mean 'effect'"):
        check_monitor(load_yaml_pipeline(text))


@pytest.mark.parametrize(
    ("name", "said", "before", "much"),
    [
        ("roc_auc", None, 0.9, 0.02), ("mae", None, 300.0, 6.0), ("mae", 0.5, 300.0, 0.5), ("mae", 0.0, 300.0, 0.0),
        ("r2", None, 0.4, 0.02), ("mape", None, 0.3, 0.02),
    ],
)  # fmt: skip
def test_a_tolerance_that_nobody_set_fits_the_unit_of_the_metric(
    name: str, said: float | None, before: float, much: float
) -> None:
    assert tolerated(name, said, 0.02, before) == pytest.approx(much)
