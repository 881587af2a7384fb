"""The model card: what it says, and that no text of an entry can do harm in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nbprod.entities import GateResult
from nbprod.evidence.modelcard import Said, document, html, markdown
from nbprod.evidence.modelcard.blocks import Document, Graph, Plot
from nbprod.evidence.modelcard.layered import drawing
from nbprod.evidence.modelcard.plots import standalone
from tests.evidence.modelcard.made import HOSTILE, bare, entry, fair, judged, poisoned, registered, version

HARMLESS = re.compile(r"(?:#s\d+-[a-z0-9_-]+|https?://\S+)\Z")


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag with its attributes."""
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def front_of(text: str) -> tuple[Any, str]:
    """The metadata of a card in Markdown, and the rest."""
    _, front, rest = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(front), rest


def drawings(card: Document) -> list[str]:
    """Every SVG of a card."""
    blocks = [block for section in card.sections for block in section.blocks]
    plots = [standalone(block.svg) for block in blocks if isinstance(block, Plot)]
    return plots + [drawing(block) for block in blocks if isinstance(block, Graph)]


def full(verdict: str = "passed") -> Document:
    """A card of a version of which much is known."""
    about = version(entry(), "champion")
    return document(about, [registered(about), judged(about, fair(verdict))])


def test_it_has_every_section() -> None:
    assert [section.title for section in full().sections] == [
        "Model details", "Intended use", "Limitations", "How to load it", "What it takes", "Data", "raw", "Metrics",
        "Metrics by group", "Gates", "Fairness", "Lineage", "Provenance", "Stages", "Requirements",
        "What was said of it",
    ]  # fmt: skip


def test_the_metadata_has_hugging_faces_keys() -> None:
    front, _ = front_of(markdown(full()))
    assert list(front) == [
        "license", "library_name", "pipeline_tag", "tags", "datasets", "metrics", "model-index",
    ]  # fmt: skip
    assert (front["license"], front["library_name"]) == ("unknown", "sklearn")
    assert front["pipeline_tag"] == "tabular-classification"
    assert front["datasets"] == ["raw"]
    assert front["metrics"] == ["roc_auc", "accuracy", "lift"]
    ((index),) = front["model-index"]
    assert index["name"] == "churn/3"
    (result,) = index["results"]
    assert result["task"] == {"type": "tabular-classification"}
    assert result["dataset"] == {"type": "churn-test", "name": "test", "split": "test", "revision": "2" * 64}
    assert [(m["type"], m["value"]) for m in result["metrics"]] == [("roc_auc", 0.9), ("accuracy", 0.8)]


def test_a_model_of_which_nothing_is_known_has_a_card_that_says_so() -> None:
    text = markdown(document(version(bare())))
    for sentence in (
        "Unknown: nobody said what it is for.",
        "Unknown: nobody said where it must not be relied on.",
        "It has no card: its origin, licence, terms, and whether it speaks of people are unknown.",
        "None: its pipeline asks for no gates, so nothing had to hold.",
        "Unknown: no gate compared groups of rows",
        "**Commit:** unknown: there was no git",
        "**Registered by:** unknown",
        "**Owner:** unknown",
    ):
        assert sentence in text
    assert "What was said of it" not in text


def test_a_model_without_metrics_and_inputs_has_a_card() -> None:
    text = markdown(document(version(entry(metrics=[], inputs=[]))))
    assert "Unknown: the notebooks reported no metric." in text
    assert "Unknown: no input is named" in text
    front, _ = front_of(text)
    assert {"model-index", "metrics", "datasets", "pipeline_tag"} & set(front) == set()


def test_a_model_that_estimates_is_for_regression() -> None:
    metrics = [{"name": "rmse", "value": 12.5, "dataset": "test", "interval": None, "stage": "train"}]
    card = document(version(entry(metrics=metrics)))
    assert card.front["pipeline_tag"] == "tabular-regression"
    assert [plot for section in card.sections for plot in section.blocks if isinstance(plot, Plot)] == []


def test_gates_are_told_with_their_reasons() -> None:
    text = markdown(full("failed"))
    row = next(line for line in text.splitlines() if line.startswith("| fair recall sex |"))
    assert [cell.strip().replace("\N{NO-BREAK SPACE}", " ") for cell in row.strip("|").split("|")] == [
        "fair recall sex", "failed", "0.02", "[0, 0.04]", "difference at most 0.05", "they are alike.",
    ]  # fmt: skip
    assert "0 of 1 passed" in text
    assert "**Held against:** churn/2" in text


def test_groups_of_too_few_rows_are_said_not_to_count() -> None:
    text = markdown(full())
    assert "| sex=1 | 60 | 0.9 | 40 |" in text
    assert re.search(r"\| sex=2 \| 3 \| 1 \| 1 \| .* \| no, too few rows \|", text)
    assert "| sex=3 | 70 | - | 0 | - | yes |" in text


def test_of_several_gate_runs_the_newest_that_is_trusted_counts() -> None:
    about = version(entry())
    old = judged(about, fair(reason="the old one."), created="2026-01-02")
    new = judged(about, fair(reason="the new one."), created="2026-01-03")
    foreign = judged(about, fair(reason="the foreign one."), state="unpinned", created="2026-01-04")
    text = markdown(document(about, [new, foreign, old]))
    assert "the new one." in text
    assert "the old one." not in text
    assert "the foreign one." not in text


def test_who_registered_it_is_told_by_a_trusted_statement_if_there_is_one() -> None:
    about = version(entry())
    real = registered(about)
    early = replace(real.statement, created="2025-01-01", body={"by": {"key": "k", "user": "eve"}})
    text = markdown(document(about, [Said(statement=early, key="k", state="unpinned"), real]))
    assert "**Registered by:** ana, key 0123456789abcdef, signed by a key that is trusted here" in text


@pytest.mark.parametrize(("content", "said"), [(entry(), "gates: not run"), (bare(), "gates: none")])
def test_that_no_gate_was_run_stands_on_top(content: dict[str, Any], said: str) -> None:
    assert said in markdown(document(version(content))).partition("## Model details")[0]


def test_gates_that_nobody_trusted_vouches_for_are_shown_with_a_warning() -> None:
    about = version(entry())
    text = markdown(document(about, [judged(about, fair(), state="unpinned")]))
    assert "Take these results with care: the statement is signed by a key that is not known here." in text


def test_gates_of_a_statement_that_was_changed_or_is_about_another_entry_are_not_shown() -> None:
    about, other = version(entry()), version(bare())
    text = markdown(document(about, [judged(about, fair(), state="bad"), judged(other, fair())]))
    assert "They were never run." in text


def test_no_row_of_data_is_in_a_card() -> None:
    made = entry()
    made["model"]["example"] = {"columns": ["age"], "data": [["a-person-of-98765"]]}
    made["model"]["example_predictions"] = ["an-answer-of-98765"]
    card = document(version(made))
    assert "98765" not in markdown(card) + html(card)
    assert "this card shows no rows of it" in markdown(card)


def test_sensitive_and_personal_columns_that_it_takes_are_marked() -> None:
    assert "| `age` | long | personal |" in markdown(full())
    made = entry()
    made["inputs"][1]["card"]["sensitive"] = ["age"]
    text = markdown(document(version(made)))
    assert "| `age` | long | sensitive |" in text
    assert "It takes columns of sensitive categories as inputs: age." in text


def test_a_card_of_data_that_names_no_personal_columns_declares_none_and_the_rest_is_unknown() -> None:
    made = entry()
    made["inputs"][1]["card"] = {"name": "wine"}
    text = markdown(document(version(made)))
    assert "- **Personal columns:** none declared\n- **Sensitive columns:** none declared" in text
    assert "- **Licence:** unknown\n- **Terms:** unknown\n- **Origin:** unknown" in text
    assert "this card shows no rows" not in text


def test_groups_without_intervals_are_plotted_but_counts_of_rows_are_not() -> None:
    metrics = [
        {"name": name, "value": value, "dataset": f"test[a={group}]", "interval": None, "stage": "train"}
        for group in "xy"
        for name, value in (("count", 7), ("recall", 0.5))
    ]
    blocks = [block for section in document(version(entry(metrics=metrics))).sections for block in section.blocks]
    assert [plot.title for plot in blocks if isinstance(plot, Plot)] == ["recall by group"]


def test_the_lineage_goes_from_the_data_to_the_aliases() -> None:
    text = markdown(full())
    graph = text.partition("```mermaid\n")[2].partition("\n```")[0]
    assert [line.strip() for line in graph.splitlines() if line[4] == "n"] == [
        'n0[("raw.csv<br/>sha256 111111111111")]:::data',
        'n1["train<br/>notebooks/train.ipynb"]:::stage',
        f'n2(["churn/3<br/>entry {version(entry()).digest[:12]}"]):::version',
        'n3{{"champion"}}:::alias',
        "n0 --> n1",
        'n1 -->|"model, metrics"| n2',
        "n2 --> n3",
    ]


def test_values_over_seeds_are_shown() -> None:
    assert "2: 0.78 to 0.8" in markdown(full())


def test_plots_are_for_people_who_cannot_see_them_too() -> None:
    for svg in drawings(full()):
        root = ET.fromstring(svg)
        assert root.get("role") == "img"
        titles = [node.text for node in root if node.tag.endswith("title")]
        assert titles == [root.get("aria-label")]


def test_markdown_names_the_files_of_its_plots_and_leaves_the_others_out() -> None:
    text = markdown(full(), plots={"group roc_auc": "./card-a.svg"})
    assert re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text) == ["./card-a.svg"]


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    page = Page(html(full()))
    assert {"script", "link", "img", "iframe", "object"} & page.tags == set()
    assert {"svg", "table", "h1", "nav"} <= page.tags
    text = html(full())
    assert "default-src 'none'" in text
    assert "prefers-color-scheme:dark" in text
    assert "url(" not in text


def check_harmless(made: dict[str, Any], name: str, said: str) -> None:
    """Nothing in a card of such texts is more than text."""
    about = version(made, said, name=name)
    results = [GateResult.from_dict(poisoned(fair().to_dict(), said)), fair(reason=said, column=said)]
    card = document(about, [judged(about, *results), registered(about)])
    page = Page(html(card))
    usual = Page(html(full()))
    assert page.tags <= usual.tags | {"a", "p", "dl", "dt", "dd", "code", "pre", "rect", "circle"}
    known = {name for name, _ in usual.attributes}
    for attribute, value in page.attributes:
        assert attribute in known | {"rel"}
        if attribute in ("href", "src"):
            assert HARMLESS.match(value or "")
    for svg in drawings(card):
        ET.fromstring(svg)
    front, rest = front_of(markdown(card))
    assert set(front) <= {"license", "library_name", "pipeline_tag", "tags", "datasets", "metrics", "model-index"}
    shown = Page(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(rest))
    assert not shown.tags & {"script", "img", "em", "hr", "del"}
    assert all(HARMLESS.match(value or "") for name, value in shown.attributes if name in ("href", "src"))
    titles = [section.title for section in card.sections]
    assert len(re.findall(r"^#{2,3} ", rest, flags=re.MULTILINE)) == len(titles)


def test_no_text_of_an_entry_or_a_statement_is_more_than_text() -> None:
    check_harmless(poisoned(entry()), "churn", HOSTILE)
    check_harmless(poisoned(bare()), "</title><script>", HOSTILE)


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=40))
def test_any_text_can_stand_anywhere(text: str) -> None:
    check_harmless(poisoned(entry(), text), "churn", text)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", 1e308, -1e308, 0, 10**15])
def test_any_number_can_be_a_metric(value: Any) -> None:
    metrics = [
        {"name": "m", "value": value, "dataset": dataset, "interval": [value, value], "stage": "train"}
        for dataset in ("test", "test[a=1]", "test[a=x]")
    ]
    card = document(version(entry(metrics=metrics)))
    for svg in drawings(card):
        ET.fromstring(svg)
    assert "m" in markdown(card) + html(card)
