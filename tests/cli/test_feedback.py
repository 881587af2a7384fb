"""What `nbprod feedback` prints."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from nbprod.cli.feedback import command
from nbprod.lifecycle.feedback import Told
from nbprod.predictions.feedback import Conflict


def test_values_that_differ_are_shown_as_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    conflict = Conflict(request="a-0-0-1", row=None, name="", values=('"m\\u00e9dio"', "0"))
    told = Told(model="wine", file=__file__, rows=2, recorded=2, conflicts=1, examples=(conflict,))
    monkeypatch.setattr("nbprod.lifecycle.feedback.feedback", lambda *_, **__: told)
    found = CliRunner().invoke(command, ["wine", __file__])
    assert found.exit_code == 0
    assert 'a-0-0-1 truth: "m\u00e9dio", 0' in found.output
