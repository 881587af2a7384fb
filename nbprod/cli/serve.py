"""``nbprod serve``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from nbprod.lifecycle.serve import Serving

FILE: Any = click.Path(dir_okay=False, path_type=Path)
GROUPS: dict[str, tuple[Any, ...]] = {
    "Where": (
        click.option("--host", default="127.0.0.1", show_default=True, help="Any but this machine's own needs keys."),
        click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 for any."),
        click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 255), help="Processes."),
    ),
    "Other versions": (
        click.option("--shadow", default="", metavar="REF", help="Scores what is asked, too; nobody gets its answers."),
        click.option("--canary", default="", metavar="REF=10%", help="Answers a share of the requests."),
    ),
    "Callers": (
        click.option("--api-key-file", type=FILE, help="Callers need one of its keys; read again when it changes."),
        click.option("--add-key", metavar="NAME", help="Make a key in --api-key-file, print it and end."),
        click.option("--tls-cert", type=FILE, help="Certificate, PEM."),
        click.option("--tls-key", type=FILE, help="Its private key, PEM."),
    ),
    "Prediction log": (
        click.option("--predictions", type=click.Path(file_okay=False, path_type=Path), help="Folder of the logs."),
        click.option("--fsync", type=click.Choice(["never", "second", "batch"]), default="never", show_default=True,
                     help="When the log is flushed to the disk: what survives a loss of power."),
    ),
    "Limits": (
        click.option("--max-body", default=32 << 20, show_default=True, type=click.IntRange(1), help="Bytes."),
        click.option("--max-rows", default=100_000, show_default=True, type=click.IntRange(1), help="Of a request."),
        click.option("--max-header", default=32 << 10, show_default=True, type=click.IntRange(256), help="Bytes."),
        click.option("--max-connections", default=1024, show_default=True, type=click.IntRange(1), help="Of a worker."),
        click.option("--request-timeout", default=30.0, show_default=True, type=click.FloatRange(0.05),
                     help="Seconds that a request may take to arrive."),
        click.option("--drain-timeout", default=30.0, show_default=True, type=click.FloatRange(0),
                     help="Seconds that answers may take after SIGTERM."),
    ),
}  # fmt: skip
"""The options, in the groups in which ``--help`` shows them."""


class Grouped(click.Command):
    """A command whose help shows its options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The groups, then what is left."""
        shown: set[str] = set()
        records = {
            parameter.opts[0]: parameter.get_help_record(ctx)
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
        }
        for group, options in GROUPS.items():
            names = [_name(option) for option in options]
            shown.update(names)
            with formatter.section(group):
                formatter.write_dl([record for name in names if (record := records[name])])
        with formatter.section("Options"):
            formatter.write_dl([record for name, record in records.items() if record and name not in shown])


def _name(option: Callable[[Any], Any]) -> str:
    """The name of an option, as its decorator gives it to a command."""

    def probe() -> None:
        """Take the option's parameters."""

    return str(option(probe).__click_params__[0].opts[0])


def _options(command: Any) -> Any:
    for options in reversed(list(GROUPS.values())):
        for option in reversed(options):
            command = option(command)
    return command


@click.command("serve", cls=Grouped)
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]|FOLDER")
@_options
@as_json
def command(ref: str, as_json: bool, **options: Any) -> None:
    """Answer over HTTP with a registered model version, or with a bundle, until SIGTERM or Ctrl-C.

    Every prediction is in the prediction log before it is answered. What it takes and answers: docs/serving.md, and
    its own page /docs.
    """
    from nbprod.lifecycle.serve import new_key, serve

    name, file = options.pop("add_key"), options["api_key_file"]
    if name is None:
        serve(_wish(ref, options), _document if as_json else _tell)
    elif file is None:
        raise click.UsageError("--add-key needs --api-key-file FILE.")
    else:
        key = new_key(file, name)
        if as_json:
            render.document({"name": name, "key": key})
            return
        click.echo(key)
        render.next_step(
            render.shell("nbprod", "serve", ref, "--api-key-file", str(file)), "the key is not shown again"
        )


def _wish(ref: str, options: dict[str, Any]) -> Any:
    from nbprod.lifecycle.serve import Wish
    from nbprod.serving.limits import Limits

    limits = Limits(
        body=options["max_body"], rows=options["max_rows"], header=options["max_header"],
        connections=options["max_connections"], seconds=options["request_timeout"], drain=options["drain_timeout"],
    )  # fmt: skip
    return Wish(
        ref=ref, host=options["host"], port=options["port"], workers=options["workers"], shadow=options["shadow"],
        canary=options["canary"], predictions=options["predictions"], api_keys=options["api_key_file"],
        certificate=options["tls_cert"], private_key=options["tls_key"], fsync=options["fsync"], limits=limits,
    )  # fmt: skip


def _document(serving: Serving) -> None:
    render.document({**serving.to_dict(), "docs": f"{serving.url}/docs"})


def _tell(serving: Serving) -> None:
    click.echo(f"{serving.ref} answers at {serving.url}, described at {serving.url}/docs; its log is in {serving.log}")
    key = ["-H", "authorization: Bearer KEY"] if serving.locked else []
    render.next_step(render.shell("curl", f"{serving.url}/openapi.json", *key))
