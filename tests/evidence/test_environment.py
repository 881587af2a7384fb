"""The environment in an entry."""

from __future__ import annotations

import platform

import pytest

from nbprod.digest import sha256_bytes
from nbprod.evidence.environment import environment_entry, freeze_text, python_of


def test_the_freeze_is_sorted_lines_and_has_a_digest() -> None:
    installed = {"pandas": "3.1.1", "numpy": "2.4.6"}

    entry = environment_entry(python="3.12", installed=installed, in_keys={"numpy": "2.4.6"}, measured="before_run")

    assert freeze_text(installed) == "numpy==2.4.6\npandas==3.1.1\n"
    assert entry["freeze"] == ["numpy==2.4.6", "pandas==3.1.1"]
    assert entry["sha256"] == sha256_bytes(b"numpy==2.4.6\npandas==3.1.1\n")
    assert entry["key"] == {"numpy": "2.4.6"}
    assert (entry["platform"], entry["machine"]) == (platform.platform(), platform.machine())


def test_the_version_of_python_is_the_kernels_as_far_as_it_is_known() -> None:
    def python(said: str) -> object:
        return environment_entry(python=said, installed={}, in_keys={}, measured="after_run")["python"]

    here = platform.python_version()
    assert python(here.rpartition(".")[0]) == here
    assert python("3.99") == "3.99"
    assert python("3.99.1") == "3.99.1"
    assert python("") == "unknown"


@pytest.mark.parametrize(
    ("said", "minor", "python"),
    [("3.11.9", "3.11", "3.11.9"), ("3.11.9", "3.12", "3.12"), ("3.11.9", "", "3.11.9"), ("", "3.11", "3.11")],
)
def test_an_executed_notebook_says_which_python_ran_it(said: str, minor: str, python: str) -> None:
    notebook = {"metadata": {"language_info": {"name": "python", "version": said}}}

    assert python_of(notebook, minor=minor) == python


def test_a_notebook_may_say_nothing() -> None:
    assert python_of({}, minor="3.11") == "3.11"
    assert python_of({"metadata": {"language_info": None}}, minor="3.11") == "3.11"
