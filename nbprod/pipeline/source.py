"""A notebook as its author wrote it: its code cells, its parameters cell, its kernel; read with plain JSON.

Formats 2 and 3 are brought to format 4 in memory. nbformat is not imported: planning reads every notebook and must be
quick.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from nbprod.errors import NotebookError, nearest
from nbprod.pipeline.normal import parse_cell

NEWEST_FORMAT = 4

SKIPPED = "skip-execution"
"""The tag of cells that Jupyter's own runner, and so papermill, passes over."""

LOGS = re.compile(r"\b(?:log_model|log_artifact|autolog)\b")
IMPORTED = re.compile(r"^[ \t]*(?:from[ \t]+([A-Za-z_]\w*)|import[ \t]+([^\n#;]+))", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCell:
    """A code cell.

    Attributes:
        number: 1-based, counting cells of every kind.
    """

    number: int
    source: str
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A notebook's code.

    Attributes:
        path: the file.
        label: what the user calls it.
        notebook: the whole notebook, format 4, as plain JSON types.
        cells: its code cells that are to run: those that hold anything and are not tagged ``skip-execution``.
        kernel: the kernel it names; empty if none.
        language: ``python`` unless it says otherwise.
        parameters: the cell tagged ``parameters``; it is one of `cells` unless it is empty.
    """

    path: Path
    label: str
    notebook: dict[str, Any] = field(repr=False)
    cells: tuple[CodeCell, ...] = ()
    kernel: str = ""
    language: str = "python"
    parameters: CodeCell | None = None

    def mentions(self, word: str) -> bool:
        """Whether a word stands anywhere in the code."""
        return any(word in cell.source for cell in self.cells)


def read_source(path: Path, *, label: str) -> Source:
    """Read a notebook's code.

    Args:
        label: what the user calls it, for error messages.

    Raises:
        NotebookError: there is no such file, or it is no notebook; one sentence that says what to do.
    """
    notebook = read_notebook(path, label=label)
    metadata = notebook["metadata"]
    found = [
        CodeCell(number=number, source=cell["source"], tags=frozenset(cell["metadata"].get("tags") or ()))
        for number, cell in enumerate(notebook["cells"], 1)
        if cell["cell_type"] == "code"
    ]
    tagged = [cell for cell in found if "parameters" in cell.tags]
    if len(tagged) > 1:
        raise NotebookError(
            f"is tagged `parameters`, as cell {tagged[0].number} is: take the tag from one of them.",
            file=label,
            cell=tagged[1].number,
        )
    return Source(
        path=path,
        label=label,
        notebook=notebook,
        cells=tuple(cell for cell in found if cell.source.strip() and SKIPPED not in cell.tags),
        kernel=_text(_mapping(metadata.get("kernelspec")).get("name")),
        language=_language(metadata),
        parameters=tagged[0] if tagged else None,
    )


def read_notebook(path: Path, *, label: str) -> dict[str, Any]:
    """A notebook in format 4 as plain JSON types: every cell has a type, a text ``source`` and ``metadata``.

    Raises:
        NotebookError: as `read_source`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        beside = [p.name for p in path.parent.glob("*.ipynb")] if path.parent.is_dir() else []
        raise NotebookError(f"there is no such notebook.{nearest(path.name, beside)}", file=label) from None
    except IsADirectoryError:
        inside = sorted(p.name for p in path.glob("*.ipynb"))
        hint = f", such as {inside[0]}" if inside else ", it holds none"
        raise NotebookError(f"is a folder: name a notebook in it{hint}.", file=label) from None
    except UnicodeDecodeError as error:
        raise NotebookError(
            f"is not text in UTF-8 (byte {error.start} is not): restore it, or save it again in JupyterLab.", file=label
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NotebookError(f"cannot be read ({reason}): check its path and permissions.", file=label) from error
    if not text.strip():
        raise NotebookError("is empty: open it in JupyterLab and save it, or take it out.", file=label)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotebookError(
            f"is not valid JSON ({error.msg.lower()} at column {error.colno}): restore the file, or mend that line.",
            file=label,
            line=error.lineno,
        ) from error
    except (RecursionError, ValueError) as error:
        raise NotebookError(
            "is nested too deeply, or holds too large a number, to be a notebook.", file=label
        ) from error
    return _format_4(data, label)


def _format_4(data: Any, label: str) -> dict[str, Any]:
    major = data.get("nbformat") if isinstance(data, dict) else None
    if not isinstance(data, dict) or isinstance(major, bool) or not isinstance(major, int):
        raise NotebookError("is JSON but not a notebook (no number `nbformat`): name another file.", file=label)
    if major > NEWEST_FORMAT:
        raise NotebookError(
            f"has notebook format {major}, which is newer than {NEWEST_FORMAT}: save it as format {NEWEST_FORMAT}, or "
            "upgrade nbprod.",
            file=label,
        )
    if major < NEWEST_FORMAT:
        data = _upgraded(data, label)
    cells = data.get("cells")
    if not isinstance(cells, list):
        raise NotebookError("has no list of cells: restore it from git, or save it again in JupyterLab.", file=label)
    return {
        **data,
        "nbformat": NEWEST_FORMAT,
        "nbformat_minor": data.get("nbformat_minor") if isinstance(data.get("nbformat_minor"), int) else 5,
        "metadata": dict(_mapping(data.get("metadata"))),
        "cells": [_cell(cell, number, label) for number, cell in enumerate(cells, 1)],
    }


def _cell(cell: Any, number: int, label: str) -> dict[str, Any]:
    """A cell with everything that a cell has, or an error that names it."""
    kind = cell.get("cell_type") if isinstance(cell, dict) else None
    if not isinstance(cell, dict) or kind not in ("code", "markdown", "raw"):
        raise NotebookError(
            f"is no valid cell (its type is {kind!r}): delete it in a text editor or restore the file.",
            file=label,
            cell=number,
        )
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotebookError("has no source text: restore the file, or delete the cell.", file=label, cell=number)
    tags = _mapping(cell.get("metadata")).get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise NotebookError("has tags that are not a list of words: mend its metadata.", file=label, cell=number)
    whole = {**cell, "source": source, "metadata": dict(_mapping(cell.get("metadata")))}
    if kind == "code":
        outputs = cell.get("outputs")
        whole["outputs"] = outputs if isinstance(outputs, list) else []
        whole.setdefault("execution_count", None)
    return whole


def _upgraded(data: Mapping[str, Any], label: str) -> dict[str, Any]:
    """A notebook of format 2 or 3 in the shape of format 4, without its outputs."""
    sheets = data.get("worksheets")
    if not isinstance(sheets, list):
        raise NotebookError(
            f"has notebook format {data['nbformat']} but no `worksheets`: it is damaged, restore it.", file=label
        )
    old = [cell for sheet in sheets for cell in _list(_mapping(sheet).get("cells"))]
    languages = {_text(_mapping(cell).get("language")) for cell in old} - {""}
    metadata = dict(_mapping(data.get("metadata")))
    if len(languages) == 1:
        metadata.setdefault("language_info", {"name": languages.pop()})
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": [_upgraded_cell(cell) for cell in old]}


def _upgraded_cell(cell: Any) -> Any:
    """A cell of format 2 or 3 in the shape of format 4; what is not one is left for `_cell` to name."""
    if not isinstance(cell, dict):
        return cell
    kind = cell.get("cell_type")
    source = _joined(cell.get("input" if kind == "code" else "source", ""))
    if kind == "heading":
        level = cell.get("level")
        source = f"{'#' * level if isinstance(level, int) else '#'} {source}" if isinstance(source, str) else source
    kind = "markdown" if kind in ("heading", "html") else kind
    return {"cell_type": kind, "source": source, "metadata": _mapping(cell.get("metadata"))}


def _joined(source: Any) -> Any:
    """Lines as one text; older versions split them without keeping the line ends."""
    if not isinstance(source, list) or not all(isinstance(line, str) for line in source):
        return source
    return ("" if source and source[0].endswith(("\n", "\r")) else "\n").join(source)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _language(metadata: Mapping[str, Any]) -> str:
    info, spec = _mapping(metadata.get("language_info")), _mapping(metadata.get("kernelspec"))
    return (_text(info.get("name")) or _text(spec.get("language")) or "python").lower()


def logged_names(source: Source) -> frozenset[str] | None:
    """The names of everything that a notebook logs; None when that cannot be told, so that it may log anything.

    ``log_model(..., name="x")`` logs ``x`` (``model`` without a name), ``log_artifact("a/b.png")`` logs ``b.png``,
    ``log_artifact({...}, name="x")`` logs ``x.json``, and any ``autolog()`` logs ``model``. It cannot be told when a
    name is computed, when one of these functions is passed on or renamed, and when the notebook imports or runs code of
    the project, which may log as well.
    """
    if source.language != "python" or any("%run" in cell.source for cell in source.cells) or _imports_project(source):
        return None
    names: set[str] = set()
    for cell in source.cells:
        if not LOGS.search(cell.source):
            continue
        code = parse_cell(cell.source)
        if code.tree is None or any(LOGS.search(text) for text in code.magics):
            return None
        for name in _in_tree(code.tree):
            if name is None:
                return None
            names.add(name)
    return frozenset(names)


def _in_tree(tree: ast.Module) -> Iterator[str | None]:
    """The names that calls log; None for one that cannot be told, or for a use that is no call."""
    called: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and LOGS.fullmatch(_function(node.func)):
            called.add(id(node.func))
            yield _logged(node)
        elif isinstance(node, (ast.Name, ast.Attribute)) and LOGS.fullmatch(_function(node)) and id(node) not in called:
            yield None  # a call is walked before what is in it
        elif isinstance(node, ast.ImportFrom):
            yield from (
                None for alias in node.names if LOGS.fullmatch(alias.name) and alias.asname not in (None, alias.name)
            )


def _function(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _logged(call: ast.Call) -> str | None:
    """The name that a call logs; None if it is not written out."""
    function = _function(call.func)
    if function == "autolog":
        return "model"
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if None in keywords or any(isinstance(arg, ast.Starred) for arg in call.args):
        return None
    if "name" in keywords:
        name = _literal(keywords["name"])
        value = call.args[0] if call.args else keywords.get("value")
        # What needs an ending gets it when it is logged, so the name of anything else but a dict cannot be told here.
        if name and function == "log_artifact" and not PurePath(name).suffix and not _is_path(value):
            return f"{name}.json" if isinstance(value, (ast.Dict, ast.List, ast.DictComp, ast.ListComp)) else None
        return name
    if function == "log_model":
        # MLflow's flavours take the path of the model as their second argument.
        named = keywords.get("artifact_path") or (call.args[1] if len(call.args) > 1 else None)
        return _literal(named) if named is not None else "model"
    logged = call.args[0] if call.args else keywords.get("value") or keywords.get("local_path")
    path = _literal(logged) if logged is not None else None
    return PurePath(path).name if path else None


def _is_path(node: ast.expr | None) -> bool:
    """Whether a value is a path that is written out; MLflow's ``log_artifact`` calls it ``local_path``."""
    return node is None or _literal(node) is not None


def _literal(node: ast.expr) -> str | None:
    """A text that is written out, also as ``Path("text")``."""
    if isinstance(node, ast.Call) and _function(node.func) == "Path" and len(node.args) == 1:
        return _literal(node.args[0])
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _imports_project(source: Source) -> bool:
    """Whether a notebook imports a module that lies beside it, or in the folder that its label is relative to."""
    folder = source.path.absolute().parent
    depth = len(PurePath(source.label).parts) - 1
    root = Path(*folder.parts[: len(folder.parts) - depth]) if not PurePath(source.label).is_absolute() else folder
    names: set[str] = set()
    for cell in source.cells:
        for first, listed in IMPORTED.findall(cell.source):
            names.update(
                [first] if first else [item.split()[0].partition(".")[0] for item in listed.split(",") if item.split()]
            )
    return any(
        (place / f"{name}.py").is_file() or (place / name / "__init__.py").is_file()
        for name in names - {"nbprod"}  # in nbprod's own project; what it logs is seen in the calls
        for place in {folder, root, root / "src"}
    )
