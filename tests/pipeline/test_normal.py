"""The normal form of code: blind to layout, and to nothing else."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from IPython.core.displayhook import DisplayHook
from IPython.core.inputtransformer2 import TransformerManager

from nbprod.pipeline.normal import parse_cell, parse_module, parsed

PROGRAMS = [
    "import pandas as pd\ndf = pd.read_csv(path, sep=';')\ndf = df[df.age >= 18]\n",
    "def f(x, *, scale=2.5):\n    '''Twice.'''\n    if x is not None and x > -1:\n"
    "        return [x * scale, 'a']\n    return {}\n",
    "%matplotlib inline\nfrom a import b as c\nfor i in range(10):\n    %time c(i)\n    total += i ** 2\n",
    "files = !ls -l data\nprint(len(files), f'{files!r:>10}')\ntry:\n    x = 1\nexcept (ValueError, KeyError):\n"
    "    x = 0\n",
    "x = '''\n%not a magic\n!nor this\n# nor a comment\n'''\ny = lambda a, b=1: (a @ b, not a)\n!echo done\n",
    "with open('f') as g, h() as k:\n    data = {**g, 'n': 0x10, 'm': 1_000}\nassert data != k, 'no'\ndf.head?\n",
    "class A(B, metaclass=M):\n    z: int = 3\n    async def go(self):\n        await self.x[1:2, ...]\n"
    "x = y = None\nx;\n",
]
"""Cells with most of Python's syntax and all of IPython's."""


def normal(code: str, *tags: str) -> str:
    return parse_cell(code, tags=tags).normal


def logical_line_ends(code: str) -> list[int]:
    """Positions where a line of its own may be put in, in Python that is masked as it needs to be."""
    masked = "\n".join(
        f"{line[: len(line) - len(line.lstrip())]}pass"
        if line.lstrip()[:1] in ("%", "!") and "not" not in line
        else line
        for line in code.replace("files = !ls", "files = 0  #!ls").replace("head?", "head ").split("\n")
    ).replace("!nor", "_nor")
    lines = code.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    tokens = tokenize.generate_tokens(io.StringIO(masked).readline)
    return [
        0,
        *(
            starts[token.end[0] if token.string else token.start[0]]
            for token in tokens
            if token.type == tokenize.NEWLINE
        ),
    ]


@given(st.sampled_from(PROGRAMS), st.data())
def test_comments_and_blank_lines_do_not_count(code: str, data: st.DataObject) -> None:
    position = data.draw(st.sampled_from(logical_line_ends(code)))
    comment = data.draw(
        st.sampled_from(["\n", "\n\n", "# a comment\n", "   # x = 1\n", "#%magic\n", "# '''\n", "#!\n", "\t\n"])
    )
    assert normal(code[:position] + comment + code[position:]) == normal(code)


@given(st.sampled_from([program for program in PROGRAMS if parsed(program)]))
def test_layout_does_not_count(code: str) -> None:
    assert normal(ast.unparse(ast.parse(code)).rstrip() + (";" if code.rstrip().endswith(";") else "")) == normal(code)


def changeable(code: str) -> list[tuple[int, int]]:
    """Where the names, numbers, texts and operators stand."""
    lines = code.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type in (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.OP, tokenize.ERRORTOKEN):
                start, end = starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1]
                if code[start:end].strip():
                    found.append((start, end))
    except (tokenize.TokenError, SyntaxError):
        pass
    return found


REPLACEMENTS = [
    "a",
    "zz",
    "1",
    "2.0",
    "1j",
    "'q'",
    "b'q'",
    "+",
    "-",
    "==",
    "is",
    "<",
    "not",
    "True",
    "None",
    "...",
    "%",
    "!",
]


@given(st.sampled_from(PROGRAMS), st.data())
def test_changing_any_name_literal_or_operator_counts(code: str, data: st.DataObject) -> None:
    start, end = data.draw(st.sampled_from(changeable(code)))
    replacement = data.draw(st.sampled_from(REPLACEMENTS))
    assume(replacement != code[start:end])
    changed = code[:start] + replacement + code[end:]
    assert normal(changed) != normal(code)


@given(st.sampled_from(PROGRAMS), st.data())
def test_leaving_out_any_line_counts(code: str, data: st.DataObject) -> None:
    lines = code.split("\n")[:-1]
    left_out = data.draw(st.integers(0, len(lines) - 1))
    assert normal("\n".join(lines[:left_out] + lines[left_out + 1 :])) != normal(code)


@given(st.sampled_from(PROGRAMS), st.sampled_from(PROGRAMS))
def test_different_cells_differ(one: str, other: str) -> None:
    assert (normal(one) == normal(other)) == (one == other)


@given(st.text(alphabet="ab=1 \n\t#%!?;'\"\\([])}{:,.x", max_size=30), st.text(alphabet=" \n#", max_size=3))
def test_any_text_has_a_normal_form(code: str, end: str) -> None:
    assert isinstance(normal(code), str)
    if parsed(code) and "\\" not in code and ";" not in code:
        assert normal(code + "\n" + end.strip(" ") + "\n") == normal(code)


PIECES = ["x", "=", "1", " ", "\n", "\n    ", "%time f()", "!ls -l", "%%time\n", "%%bash\n", "?", "# c", "#", "'", '"',
"'''", "(", ")",
          "[", "]", "{", "}", "\\\n", "\\", "if a:\n    ", "f'{x!r}'", ";", ",", "/", "x = !ls", "In [1]: ", ">>> ",
          "...:", "\t",
          "\r\n", "\f", "%", "!", "==", "'a?b'", "x?", "%x?", "!echo (", "%cd \\\n", "r'\\'", "\u2028", "pass",
          "~"]  # fmt: skip
EDITS = [" ", "\n", "\n\n", "# z", "#'\n", "  \n", "\t", "(", ")", ";"]


def meaning(cell: str) -> object:
    """What IPython itself makes of a cell: the Python that it runs, and whether the last value is shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            translated = TransformerManager().transform_cell(cell)  # type: ignore[no-untyped-call]
        except SyntaxError:
            return "no cell", cell
        tree = parsed(translated)
    if tree is None:
        return "no Python"
    try:
        quiet = DisplayHook.semicolon_at_end_of_expression(translated)  # type: ignore[no-untyped-call]
    except tokenize.TokenError:
        quiet = False
    return ast.dump(tree), bool(quiet)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=10), st.integers(0, 10), st.sampled_from(EDITS))
def test_equal_normal_forms_mean_the_same_to_ipython(pieces: list[str], position: int, edit: str) -> None:
    one, other = "".join(pieces), "".join([*pieces[:position], edit, *pieces[position:]])
    assume(not one.lstrip().startswith("%%"))  # their bodies are cells of their own
    if normal(one) == normal(other) != "":
        assert meaning(one) == meaning(other) or meaning(one) == "no Python"


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.binary() | st.booleans())
def test_a_literal_decides_the_normal_form(value: object) -> None:
    assert normal(f"x = {value!r}") == normal(f"x = ({value!r})  # the value")
    for other in (0, 0.0, False, "", b"", -0.0, 0j):
        if repr(other) != repr(value):
            assert normal(f"x = {value!r}") != normal(f"x = {other!r}")


@pytest.mark.parametrize("cell", ["", "  \n\n", "# only a comment", "\n# two\n# lines\n"])
def test_a_cell_with_nothing_to_run_has_none(cell: str) -> None:
    assert normal(cell) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("%time f()", "%time g()"),
        ("!ls a", "!ls b"),
        ("x = !ls a", "x = !ls b"),
        ("x = %time f()", "y = %time f()"),
        ("x = !ls", "!ls"),
        ("x?", "x??"),
        ("%timeit f()", "%time f()"),
        ("if a:\n    !ls\n!ls", "if a:\n    !ls\n    !ls"),
        ("!ls \\\n  -l", "!ls \\\n  -a"),
        ("%%bash\necho a  # b", "%%bash\necho a"),
        ("%%writefile a.py\nx = 1\n\n", "%%writefile a.py\nx = 1\n"),
        ("%%time\nx = 1", "x = 1"),
        ("%%time\nx = 1", "%%time -n 1\nx = 1"),
        ("%%time\nx = 1", "%%capture\nx = 1"),
        ("x", "x;"),
        ("x = '''a\n\nb'''", "x = '''a\nb'''"),
        ("x = '''\n%time\n'''", "x = '''\n%timeit\n'''"),
        ("  x = 1", "  x = 1\n  # y"),
        ("broken (\n", "broken (\n\n"),
        (">>> x", ">>> x  # y"),
        ("'''\n>>> x\n'''", "'''\n>>> x\n'''  # y"),
        ("def f():\n    'a'", "def f():\n    'b'"),
        ("a\nb", "a; b;"),
        ("1", "1.0"),
        ("1", "True"),
        ("0.0", "-0.0"),
        ("f'{x}'", "f'{x!r}'"),
        ("f'{x=}'", "f'{x = }'"),
        ("from . import a", "from .. import a"),
        ("return", "return None"),
    ],
)
def test_what_differs_in_behaviour_differs(one: str, other: str) -> None:
    assert normal(one) != normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("%time f()\nx=1", "%time f()\n\n# comment\nx  =  1  # one"),
        ("x = !ls\ny=1", "x = !ls\ny = (1)"),
        ("%%time\nx = 1", "%%time\n# comment\nx=1"),
        ("\n\n%%time\nx = 1", "%%time\nx = 1"),
        ("x;", "x ; # quiet"),
        ("f(a,\n  b)\n!ls", "f(a, b)  # two\n!ls"),
        ("x = 'a' 'b'\n%time y", "x = 'ab'\n\n%time y"),
        ("x = 1  # what?\n!ls", "x = 1\n!ls"),
        ("x = 1\r\ny = 2\r\n", "x = 1\ny = 2\n"),
        ("%time f()   ", "%time f()"),
    ],
)
def test_what_differs_in_layout_does_not(one: str, other: str) -> None:
    assert normal(one) == normal(other) != ""


def test_magics_and_the_tree_around_them_are_kept_apart() -> None:
    code = parse_cell("import os\n%run a.py\nx = !ls\nimport sys")
    assert code.tree is not None
    assert code.magics == ("%run a.py", "!ls")


def test_a_name_like_a_placeholder_is_not_taken_for_one() -> None:
    assert normal("__nbprod_magic_0") != normal("!ls")
    assert normal("__nbprod_magic_0\n!ls") != normal("!ls\n!ls")


def test_tags_that_change_what_runs_count_and_others_do_not() -> None:
    assert normal("x", "raises-exception") != normal("x")
    assert normal("x", "parameters") != normal("x")
    assert normal("x", "hide-input") == normal("x")
    assert normal("# nothing", "raises-exception") == ""


def test_another_language_counts_to_the_letter() -> None:
    def in_r(cell: str) -> str:
        return parse_cell(cell, language="r").normal

    assert in_r("x <- 1") != in_r("x <- 1 # one")
    assert in_r("  ") == ""


def test_an_expression_of_any_depth_has_a_normal_form() -> None:
    deep = "x = " + "+".join(["1"] * 5000)
    deeper = "x = " + "(" * 150 + "1" + ")" * 150 + "\n!ls"
    assert normal(deep) != normal(deep + "+1")
    assert normal(deeper)


def test_code_that_warns_is_read_in_silence() -> None:
    assert normal(r"x = '\d'") and normal("1 is 1")


def test_a_modules_comments_and_blank_lines_do_not_count() -> None:
    assert parse_module(b"import a\n\n\nx = 1  # one\n").normal == parse_module(b"import a\nx=1").normal
    assert parse_module(b"x = 1").normal != parse_module(b"x = 2").normal


def test_a_module_that_cannot_be_parsed_counts_byte_by_byte() -> None:
    assert parse_module(b"x = (\n").normal != parse_module(b"x = (\n\n").normal
    assert parse_module(b"\xff\x00").normal != parse_module(b"\xff").normal


def test_a_modules_encoding_is_heeded() -> None:
    latin = "# -*- coding: latin-1 -*-\nx = 'é'\n"
    assert parse_module(latin.encode("latin-1")).normal == parse_module("x = 'é'".encode()).normal
