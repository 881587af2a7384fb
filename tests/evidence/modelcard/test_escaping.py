"""Texts of others, in Markdown, HTML, mermaid and the names of files."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nbprod.evidence.modelcard.escaping import (
    address,
    clean,
    clip,
    code_in_markdown,
    in_html,
    in_markdown,
    in_mermaid,
    line,
    paragraph_in_markdown,
    slug,
)
from tests.evidence.modelcard.made import HOSTILE

TEXTS = st.text() | st.text(alphabet="`|\\*_[]()<>&#-+=~$!:.1ab \n\t\"'{}%") | st.just(HOSTILE)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Seen(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Note a tag."""
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


@given(TEXTS)
def test_a_cell_of_a_markdown_table_shows_the_text_and_nothing_else(text: str) -> None:
    seen = Seen(PARSER.render(f"| a | b |\n| --- | --- |\n| {in_markdown(text)} | last |\n"))
    assert seen.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert " ".join(seen.text.split()) == " ".join(f"a b {line(text)} last".split())


@given(TEXTS)
def test_code_in_a_markdown_table_shows_the_text_and_nothing_else(text: str) -> None:
    seen = Seen(PARSER.render(f"| a | b |\n| --- | --- |\n| {code_in_markdown(text)} | last |\n"))
    assert [tag for tag in seen.tags if tag != "code"] == [
        "table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td",
    ]  # fmt: skip
    assert " ".join(seen.text.split()) == " ".join(f"a b {line(text)} last".split())


@given(TEXTS)
def test_a_paragraph_of_markdown_is_a_paragraph_whatever_it_begins_with(text: str) -> None:
    seen = Seen(PARSER.render(f"before\n\n{paragraph_in_markdown(text)}\n\nafter\n"))
    assert set(seen.tags) == {"p"}
    assert " ".join(seen.text.split()) == " ".join(f"before {line(text)} after".split())


@pytest.mark.parametrize("text", ["# title", "- item", "1. item", "1) item", "---", "===", "+ x", ": x", "-", "2015."])
def test_what_markdown_would_read_as_more_than_text_is_text(text: str) -> None:
    seen = Seen(PARSER.render(f"before\n\n{paragraph_in_markdown(text)}"))
    assert (seen.tags, seen.text.split("\n")[1]) == (["p", "p"], text)


def test_ordinary_texts_stay_as_they_are() -> None:
    for text in ("roc_auc 0.8595", "2015-2018, 17 U.S.C. 105", "a - b (c) + d = e", "true_positive_rate by sex: 1/2"):
        assert in_markdown(text) == text


@given(TEXTS)
def test_html_shows_the_text_within_an_element_and_within_quotes(text: str) -> None:
    written = in_html(text)
    assert html.unescape(written) == clean(text)
    assert not set("<>\"'") & set(written)


@given(TEXTS)
def test_a_mermaid_label_holds_nothing_that_mermaid_reads(text: str) -> None:
    written = in_mermaid(text)
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), written) == line(text)
    assert not set("\"`<>[]{}|%\\&\n'") & set(re.sub(r"#\d+;", "", written))


@given(TEXTS)
def test_the_name_of_a_file_is_one(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]{1,60}", slug(text))


def test_characters_that_no_page_can_hold_and_that_turn_the_writing_are_replaced() -> None:
    assert clean("a\x00b\x1bc\u202ed\ud800\t\n") == "a\ufffdb\ufffdc\ufffdd\ufffd\t\n"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert (clip("a b", 3), clip("abcd", 3)) == ("a b", "ab…")


@pytest.mark.parametrize("text", ["https://example.org/a?b=c&d=e#f", "http://localhost:8000"])
def test_an_address_on_the_web_is_a_link(text: str) -> None:
    assert address(text) == text


@pytest.mark.parametrize(
    "text", ["javascript:alert(1)", "https://a b", 'https://a/"x', "https://a/<b>", "https://a/\n", "file:///a", "MIT"]
)
def test_nothing_else_is_a_link(text: str) -> None:
    assert address(text) == ""
