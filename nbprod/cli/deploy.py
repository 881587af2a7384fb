"""``nbprod deploy``."""

from __future__ import annotations

from typing import Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("deploy")
@click.argument("ref", required=False, default="", metavar="[NAME[/VERSION|@ALIAS]|BUNDLE]")
@click.option("--target", default="local", show_default=True, metavar="NAME", help="local, container or kubernetes.")
@click.option("-o", "--option", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="An option of the target.")
@click.option("--apply", "mode", flag_value="apply", default="", help="With kubernetes: change the cluster.")
@click.option("--stop", "action", flag_value="stop", default="deploy", help="Stop what is deployed under the name.")
@click.option("--status", "action", flag_value="status", help="Say what is deployed.")
@as_json
def command(
    ref: str, *, target: str, pairs: tuple[tuple[str, str], ...], mode: str, action: str, as_json: bool
) -> None:
    """Put a version, or a bundle, where it is asked.

    The target local runs it here and goes back to the version before when it does not get ready. Options, local: host,
    port, api_key_file; container: engine, image, port, api_key_file, push; kubernetes: image, namespace, mode.
    """
    found = _done(ref, target, {**_read(pairs), **({"mode": mode} if mode else {})}, action=action)
    if as_json:
        return render.document([item.to_dict() for item in found])
    if not found:
        click.echo("nothing is deployed")
        return render.next_step("nbprod models")
    rows = [(item.ref, item.target, render.word(item.status), item.url or "-", item.reason) for item in found]
    render.table(("VERSION", "TARGET", "STATUS", "URL", "WHY"), rows)
    for item in found:
        render.next_step(_next(item.ref, str(item.details.get("next", "")), item.url, action))


def _done(ref: str, target: str, options: dict[str, Any], *, action: str) -> tuple[Any, ...]:
    from nbprod.errors import UsageError
    from nbprod.lifecycle.deploy import deploy, deployments, stop

    if action == "status":
        return tuple(item for item in deployments() if not ref or item.name == ref.partition("/")[0].partition("@")[0])
    if not ref:
        raise UsageError("say what to deploy: nbprod deploy NAME@champion, or --status to see what is.")
    return (stop(ref, target),) if action == "stop" else (deploy(ref, target, options),)


def _read(pairs: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Options as YAML reads their values: `port 9000` is a number."""
    import yaml

    return {name.replace("-", "_"): yaml.safe_load(value) for name, value in pairs}


def _next(ref: str, command: str, url: str, action: str) -> str:
    if command:
        return command
    if action == "deploy" and url:
        return f"curl {url}/readyz"
    return render.shell("nbprod", "deploy", ref) if action == "stop" else "nbprod deploy --status"
