"""Notebooks built in code, and a cache in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nbprod.pipeline.source import Source, read_source


class MemoryCache(dict[str, str]):
    """A cache that counts what it had to be told."""

    def recall(self, name: str, /) -> str | None:
        """What was remembered."""
        return self.get(name)

    def remember(self, name: str, text: str, /) -> None:
        """Keep a text."""
        self[name] = text


def code(source: str | list[str], *tags: str, **more: Any) -> dict[str, Any]:
    """A code cell of format 4."""
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}, "outputs": [], **more}


def markdown(source: str) -> dict[str, Any]:
    """A markdown cell of format 4."""
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def notebook(*cells: dict[str, Any] | str, kernel: str = "python3", language: str = "") -> dict[str, Any]:
    """A notebook of format 4; a text is a code cell."""
    metadata: dict[str, Any] = {"kernelspec": {"name": kernel}} if kernel else {}
    if language:
        metadata["language_info"] = {"name": language}
    made = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": made}


def written(folder: Path, content: Any, name: str = "a.ipynb") -> Path:
    """Write a notebook, or text, to a file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def source_of(folder: Path, *cells: dict[str, Any] | str, name: str = "a.ipynb", **options: str) -> Source:
    """The source of a notebook with these cells."""
    return read_source(written(folder, notebook(*cells, **options), name), label=name)
