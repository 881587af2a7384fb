"""What code is, and which modules and files it names; unchanged code is recalled by its bytes and not parsed again."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from nbprod.digest import sha256_bytes, sha256_json
from nbprod.pipeline.environment import Cache
from nbprod.pipeline.normal import NORMAL_VERSION, Code, parse_cell, parse_module, parsed
from nbprod.pipeline.source import Source

SCAN_VERSION = 1
"""Raised when `Scan` changes, so that old ones are not recalled."""

Kind = Literal["module", "member", "file", "folder", "written"]

IMPORT_LINE = re.compile(
    r"^[ \t]*(?:%+\w+[ \t]+)?((?:from[ \t]+[.\w]+[ \t]+import|import)[ \t]+[^\n;#]+)", re.MULTILINE
)
LOADS_MODULE = re.compile(r"^\s*%(?:load_ext|reload_ext|aimport)\s+([\w.]+)", re.MULTILINE)
RUNS_MODULE = re.compile(r"(?:%run|\bpython[\d.]*)\s+(?:-\w+\s+)*?-m\s+([\w.]+)")
RUNS_FILE = re.compile(r"^\s*%run\s+(?:-(?!m\b)\w+\s+)*['\"]?([^\s'\"-][^\s'\"]*)", re.MULTILINE)
NAMES_FILE = re.compile(r"[\w./\\~-]+\.(?:py|ipynb)\b")
WRITES_FILE = re.compile(r"\A\s*%%(?:writefile|file)\s+(?:-a\s+|--append\s+)?['\"]?([^\s'\"]+)")
CHANGES_FOLDER = re.compile(r"^\s*%(?:cd|pushd)\s+['\"]?([^\s'\"-][^\s'\"]*)", re.MULTILINE)
PLOTS = re.compile(r"^\s*%(?:matplotlib|pylab)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Something that code names.

    Attributes:
        kind: a ``module``; a ``member`` of one, which may be a module itself; a ``file`` of code; a ``folder`` to look
            for modules in; or a file that is ``written`` by the code itself.
        name: a dotted name, with a leading dot for each level of a relative import; or a path.
        member: what is taken from the module; ``*`` for everything.
    """

    kind: Kind
    name: str
    member: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What code is.

    Attributes:
        code: digest of its normal form; of a notebook without its parameters cell, whose place counts.
        parameters: digest of the parameters cell; empty for a module, and where there is none.
        references: everything that it names.
    """

    code: str
    parameters: str = ""
    references: tuple[Reference, ...] = ()


def scan_notebook(source: Source, cache: Cache) -> Scan:
    """A notebook's code."""
    cells = [[cell.source, sorted(cell.tags), cell is source.parameters] for cell in source.cells]
    data = json.dumps(["notebook", source.language, cells]).encode()
    return _recall(data, cache) or _remember(data, _scan_notebook(source), cache)


def scan_module(data: bytes, cache: Cache) -> Scan:
    """A Python file's code."""
    known = _recall(b"module " + data, cache)
    if known:
        return known
    code = parse_module(data)
    return _remember(
        b"module " + data, Scan(code=sha256_json(code.normal), references=_sorted(references(code))), cache
    )


def _name(data: bytes) -> str:
    return f"scan {SCAN_VERSION} {NORMAL_VERSION} {sha256_bytes(data)}"


def _recall(data: bytes, cache: Cache) -> Scan | None:
    text = cache.recall(_name(data))
    if text is None:
        return None
    code, parameters, found = json.loads(text)
    named = tuple(Reference(kind=kind, name=name, member=member) for kind, name, member in found)
    return Scan(code=code, parameters=parameters, references=named)


def _remember(data: bytes, scan: Scan, cache: Cache) -> Scan:
    found = [[item.kind, item.name, item.member] for item in scan.references]
    cache.remember(_name(data), json.dumps([scan.code, scan.parameters, found]))
    return scan


def _scan_notebook(source: Source) -> Scan:
    normal: list[str] = []
    parameters = ""
    found: list[Reference] = []
    for cell in source.cells:
        code = parse_cell(cell.source, tags=cell.tags, language=source.language)
        if cell is source.parameters:
            parameters = sha256_json(code.normal)
            normal.append("parameters")
        elif code.normal:
            normal.append(code.normal)
        if source.language == "python":
            found.extend(references(code))
    return Scan(code=sha256_json([source.language, *normal]), parameters=parameters, references=_sorted(found))


def _sorted(found: Iterable[Reference]) -> tuple[Reference, ...]:
    return tuple(sorted(set(found), key=lambda item: (item.kind, item.name, item.member)))


def references(code: Code) -> Iterator[Reference]:
    """Everything that code names, wherever it stands: within functions, in a ``try``, in a magic.

    A name that is only computed when the code runs is not seen.
    """
    if code.tree is not None:
        yield from _in_tree(code.tree)
    for text in code.magics:
        yield from _in_text(text, whole=code.tree is None)


def _in_tree(tree: ast.AST) -> Iterator[Reference]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Reference(kind="module", name=alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                yield Reference(kind="member", name=base, member=alias.name)
        elif isinstance(node, ast.Call):
            yield from _in_call(node)
        elif isinstance(node, (ast.Assign, ast.AugAssign)) and "sys.path" in map(ast.unparse, _targets(node)):
            yield from _folders(node.value)
        elif (text := _text(node)) and text.endswith((".py", ".ipynb")) and len(text) < 256 and "\n" not in text:
            yield Reference(kind="file", name=text)


def _targets(node: ast.Assign | ast.AugAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _in_call(call: ast.Call) -> Iterator[Reference]:
    """Modules that a call imports by name, and folders that it adds to the path or makes the current one."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if called in ("import_module", "__import__", "run_module"):
        texts = list(filter(None, map(_text, (*call.args, *(keyword.value for keyword in call.keywords)))))
        if texts and texts[0].startswith(".") and len(texts) > 1:
            yield from _resolved(texts[0], texts[1])
        elif texts:
            yield Reference(kind="module", name=texts[0])
    elif owner == "sys.path" or called in ("chdir", "addsitedir"):
        yield from _folders(call)


def _folders(node: ast.AST) -> Iterator[Reference]:
    """The paths in an expression, each by itself and all joined, since they may be parts of one."""
    found = [inner for inner in ast.walk(node) if isinstance(inner, ast.Constant) and _text(inner)]
    texts = [_text(inner) for inner in sorted(found, key=lambda inner: (inner.lineno, inner.col_offset))]
    for text in {*texts, "/".join(texts)} - {""}:
        yield Reference(kind="folder", name=text)


def _text(node: ast.AST) -> str:
    """The text that a node is; empty if it is none."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _resolved(name: str, package: str) -> Iterator[Reference]:
    try:
        yield Reference(kind="module", name=importlib.util.resolve_name(name, package))
    except (ImportError, ValueError):
        return


def _in_text(text: str, *, whole: bool) -> Iterator[Reference]:
    """What the text of a magic, of a shell command or of a cell that is not Python names.

    Args:
        whole: whether it is a whole cell, rather than a line of one.
    """
    if not text.lstrip().startswith("!"):
        for line in IMPORT_LINE.findall(text):
            tree = parsed(line.strip().removesuffix("("))
            if tree is not None:
                yield from _in_tree(tree)
            else:
                yield Reference(kind="member", name=line.split()[1].rstrip(","), member="*")
    for pattern in (LOADS_MODULE, RUNS_MODULE):
        for name in pattern.findall(text):
            yield Reference(kind="module", name=name)
    if PLOTS.search(text):
        yield Reference(kind="module", name="matplotlib")
    for name in CHANGES_FOLDER.findall(text):
        yield Reference(kind="folder", name=name)
    written = WRITES_FILE.match(text) if whole else None
    if written:
        yield Reference(kind="written", name=written[1])
        return
    for name in RUNS_FILE.findall(text):
        yield Reference(kind="file", name=name)
        yield Reference(kind="file", name=f"{name}.py")
    for name in NAMES_FILE.findall(text):
        yield Reference(kind="file", name=name)
