"""``nbprod show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from nbprod.lifecycle.versions import Shown

FILE = click.Path(dir_okay=False)


@click.command("show")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]")
@click.option("--card", "as_card", is_flag=True, help="Its model card, in Markdown.")
@click.option("--html", type=FILE, metavar="FILE", help="Write the card as one page that needs no network.")
@click.option("--markdown", type=FILE, metavar="FILE", help="Write the card as Markdown, its plots beside it.")
@as_json
def command(ref: str, as_card: bool, html: str | None, markdown: str | None, as_json: bool) -> None:
    """Print a model version: what made it, on which data, how well it does.

    With --json it prints exactly the entry, nbprod.json.
    """
    if as_card or html or markdown:
        _print_card(ref, html, markdown, as_json=as_json)
        return
    from nbprod.lifecycle.versions import show

    shown = show(ref)
    if as_json:
        render.document(shown.version.entry)
        return
    _print(shown)


def _print(shown: Shown) -> None:
    version = shown.version
    aliases = f"  ({', '.join(version.aliases)})" if version.aliases else ""
    click.echo(
        f"{click.style(version.ref, bold=True)}{aliases}  registered {version.created[:16].replace('T', ' ')} UTC"
    )
    for title, lines in sections(version.entry):
        if lines:
            click.echo(f"\n{click.style(title, bold=True)}")
            for line in lines:
                click.echo(f"  {line}".rstrip())
    click.echo(f"\nentry sha256 {version.digest}")
    render.next_step(*_scoring(shown))


def _print_card(ref: str, html: str | None, markdown: str | None, *, as_json: bool) -> None:
    """Print the model card, or the names of the files that it was written to."""
    from nbprod.lifecycle.card import card

    made = card(ref, html=html, markdown=markdown)
    if as_json:
        render.document(made.to_dict())
        return
    click.echo("\n".join(made.files) if made.files else made.markdown.rstrip())
    if made.files:
        render.next_step(render.shell("nbprod", "verify", made.ref), "holds what the card says against the bytes")
    else:
        command = render.shell("nbprod", "show", made.ref, "--card", "--html", "card.html")
        render.next_step(command, "writes it as a page, with plots")


def _scoring(shown: Shown) -> tuple[str, str]:
    """The command that scores a version with plain MLflow, and what it does."""
    setting = [f"MLFLOW_TRACKING_URI={shown.tracking_uri}"] if shown.tracking_uri else []
    rows = shown.example or "rows.json"
    command = ["mlflow", "models", "predict", "-m", f"models:/{shown.version.ref}", "--env-manager", "local", "-i"]
    return render.shell(*setting, *command, rows), "scores it without nbprod"


def sections(entry: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """An entry as a person wants to read it: titled lists of lines."""
    model = entry["model"]
    labels = (("owner", "owner"), ("intended use", "intended_use"), ("limitations", "limitations"))
    purpose = [line for label, key in labels for line in render.wrapped(label, entry[key], indent=14)]
    return [
        ("Purpose", purpose),
        ("Metrics", metric_lines(entry)),
        ("Model", model_lines(model)),
        ("Data", data_lines(entry["inputs"])),
        ("Made by", _made_lines(entry)),
    ]


def metric_lines(entry: dict[str, Any]) -> list[str]:
    """What was measured on the test set, the main metric first, with intervals; then a table of the other datasets."""
    main = entry["model"].get("main_metric")
    metrics = sorted(entry["metrics"], key=lambda m: m["name"] != main)
    lines = render.columns(
        [
            (m["name"], render.number(m["value"]), _interval(m["interval"]), _spread(m.get("repeats")))
            for m in metrics
            if m["dataset"] == "test"
        ]
    )
    others = list(dict.fromkeys(m["dataset"] for m in entry["metrics"] if m["dataset"] != "test"))
    if others:
        names = list(dict.fromkeys(m["name"] for m in metrics if m["dataset"] != "test"))
        values = {(m["dataset"], m["name"]): render.number(m["value"]) for m in metrics}
        rows = [("dataset", *names), *((d, *(values.get((d, n), "-") for n in names)) for d in others)]
        lines += ["", *render.columns(rows)] if lines else render.columns(rows)
    return lines


def _interval(bounds: list[float] | None) -> str:
    return f"[{render.number(bounds[0])}, {render.number(bounds[1])}]" if bounds else ""


def _spread(values: list[Any] | None) -> str:
    """The range of a metric over seeds."""
    if not values:
        return ""
    numbers = [float(value) for value in values]
    return f"{len(values)} seeds: {render.number(min(numbers))} to {render.number(max(numbers))}"


def model_lines(model: dict[str, Any]) -> list[str]:
    """What it is, what it takes and what it predicts."""
    inputs = (model["signature"] or {}).get("inputs") or []
    names = ", ".join(_column(column) for column in inputs[:8])
    more = f", and {len(inputs) - 8} more" if len(inputs) > 8 else ""
    how = f" by {model['serialization']}" if model["serialization"] else ""
    lines = [f"{model['flavor']}{how}, {render.size(model['bytes'])}, sha256 {model['sha256'][:12]}"]
    if names:
        lines.append(f"takes {names}{more}")
    if model.get("target"):
        lines.append(f"predicts {model['target']}")
    if model.get("example_origin"):
        lines.append(f"its example is {model['example_origin']}: no row of the data")
    if model["trusted"]:
        lines.append(f"trusts {', '.join(model['trusted'])}")
    return lines


def _column(column: dict[str, Any]) -> str:
    """A column or tensor of a signature."""
    name = f"{column['name']}: " if column.get("name") else ""
    if tensor := column.get("tensor-spec"):
        shape = " x ".join("rows" if size == -1 else str(size) for size in tensor["shape"])
        return f"{name}array of {tensor['dtype']} ({shape})"
    return f"{name}{column.get('type', '?')}"


def data_lines(inputs: list[dict[str, Any]]) -> list[str]:
    """A line for each dataset, and what its card says of origin and terms."""
    if not inputs:
        return ["unknown: no input is named, so nothing is known of the data that it learned from"]
    lines = []
    for item in inputs:
        rows = (
            f"{item['rows']:,} rows x {len(item['columns'])} columns" if item["columns"] else render.size(item["bytes"])
        )
        kept = "kept" if item["kept"] else "not kept"
        lines.append(f"{item['role']:<8}{item['uri']}  {rows}, sha256 {item['sha256'][:12]}, {kept}")
        card = item["card"]
        if isinstance(card, dict):
            facts = [f"{key}: {card[key]}" for key in ("license", "origin", "terms") if card.get(key)]
            about = dict.fromkeys([*card.get("personal", ()), *card.get("sensitive", ())])
            facts += [f"personal data: {', '.join(about)}"] if about else []
            lines.extend(line for fact in facts for line in render.wrapped("", fact, indent=8))
        elif card == "unknown":
            lines.append("        no card: origin, licence and terms are unknown")
    return lines


def _made_lines(entry: dict[str, Any]) -> list[str]:
    run, git, environment = entry["run"], entry["source"]["git"], entry["environment"]
    if isinstance(git, dict):
        dirty = " with changes (diff stored)" if git["dirty"] else ""
        code = f"commit {git['commit'][:12]}{dirty}"
    else:
        code = "commit unknown (no git)"
    lines = [f"run {run['id']}, {render.seconds(run['seconds'])}, {code}"]
    for stage in run["stages"]:
        values = ", ".join(f"{k}={render.number(v)}" for k, v in stage["parameters"].items())
        lines.append(f"{stage['name']:<10}{stage['notebook']}{f'  ({values})' if values else ''}")
    lines.append(f"Python {environment['python']}, {len(environment['freeze'])} packages, {environment['platform']}")
    return lines
