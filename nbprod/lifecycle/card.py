"""``nbprod show --card``: the model card of a version, as Markdown and as a page."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from nbprod.entities import Fact, ModelVersion, Statement
from nbprod.errors import UsageError
from nbprod.evidence import modelcard
from nbprod.evidence.modelcard.blocks import Document, Plot
from nbprod.evidence.modelcard.escaping import slug
from nbprod.evidence.modelcard.plots import standalone
from nbprod.evidence.statements import signature_of
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.registry.database import local_path, local_statements
from nbprod.store import write_text
from nbprod.trust.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Carded(Fact):
    """A card that was made.

    Attributes:
        markdown: the card as one text without plots; empty where it was written to files.
        files: what was written: the page, the Markdown, then its plots.
    """

    ref: str
    markdown: str = ""
    files: tuple[str, ...] = ()


def card(text: str, *, html: str | None = None, markdown: str | None = None) -> Carded:
    """Make the card of the version that a reference means.

    Args:
        html: file for the page, which holds everything.
        markdown: file for the Markdown; its plots are written beside it, as ``<its name>-*.svg``.

    Raises:
        UsageError: there is no such version, or a file cannot be written.
        ArtifactError: the entry or a statement is not the one that was recorded.
    """
    with open_existing() as work:
        version = find_version(text, work)
        keys = Keys()
        said = []
        for statement in _statements(work, version):
            vouched = signature_of(statement, keys)
            said.append(modelcard.Said(statement=statement, key=vouched.key, state=vouched.state))
    made = modelcard.document(version, said)
    files: dict[Path, str] = {}
    if html:
        files[Path(html)] = modelcard.html(made)
    if markdown:
        files |= _with_plots(made, Path(markdown))
    for path, content in files.items():
        _write(path, content)
    return Carded(ref=version.ref, markdown="" if files else modelcard.markdown(made), files=tuple(map(str, files)))


def _statements(work: Workspace, version: ModelVersion) -> tuple[Statement, ...]:
    """What was said of a version: from the files of a local registry, else from the registry."""
    path = local_path(work.project.registry_uri())
    if path is not None and (found := local_statements(path, version.name, version.version)) is not None:
        return found
    with open_registry(work.project) as registry:
        return registry.statements(version.name, version.version)


def _with_plots(made: Document, path: Path) -> dict[Path, str]:
    """The Markdown's file and those of its plots."""
    files: dict[Path, str] = {path: ""}
    names: dict[str, str] = {}
    for section in made.sections:
        for block in section.blocks:
            if isinstance(block, Plot):
                file = _free(path, slug(block.name), files)
                names[block.name] = posixpath.join(".", quote(file.name))
                files[file] = standalone(block.svg)
    files[path] = modelcard.markdown(made, plots=names)
    return files


def _free(path: Path, name: str, taken: dict[Path, str]) -> Path:
    """A file for a plot beside the Markdown; names that differ only in what no file name holds are numbered."""
    found = path.with_name(f"{path.stem}-{name}.svg")
    number = 2
    while found in taken:
        found = path.with_name(f"{path.stem}-{name}-{number}.svg")
        number += 1
    return found


def _write(path: Path, content: str) -> None:
    try:
        write_text(path, content)
    except OSError as error:
        raise UsageError(f"cannot be written ({error.strerror or error}).", file=str(path)) from error
