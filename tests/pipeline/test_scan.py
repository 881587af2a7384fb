"""What code names, and what is remembered of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.pipeline.normal import parse_cell
from nbprod.pipeline.scan import references, scan_module, scan_notebook
from tests.pipeline.made import MemoryCache, code, source_of


def named(cell: str) -> set[tuple[str, ...]]:
    return {tuple(filter(None, (r.kind, r.name, r.member))) for r in references(parse_cell(cell))}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("import a, b.c as d", {("module", "a"), ("module", "b.c")}),
        ("from a.b import c, d as e", {("member", "a.b", "c"), ("member", "a.b", "d")}),
        ("from .. import a\nfrom .b import *", {("member", "..", "a"), ("member", ".b", "*")}),
        (
            "def f():\n    try:\n        import a\n    except ImportError:\n        import b",
            {("module", "a"), ("module", "b")},
        ),
        ("importlib.import_module('a.b')", {("module", "a.b")}),
        ("import_module('.b', package='a')", {("module", "a.b")}),
        ("__import__('a')", {("module", "a")}),
        ("import_module(name)", set()),
        ("%load_ext a.b\n%reload_ext c\n%aimport d", {("module", "a.b"), ("module", "c"), ("module", "d")}),
        ("%matplotlib inline", {("module", "matplotlib")}),
        ("%time import a, b", {("module", "a"), ("module", "b")}),
        ("%run -i sub/a.py --x 1", {("file", "sub/a.py"), ("file", "sub/a.py.py")}),
        ("%run a", {("file", "a"), ("file", "a.py")}),
        ("%run -m a.b", {("module", "a.b")}),
        ("!python -u sub/a.py --x", {("file", "sub/a.py")}),
        ("!python -m a.b", {("module", "a.b")}),
        ("!echo import nothing", set()),
        ("%%bash\npython a.py", {("file", "a.py")}),
        ("%%time\nimport a", {("module", "a")}),
        ("%%sql\nselect a\nfrom b", set()),
        ("%%writefile a/b.py\nimport c", {("written", "a/b.py"), ("module", "c")}),
        ("runpy.run_path('a.py')", {("file", "a.py")}),
        ("x = 'see a.py'", {("file", "see a.py")}),
        ("sys.path.append('../lib')", {("folder", "../lib")}),
        ("sys.path.insert(0, str(Path('..') / 'lib'))", {("folder", ".."), ("folder", "lib"), ("folder", "../lib")}),
        ("sys.path += ['lib']", {("folder", "lib")}),
        ("sys.path = ['lib', *sys.path]", {("folder", "lib")}),
        ("sys.path.append(root)", set()),
        ("os.chdir('..')\n%cd sub", {("folder", ".."), ("folder", "sub")}),
        ("import a\nbroken = (", {("module", "a")}),
        ("from a.b import (\nbroken = (", {("member", "a.b", "*")}),
        ("# import a\nx = 'import b'", set()),
    ],
)
def test_what_a_cell_names_is_seen(cell: str, expected: set[tuple[str, ...]]) -> None:
    assert named(cell) == expected


def test_code_of_another_language_names_nothing(tmp_path: Path) -> None:
    assert scan_notebook(source_of(tmp_path, "import a", language="julia"), MemoryCache()).references == ()


def test_where_the_parameters_cell_stands_counts_but_not_what_is_in_it(tmp_path: Path) -> None:
    def digest(*cells: str, parameters: str = "x = 1") -> str:
        made = [code(parameters, "parameters") if cell == "P" else code(cell) for cell in cells]
        return scan_notebook(source_of(tmp_path, *made), MemoryCache()).code

    assert digest("P", "a", "b") == digest("P", "a", "b", parameters="x = 2")
    assert len({digest("P", "a", "b"), digest("a", "P", "b"), digest("a", "b", "P"), digest("a", "b")}) == 4


def test_unchanged_code_is_recalled_and_not_parsed_again(tmp_path: Path) -> None:
    cache = MemoryCache()
    source = source_of(tmp_path, code("x = 1", "parameters"), "from a import b")
    first, module = scan_notebook(source, cache), scan_module(b"import c", cache)
    remembered = dict(cache)
    assert scan_notebook(source, cache) == first == scan_notebook(source, MemoryCache())
    assert scan_module(b"import c", cache) == module
    assert dict(cache) == remembered
    assert len(remembered) == 2
