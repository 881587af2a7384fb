"""What a card is made of, before it is Markdown or HTML: sections of paragraphs, tables, code, plots and a graph.

All texts are plain: a writer escapes them. A piece of text that is more than that has a type of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class Mono(str):
    """Text in letters of one width: a digest, a path, a name in code."""

    __slots__ = ()


class Number(str):
    """A number as text; tables align it to the right."""

    __slots__ = ()


class Link(str):
    """A text that is a link if it is an address on the web, else plain."""

    __slots__ = ()


class Verdict(str):
    """One of the words that say how something stands: passed, failed, undecided, ok, unknown, ..."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Paragraphs, parted by empty lines."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A paragraph that must not be overlooked."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Labels with their values."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a head; each row has as many cells as the head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Code."""

    language: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing.

    Attributes:
        name: what its file is called after; any text.
        title: what there is to see, for those who cannot see it.
        svg: one ``<svg>`` element, with the classes of `nbprod.evidence.modelcard.plots.STYLE`.
    """

    name: str
    title: str
    svg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of a graph.

    Attributes:
        kind: ``data``, ``stage``, ``version`` or ``alias``.
        lines: what stands in it.
    """

    id: str
    kind: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An arrow between two nodes, by their ids."""

    start: str
    end: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph without cycles; every edge goes from a node to a later one of the list."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


Block = Text | Note | Pairs | Table | Source | Plot | Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled part of a card.

    Attributes:
        level: 2 for a part, 3 for a part of one.
    """

    title: str
    blocks: Sequence[Block]
    level: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A card.

    Attributes:
        marks: short facts for the top, each as label and value.
        front: Hugging Face's metadata, in JSON types.
    """

    title: str
    marks: Sequence[tuple[str, str]]
    front: dict[str, Any]
    sections: Sequence[Section]
