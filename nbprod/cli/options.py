"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nbprod.pipeline.bind import Setting

as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr."
)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``-p``, ``-f`` and ``--preset``: values laid over the pipeline's."""
    for option in (
        click.option("-k", "--kernel", metavar="NAME", help="Run all notebooks with this kernel."),
        click.option("--no-repeats", is_flag=True, help="Run no stage again with other seeds."),
        click.option("--preset", metavar="NAME", help="Values of a preset in the pipeline's file."),
        click.option(
            "-f",
            "--parameters-file",
            "files",
            multiple=True,
            type=click.Path(exists=True, dir_okay=False),
            help="A YAML file of parameters; later ones win.",
        ),
        click.option(
            "-p",
            "--parameter",
            "parameters",
            nargs=2,
            multiple=True,
            metavar="[STAGE.]NAME VALUE",
            help="A parameter or an input; wins over the rest.",
        ),
    ):
        command = option(command)
    return command


def read_settings(parameters: tuple[tuple[str, str], ...], files: tuple[str, ...]) -> tuple[Setting, ...]:
    """What ``-f`` and ``-p`` say, in the order in which they win."""
    from pathlib import Path

    from nbprod.document import load_yaml
    from nbprod.errors import UsageError

    found: list[Setting] = []
    for file in files:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot be read as a UTF-8 text file ({error}).", file=file) from error
        document = load_yaml(text, file=file)
        found.extend(
            Setting(name=name, value=value, origin=f"{file}:{document.line(name)}")
            for name, value in document.mapping(document.value).items()
        )
    found.extend(Setting(name=name, value=value, text=True, origin=f"-p {name}") for name, value in parameters)
    return tuple(found)
