"""Plots as SVG, written by hand: values with the whiskers of their intervals, as bars or, by group, as points.

They are narrow, so that their letters can be read on a phone. Colours are classes: in a page its style gives them, in
a file of their own the fallbacks of `STYLE` do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nbprod.evidence.modelcard.escaping import clip, in_html
from nbprod.evidence.modelcard.words import figure

STYLE = """
.plot text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink,#1f2430)}
.plot .soft{fill:var(--soft,#5b6475);font-size:12px}.plot .head{font-weight:600}
.plot .bar{fill:var(--bar,#9db8e8)}.plot .dot{fill:var(--accent,#1d4fb8)}
.plot .whisker{stroke:var(--accent,#1d4fb8);stroke-width:2;fill:none}
.plot .few .dot{fill:var(--back,#fff);stroke:var(--soft,#5b6475);stroke-width:1.5}
.plot .few .whisker{stroke:var(--soft,#5b6475);stroke-width:1.5;stroke-dasharray:3 3}
.plot .grid{stroke:var(--line,#dde2ea);stroke-width:1}
.plot .mark{stroke:var(--mark,#b4540a);stroke-width:1.5;stroke-dasharray:5 4}.plot .marked{fill:var(--mark,#b4540a)}
"""

WIDTH, LEFT, RIGHT = 440, 132, 58
ROW, TOP, BOTTOM = 26, 12, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A value to plot.

    Attributes:
        value: None for a heading between rows, which has nothing but its label.
        few: whether it rests on too little to count.
    """

    label: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    few: bool = False


def bars(title: str, rows: Sequence[Row]) -> str:
    """Horizontal bars from 0 with whiskers, of values between 0 and 1."""
    return _plot(title, rows, axis=_Axis(0.0, 1.0), shape="bar")


def forest(title: str, rows: Sequence[Row], *, overall: float | None = None) -> str:
    """Points with whiskers, one row each, beside the value of all rows as a dashed line."""
    values = [v for row in rows for v in (row.value, row.low, row.high) if v is not None and math.isfinite(v)]
    if overall is not None:
        values.append(overall)
    return _plot(title, rows, axis=_axis(values or [0.0]), shape="dot", overall=overall)


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    def x(self, value: float) -> float:
        """Where a value is, at the axis's end if it is outside."""
        share = (value - self.low) / (self.high - self.low)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        """Four or so round numbers."""
        step = _step(self.high - self.low)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _step(span: float) -> float:
    power = float(10.0 ** math.floor(math.log10(span / 3)))
    return next(power * k for k in (1.0, 2.0, 5.0, 10.0) if span / (power * k) <= 5)


def _axis(values: Sequence[float]) -> _Axis:
    """An axis around some values, from and to round numbers."""
    low, high = min(values), max(values)
    span = high - low
    if span <= abs(high) * 1e-6:  # all alike
        span = abs(high) or 1.0
        low, high = low - span / 2, high + span / 2
    if not math.isfinite(span):
        return _Axis(-1e300, 1e300)
    step = _step(span) / 2
    return _Axis(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)


def _plot(title: str, rows: Sequence[Row], *, axis: _Axis, shape: str, overall: float | None = None) -> str:
    top = TOP + (18 if overall is not None else 0)
    height = top + ROW * len(rows) + BOTTOM
    parts = [_open(title, height)]
    bottom = top + ROW * len(rows)
    for tick in axis.ticks():
        x = axis.x(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text class="soft" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{figure(tick)}</text>')
    if overall is not None:
        x = axis.x(overall)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        anchor = "end" if x > WIDTH - 110 else "middle"
        parts.append(f'<text class="soft marked" x="{x:.1f}" y="{top - 6}" text-anchor="{anchor}">'
                     f"all rows {figure(overall)}</text>")  # fmt: skip
    for number, row in enumerate(rows):
        parts.append(_row(row, top + ROW * number + ROW / 2, axis, shape))
    return "".join([*parts, "</svg>"])


def _open(title: str, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" aria-label="{in_html(title)}"><title>{in_html(title)}</title>'
    )


def _row(row: Row, y: float, axis: _Axis, shape: str) -> str:
    if row.value is None:
        return f'<text class="head" x="4" y="{y + 5:g}">{in_html(clip(row.label, 48))}</text>'
    bounded = row.low is not None and row.high is not None
    said = f"{row.label}: {figure(row.value)}" + (f" [{figure(row.low)}, {figure(row.high)}]" if bounded else "")
    kind = ' class="few"' if row.few else ""
    parts = [f"<g{kind}><title>{in_html(said)}</title>"]
    parts.append(f'<text x="{LEFT - 8}" y="{y + 4:g}" text-anchor="end">{in_html(clip(row.label, 19))}</text>')
    if math.isfinite(row.value):
        x = axis.x(row.value)
        if shape == "bar":
            parts.append(f'<rect class="bar" x="{LEFT}" y="{y - 8:g}" width="{x - LEFT:.1f}" height="16" rx="2"/>')
        if row.low is not None and row.high is not None:
            low, high = axis.x(row.low), axis.x(row.high)
            parts.append(f'<path class="whisker" d="M{low:.1f} {y:g}H{high:.1f}M{low:.1f} {y - 4:g}v8'
                         f'M{high:.1f} {y - 4:g}v8"/>')  # fmt: skip
        if shape == "dot":
            parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:g}" r="4.5"/>')
    parts.append(f'<text x="{WIDTH - 4}" y="{y + 4:g}" text-anchor="end">{figure(row.value)}</text></g>')
    return "".join(parts)


def standalone(svg: str) -> str:
    """A drawing as a file of its own: on white, whatever the page around it."""
    opening, mark, rest = svg.partition(">")
    background = f"<style>{STYLE}</style><rect width='100%' height='100%' fill='#fff'/>"
    return f"{opening}{mark}{background}{rest}\n"
