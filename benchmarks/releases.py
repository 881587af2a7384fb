"""What releasing a model costs: verifying a large version, judging it by a paired bootstrap, asking about it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.pipelines import loaded_modules
from benchmarks.processes import Ended
from benchmarks.projects import write_file, write_notebook
from benchmarks.results import alternate
from benchmarks.tools import program

WIDTH = 10
"""Columns of the large model's training rows, 8 bytes each."""

SMALL = 1_000_000

ROWS = 100_000
"""Rows of the test set that two versions are compared on."""

HEAVY_MODEL = (
    "# A model that is as large as its rows",
    'table = "numbers.csv"  # input\nsize: int = 1',
    "import numpy as np\nimport pandas as pd\nfrom sklearn.neighbors import KNeighborsRegressor\n\nimport nbprod",
    f"X = np.random.default_rng(0).random((size // {WIDTH * 8}, {WIDTH}))\n"
    'model = KNeighborsRegressor(1, algorithm="brute").fit(X, X[:, 0])\n'
    "nbprod.log_model(model, example=X[:3])",
)
HEAVY_PIPELINE = """\
name: heavy
stages:
  train: {{notebook: notebooks/heavy.ipynb, params: {{size: {size}}}, inputs: {{table: data/numbers.csv}}}}
model: {{name: heavy, from: train.model}}
"""

COMPARED = {
    "prepare": (
        "# Prepare",
        'table = "numbers.csv"  # input\nrows: int = 1\ntrain = "a.parquet"  # output\ntest = "b.parquet"  # output',
        "import pandas as pd\nfrom sklearn.datasets import make_classification",
        "X, y = make_classification(rows + 5000, 8, flip_y=0.2, random_state=0)\n"
        'data = pd.DataFrame(X, columns=[f"x{i}" for i in range(8)]).assign(label=y)\n'
        "data[:5000].to_parquet(train)\ndata[5000:].to_parquet(test)",
    ),
    "train": (
        "# Train",
        'train = "a.parquet"  # input\nstrength: float = 1.0',
        "import pandas as pd\nfrom sklearn.linear_model import LogisticRegression\n\nimport nbprod",
        'data = pd.read_parquet(train)\nX = data.drop(columns="label")\n'
        'nbprod.log_model(LogisticRegression(C=strength).fit(X, data["label"]), example=X.head())',
    ),
}
COMPARED_PIPELINE = """\
name: compared
stages:
  prepare:
    notebook: notebooks/prepare.ipynb
    params: {{rows: {rows}}}
    inputs: {{table: data/numbers.csv}}
    outputs: {{train: train.parquet, test: test.parquet}}
  train: {{notebook: notebooks/train.ipynb, inputs: {{train: prepare.train}}}}
model:
  name: compared
  from: train.model
  data: {{train: prepare.train, test: prepare.test}}
  target: label
gates:
  - not_worse_than: {{alias: champion, metric: roc_auc, tolerance: 0.01, resamples: 1000}}
"""

VERBS = {
    "show": ("show", "compared/2"),
    "history": ("history", "compared"),
    "lineage": ("lineage", "compared/2"),
    "lineage of data": ("lineage", "data/numbers.csv"),
}
"""What answers from the index and the registry's file, without a registry's client."""


def measure(bench: Bench) -> None:
    """Verify, judge and ask."""
    _verify(bench)
    folder = _two_versions(bench)
    _judge(bench, folder)
    _ask(bench, folder)


def _verify(bench: Bench) -> None:
    """Verify a version of a gigabyte beside a small one, and the system's program that only hashes its files."""
    bench.say(f"verifying a version of {bench.scale.large}, {bench.scale.rounds} rounds")
    folder, small = _heavy(bench, "heavy", bench.scale.size), _heavy(bench, "light", SMALL)
    (entry,) = (folder / ".nbprod/artifacts").rglob("nbprod/nbprod.json")
    files = [str(path) for path in sorted(entry.parents[1].rglob("*")) if path.is_file()]
    theirs = ("sha256sum",) if sys.platform != "darwin" else ("shasum", "-a", "256")
    verify = (program("nbprod"), "verify", "heavy/1")
    actions = {
        f"nbprod verify, {bench.scale.large}": partial(_taken, bench, folder, verify),
        "nbprod verify, 1 MB": partial(_taken, bench, small, verify),
        f"{theirs[0]}, {bench.scale.large}": partial(_taken, bench, folder, (*theirs, *files)),
    }
    found = alternate(actions, bench.scale.rounds)
    series = [
        bench.results.timed("verify a version, whole process", name, [e.took for e in ended])
        for name, ended in found.items()
    ]
    added = [ours - base for ours, base in zip(series[0].values, series[1].values, strict=True)]
    more = bench.results.add("verify a version, whole process", f"what {bench.scale.large} adds to verify", added)
    promise = f"what {bench.scale.large} adds to verify is no more than {theirs[0]} takes for it"
    bench.results.at_most(promise, more, series[2].median)


def _heavy(bench: Bench, name: str, size: int) -> Path:
    """A project with a version of ``size`` bytes."""
    folder = bench.folder(name)
    write_file(folder / "data/numbers.csv", "a\n1\n")
    write_notebook(folder / "notebooks/heavy.ipynb", *HEAVY_MODEL)
    write_file(folder / "pipelines/heavy.yaml", HEAVY_PIPELINE.format(size=size))
    bench.run(program("nbprod"), "run", folder=folder)
    return folder


def _taken(bench: Bench, folder: Path, command: tuple[str, ...], number: int) -> Ended:
    return bench.run(*command, folder=folder)


def _two_versions(bench: Bench) -> Path:
    """A champion, and a version that is to be held against it on many rows."""
    rows = ROWS if bench.scale.size >= 1_000_000_000 else ROWS // 10
    folder = bench.folder("compared")
    write_file(folder / "data/numbers.csv", "a\n1\n")
    for name, cells in COMPARED.items():
        write_notebook(folder / f"notebooks/{name}.ipynb", *cells)
    write_file(folder / "pipelines/compared.yaml", COMPARED_PIPELINE.format(rows=rows))
    for command in (("run",), ("promote", "compared/1"), ("run", "-p", "train.strength", "0.5")):
        bench.run(program("nbprod"), *command, folder=folder)
    return folder


def _judge(bench: Bench, folder: Path) -> None:
    bench.say(f"judging by a paired bootstrap, {bench.scale.rounds} rounds")
    about = f"gate with a paired bootstrap of 1,000 resamples over {ROWS:,} rows, whole process"
    times = [bench.run(program("nbprod"), "gate", "compared/2", folder=folder).took for _ in range(bench.scale.rounds)]
    bench.results.at_most(f"{about}: at most 5 s", bench.results.timed(about, "nbprod gate", times), 5.0)


def _ask(bench: Bench, folder: Path) -> None:
    bench.say(f"asking, {bench.scale.rounds} rounds")

    actions = {name: partial(_taken, bench, folder, (program("nbprod"), *words)) for name, words in VERBS.items()}
    found = alternate(actions, bench.scale.rounds)
    for name, series in found.items():
        timed = bench.results.timed("ask about a version, whole process", name, [ended.took for ended in series])
        bench.results.at_most(f"nbprod {name}: at most 0.5 s, whole process", timed, 0.5)
        loaded_modules(bench, f"nbprod {name}", folder, *VERBS[name])
