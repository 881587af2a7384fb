"""What the target local refuses, and what it would go back to; processes are in the functional tests."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from nbprod.errors import UsageError
from nbprod.targets import Deployment
from nbprod.targets.local import _before, alive, local, looked_at, stop
from nbprod.targets.state import read
from tests.targets.made import placement

V1 = Deployment(name="churn", version="1", target="local", bundle="/b1", status="ready", entry="e1", digest="d1")
V2 = Deployment(name="churn", version="2", target="local", bundle="/b2")


def test_an_address_for_others_needs_keys(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="api_key_file"):
        local(placement(tmp_path, target="local"), host="0.0.0.0")


def test_a_port_that_is_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"the port {number} of 127.0.0.1 is in use"):
            local(placement(tmp_path, target="local"), port=number)


def test_it_goes_back_to_what_worked() -> None:
    assert _before(None, V2) == {}
    assert _before(V1, V2) == {"version": "churn/1", "bundle": "/b1", "entry": "e1", "digest": "d1"}
    older = {"version": "churn/0", "bundle": "/b0"}
    assert _before(replace(V1, status="failed", previous=older), V2) == older
    assert _before(replace(V2, previous=older), V2) == older


def test_a_process_that_only_has_the_number_is_not_the_supervisor(tmp_path: Path) -> None:
    """So nothing of somebody else's is stopped."""
    mine = replace(V1, processes={"supervisor": os.getpid()})
    file = tmp_path / "churn.local.json"
    assert not alive(mine, file)
    gone = looked_at(mine, file)
    assert (gone.status, gone.processes) == ("failed", {})
    assert stop(mine, file).status == "stopped"
    assert read(file) == replace(V1, status="stopped")
