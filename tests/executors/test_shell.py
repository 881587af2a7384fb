"""Whether a cell ends in a shell command."""

from __future__ import annotations

import pytest

from nbprod.executors.shell import ends_in_shell_escape


@pytest.mark.parametrize(
    "source",
    [
        "! false",
        "!pip install x",
        "x = 1\n!ls",
        "!ls \\\n  -l",
        "  !ls",
        "!ls\n\n# only a comment after it",
        "!echo {x}",
    ],
)
def test_a_cell_that_ends_in_a_shell_command_is_seen(source: str) -> None:
    assert ends_in_shell_escape(source)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = 1",
        "files = !ls",
        "!!ls",
        "%sx ls",
        "files = %sx ls",
        "!ls\nx = 1",
        "print('!')",
        "x = '! false'",
        "x != 1",
        "text = '''\n! false\n'''",
        "# ! false",
        "%time x = 1",
        "print('%s' % x)",
        "if x:\n    !ls",
        "get_ipython().run_line_magic('time', '!')",
        "def f(:\n!",
        "other.system('!')",
        "import os\nos.system('echo !')",
    ],
)
def test_a_cell_that_does_not_is_not_taken_for_one(source: str) -> None:
    """Of commands whose output is taken IPython keeps no exit code: that of an earlier command would be read."""
    assert not ends_in_shell_escape(source)
