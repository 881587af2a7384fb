"""The notebooks that are measured, made in code, so that every tool gets the same ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

RAN = "BENCH_RAN"
"""Environment variable: a file to which every notebook appends its name, so that one sees which stages ran."""

TABLE = "data/numbers.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stage as any tool could run it: one notebook with parameters, at most one input and one output.

    Attributes:
        after: the step whose output it reads; empty for `TABLE`.
        output: the file that it writes, named like its parameter ``out``.
    """

    name: str
    after: str = ""
    params: dict[str, float] = field(default_factory=dict)

    @property
    def notebook(self) -> str:
        """Path relative to the project."""
        return f"notebooks/{self.name}.ipynb"

    @property
    def output(self) -> str:
        """Name of the file that it writes."""
        return f"{self.name}.csv"


def chains(count: int, length: int) -> tuple[Step, ...]:
    """``count`` chains of ``length`` steps that do not know of each other; the last step of each is a leaf."""
    return tuple(
        Step(name=f"c{c}s{s}", after=f"c{c}s{s - 1}" if s > 1 else "", params={"factor": 1.0})
        for c in range(1, count + 1)
        for s in range(1, length + 1)
    )


def with_factor(steps: Iterable[Step], name: str, factor: float) -> tuple[Step, ...]:
    """The same steps with another parameter in one of them."""
    return tuple(replace(step, params={"factor": factor}) if step.name == name else step for step in steps)


def write_steps(folder: Path, steps: Sequence[Step]) -> None:
    """Write the notebooks and the table that they begin with."""
    rows = "".join(f"{i},{(i * 7919) % 1000},{(i * 104729) % 997}\n" for i in range(2000))
    write_file(folder / TABLE, "id,height,weight\n" + rows)
    for step in steps:
        write_notebook(folder / step.notebook, *_cells(step))


def edit_markdown(folder: Path, step: Step, number: int) -> None:
    """Change the prose of a notebook and nothing else."""
    path = folder / step.notebook
    notebook = json.loads(path.read_text())
    notebook["cells"][0]["source"] = f"# Step {step.name}\n\nRead this {number} times before you believe it."
    write_file(path, json.dumps(notebook, indent=1) + "\n")


def write_file(path: Path, text: str) -> None:
    """Write a text file and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_notebook(path: Path, title: str, parameters: str, *code: str) -> None:
    """Write a notebook: a markdown cell, a parameters cell, code cells."""
    cells = [
        _cell("markdown", 0, title, []),
        _cell("code", 1, parameters, ["parameters"]),
        *(_cell("code", number, source, []) for number, source in enumerate(code, start=2)),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    write_file(path, json.dumps(notebook, indent=1) + "\n")


def _cell(kind: str, number: int, source: str, tags: list[str]) -> dict[str, object]:
    cell: dict[str, object] = {"cell_type": kind, "id": f"cell-{number}", "source": source}
    cell["metadata"] = {"tags": tags} if tags else {}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def _cells(step: Step) -> tuple[str, ...]:
    return (
        f"# Step {step.name}\n\nRead a table, scale a column, write a table.",
        f'table = "../{TABLE}"  # input: the rows\n'
        f'out = "{step.output}"  # output: the scaled rows\n'
        "factor: float = 1.0  # scale",
        "import os\n\nimport pandas as pd",
        f'with open(os.environ["{RAN}"], "a") as ran:\n    ran.write("{step.name}\\n")',
        "rows = pd.read_csv(table)\nrows.describe()",
        'rows["height"] = rows["height"] * factor\nrows.to_csv(out, index=False)',
    )


REGISTERING = {
    "prepare": (
        "# Prepare",
        'seed: int = 0\nout = "rows.csv"  # output: rows to fit on',
        "from sklearn.datasets import make_classification\n\nimport pandas as pd",
        "X, y = make_classification(2000, 8, random_state=seed)\n"
        'rows = pd.DataFrame(X, columns=[f"x{i}" for i in range(8)]).assign(label=y)\nrows.to_csv(out, index=False)',
    ),
    "train": (
        "# Train",
        'table = "rows.csv"  # input: rows to fit on\nstrength: float = 1.0  # inverse of regularisation',
        "import pandas as pd\nfrom sklearn.linear_model import LogisticRegression\n\nimport nbprod",
        'rows = pd.read_csv(table)\nX = rows.drop(columns="label")\n'
        'model = LogisticRegression(C=strength).fit(X, rows["label"])',
        "nbprod.log_model(model, example=X.head())",
        'nbprod.log_metric("accuracy", model.score(X, rows["label"]), dataset="train")',
    ),
}
"""A pipeline that registers a model: stage -> title, parameters, code."""

REGISTERING_PIPELINE = """\
name: bench
stages:
  prepare: {notebook: notebooks/prepare.ipynb, outputs: {out: rows.csv}}
  train: {notebook: notebooks/train.ipynb, inputs: {table: prepare.out}}
model: {name: bench, from: train.model, main_metric: accuracy}
"""

LARGE = {
    "make": (
        "# Write a large file, a megabyte at a time",
        'table = "numbers.bin"  # input: only its size matters\nsize: int = 1\nout = "large.bin"  # output',
        "import hashlib",
        'block = hashlib.shake_256(b"nbprod").digest(1_000_000)\nwith open(out, "wb") as file:\n'
        "    for number in range(size // 1_000_000):\n"
        '        file.write(number.to_bytes(8, "big") + block[8:])',
    ),
    "read": (
        "# Read it, a megabyte at a time",
        'large = "large.bin"  # input',
        'total = 0\nwith open(large, "rb") as file:\n'
        "    while block := file.read(1_000_000):\n        total += len(block)\ntotal",
    ),
}
"""A pipeline through which a large file passes."""

LARGE_PIPELINE = """\
name: large
stages:
  make:
    notebook: notebooks/make.ipynb
    params: {{size: {size}}}
    inputs: {{table: data/input.bin}}
    outputs: {{out: large.bin}}
  read: {{notebook: notebooks/read.ipynb, inputs: {{large: make.out}}}}
"""


def write_registering(folder: Path) -> None:
    """Write a small project that registers a model."""
    for name, cells in REGISTERING.items():
        write_notebook(folder / f"notebooks/{name}.ipynb", *cells)
    write_file(folder / "pipelines/bench.yaml", REGISTERING_PIPELINE)


def write_large(folder: Path, size: int) -> None:
    """Write a project with an input of ``size`` bytes, through which an artifact of the same size passes."""
    for name, cells in LARGE.items():
        write_notebook(folder / f"notebooks/{name}.ipynb", *cells)
    write_file(folder / "pipelines/large.yaml", LARGE_PIPELINE.format(size=size))
    write_bytes(folder / "data/input.bin", size)


def write_bytes(path: Path, size: int) -> None:
    """Write a file of whole megabytes that does not compress into nothing."""
    import hashlib

    path.parent.mkdir(parents=True, exist_ok=True)
    block = hashlib.shake_256(b"benchmark").digest(1_000_000)
    with path.open("wb") as file:
        for number in range(size // 1_000_000):
            file.write(number.to_bytes(8, "big") + block[8:])
