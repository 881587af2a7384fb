"""Dataset cards."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.errors import PipelineError
from nbprod.evidence.card import card_path, read_card


def carded(folder: Path, text: str) -> Path:
    """A data file with a card beside it."""
    data = folder / "people.csv"
    data.write_text("a\n1\n", encoding="utf-8")
    card_path(data).write_text(text, encoding="utf-8")
    return data


def test_a_card_lies_beside_the_data_under_its_name(tmp_path: Path) -> None:
    assert card_path(tmp_path / "people.csv") == tmp_path / "people.csv.card.yaml"


def test_no_card_is_allowed(tmp_path: Path) -> None:
    assert read_card(tmp_path / "people.csv", label="people.csv") is None


def test_a_card_says_origin_licence_terms_and_whom_the_rows_are_about(tmp_path: Path) -> None:
    card = read_card(
        carded(
            tmp_path,
            "name: people\nlicense: CC-BY-4.0\ncreator: The Bureau\nciteAs: '@misc{x}'\ndatePublished: 2019-01-31\n"
            "version: 1.0\norigin: a survey\nterms: >-\n  statistics\n  only\ncollection: by post\n"
            "personal: [age, sex]\nsensitive: [health]\nsubject: person_id\nretention: 5 years\ncontact: us\n",
        ),
        label="people.csv",
    )

    assert card
    assert (card.license, card.creator, card.citeAs) == ("CC-BY-4.0", "The Bureau", "@misc{x}")
    assert (card.datePublished, card.version, card.terms) == ("2019-01-31", "1.0", "statistics only")
    assert (card.personal, card.sensitive, card.subject) == (("age", "sex"), ("health",), "person_id")
    assert (card.origin, card.collection, card.retention, card.contact) == ("a survey", "by post", "5 years", "us")


def test_what_is_not_said_is_empty_and_one_name_stands_for_a_list(tmp_path: Path) -> None:
    card = read_card(carded(tmp_path, "license: null\npersonal: age\n"), label="people.csv")

    assert card
    assert (card.license, card.personal, card.sensitive) == ("", ("age",), ())


def test_an_empty_card_says_nothing(tmp_path: Path) -> None:
    card = read_card(carded(tmp_path, "# to be filled in\n"), label="people.csv")

    assert card
    assert not any(card.to_dict().values())


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("name: a\nlicence: MIT\n", "unknown key 'licence'. Did you mean 'license'?", 2),
        ("name: a\npersonal: {age: yes}\n", "personal must be a list of names, not a mapping.", 2),
        ("name: [a]\n", "name must be text, not ", 1),
        ("name: true\n", "name must be text, not true.", 1),
        ("- name\n", "the file must be a mapping", 1),
        ("name: 'a\n", "is not valid YAML", 2),
    ],
)
def test_a_wrong_card_is_refused_with_its_line(tmp_path: Path, text: str, said: str, line: int) -> None:
    with pytest.raises(PipelineError) as refused:
        read_card(carded(tmp_path, text), label="data/people.csv")

    assert refused.value.message.startswith(said)
    assert refused.value.file == "data/people.csv.card.yaml"
    assert refused.value.line in (line, None)


def test_a_card_that_is_no_text_is_refused(tmp_path: Path) -> None:
    data = carded(tmp_path, "")
    card_path(data).write_bytes(b"name: \xff\xfe")

    with pytest.raises(PipelineError, match="UTF-8"):
        read_card(data, label="people.csv")


def test_the_card_of_the_example_data_is_complete() -> None:
    data = Path(__file__).parents[2] / "notebooks" / "data" / "census_employment_ma.parquet"

    card = read_card(data, label=data.name)

    assert card
    assert all((card.license, card.origin, card.terms, card.collection, card.retention, card.contact))
    assert {"sex", "rac1p", "dis"} <= {*card.personal, *card.sensitive}
