"""``nbprod deploy`` on the terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from nbprod.cli import cli


@pytest.mark.parametrize(("options", "read"), [((), str.strip), (("--json",), json.loads)])
def test_nothing_deployed_is_said_rather_than_an_empty_table(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], read: Any
) -> None:
    monkeypatch.setattr("nbprod.lifecycle.deploy.deployments", tuple)
    done = CliRunner().invoke(cli, ["deploy", "--status", *options])
    assert done.exit_code == 0
    assert read(done.stdout) == ([] if options else "nothing is deployed")
