"""The command line: a group that loads a verb's file when the verb is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from nbprod import __version__
from nbprod.errors import NbprodError

GROUPS: dict[str, dict[str, str]] = {
    "Author": {
        "init": "Make a project whose first run is green.",
        "check": "Say what is wrong with a pipeline, without running it.",
        "plan": "Say which stages would run, and why.",
        "run": "Run a pipeline or a notebook, and register the model.",
        "register": "Register a notebook that papermill ran.",
    },
    "Inspect": {
        "runs": "List runs.",
        "models": "List models, their versions and main metrics.",
        "show": "Print a model version: what made it, on which data, how well it does.",
        "fetch": "Get the exact data of a model version back.",
    },
}
"""Verbs by group, with the line that ``--help`` shows; the files are only opened when needed."""

VERBS = {verb: text for group in GROUPS.values() for verb, text in group.items()}


class VerbGroup(click.Group):
    """Commands by name, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of the groups."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's file."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"nbprod.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the nearest verb for a mistyped one."""
        from nbprod.errors import UsageError, nearest

        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise UsageError(f"there is no verb '{args[0]}'.{nearest(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs in their groups."""
        for group, verbs in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(list(verbs.items()))


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(__version__, "--version", message="nbprod %(version)s")
def cli() -> None:
    """From a notebook to a model version that is ready to deploy.

    Begin with `nbprod run NOTEBOOK.ipynb` on a notebook you have, or `nbprod init DIR` for a new project.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the exit code is the error's class."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(args=arguments, prog_name="nbprod", standalone_mode=False)
    except NbprodError as error:
        _say(error, as_json="--json" in arguments)
        code = error.exit_code
    except click.exceptions.Abort:
        code = 130
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _say(error: NbprodError, *, as_json: bool) -> None:
    """Print an error for a person on stderr and, with ``--json``, as one document on stdout."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
    if as_json:
        import json

        fields: dict[str, Any] = {"type": type(error).__name__, "message": error.message}
        fields.update({k: v for k in ("file", "line", "cell", "stage") if (v := getattr(error, k)) is not None})
        click.echo(json.dumps({"error": fields}))
