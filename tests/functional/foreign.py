"""Notebooks that other people wrote, as installed distributions bring them; none is copied into this repository.

papermill and scrapbook ship theirs in the wheels that nbprod depends on, so they are there offline. All run in a second
or two and need nothing else. Among papermill's are notebooks that end early, which plain papermill takes for a success.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A notebook in an installed distribution, and what `nbprod run` makes of it.

    Attributes:
        package: the distribution with the version in which it was seen.
        path: the notebook in it.
        code: the exit code of ``nbprod run``.
        says: what its cells print, or for a failure what the error says.
        metrics: the metrics that are read from it.
    """

    package: str
    path: str
    code: int = 0
    says: str = ""
    metrics: tuple[str, ...] = ()

    def __str__(self) -> str:
        return Path(self.path).stem

    def locate(self) -> Path:
        """Where it is installed; FileNotFoundError if a newer version of the distribution no longer brings it."""
        name, _, version = self.package.partition("==")
        found = Path(str(distribution(name).locate_file(self.path)))
        if not found.is_file():
            raise FileNotFoundError(f"{name} {distribution(name).version} has no {self.path}; {version} had it")
        return found


def _papermill(name: str, *, code: int = 0, says: str = "") -> Foreign:
    return Foreign(package="papermill==2.7.0", path=f"papermill/tests/notebooks/{name}.ipynb", code=code, says=says)


def _scrapbook(name: str, *metrics: str) -> Foreign:
    path = f"scrapbook/tests/notebooks/collection/{name}.ipynb"
    return Foreign(package="scrapbook==0.5.0", path=path, metrics=metrics)


NOTEBOOKS = (
    _papermill("simple_execute", says="None"),
    _papermill("no_parameters", says="None"),
    _papermill("nb_version_4.4", says="1"),
    _papermill("report_mode_test", says="2"),
    _papermill("test_notebooknode_io", says="Hello World"),
    _papermill("blank-vscode"),
    _scrapbook("result1", "number", "one"),
    _scrapbook("result2", "number", "two"),
    _papermill("broken1", code=3, says="assert False"),
    _papermill("line_magic_error", code=3, says="undefined-line-magic"),
    _papermill("sysexit", code=3, says="sys.exit()"),
    _papermill("sysexit0", code=3, says="sys.exit(0)"),
    _papermill("systemexit", code=3, says="raise SystemExit"),
    _papermill("complex_parameters", code=2, says="cell 1, line 14"),
    _papermill("notimplemented_translator", code=2, says="kernel 'r'"),
    _papermill("test_autosave", code=2, says="Did you mean 'python3'?"),
)
