"""Charts as SVG text: no script, no font and no colour of their own, so that a page's style reaches into them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from nbprod.monitoring.columns import Column

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 8, 22
TALL = 6
"""A density is cut where it is so many times the median one."""

SHOWN = 12
"""So many categories are drawn; the rest are one bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value at a place, with its interval."""

    place: float
    value: float
    low: float | None = None
    high: float | None = None
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Values to places on the page."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        span = self.high - self.low or 1.0
        return round(self.first + (self.last - self.first) * (value - self.low) / span, 1)


def short(value: float) -> str:
    """A number that fits beside an axis."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 1e6:
        return f"{value:.2g}"
    if abs(value) >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:.3g}"


def _svg(body: str, label: str, height: int = HEIGHT, width: int = WIDTH) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{body}</svg>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _axis(scale: Scale) -> str:
    """Three lines across, with their numbers."""
    found = []
    for share in (0.0, 0.5, 1.0):
        value = scale.low + share * (scale.high - scale.low)
        y = scale(value)
        found.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" class="grid"/>')
        found.append(_text(LEFT - 4, y + 3, short(value), "tick", "end"))
    return "".join(found)


def distribution(name: str, reference: Column, current: Column | None) -> str:
    """The reference as an area, the current rows as a line; of a category, bars beside each other."""
    if reference.kind == "category":
        return _bars(name, reference, current)
    return _steps(name, reference, current)


def _shares(column: Column | None) -> list[float]:
    counts = column.filled() if column else []
    total = sum(counts) or 1
    return [count / total for count in counts]


def _steps(name: str, reference: Column, current: Column | None) -> str:
    grid = reference.grid
    assert grid is not None
    edges = grid.edges
    places = [grid.axis(edge) for edge in edges]  # equally wide cells, so that a long tail does not hide the rest
    widths = [max(right - left, 1e-12) for left, right in pairwise(places)]
    heights = [
        [share / width for share, width in zip(_shares(side), widths, strict=False)] for side in (reference, current)
    ]
    every = sorted(height for side in heights for height in side)
    top = min(every[-1], TALL * every[len(every) // 2] or every[-1]) or 1.0  # one tall bin does not flatten the rest
    heights = [[min(height, top) for height in side] for side in heights]
    across = Scale(low=places[0], high=places[-1], first=LEFT, last=WIDTH - RIGHT)
    up = Scale(low=0.0, high=top, first=HEIGHT - BOTTOM, last=TOP)
    area, line = (_outline(places, side, across, up) for side in heights)
    floor = up(0.0)
    body = f'<path d="M{across(places[0])},{floor} {area[1:].replace("M", "L", 1)} V{floor} Z" class="reference"/>'
    if line:
        body += f'<path d="{line}" class="current"/>'
    body += f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}" class="grid"/>'
    body += _text(LEFT, HEIGHT - 7, short(edges[0]), "tick")
    body += _text(WIDTH - RIGHT, HEIGHT - 7, short(edges[-1]), "tick", "end")
    return _svg(body, f"distribution of {name}")


def _outline(places: Sequence[float], heights: Sequence[float], across: Scale, up: Scale) -> str:
    if not heights:
        return ""
    found = [f"M{across(places[0])},{up(heights[0])}"]
    for place, height in enumerate(heights):
        found.append(f"V{up(height)} H{across(places[place + 1])}")
    return " ".join(found)


def _bars(name: str, reference: Column, current: Column | None) -> str:
    names = [*reference.values, "other"]
    known, own = _shares(reference), _shares(current) or [0.0] * len(names)
    if len(names) <= SHOWN + 1 and all(name.lstrip("-").isdigit() for name in reference.values):
        order = [*sorted(range(len(names) - 1), key=lambda place: int(names[place])), len(names) - 1]
        names = [names[place] for place in order]
        known, own = ([side[place] for place in order] for side in (known, own))
    if len(names) > SHOWN + 1:
        names = [*names[:SHOWN], "other"]
        known, own = ([*side[:SHOWN], sum(side[SHOWN:])] for side in (known, own))
    if not known[-1] and not own[-1]:
        names, known, own = names[:-1], known[:-1], own[:-1]
    top = max([*known, *own, 1e-9])
    up = Scale(low=0.0, high=top, first=HEIGHT - BOTTOM, last=TOP)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(names))
    body = _axis(up)
    for place, (label, before, now) in enumerate(zip(names, known, own, strict=True)):
        x = LEFT + place * step
        for share, offset, kind in ((before, 0.08, "reference"), (now, 0.5, "bar")):
            y = up(share)
            body += (
                f'<rect x="{x + offset * step:.1f}" y="{y}" width="{0.42 * step:.1f}" '
                f'height="{max(0.0, HEIGHT - BOTTOM - y):.1f}" class="{kind}"><title>{escape(label)}: '
                f"{100 * share:.1f} %</title></rect>"
            )
        letters = max(1, int(step / 6.5))
        shown = label if len(label) <= letters else f"{label[: max(1, letters - 1)]}…"
        body += _text(round(x + step / 2, 1), HEIGHT - 7, shown, "tick", "middle")
    return _svg(body, f"shares of {name}")


def lines(
    name: str,
    points: Sequence[Point],
    *,
    labels: Sequence[str],
    marks: Sequence[tuple[str, float]] = (),
    guesses: Sequence[Point] = (),
) -> str:
    """Values over windows with their intervals.

    Args:
        labels: of the windows, in order; a point's place is one of their numbers.
        marks: words and heights of lines across, such as a floor.
        guesses: drawn hollow: estimates.
    """
    values = [v for p in (*points, *guesses) for v in (p.value, p.low, p.high) if v is not None and math.isfinite(v)]
    values += [height for _, height in marks]
    low, high = min(values, default=0.0), max(values, default=1.0)
    up = Scale(**_roomy(low, high), first=HEIGHT - BOTTOM, last=TOP)
    across = Scale(low=-0.5, high=max(0.5, len(labels) - 0.5), first=LEFT, last=WIDTH - RIGHT)
    body = _axis(up)
    for words, height in marks:
        y = up(height)
        kind = "floor" if words == "floor" else "mark"
        body += f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" class="{kind}"/>'
        if words in ("floor", "target"):  # what others are the legend says
            body += _text(WIDTH - RIGHT, y + 10 if words == "floor" else y - 3, words, "tick", "end")
    if len(guesses) > 1:
        body += f'<polyline points="{_places(guesses, across, up)}" class="guess"/>'
    if len(points) > 1:
        body += f'<polyline points="{_places(points, across, up)}" class="current"/>'
    body += "".join(_dot(point, across, up, "hollow") for point in guesses)
    body += "".join(_dot(point, across, up, "dot") for point in points)
    if labels:
        body += _text(LEFT, HEIGHT - 7, labels[0], "tick")
    if len(labels) > 1:
        body += _text(WIDTH - RIGHT, HEIGHT - 7, labels[-1], "tick", "end")
    return _svg(body, name)


def _roomy(low: float, high: float) -> dict[str, float]:
    """The ends of an axis: a little beyond the values, but not below 0 or above a share of 1, where there are none."""
    room = (high - low) * 0.08 or abs(high) * 0.05 or 0.5
    least, most = (0.0 if low >= 0 else low - room), (1.0 if low >= 0 and high <= 1 else high + room)
    return {"low": max(low - room, least), "high": min(high + room, most)}


def _places(points: Sequence[Point], across: Scale, up: Scale) -> str:
    return " ".join(f"{across(point.place)},{up(point.value)}" for point in points)


def _dot(point: Point, across: Scale, up: Scale, kind: str) -> str:
    x, found = across(point.place), ""
    if point.low is not None and point.high is not None and math.isfinite(point.low + point.high):
        found = f'<line x1="{x}" x2="{x}" y1="{up(point.low)}" y2="{up(point.high)}" class="whisker"/>'
    title = f"<title>{escape(point.title)}</title>" if point.title else ""
    return found + f'<circle cx="{x}" cy="{up(point.value)}" r="2.8" class="{kind}">{title}</circle>'


def groups(name: str, rows: Sequence[tuple[str, Point | None, Point | None]]) -> str:
    """One line for each group: the reference hollow, the current rows full, each with its interval.

    Args:
        rows: group, reference, current.
    """
    points = [point for _, *both in rows for point in both if point is not None]
    values = [v for p in points for v in (p.value, p.low, p.high) if v is not None and math.isfinite(v)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    height = TOP + 24 * len(rows) + BOTTOM
    first = 12 + min(110, 7 * max((len(group) for group, *_ in rows), default=1))
    across = Scale(**_roomy(low, high), first=first, last=WIDTH - RIGHT - 4)
    body = ""
    for share in (0.0, 0.5, 1.0):
        value = across.low + share * (across.high - across.low)
        x = across(value)
        body += f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{height - BOTTOM}" class="grid"/>'
        body += _text(x, height - 7, short(value), "tick", ("start", "middle", "end")[round(2 * share)])
    for number, (group, before, now) in enumerate(rows):
        y = TOP + 24 * number + 12
        body += _text(first - 6, y + 4, group[:16], "name", "end")
        for point, offset, kind in ((before, -4, "hollow"), (now, 4, "dot")):
            if point is None:
                continue
            if point.low is not None and point.high is not None and math.isfinite(point.low + point.high):
                body += (
                    f'<line x1="{across(point.low)}" x2="{across(point.high)}" y1="{y + offset}" y2="{y + offset}" '
                    'class="whisker"/>'
                )
            title = f"<title>{escape(point.title)}</title>"
            body += f'<circle cx="{across(point.value)}" cy="{y + offset}" r="3" class="{kind}">{title}</circle>'
    return _svg(body, name, height)
