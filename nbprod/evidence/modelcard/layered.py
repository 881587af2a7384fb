"""A graph as SVG: in layers from top to bottom, since a page without network cannot draw mermaid.

The method is Sugiyama's, as small as it can be: a node stands one layer below the lowest that it follows, a long edge
passes through a point in every layer between, and layers are put in order by the mean place of what is above.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from nbprod.evidence.modelcard.blocks import Graph, Node
from nbprod.evidence.modelcard.escaping import clip, in_html

STYLE = """
.graph text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink,#1f2430)}
.graph .soft{font-size:11px;fill:var(--soft,#5b6475)}
.graph .label{font-size:11px;fill:var(--soft,#5b6475);paint-order:stroke;stroke:var(--back,#fff);stroke-width:4px}
.graph rect{fill:var(--panel,#f4f6fa);stroke:var(--soft,#5b6475)}.graph .data rect{stroke-dasharray:4 3}
.graph .version rect{fill:var(--accent,#1d4fb8);stroke:none}
.graph .version text{fill:var(--on,#fff);font-weight:600}.graph .version .soft{fill:var(--on,#fff);font-weight:400}
.graph .alias rect{fill:none;stroke:var(--accent,#1d4fb8);stroke-width:1.5}
.graph .edge{fill:none;stroke:var(--soft,#5b6475);stroke-width:1.3}.graph .tip{fill:var(--soft,#5b6475)}
"""

BOX, POINT, GAP = 184, 40, 18
HEIGHT, BETWEEN, MARGIN = 44, 56, 8

Point = tuple[str, str, int]
"""Where an edge passes through a layer: its two ends, and the layer."""

Stop = str | Point


def drawing(graph: Graph) -> str:
    """The graph as one ``<svg>`` element."""
    layer = _layers(graph)
    rows: list[list[Stop]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for node in graph.nodes:
        rows[layer[node.id]].append(node.id)
    paths: dict[tuple[str, str], list[Stop]] = {}
    for edge in graph.edges:
        between: list[Point] = [(edge.start, edge.end, n) for n in range(layer[edge.start] + 1, layer[edge.end])]
        for point in between:
            rows[point[2]].append(point)
        paths[edge.start, edge.end] = [edge.start, *between, edge.end]
    _order(rows, paths)
    width = max((_width(row) for row in rows), default=BOX) + 2 * MARGIN
    place = _places(rows, width)
    height = len(rows) * (HEIGHT + BETWEEN) - BETWEEN + 2 * MARGIN
    title = in_html(graph.title)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" aria-label="{title}"><title>{title}</title>'
    ]
    labels = []
    for edge in graph.edges:
        line, label = _edge([place[stop] for stop in paths[edge.start, edge.end]], edge.label)
        parts.append(line)
        labels.append(label)
    parts += [_box(node, *place[node.id]) for node in graph.nodes]
    return "".join([*parts, *labels, "</svg>"])


def _layers(graph: Graph) -> dict[str, int]:
    """Node -> layer; data is pulled down beside what it is read with."""
    before, after = defaultdict(list), defaultdict(list)
    for edge in graph.edges:
        before[edge.end].append(edge.start)
        after[edge.start].append(edge.end)
    layer: dict[str, int] = {}
    for node in graph.nodes:  # in their order every edge goes forward
        layer[node.id] = 1 + max((layer[id] for id in before[node.id]), default=-1)
    for node in graph.nodes:
        if not before[node.id] and after[node.id]:
            layer[node.id] = min(layer[id] for id in after[node.id]) - 1
    return layer


def _order(rows: list[list[Stop]], paths: dict[tuple[str, str], list[Stop]]) -> None:
    """Put every layer in order, so that fewer edges cross; each of what is above counts alike."""
    above: dict[Stop, list[Stop]] = defaultdict(list)
    below: dict[Stop, list[Stop]] = defaultdict(list)
    for stops in paths.values():
        for upper, lower in pairwise(stops):
            above[lower].append(upper)
            below[upper].append(lower)
    for turn in range(6):
        downward = turn % 2 == 0
        neighbours = above if downward else below
        for row, beside in zip(*((rows[1:], rows) if downward else (rows[-2::-1], rows[:0:-1])), strict=False):
            rank = {item: (number + 0.5) / len(beside) for number, item in enumerate(beside)}
            own = {item: (number + 0.5) / len(row) for number, item in enumerate(row)}
            mean = {
                item: sum(rank[other] for other in neighbours[item]) / len(neighbours[item])
                if neighbours[item]
                else own[item]
                for item in row
            }
            row.sort(key=lambda item: mean[item])


def _span(item: Stop) -> int:
    return BOX if isinstance(item, str) else POINT


def _width(row: list[Stop]) -> float:
    return sum(_span(item) for item in row) + GAP * (len(row) - 1)


def _places(rows: list[list[Stop]], width: float) -> dict[Stop, tuple[float, float]]:
    """The middle of everything: each layer is centred."""
    found: dict[Stop, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        x = (width - _width(row)) / 2
        for item in row:
            found[item] = (x + _span(item) / 2, MARGIN + number * (HEIGHT + BETWEEN) + HEIGHT / 2)
            x += _span(item) + GAP
    return found


def _edge(stops: list[tuple[float, float]], label: str) -> tuple[str, str]:
    """An arrow through some places, and its label."""
    half, bend = HEIGHT / 2, BETWEEN / 2
    (x, y), *rest = stops
    y += half
    path = f"M{x:.1f} {y:.1f}"
    middle = ((x + rest[0][0]) / 2, y + bend + 4)
    for number, (to_x, centre) in enumerate(rest):
        last = number == len(rest) - 1
        top = centre - half - (6 if last else 0)
        path += f"C{x:.1f} {y + bend:.1f} {to_x:.1f} {top - bend:.1f} {to_x:.1f} {top:.1f}"
        x, y = to_x, top
        if not last:
            y = centre + half
            path += f"V{y:.1f}"
    arrow = f'<path class="edge" d="{path}"/><path class="tip" d="M{x - 4:.1f} {y - 1:.1f}h8l-4 7z"/>'
    if not label:
        return arrow, ""
    said = f'<text class="label" x="{middle[0]:.1f}" y="{middle[1]:.1f}" text-anchor="middle">'
    return arrow, f"{said}{in_html(clip(label, 24))}</text>"


def _box(node: Node, x: float, y: float) -> str:
    """A node with its lines, whole in its title."""
    parts = [
        f'<g class="{node.kind}"><title>{in_html(" · ".join(node.lines))}</title>'
        f'<rect x="{x - BOX / 2:.1f}" y="{y - HEIGHT / 2:.1f}" width="{BOX}" height="{HEIGHT}" rx="6"/>'
    ]
    first = y + 4.5 - 8 * (len(node.lines) - 1)
    for number, text in enumerate(node.lines):
        soft = ' class="soft"' if number else ""
        shown = in_html(clip(text, 26 if number else 22))
        parts.append(f'<text{soft} x="{x:.1f}" y="{first + 16 * number:.1f}" text-anchor="middle">{shown}</text>')
    return "".join([*parts, "</g>"])
