"""A placement, and programs that only note how they are called."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from nbprod.targets import Deployment, Placement


def placement(place: Path, *, target: str, previous: Deployment | None = None, **details: str) -> Placement:
    """A bundle without content that is to be placed."""
    bundle = place / "bundle"
    (bundle / "kubernetes" / "base").mkdir(parents=True, exist_ok=True)
    (bundle / "kubernetes" / "base" / "kustomization.yaml").write_text("resources: []\n")
    wanted = Deployment(name="churn", version="3", target=target, bundle=str(bundle), entry="e", details={**details})
    return Placement(wanted=wanted, bundle=bundle, folder=place / "deployments", previous=previous)


def fake_program(place: Path, name: str, monkeypatch: pytest.MonkeyPatch, *, code: int = 0) -> Path:
    """Put a program alone on the PATH that notes its arguments, a line each call; returns the file of notes."""
    folder, notes = place / "bin", place / f"{name}.calls"
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nopen({str(notes)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
        f"print('no such thing', file=sys.stderr)\nsys.exit({code})\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return notes


def calls(notes: Path) -> list[list[str]]:
    """How a program was called."""
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
