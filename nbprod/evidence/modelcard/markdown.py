"""A card in Markdown, with Hugging Face's metadata in front of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nbprod.evidence.modelcard.blocks import (
    Block,
    Document,
    Graph,
    Link,
    Mono,
    Note,
    Number,
    Pairs,
    Plot,
    Section,
    Source,
    Table,
    Text,
)
from nbprod.evidence.modelcard.escaping import (
    address,
    clean,
    code_in_markdown,
    in_markdown,
    in_mermaid,
    paragraph_in_markdown,
)

SHAPES = {"data": '[("{}")]', "stage": '["{}"]', "version": '(["{}"])', "alias": '{{{{"{}"}}}}'}
"""Kind of node -> how mermaid draws it."""

_NUMBERS = re.compile(r"[-\d.,e+ \[\]\N{NO-BREAK SPACE}]*")
"""Numbers and intervals; brackets make no link, since no text can say where it would lead."""


def markdown(card: Document, *, plots: Mapping[str, str] | None = None) -> str:
    """A card as one text.

    Args:
        plots: name of a plot -> the file that holds it, relative to the card's; those that are not in it are left out.
    """
    import yaml

    front = yaml.safe_dump(card.front, sort_keys=False, allow_unicode=True, width=120)
    marks = " · ".join(f"{in_markdown(label)}: {_inline(value)}" for label, value in card.marks)
    parts = [f"---\n{front}---", f"# {in_markdown(card.title)}", *([marks] if marks else [])]
    for section in card.sections:
        parts.append(_section(section, plots or {}))
    return "\n\n".join(parts) + "\n"


def _section(section: Section, plots: Mapping[str, str]) -> str:
    written = [_block(block, plots) for block in section.blocks]
    head = f"{'#' * section.level} {in_markdown(section.title)}"
    return "\n\n".join([head, *(text for text in written if text)])


def _block(block: Block, plots: Mapping[str, str]) -> str:
    match block:
        case Text():
            return "\n\n".join(paragraph_in_markdown(part) for part in re.split(r"\n\s*\n", block.text.strip()))
        case Note():
            return f"> **Note:** {in_markdown(block.text)}"
        case Pairs():
            return "\n".join(f"- **{in_markdown(label)}:** {_inline(value)}" for label, value in block.rows)
        case Table():
            return _table(block)
        case Source():
            return _fenced(block.language, clean(block.text))
        case Plot():
            file = plots.get(block.name)
            return f"![{in_markdown(block.title)}]({file})" if file else ""
        case Graph():
            return _fenced("mermaid", mermaid(block))


def _table(table: Table) -> str:
    numeric = [
        any(isinstance(row[i], Number) for row in table.rows)
        and all(isinstance(row[i], Number) or row[i] in ("", "-") for row in table.rows)
        for i in range(len(table.head))
    ]
    lines: list[Sequence[str]] = [
        [in_markdown(cell) for cell in table.head],
        ["---:" if right else "---" for right in numeric],
        *([_inline(cell) for cell in row] for row in table.rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _inline(text: str) -> str:
    if isinstance(text, Mono):
        return code_in_markdown(text)
    if isinstance(text, Link) and address(text):
        return f"<{text}>"
    if isinstance(text, Number) and _NUMBERS.fullmatch(text):
        return str(text)
    return in_markdown(text)


def _fenced(language: str, text: str) -> str:
    """A block of code, between more backticks than there are in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def mermaid(graph: Graph) -> str:
    """A graph in mermaid's notation, which GitHub and Hugging Face draw."""
    names = {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart TD", f"    accTitle: {in_mermaid(graph.title)}"]
    for node in graph.nodes:
        label = "<br/>".join(in_mermaid(part) for part in node.lines)
        lines.append(f"    {names[node.id]}{SHAPES[node.kind].format(label)}:::{node.kind}")
    for edge in graph.edges:
        label = f'|"{in_mermaid(edge.label)}"|' if edge.label else ""
        lines.append(f"    {names[edge.start]} -->{label} {names[edge.end]}")
    return "\n".join(lines)
