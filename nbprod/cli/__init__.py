"""The command line: a group that loads a verb's file when the verb is called."""

from __future__ import annotations

import importlib
import keyword
import sys
from collections.abc import Mapping, Sequence
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
        "lineage": "Say what made a model version, or what came of some data.",
        "history": "Say who moved which alias of a model, when and why.",
        "verify": "Hold a model version against everything that was recorded of it.",
        "reproduce": "Run a model version's recipe again, and compare what comes out.",
    },
    "Release": {
        "gate": "Run the gates of a model version.",
        "approve": "Say that you approve of a model version.",
        "promote": "Run the gates and, if they pass, move an alias to a version.",
        "rollback": "Move an alias back to the version before.",
    },
    "Deploy": {
        "serve": "Answer over HTTP with a model version or a bundle.",
        "score": "Score files of any size with a model version or a bundle.",
        "build": "Make a folder that is ready to deploy.",
        "deploy": "Put a model version where it is asked: here, in a container, on Kubernetes.",
    },
    "Operate": {
        "feedback": "Add what turned out to be true of predictions.",
        "monitor": "Say whether what runs is still like what was measured.",
        "retrain": "Retrain a model on new data, and judge what comes out.",
        "watch": "Monitor, retrain and roll back models on a schedule.",
    },
    "Move": {
        "export": "Write a model version to a folder, or as a bill of materials or provenance.",
        "import": "Register a model version that was exported elsewhere.",
    },
    "Maintain": {
        "subject": "Find a person's data, erase them, and prove that nothing is left.",
        "keys": "List, make, pin, rotate and revoke signing keys.",
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
        file = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = importlib.import_module(f"nbprod.cli.{file}").command
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
    as_json = "--json" in arguments
    try:
        code = cli.main(args=arguments, prog_name="nbprod", standalone_mode=False)
    except NbprodError as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        fields = {k: v for k in ("file", "line", "cell", "stage") if (v := getattr(error, k)) is not None}
        code = _document(type(error).__name__, error.message, fields, code=error.exit_code, as_json=as_json)
    except (click.exceptions.Abort, KeyboardInterrupt):
        message = (
            "interrupted: nothing is left half; stages of a run that finished are kept, and it goes on from there."
        )
        click.echo(message, err=True)
        code = _document("Interrupted", message, {}, code=130, as_json=as_json)
    except click.ClickException as error:
        error.show()
        code = _document("UsageError", error.format_message(), {}, code=error.exit_code, as_json=as_json)
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _document(kind: str, message: str, fields: Mapping[str, Any], *, code: int, as_json: bool) -> int:
    """Say with ``--json`` what went wrong in one document on stdout; returns the exit code."""
    if as_json:
        import json

        click.echo(json.dumps({"error": {"type": kind, "message": message, **fields}}))
    return code
