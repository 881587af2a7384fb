"""The rules of the house, checked on every file: sizes, names, imports, docs."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import click
import pytest

from nbprod.cli import cli
from nbprod.config import Settings
from nbprod.pipeline.spec import KEYS

ROOT = Path(__file__).parents[1]

FILE_LINES = 400
FUNCTION_LINES = 50
CLASS_METHODS = 15
POSITIONAL_PARAMETERS = 5

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)

VAGUE = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
"""Names that say nothing about what is in a file."""

HEAVY = {
    "IPython", "filelock", "fsspec", "ipykernel", "jsonschema", "jupyter_client", "matplotlib", "mlflow", "nbclient",
    "nbformat", "numpy", "pandas", "papermill", "pyarrow", "rich", "scipy", "scrapbook", "skops", "sklearn",
    "sqlalchemy",
}  # fmt: skip
"""Packages that cost more than a verb which does not need them may take; they are imported where they are used."""

IN_A_CHILD = {"nbprod.registry.connection", "nbprod.registry.mlflow"}
"""Modules that only ever run in a process of their own, beside the stages, and may import what they like at once."""

IN_A_SERVICE = {f"nbprod.serving.{name}" for name in ("frames", "inference", "proof", "served")} | {
    f"nbprod.scoring.{name}" for name in ("answers", "lines", "reading", "scorer", "values")
}
"""Modules that are only imported when a model is loaded, after it was said how many threads numpy may use."""

NOT_OURS = {
    ".git", ".hypothesis", ".import_linter_cache", ".ipynb_checkpoints", ".mypy_cache", ".nbprod", ".pytest_cache",
    ".ruff_cache", ".venv", "__pycache__", "build", "dist", "mlruns", "runs",
}  # fmt: skip
"""Folders that tools make; nobody commits them."""


def files(*suffixes: str, under: tuple[str, ...] = (".",)) -> Iterator[Path]:
    """The files of the tree that a person wrote, sorted; those that end in one of the suffixes, or all."""
    for top in under:
        for folder, folders, names in os.walk(ROOT / top):
            folders[:] = sorted(name for name in folders if name not in NOT_OURS)
            yield from (Path(folder, name) for name in sorted(names) if not suffixes or name.endswith(suffixes))


@cache
def sources() -> dict[Path, ast.Module]:
    """All Python files, parsed; the project that `nbprod init` writes is data."""
    ours = ("nbprod", "tests", "benchmarks")
    paths = (path for path in files(".py", under=ours) if "templates" not in path.parts)
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


@cache
def package() -> dict[str, ast.Module]:
    """The modules of nbprod by name."""
    found = {}
    for path, tree in sources().items():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] == "nbprod":
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = tree
    return found


def functions() -> Iterator[tuple[str, Function]]:
    """Every function, with the place where it stands and its name."""
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, FUNCTION):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def outside_functions(tree: ast.AST) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported: not those in functions, not those for type checkers only."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (*FUNCTION, ast.Lambda)) or for_types_only(child):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from outside_functions(child)


def everywhere(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those for type checkers only."""
    for child in ast.iter_child_nodes(tree):
        if not for_types_only(child):
            yield child
            yield from everywhere(child)


def for_types_only(node: ast.AST) -> bool:
    """Whether it is an ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imported(node: ast.AST) -> list[str]:
    """The modules, or names in modules, that an import statement names; empty for any other node."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def loaded_by(code: str) -> set[str]:
    """The packages outside the standard library that some code loads in a new Python process."""
    code = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names)


@cache
def code_in_docs() -> str:
    """All that stands as code in the README and the docs: blocks, and spans between backticks."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    blocks = re.findall(r"^```.*?^```", text, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *spans])


def in_docs(word: str) -> bool:
    """Whether the docs name something, as code."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", code_in_docs()) is not None


def none(found: Iterable[str]) -> None:
    """Fail with one line for each thing that was found."""
    lines = sorted(found)
    assert not lines, "\n".join(["", *lines])


def test_no_file_is_longer_than_it_may_be() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_bytes().splitlines()) for path in sources()}
    none(f"{path}: {length} lines" for path, length in lengths.items() if length > FILE_LINES)


def test_no_function_is_longer_than_it_may_be() -> None:
    lengths = {place: (node.end_lineno or 0) - node.lineno + 1 for place, node in functions()}
    none(f"{place}: {length} lines" for place, length in lengths.items() if length > FUNCTION_LINES)


def test_no_class_has_more_methods_than_it_may_have() -> None:
    classes = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": node
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    methods = {place: sum(isinstance(item, FUNCTION) for item in node.body) for place, node in classes.items()}
    none(f"{place}: {count} methods" for place, count in methods.items() if count > CLASS_METHODS)


def test_no_function_has_more_positional_parameters_than_it_may_have() -> None:
    found = []
    for place, node in functions():
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        positional = [name for name in names if name not in ("self", "cls")]
        if len(positional) > POSITIONAL_PARAMETERS:
            found.append(f"{place}: {', '.join(positional)}")
    none(found)


def test_no_except_catches_everything_unnamed() -> None:
    none(
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    )


def test_the_first_line_of_a_module_says_its_idea() -> None:
    none(
        str(path.relative_to(ROOT))
        for path, tree in sources().items()
        if tree.body and not (ast.get_docstring(tree) or "").partition("\n")[0].strip()
    )


def test_no_file_has_a_name_that_says_nothing() -> None:
    paths = [path.relative_to(ROOT).as_posix() for path in sources()]
    none(path for path in paths if VAGUE & set(re.split(r"[/_.]", path)))


def test_every_exported_name_is_there() -> None:
    """That the lists are sorted, ruff checks (RUF022)."""
    exporting = [name for name, tree in package().items() if "__all__" in ast.unparse(tree)]
    modules = {name: importlib.import_module(name) for name in exporting}
    none(f"{name}.{item}" for name, module in modules.items() for item in module.__all__ if not hasattr(module, item))


def test_no_modules_import_each_other() -> None:
    """Also not from inside a function; the package itself is left out: it passes names of `nbprod.notebook` on."""
    modules = package()
    graph: dict[str, set[str]] = {}
    for name, tree in modules.items():
        needed = {target for node in everywhere(tree) for target in imported(node)}
        found = {target if target in modules else target.rpartition(".")[0] for target in needed}
        graph[name] = (found & modules.keys()) - {"nbprod", name}
    del graph["nbprod"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_archive_holds_the_time_it_was_made() -> None:
    """Such bytes name a test otherwise in each process that runs tests, and no key is the same twice."""
    none(
        f"{path.relative_to(ROOT)}:{node.lineno} say mtime=0"
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "gzip.compress"
        and "mtime" not in {keyword.arg for keyword in node.keywords}
    )


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    none(
        f"{name}:{node.lineno} {target}"
        for name, tree in package().items()
        if name not in IN_A_CHILD | IN_A_SERVICE
        for node in outside_functions(tree)
        for target in imported(node)
        if target.partition(".")[0] in HEAVY
    )


def test_importing_nbprod_loads_only_the_standard_library() -> None:
    assert loaded_by("import nbprod") == {"nbprod"}


def test_the_help_page_loads_click_and_nothing_else() -> None:
    show = "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['--help'])"
    assert loaded_by(f"import contextlib, io\nfrom nbprod.cli import main\n{show}") == {"nbprod", "click"}


def test_every_verb_is_in_the_docs() -> None:
    none(verb for verb in cli.list_commands(click.Context(cli)) if not in_docs(f"nbprod {verb}"))


def test_the_docs_name_no_verb_that_there_is_not() -> None:
    named = set(re.findall(r"(?:^|[$&;] ?)nbprod ([a-z]+)", code_in_docs(), flags=re.MULTILINE))
    none(named - set(cli.list_commands(click.Context(cli))))


def test_every_setting_is_in_the_docs() -> None:
    none(field.name for field in fields(Settings) if not in_docs(field.name))


def test_every_key_of_a_pipeline_is_in_the_docs() -> None:
    none(f"{part}: {key}" for part, keys in KEYS.items() for key in keys if not in_docs(key))


def test_every_room_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {name.split(".")[1] for name in package() if "." in name}
    none(room for room in rooms if f"`{room}" not in page)


def test_the_tree_names_no_package_index_and_no_folder_of_one_machine() -> None:
    hosts = ["pypi" + ".org", "python" + "hosted", "npm" + "js.org", "deb.deb" + "ian.org", "conda.ana" + "conda.org"]
    folders = [
        "/ro" + "ot/",
        "/wo" + "rk/",
        "/tmp/" + "dev/",
        "/opt/" + "wheels",
        "/opt/" + "pypi",
        ".py" + "env/versions",
    ]
    patterns = [*map(re.escape, hosts), *(r"(?<![\w.*])" + re.escape(name) for name in folders)]
    forbidden = re.compile("|".join(patterns).encode())
    none(
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in files()
        for match in forbidden.finditer(path.read_bytes())
    )
