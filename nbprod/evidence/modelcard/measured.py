"""What the notebooks measured: metrics over all rows and by group, as tables and plots."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nbprod.evidence.modelcard.blocks import Block, Note, Number, Plot, Section, Table, Text
from nbprod.evidence.modelcard.plots import Row, bars, forest
from nbprod.evidence.modelcard.words import bounds, figure, group_of, interval, real, seeds

Metric = Mapping[str, Any]

PLOTS = 6
"""So many metrics are plotted by group, the main one first; the table has all."""

ROWS = 40
"""So many groups are in one plot."""


def metrics(entry: Mapping[str, Any]) -> Iterator[Section]:
    """Everything that was measured."""
    main = entry["model"].get("main_metric")
    found = sorted(entry["metrics"], key=lambda metric: metric["name"] != main)
    if not found:
        yield Section(title="Metrics", blocks=(Note(text="Unknown: the notebooks reported no metric."),))
        return
    whole = [metric for metric in found if group_of(metric["dataset"]) is None]
    whole.sort(key=lambda metric: metric["dataset"] != "test")
    yield Section(title="Metrics", blocks=tuple(_overall(whole, main)))
    grouped = [metric for metric in found if group_of(metric["dataset"])]
    if grouped:
        yield Section(title="Metrics by group", blocks=tuple(_groups(grouped, whole)), level=3)
    elif entry["model"].get("groups"):
        text = f"No metric was reported by group, though the model names groups: {', '.join(entry['model']['groups'])}."
        yield Section(title="Metrics by group", blocks=(Note(text=text),), level=3)


def _overall(found: Sequence[Metric], main: str | None) -> Iterator[Block]:
    again = any(metric.get("repeats") for metric in found)
    head = ("metric", "dataset", "value", "interval", *(("over seeds",) if again else ()))
    rows = [
        (
            f"{metric['name']} (main)" if metric["name"] == main else str(metric["name"]),
            str(metric["dataset"]),
            Number(figure(metric["value"])),
            Number(interval(metric["interval"])),
            *((Number(seeds(metric.get("repeats"))),) if again else ()),
        )
        for metric in found
    ]
    yield Table(head=head, rows=rows)
    for dataset in dict.fromkeys(str(metric["dataset"]) for metric in found):
        shares = [_row(str(m["name"]), m) for m in found if m["dataset"] == dataset and _is_share(m)]
        if len(shares) > 1:
            bounded = any(row.low is not None for row in shares)
            title = f"Metrics between 0 and 1 on {dataset}{', with their intervals' if bounded else ''}"
            yield Plot(name=f"metrics {dataset}", title=title, svg=bars(title, shares[:ROWS]))


def _is_share(metric: Metric) -> bool:
    """Whether a metric and its interval lie between 0 and 1, so that it can be a bar beside others."""
    numbers = [real(metric["value"]), *(bounds(metric["interval"]) or ())]
    return all(number is not None and 0 <= number <= 1 for number in numbers)


def _row(label: str, metric: Metric) -> Row:
    low, high = bounds(metric["interval"]) or (None, None)
    return Row(label=label, value=real(metric["value"]), low=low, high=high)


def _groups(grouped: Sequence[Metric], whole: Sequence[Metric]) -> Iterator[Block]:
    """A table with a row for each group, and a plot for each metric that has intervals."""
    names = list(dict.fromkeys(str(metric["name"]) for metric in sorted(grouped, key=lambda m: bool(m["interval"]))))
    values = {(str(m["dataset"]), str(m["name"])): m for m in grouped}
    datasets = list(dict.fromkeys(dataset for dataset, _ in values))
    columns = list(dict.fromkeys(_parts(values[dataset, name])[:2] for dataset, name in values))
    datasets.sort(key=lambda dataset: _place(dataset, columns))
    rows = []
    for dataset in datasets:
        cells = [values.get((dataset, name)) for name in names]
        rows.append((_title(dataset), *(Number(_value(metric)) if metric else "-" for metric in cells)))
    yield Text(text="What the notebooks measured on the rows of each group, with intervals where they gave some.")
    yield Table(head=("group", *names), rows=rows)
    overall = {(str(m["dataset"]), str(m["name"])): real(m["value"]) for m in whole}
    plotted = [name for name in names if any(_is_measured(m) for m in grouped if m["name"] == name)]
    for name in plotted[:PLOTS]:
        own = [values[dataset, name] for dataset in datasets if (dataset, name) in values]
        parents = {_parts(metric)[0] for metric in own}
        all_rows = overall.get((next(iter(parents)), name)) if len(parents) == 1 else None
        bounded = any(bounds(m["interval"]) for m in own)
        title = f"{name} by group{', with intervals' if bounded else ''}"
        svg = forest(title, by_column([(_parts(m)[1], _row(_parts(m)[2], m)) for m in own]), overall=all_rows)
        yield Plot(name=f"group {name}", title=title, svg=svg)


def _is_measured(metric: Metric) -> bool:
    """Whether a metric is more than a number of rows, so that a plot shows something."""
    value = real(metric["value"])
    return bounds(metric["interval"]) is not None or (value is not None and not value.is_integer())


def _parts(metric: Metric) -> tuple[str, str, str]:
    """The dataset that a group is of, its column and its value."""
    return group_of(metric["dataset"]) or (str(metric["dataset"]), "", "")


def _place(dataset: str, columns: Sequence[tuple[str, str]]) -> tuple[int, float, str]:
    """Where a group stands: columns in the order of the notebook, numbers in their order before names."""
    parent, column, group = group_of(dataset) or (dataset, "", "")
    number = real(group)
    return columns.index((parent, column)), math.inf if number is None or math.isnan(number) else number, group


def _title(dataset: str) -> str:
    return dataset.removeprefix("test[").removesuffix("]") if dataset.startswith("test[") else dataset


def _value(metric: Metric) -> str:
    """A value and its interval."""
    bounded = interval(metric["interval"]) if metric["interval"] else ""
    return f"{figure(metric['value'])} {bounded}".strip()


def by_column(rows: Sequence[tuple[str, Row]]) -> list[Row]:
    """Rows for a plot, with a heading before those of each column."""
    found: list[Row] = []
    for column in dict.fromkeys(column for column, _ in rows):
        found.append(Row(label=column))
        found += [row for other, row in rows if other == column]
    return found[:ROWS]
