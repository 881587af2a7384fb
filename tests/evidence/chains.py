"""Versions as lineage sees them, made of a few words, that tests of several rooms share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbprod.entities import ModelVersion

Stages = Sequence[tuple[str, Mapping[str, str], Mapping[str, str]]]


def sha(name: str) -> str:
    return (name.encode() + b"\xff" * 32)[:32].hex()


def version(
    number: int, stages: Stages, *, run: str = "", model: str = "model", maker: str = "train", **more: Any
) -> ModelVersion:
    """A version with the part of its entry that lineage reads; bytes are named by a word.

    Args:
        more: ``roles`` (word -> role), ``measured`` (stages), ``parent``, ``aliases``, ``card``.
    """
    run = run or f"run-{number}"
    made = {word: name for name, _, outputs in stages for word in outputs.values()}
    read = {word: name for _, inputs, _ in stages for name, word in inputs.items()}
    roles: Mapping[str, str] = more.get("roles", {})
    entry = {
        "run": {
            "stages": [
                {
                    "name": name, "run": run, "notebook": f"{name}.ipynb", "started": "unknown", "parameters": {},
                    "inputs": {key: sha(word) for key, word in inputs.items()},
                    "outputs": {key: sha(word) for key, word in outputs.items()},
                }
                for name, inputs, outputs in stages
            ]
        },
        "inputs": [
            {
                "name": name, "uri": f"data/{word}", "kind": "file", "bytes": 10, "rows": None, "kept": True,
                "sha256": sha(word), "card": "derived" if word in made else more.get("card", "unknown"),
                "role": roles.get(word, "input"),
            }
            for word, name in read.items()
            if word in roles or word not in made
        ],
        "parent": more.get("parent"),
        "pipeline": {"name": "p"},
        "model": {"stage": maker, "sha256": sha(model), "bytes": 5},
        "metrics": [{"stage": name} for name in more.get("measured", ())],
    }  # fmt: skip
    return ModelVersion(
        name="m",
        created="2026-01-01T10:20:30",
        version=str(number),
        digest=sha(f"entry {number}"),
        entry=entry,
        aliases=tuple(more.get("aliases", ())),
    )


CHAIN: Stages = (
    ("prepare", {"raw": "raw"}, {"train": "rows", "test": "held"}),
    ("train", {"train": "rows"}, {"model": "model"}),
    ("evaluate", {"model": "model", "test": "held"}, {"roc.png": "plot"}),
)
