"""What `nbprod lineage` prints: words and not codes."""

from __future__ import annotations

import pytest

from nbprod.cli.lineage import command
from nbprod.evidence.lineage import data_id
from nbprod.evidence.tracing import build
from nbprod.lifecycle.lineage import Lineage, of_data, of_version
from tests.evidence.chains import CHAIN, sha, version

VERSION = version(
    2, CHAIN, measured=["evaluate"], roles={"rows": "train", "held": "test"}, aliases=["champion"],
    parent={"relation": "incremental", "digest": sha("entry 1")}, card={"license": "MIT", "personal": list("abcd")},
)  # fmt: skip
GRAPH = build([VERSION, version(1, CHAIN, model="model 1")])


def printed(found: Lineage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    monkeypatch.setattr("nbprod.lifecycle.lineage.lineage", lambda what: found)
    command.main(["x", *options], standalone_mode=False)
    return capsys.readouterr().out


def test_a_version_is_told_up_to_its_data_and_down_to_its_aliases(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(of_version(GRAPH, VERSION), monkeypatch, capsys)
    assert [line.rstrip() for line in out.splitlines()] == [
        f"m/2  registered 2026-01-01 10:20 UTC, entry sha256 {sha('entry 2')[:12]}",
        "it came of",
        f"  is the model {sha('model')[:12]}  5 B",
        "    made by train  train.ipynb, run run-2",
        f"      read train: data/rows  10 B, sha256 {sha('rows')[:12]}",
        "        made by prepare  prepare.ipynb, run run-2",
        f"          read raw: data/raw  10 B, sha256 {sha('raw')[:12]}, licence MIT, personal data: a, b, c and 1 more",
        "  measured by evaluate  evaluate.ipynb, run run-2",
        f"    read model {sha('model')[:12]}  (see above)",
        f"    read test: data/held  10 B, sha256 {sha('held')[:12]}",
        "      made by prepare  (see above)",
        f"  incremental of m/1  2026-01-01 10:20 UTC, entry sha256 {sha('entry 1')[:12]}",
        "of it came",
        "  alias champion",
    ]


def test_data_are_told_down_to_versions_which_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(of_data(GRAPH, "data/raw", [data_id(sha("raw"))]), monkeypatch, capsys)
    lines = out.splitlines()
    assert "  read by prepare as raw  prepare.ipynb, run run-2" in lines
    assert any(line.strip().startswith("made train: data/rows") for line in lines)
    assert any(line.strip().startswith("registered as m/2") for line in lines)
    table = [line.split("  ") for line in lines[lines.index("") + 1 :]]
    assert [[cell.strip() for cell in row if cell.strip()] for row in table] == [
        ["VERSION", "ALIASES", "USED FOR", "THROUGH"],
        ["m/2", "champion", "train, test", "prepare.train, prepare.test"],
        ["m/1", "-", "learned from, read beside", "prepare.train, prepare.test"],
    ]


def test_a_graph_to_paste_has_only_the_graph(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(of_version(GRAPH, VERSION), monkeypatch, capsys, "--mermaid")
    assert out.startswith("flowchart LR\n")
    assert '(["m/2"])' in out
    assert '-. "train" .->' in out
