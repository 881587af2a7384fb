"""A notebook's parameters: names, types, defaults and comments, read with Python's own parser.

papermill reads them with regular expressions and so misreads ``=`` in text, unions and literals in annotations (its
issues #864, #806 and #906); it also takes the type of a value from how it looks on the command line. Here the
parameters cell decides.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from nbprod.document import load_scalar
from nbprod.entities import Parameter
from nbprod.errors import NotebookError, ParameterError, nearest
from nbprod.pipeline.secrets import environment_name, looks_secret
from nbprod.pipeline.source import CodeCell, Source
from nbprod.pipeline.types import fits, is_plain, parse_type, shown, type_of

NOT_FINITE = re.compile(r"[-+]?(?:inf|infinity|nan)\Z", re.IGNORECASE)
ROLE = re.compile(r"(input|output)\b(?!-\w)\s*(?:[:,;.-]+\s*)?")
TYPE_COMMENT = re.compile(r"type:\s*((?:[\w.]|\[[^#]*\])+)\s*(.*)")
ASSIGNED = re.compile(r"^[ \t]*([A-Za-z_]\w*)[ \t]*(?:=(?!=)|<-)", re.MULTILINE)
"""An assignment in most languages that kernels run: R, Julia, Scala script, Octave."""

PATHS = frozenset({"str", "any"})
"""Kinds of types that a path may have."""

Assignment = tuple[str, ast.expr | None, ast.expr | None]
"""Name, annotation and value."""


def read_parameters(source: Source) -> tuple[Parameter, ...]:
    """The names that the cell tagged ``parameters`` assigns, in order; none if there is no such cell.

    Where a name is assigned twice the last counts. Of a notebook in another language only the names are known.

    Raises:
        NotebookError: the cell is no plain Python, with its number and line.
    """
    cell = source.parameters
    if cell is None:
        return ()
    if source.language != "python":
        names = dict.fromkeys(ASSIGNED.findall(cell.source))
        return tuple(Parameter(name=name, literal=False, cell=cell.number) for name in names)
    body = _parsed(cell, source.label).body
    comments = _comments(cell.source)
    found: dict[str, Parameter] = {}
    for statement in body:
        for name, annotation, value in _assignments(statement):
            plain = _parameter(name, annotation, value)
            plain, comment = _with_type_comment(plain, _comment(statement, comments, cell.source))
            role, description = _role(comment) if parse_type(plain.type).kinds & PATHS else ("", comment)
            found[name] = replace(plain, role=role, description=description, cell=cell.number, line=statement.lineno)
    return tuple(found.values())


def _parsed(cell: CodeCell, label: str) -> ast.Module:
    try:
        return ast.parse(cell.source)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        lines = cell.source.splitlines()
        text = lines[line - 1].strip() if line <= len(lines) else ""
        if text.startswith(("%", "!", "?")) or text.endswith("?"):
            message = f"the parameters cell must be plain Python: move `{text}` to another cell."
        else:
            message = f"the parameters cell is no valid Python ({getattr(error, 'msg', error)}): mend it in JupyterLab."
        raise NotebookError(message, file=label, cell=cell.number, line=line) from None


def _assignments(statement: ast.stmt) -> Iterator[Assignment]:
    """The plain names that a statement assigns."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id, statement.annotation, statement.value
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _pairs(target, statement.value)


def _pairs(target: ast.expr, value: ast.expr | None) -> Iterator[Assignment]:
    if isinstance(target, ast.Name):
        yield target.id, None, value
    elif isinstance(target, (ast.Tuple, ast.List)):
        values: Sequence[ast.expr | None] = [None] * len(target.elts)
        plain = not any(isinstance(item, ast.Starred) for item in target.elts)
        if plain and isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
            values = value.elts
        for left, right in zip(target.elts, values, strict=True):
            yield from _pairs(left.value if isinstance(left, ast.Starred) else left, right)


def _parameter(name: str, annotation: ast.expr | None, value: ast.expr | None) -> Parameter:
    literal, default = value is not None, None
    if value is not None:
        try:
            default = _plain(ast.literal_eval(value))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            literal = False
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        declared = annotation.value
    else:
        declared = ast.unparse(annotation) if annotation is not None else type_of(default)
    return Parameter(name=name, type=declared, default=default, literal=literal)


def _with_type_comment(parameter: Parameter, comment: str) -> tuple[Parameter, str]:
    """A parameter with the type of a comment such as ``type: list[int] the rest``, and the rest of the comment."""
    match = TYPE_COMMENT.match(comment)
    if not match or parse_type(match[1]).kind == "any":
        return parameter, comment
    return replace(parameter, type=match[1]), match[2]


def _plain(value: Any) -> Any:
    """A literal in JSON types; ValueError if it has none."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        value = {key: _plain(item) for key, item in value.items()}
    if not is_plain(value):
        raise ValueError
    return value


def _comments(code: str) -> dict[int, str]:
    """Line -> comment, without its hash."""
    found = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                found[token.start[0]] = token.string.lstrip("#").strip()
    except (tokenize.TokenError, SyntaxError):
        pass  # Python parsed it, so only the comments are lost
    return found


def _comment(statement: ast.stmt, comments: dict[int, str], code: str) -> str:
    """The comment after a statement, or else the lines of comment directly above it."""
    end = statement.end_lineno or statement.lineno
    text = next((comments[line] for line in range(end, statement.lineno - 1, -1) if comments.get(line)), "")
    if text:
        return text
    lines = code.splitlines()
    above: list[str] = []
    line = statement.lineno - 1
    while line in comments and lines[line - 1].lstrip().startswith("#"):
        above.insert(0, comments[line])
        line -= 1
    return " ".join(filter(None, above))


def _role(comment: str) -> tuple[Literal["", "input", "output"], str]:
    """What a comment says a path is, and the rest of the comment."""
    match = ROLE.match(comment)
    if not match:
        return "", comment
    return "input" if match[1] == "input" else "output", comment[match.end() :]


def convert(
    value: Any, parameter: Parameter, *, file: str | None = None, line: int | None = None, stage: str | None = None
) -> Any:
    """A value of plain types as the parameter's type has it.

    An int is taken for a float where only that fits; nothing else is converted. An unknown type takes anything.

    Raises:
        ParameterError: it has another type.
    """
    ok, converted = fits(value, parse_type(parameter.type))
    if not ok:
        raise _wrong(value, parameter, file=file, line=line, stage=stage)
    return converted


def convert_text(
    text: str, parameter: Parameter, *, file: str | None = None, line: int | None = None, stage: str | None = None
) -> Any:
    """A value as typed on the command line, in the parameter's type.

    Where the type is ``str`` the text is taken as it stands (``007``, ``true``, ``[7]``); where it is ``None | str``
    likewise, except for ``null`` and ``None``. Every other type reads it as YAML, so ``[7]`` is a list and ``1e-3`` a
    number. Without a known type numbers, ``true``, ``false`` and ``null`` are read and anything else is text, as
    papermill has it.

    Raises:
        ParameterError: it has another type.
    """
    expected = parse_type(parameter.type)
    kinds = expected.kinds
    if kinds <= {"str", "None"}:
        return None if "None" in kinds and text in ("null", "None") else text
    value = _python_word(text) if text in ("None", "True", "False") else load_scalar(text)
    if "float" in kinds and NOT_FINITE.match(text):
        value = float(text)
    if kinds == {"any"} and isinstance(value, (list, dict)):
        return text
    for candidate in (value, text):
        ok, converted = fits(candidate, expected)
        if ok:
            return converted
    raise _wrong(value, parameter, file=file, line=line, stage=stage)


def _python_word(text: str) -> bool | None:
    return {"None": None, "True": True, "False": False}[text]


def _wrong(
    value: Any, parameter: Parameter, *, file: str | None, line: int | None, stage: str | None
) -> ParameterError:
    """The error for a value of another type; it does not show what may be a secret."""
    given = "nothing" if value is None else type_of(value)
    if value is not None and not looks_secret(parameter.name):
        given += f" ({shown(value)})"
    hint = ""
    if isinstance(value, float) and parameter.literal and parameter.type == type_of(parameter.default) == "int":
        hint = f" The parameters cell makes it int: write `{parameter.name}: float = ...` there to allow fractions."
    return ParameterError(
        f"{parameter.name} must be {parameter.type}, not {given}.{hint}", file=file, line=line, stage=stage
    )


def unknown_parameter(
    name: str,
    parameters: Sequence[Parameter],
    *,
    source: Source,
    stage: str | None = None,
    file: str | None = None,
    line: int | None = None,
) -> ParameterError:
    """The error for a name that the parameters cell does not assign, with the nearest that it does."""
    known = [parameter.name for parameter in parameters]
    where = source.label
    if source.parameters is None:
        hint = f" It has no cell tagged `parameters`: tag the one that assigns {name}."
    else:
        where += f" (cell {source.parameters.number})"
        hint = nearest(name, known) or f" Its parameters cell assigns nothing: add {name} to it."
    return ParameterError(f"{where} has no parameter '{name}'.{hint}", file=file, line=line, stage=stage)


def refuse_secret(name: str, *, file: str | None = None, line: int | None = None, stage: str | None = None) -> None:
    """Refuse a parameter that is named like a secret, since parameters are written to notebooks and to the registry.

    Raises:
        ParameterError: it is; with what to do instead.
    """
    if looks_secret(name):
        variable = environment_name(name)
        raise ParameterError(
            f"'{name}' looks like a secret, and parameters are recorded: read it from os.environ['{variable}'] "
            f"and list {variable} under the stage's `env:`.",
            file=file,
            line=line,
            stage=stage,
        )


def defaults(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Name -> default of the parameters whose default could be read."""
    return {parameter.name: parameter.default for parameter in parameters if parameter.literal}
