"""YAML as YAML 1.2 says it, with lines."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nbprod.document import describe, document_of, load_scalar, load_yaml, moment, span
from nbprod.errors import PipelineError


def refusal(text: str) -> str:
    """What is said of a text that is refused."""
    with pytest.raises(PipelineError) as caught:
        load_yaml(text, file="a.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None), ("Null", None), ("NULL", None), ("~", None), ("", None),
        ("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False),
        ("0", 0), ("-17", -17), ("+17", 17), ("007", 7), ("0o17", 15), ("0x1F", 31),
        ("1e-3", 0.001), ("1E3", 1000.0), ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("-1.5e+3", -1500.0), ("+.5", 0.5),
        (".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf),
    ],
)  # fmt: skip
def test_plain_scalars_are_what_the_core_schema_of_yaml_1_2_says(text: str, value: Any) -> None:
    found = load_scalar(text)
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(load_scalar(".nan"))


@pytest.mark.parametrize(
    "text",
    [
        "no", "No", "off", "on", "yes", "y", "n", "2015-01-01", "2015-01-01 12:00:00", "12:30:45", "1_000", "0b101",
        "nan", "inf", "tRue", "1e", "e3", ".", "+", "0o8", "0xG", "-0x1F", "v1.0", "1.2.3", "=", "<<",
    ],
)  # fmt: skip
def test_what_only_yaml_1_1_converts_stays_text(text: str) -> None:
    assert load_yaml(f"a: {text}", file="a.yaml").value == {"a": text}


@pytest.mark.parametrize("text", ['"true"', "'7'", '"null"', "!!str 7"])
def test_what_is_quoted_is_text(text: str) -> None:
    assert isinstance(load_scalar(text), str)


def test_a_key_is_read_like_any_scalar() -> None:
    assert load_yaml("no: 1\non: 2\n", file="a.yaml").value == {"no": 1, "on": 2}


def test_an_empty_file_holds_nothing() -> None:
    assert load_yaml("# only a comment\n", file="a.yaml").value is None


def test_an_alias_repeats_its_anchor() -> None:
    assert load_yaml("a: &x [1, 2]\nb: *x\n", file="a.yaml").value == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "a.yaml:3: the key 'a' stands twice: keep one."),
        ("s:\n  x: {n: 1, n: 2}\n", "a.yaml:2: the key 'n' stands twice: keep one."),
        ("a:\n  - 1\n - 2\n", "a.yaml:3: is not valid YAML: did not find expected"),
        ("a: 'open\n", "a.yaml:2: is not valid YAML: found unexpected end of stream"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: is not valid YAML: but found another document."),
        ("a: *nothing\n", "a.yaml:1: is not valid YAML: found undefined alias"),
        ("a: 1\n[1, 2]: 3\n", "a.yaml:2: a key must be a plain word."),
        ("a: \x07\n", "a.yaml: is not valid YAML: unacceptable character #x0007"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, said: str) -> None:
    assert refusal(text).startswith(said)  # the rest are the words of the YAML library


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("a: 1\nb: !secret x\n", "!secret"),
        ("a: 1\nb: !x:int 7\n", "!x:int"),
        ("a: 1\nb: !custom {c: 1}\n", "!custom"),
        ("a: 1\nb: !custom [1]\n", "!custom"),
        ("a: 1\nb: !!set {c}\n", "tag:yaml.org,2002:set"),
        ("a: 1\nb: !!binary aGk=\n", "tag:yaml.org,2002:binary"),
        ("a: 1\nb: !!timestamp 2015-01-01\n", "tag:yaml.org,2002:timestamp"),
        ("a: 1\nb: !!python/name:os.system ''\n", "tag:yaml.org,2002:python/name:os.system"),
        ("a: 1\nb: !!int seven\n", "tag:yaml.org,2002:int"),
        ("a: 1\nb: !!float seven\n", "tag:yaml.org,2002:float"),
        ("a: 1\nb: !!bool maybe\n", "tag:yaml.org,2002:bool"),
        ("a: 1\nb: !!null something\n", "tag:yaml.org,2002:null"),
    ],
)
def test_tags_are_refused(text: str, tag: str) -> None:
    assert refusal(text) == f"a.yaml:2: the tag {tag} is not allowed here: write a plain value."


def test_an_anchor_that_holds_itself_is_refused() -> None:
    assert refusal("a: &x [*x]\n") == "a.yaml: is nested too deeply: take an alias that holds itself away."


def test_a_number_of_thousands_of_digits_is_text() -> None:
    assert load_scalar("9" * 5000) == "9" * 5000


DOCUMENT = load_yaml("name: p\nstages:\n  a:\n    params: {x: 1}\n    list:\n      - 1\n      - 2\n", file="a.yaml")


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("name",), 1), (("stages",), 2), (("stages", "a"), 3), (("stages", "a", "params", "x"), 4),
        (("stages", "a", "list", 1), 7), (("stages", "a", "gone"), 3), (("gone",), None), ((), None),
    ],
)  # fmt: skip
def test_a_places_line_is_its_own_or_that_of_what_is_around_it(place: tuple[str | int, ...], line: int | None) -> None:
    assert DOCUMENT.line(*place) == line


def test_an_error_names_the_file_and_the_line_of_its_place() -> None:
    assert str(DOCUMENT.error("is wrong.", "stages", "a")) == "a.yaml:3: is wrong."


def test_nothing_is_an_empty_mapping() -> None:
    assert DOCUMENT.mapping(None, "stages") == {}


@pytest.mark.parametrize(
    ("value", "place", "said"),
    [
        ([1], ("stages",), "a.yaml:2: stages must be a mapping (`key: value` lines), not a list."),
        ("x", (), "a.yaml: the file must be a mapping (`key: value` lines), not the text 'x'."),
        ({7: 1}, ("stages", "a"), "a.yaml:3: the key 7 must be text: put it in quotes."),
    ],
)
def test_what_is_no_mapping_is_refused(value: Any, place: tuple[str, ...], said: str) -> None:
    with pytest.raises(PipelineError) as caught:
        DOCUMENT.mapping(value, *place)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("value", "place", "said"),
    [
        ({"nam": 1}, (), "a.yaml: unknown key 'nam'. Did you mean 'name'?"),
        ({"xyz": 1}, ("stages", "a"), "a.yaml:3: unknown key 'xyz' in stages.a. There is: name, stages."),
    ],
)
def test_an_unknown_key_gets_the_nearest_known_one(value: dict[str, Any], place: tuple[str, ...], said: str) -> None:
    with pytest.raises(PipelineError) as caught:
        DOCUMENT.only(value, ("name", "stages"), *place)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("value", "words"),
    [({}, "a mapping"), ([], "a list"), ("x", "the text 'x'"), (True, "true"), (None, "nothing"), (7, "the number 7")],
)
def test_a_value_is_described_in_the_words_of_yaml(value: Any, words: str) -> None:
    assert describe(value) == words


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("[1, a]", [1, "a"]),
        ("{a: 1}", {"a": 1}),
        ("hello world", "hello world"),
        ("[", "["),
        ("a: b: c", "a: b: c"),
    ],
)
def test_a_scalar_is_read_as_one_would_write_it_and_is_text_when_it_is_no_yaml(text: str, value: Any) -> None:
    assert load_scalar(text) == value


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_categories=["Cc"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(VALUES)
def test_what_a_yaml_1_1_writer_writes_is_read_back(value: Any) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
    found = load_yaml(text, file="a.yaml").value
    assert (found, repr(found)) == (value, repr(value))


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(), min_size=1, max_size=8))
def test_every_key_has_the_line_it_stands_on(value: dict[str, int]) -> None:
    document = load_yaml("".join(f"{key}: {item}\n" for key, item in value.items()), file="a.yaml")
    assert [document.line(key) for key in value] == list(range(1, len(value) + 1))


def test_a_section_is_read_with_its_file_or_without_its_text() -> None:
    assert document_of("a: 1\nb: 2\n", file="p.yaml").error("no.", "b").line == 2
    alone = document_of("", file="p.yaml").error("no.", "b")
    assert (alone.file, alone.line) == ("p.yaml", None)
    assert document_of("", file=None).value is None


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment("1970-01-02") == moment("1970-01-02T01:00:00+01:00") == 86400.0
    with pytest.raises(ValueError):
        moment("yesterday")


def test_durations_read_well() -> None:
    assert [span(value) for value in (-1, 5, 90, 7300, 90000, 200000)] == [
        "0 s",
        "5 s",
        "2 min",
        "2 h",
        "25 h",
        "2 days",
    ]
