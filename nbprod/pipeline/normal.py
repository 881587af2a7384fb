"""Code without what does not matter: equal normal forms mean equal behaviour.

Comments, blank lines and layout do not matter; every name, literal and operator does. Python's own syntax tree decides,
with IPython's magics kept as text at their place in it. What Python cannot parse counts as it stands, to the letter.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nbprod.digest import sha256_bytes

NORMAL_VERSION = f"1 {sys.version_info[0]}.{sys.version_info[1]}"
"""Changes when equal code may get another normal form: syntax trees differ between Python's minor versions."""

RELEVANT_TAGS = frozenset({"raises-exception", "parameters", "injected-parameters"})
"""Tags that change what running a notebook does."""

PYTHON_CELL_MAGICS = frozenset({"%%time", "%%capture"})
"""Cell magics that run their body as a cell of its own."""

PLACEHOLDER = "__nbprod_magic_"
PROMPT = re.compile(r"^\s*(?:>>>|\.{3,}:|(?:\[(?:nav|ins)\] ?)?In \[\d+\]: )", re.MULTILINE)
"""Pasted prompts, which IPython strips, even inside some strings."""

ODD_LINE_END = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]|\r(?!\n)")
"""What ends a line for IPython but not for Python."""

TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*) | (?P<string>\"\"\"|'''|"|') | (?P<open>[(\[{]) | (?P<close>[)\]}])
    | (?P<continued>\\\r?\n) | (?P<newline>\n) | (?P<help>\?) | (?P<assign>(?<![=!<>:+\-*/%&|^@])=(?!=))""",
    re.VERBOSE,
)
CELL_MAGIC = re.compile(r"(?:[^\S\n]*\n)*%%")
SPACES = re.compile(r"[ \t]*")
TRIPLE = re.compile(r"\"\"\"|'''")
MAGIC_LINE = re.compile(r"[ \t]*[%!?,;/]")
MAGIC_VALUE = re.compile(r"[ \t]*(?:%[A-Za-z_]|!)")
END_OF_COMMAND = re.compile(r"(?:[^\n\\]|\\(?!\r?\n)|\\\r?\n)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A cell, or a module, as far as it could be understood.

    Attributes:
        normal: equal for code that behaves equally; empty when there is nothing to run.
        tree: its syntax tree, with placeholders for magics; None if it cannot be parsed.
        magics: the text of IPython's own lines; for a cell that cannot be parsed, all of it.
    """

    normal: str
    tree: ast.Module | None
    magics: tuple[str, ...] = ()


def parse_cell(code: str, *, tags: Iterable[str] = (), language: str = "python") -> Code:
    """A notebook's cell in normal form.

    Args:
        tags: the cell's; only those that change what running it does count.
        language: any other than ``python`` is taken to the letter.
    """
    relevant = sorted(RELEVANT_TAGS.intersection(tags))
    found = _cell(code) if language == "python" else _raw(code)
    if not found.normal or not relevant:
        return found
    return Code(normal=json.dumps([relevant, found.normal]), tree=found.tree, magics=found.magics)


def parse_module(data: bytes) -> Code:
    """A Python file in normal form; one that cannot be parsed counts byte by byte."""
    tree = parsed(data)
    if tree is not None:
        try:
            return Code(normal=json.dumps(["module", ast.dump(tree)]), tree=tree)
        except RecursionError:
            pass
    return Code(normal=json.dumps(["bytes", sha256_bytes(data)]), tree=tree, magics=(data.decode("utf-8", "replace"),))


def parsed(code: str | bytes) -> ast.Module | None:
    """Python's syntax tree; None if there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an invalid escape: the kernel will say so
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _cell(code: str) -> Code:
    if CELL_MAGIC.match(code):
        return _cell_magic(code.lstrip())
    if PROMPT.search(code) or ODD_LINE_END.search(code) or PLACEHOLDER in code:
        return _raw(code)
    text, magics = code, tuple[str, ...]()
    tree = parsed(code)
    if tree is None:
        text, magics = _masked(code)
        odd = any(magic.rstrip().endswith("\\") or ("?" in code and _is_open(magic)) for magic in magics)
        tree = parsed(text) if magics and not odd else None
    if tree is None:
        return _raw(code)
    if not tree.body:
        return Code(normal="", tree=tree)
    try:
        normal = json.dumps(["python", ast.dump(tree), magics, _quiet(text)])
    except RecursionError:
        return Code(normal=_raw(code).normal, tree=tree, magics=magics)
    return Code(normal=normal, tree=tree, magics=magics)


def _is_open(text: str) -> bool:
    """Whether a line may seem to go on, to IPython, which then looks for ``?`` at the end of some later line."""
    return any(text.count(first) != text.count(last) for first, last in ("()", "[]", "{}")) or bool(TRIPLE.search(text))


def _cell_magic(code: str) -> Code:
    """A cell that begins with ``%%``: to the letter, unless the magic only runs its body."""
    head, newline, body = code.partition("\n")
    if not newline or head.split()[0] not in PYTHON_CELL_MAGICS:
        return _raw(code)
    inner = _cell(body)
    return Code(normal=json.dumps(["cell magic", head, inner.normal]), tree=inner.tree, magics=(head, *inner.magics))


def _raw(code: str) -> Code:
    """Code to the letter: a blank line may stand in a string, or in a file that a magic writes."""
    return Code(normal=json.dumps(["raw", code]) if code.strip(" \t\r\n") else "", tree=None, magics=(code,))


def _quiet(code: str) -> bool:
    """Whether a cell ends in ``;``, with which IPython does not show its last value."""
    if ";" not in code:
        return False
    last = ""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT)
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type not in skipped:
                last = token.string
    except (tokenize.TokenError, SyntaxError):
        return False
    return last == ";"


def _masked(code: str) -> tuple[str, tuple[str, ...]]:
    """The code with a placeholder for each of IPython's own lines, and the text of those lines."""
    parts: list[str] = []
    magics: list[str] = []
    end = 0
    for start, stop in _magic_spans(code):
        parts += [code[end:start], f"{PLACEHOLDER}{len(magics)}"]
        text = code[start:stop]
        # With a space after it ``?`` does not ask for help, and a backslash does not continue the line.
        magics.append(text if "?" in text or "\\" in text else text.rstrip())
        end = stop
    return "".join([*parts, code[end:]]), tuple(magics)


def _magic_spans(code: str) -> Iterator[tuple[int, int]]:
    """Where IPython's own syntax begins and ends: whole commands, and commands that are assigned.

    Should this be wrong somewhere, then either the masked code does not parse, or the normal form keeps the text
    anyway.
    """
    position = 0
    while position < len(code):
        if MAGIC_LINE.match(code, position):
            start = _text_at(code, position)
            position = _end(code, start)
            yield start, position
            position += 1
            continue
        position, span = _logical_line(code, position)
        if span:
            yield span


def _logical_line(code: str, start: int) -> tuple[int, tuple[int, int] | None]:
    """Where the next logical line begins, and the span in this one that is IPython's, if any."""
    depth, position, assigned, question = 0, start, False, False
    while match := TOKEN.search(code, position):
        position = match.end()
        match match.lastgroup:
            case "string":
                position = _string_end(code, match)
            case "open":
                depth += 1
            case "close":
                depth = max(0, depth - 1)
            case "help":
                question = True
            case "assign" if depth == 0 and not assigned:
                assigned = True
                if MAGIC_VALUE.match(code, position):
                    begin = _text_at(code, position)
                    return _end(code, begin) + 1, (begin, _end(code, begin))
            case "newline" if depth == 0 or question:
                return position, (_text_at(code, start), match.start()) if question else None
    return len(code), (_text_at(code, start), len(code)) if question else None


def _text_at(code: str, position: int) -> int:
    """Where text begins after spaces."""
    match = SPACES.match(code, position)
    return match.end() if match else position


def _end(code: str, start: int) -> int:
    """Where a command ends: at the end of its line, or of the lines that backslashes join to it."""
    match = END_OF_COMMAND.match(code, start)
    return match.end() if match else len(code)


def _string_end(code: str, quote: re.Match[str]) -> int:
    """Where a string ends that ``quote`` opens; a plain one ends at the end of its line at the latest."""
    mark = quote.group()
    position = quote.end()
    while position < len(code):
        if code[position] == "\\":
            position += 2
        elif code.startswith(mark, position):
            return position + len(mark)
        elif code[position] == "\n" and len(mark) == 1:
            return position
        else:
            position += 1
    return len(code)
