"""The tree of errors: exit codes, places, hints."""

from __future__ import annotations

import inspect
import re

import pytest

from nbprod import errors
from nbprod.errors import MissingExtra, NbprodError, PipelineError, UntrustedTypes, nearest

TREE = {
    "NbprodError": ("Exception", 1),
    "UsageError": ("NbprodError", 2),
    "PipelineError": ("UsageError", 2),
    "ParameterError": ("UsageError", 2),
    "NotebookError": ("UsageError", 2),
    "UntrustedTypes": ("UsageError", 2),
    "MissingExtra": ("UsageError", 2),
    "RunError": ("NbprodError", 3),
    "StageFailed": ("RunError", 3),
    "StageTimeout": ("RunError", 3),
    "ArtifactError": ("NbprodError", 4),
    "RegistryError": ("NbprodError", 5),
    "AliasConflict": ("RegistryError", 5),
    "GateFailed": ("NbprodError", 6),
    "DeployError": ("NbprodError", 7),
    "JournalFull": ("DeployError", 7),
}
"""Error -> its parent and its exit code: scripts rely on them."""


def classes() -> dict[str, type[NbprodError]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: cls for name, cls in found if issubclass(cls, NbprodError)}


def test_every_error_has_its_parent_and_its_exit_code() -> None:
    assert {name: (cls.__mro__[1].__name__, cls.exit_code) for name, cls in classes().items()} == TREE


def test_the_tree_at_the_top_of_the_module_names_every_error() -> None:
    drawn = re.findall(r"(?:├── |└── |^    )([A-Z]\w+)", errors.__doc__ or "", flags=re.MULTILINE)
    assert sorted(drawn) == sorted(TREE)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({}, "is wrong."),
        ({"file": "a.yaml"}, "a.yaml: is wrong."),
        ({"file": "a.yaml", "line": 12}, "a.yaml:12: is wrong."),
        ({"line": 12}, "line 12: is wrong."),
        ({"file": "a.ipynb", "cell": 3}, "a.ipynb, cell 3: is wrong."),
        ({"file": "a.ipynb", "cell": 3, "line": 2}, "a.ipynb, cell 3, line 2: is wrong."),
        ({"cell": 3, "line": 2}, "cell 3, line 2: is wrong."),
        ({"stage": "train"}, "is wrong."),
    ],
)
def test_an_error_says_where_before_it_says_what(place: dict[str, object], said: str) -> None:
    assert str(NbprodError("is wrong.", **place)) == said  # type: ignore[arg-type]


def test_an_error_keeps_its_parts_for_other_renderings() -> None:
    error = PipelineError("is wrong.", file="a.yaml", line=12, stage="train")
    assert (error.message, error.file, error.line, error.cell, error.stage) == (
        "is wrong.",
        "a.yaml",
        12,
        None,
        "train",
    )


def test_a_missing_extra_says_what_to_install() -> None:
    assert (
        str(MissingExtra("Serving", extra="serve")) == "Serving needs the extra 'serve': pip install 'nbprod[serve]'."
    )


def test_untrusted_types_are_named() -> None:
    assert UntrustedTypes("says so.", types=["a.B", "c.D"], own=True).types == ("a.B", "c.D")


def test_a_mistyped_name_gets_the_nearest_known_one() -> None:
    assert nearest("trian", ["evaluate", "train"]) == " Did you mean 'train'?"


def test_a_name_like_no_other_gets_the_list_of_what_there_is() -> None:
    assert nearest("xyz", ["train", "evaluate", "train"]) == " There is: evaluate, train."


def test_where_there_is_nothing_nothing_is_suggested() -> None:
    assert nearest("xyz", []) == ""
