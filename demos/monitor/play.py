"""Play three years of a model's life: real people's answers arrive as traffic, labels come late, nbprod does the rest.

``python demos/monitor/play.py FOLDER`` makes a project in FOLDER, registers the model of 2015, starts ``nbprod serve``
and lets 36 parts of the census years 2016 to 2018 arrive, one for each month of 30 days. Every month it runs ``nbprod
watch --once``, prints what that says and does, and ends by itself with a report, FOLDER/monitor.html.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

HERE = Path(__file__).parent
PROGRAM = (sys.executable, "-P", "-c", "from nbprod.cli import main; main()")
CENSUS = HERE.parents[1] / "notebooks/data/census_employment_ma.parquet"
DAY = 86400.0
MONTH = 30 * DAY
BEGIN = (datetime(2016, 1, 1, tzinfo=UTC).timestamp() // MONTH + 1) * MONTH
"""Monitoring's windows of 30 days begin at multiples of their length."""

LATE = 3
"""So many parts later the truth is known."""

REQUEST = 250
"""Rows of one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A project, and the time in it."""

    root: Path
    environment: dict[str, str]

    def at(self, moment: float) -> None:
        """Let it be so late, in Unix seconds."""
        file = self.root / "clock"
        draft = file.with_suffix(".new")
        draft.write_text(repr(moment - time.time()))
        os.replace(draft, file)

    def nbprod(self, *words: str, codes: Sequence[int] = (0,)) -> str:
        """What a verb prints, which must end with one of some exit codes."""
        done = subprocess.run(
            [*PROGRAM, *words],
            cwd=self.root, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode not in codes:
            raise SystemExit(f"nbprod {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


def world(root: Path) -> World:
    """Make the project, in a repository, as any is."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(HERE / "notebooks", root / "notebooks")
    shutil.copytree(HERE / "pipelines", root / "pipelines")
    (root / "data").mkdir()
    (root / ".gitignore").write_text("data/\nruns/\n.nbprod/\nclock*\n")
    # Keys and caches stay in the folder, too, so that nothing of the demo is left when it is deleted.
    environment = {
        **os.environ,
        "PYTHONPATH": str((HERE / "clock").resolve()),
        "NBPROD_DEMO_CLOCK": str((root / "clock").resolve()),
        "XDG_CONFIG_HOME": str((root / ".nbprod/config").resolve()),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    git = ("git", "-c", "user.name=demo", "-c", "user.email=demo@example.org")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "The demo")):
        subprocess.run([*git, *words], cwd=root, check=True)
    return World(root=root, environment=environment)


def parts(rows: pd.DataFrame, count: int) -> list[pd.DataFrame]:
    """A year in twelve parts: the survey does not say the month, so its rows are dealt in a random order."""
    dealt = rows.sample(frac=1, random_state=0)
    return [dealt.iloc[at::12] for at in range(count)]


@contextmanager
def serving(here: World) -> Iterator[str]:
    """The real service; the block gets its address."""
    words = ("serve", "employment@champion", "--shadow", "employment@challenger", "--port", "0")
    with (here.root / "serve.log").open("w") as log, subprocess.Popen(
        [*PROGRAM, *words],
        cwd=here.root, env=here.environment, stdout=subprocess.PIPE, stderr=log, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if " answers at " not in line:
                raise SystemExit(f"the service did not start: {line}{(here.root / 'serve.log').read_text()}")
            yield line.split(" answers at ")[1].split(",")[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def post(url: str, content: Any) -> Any:
    """The service's answer."""
    request = urllib.request.Request(url, json.dumps(content).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as found:
        return json.loads(found.read())


def arrive(
    here: World, url: str, people: pd.DataFrame, answered: Counter[str], *, begin: float
) -> list[tuple[str, list[int]]]:
    """Let people arrive over a month.

    Args:
        answered: how many people each version answered so far.

    Returns:
        Request ids, each with what is true of its rows and will be known later.
    """
    known = []
    asked = people.drop(columns=["id", "year", "employed"])
    starts = range(0, len(people), REQUEST)
    for number, at in enumerate(starts):
        here.at(begin + MONTH * (number + 0.5) / len(starts))
        body = {"columns": list(asked), "rows": asked.iloc[at : at + REQUEST].to_numpy().tolist()}
        answer = post(f"{url}/predict", body)
        known.append((answer["request_id"], people["employed"].iloc[at : at + REQUEST].tolist()))
        answered[answer["version"]] += len(body["rows"])
    return known


def tell(url: str, known: Sequence[tuple[str, list[int]]]) -> None:
    """Give the service the truth."""
    for request, truths in known:
        said = [{"request_id": request, "row": row, "value": value} for row, value in enumerate(truths)]
        post(f"{url}/feedback", said)


def spoken(here: World) -> str:
    """What monitoring found last: accuracy where labels are known, and the worst things."""
    file = max((here.root / ".nbprod/monitor/employment").glob("2*.json"), default=None)
    if file is None:
        return ""
    report = json.loads(file.read_text())
    known = [window for window in report["windows"] if "accuracy" in window["metrics"]]
    lines = []
    if known:
        found = known[-1]["metrics"]["accuracy"]
        low, high = found["interval"]
        lines.append(f"accuracy of {known[-1]['label']}: {found['value']:.3f} ({low:.3f} to {high:.3f})")
    bad = [check for check in report["checks"] if check["status"] in ("ALARM", "WARN")]
    bad.sort(key=lambda check: check["status"] != "ALARM")
    lines += [f"{c['status']} {c['area']} {c['name']}: {c['why']}" for c in bad[:3]]
    return "".join(f"             {line}\n" for line in lines)


def play(root: Path, *, months: int, out: Any = sys.stdout) -> None:
    """Play so many months."""
    began = time.time()
    here = world(root)
    everyone = pd.read_parquet(CENSUS)
    years = {year: everyone[everyone["year"] == year] for year in range(2015, 2019)}
    years[2015].to_parquet(root / "data/until-2015-12.parquet", index=False)
    here.at(BEGIN - 2 * DAY)
    here.nbprod("run", "employment")
    here.nbprod("promote", "employment/1", "--reason", "trained on 2015")
    coming = [part for year in (2016, 2017, 2018) for part in parts(years[year], 12)][:months]
    answered = Counter[str]()
    past, known = parts(years[2015], 12), list[list[tuple[str, list[int]]]]()
    with serving(here) as url:
        for number, part in enumerate(coming):
            begin = BEGIN + number * MONTH
            name = f"{2016 + number // 12}-{number % 12 + 1:02}"
            people = part[part["agep"] >= 16]
            known.append(arrive(here, url, people, answered, begin=begin))
            if number >= LATE:
                tell(url, known[number - LATE])
                past.append(coming[number - LATE])
                file = root / f"data/until-{2016 + (number - LATE) // 12}-{(number - LATE) % 12 + 1:02}.parquet"
                pd.concat(past[-12:]).to_parquet(file, index=False)
            here.at(begin + MONTH + 3600)
            (look,) = json.loads(here.nbprod("watch", "employment", "--once", "--json", codes=(0, 3, 6)))
            print(f"{name}  {len(people):,} people  {look['status']:12} {look['state']}: {look['reason']}", file=out)
            if look["guarded"]:
                print(f"             guard: {look['guarded']}", file=out)
            print(end=spoken(here), file=out, flush=True)
    print("\n" + here.nbprod("history", "employment"), file=out)
    longest = answered.most_common(1)[0][0]
    here.nbprod("monitor", f"employment/{longest}", "--since", f"{months * 30 + 30}d", "--html", "monitor.html")
    print(f"{months} months in {time.time() - began:.0f} s; the report: {root / 'monitor.html'}", file=out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--months", type=int, default=36)
    asked = parser.parse_args()
    play(asked.folder, months=asked.months)
