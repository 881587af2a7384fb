"""What importing papermill costs, and that nothing is lost by what is left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat


def test_papermill_is_imported_without_the_grammar_of_iris() -> None:
    program = (
        "import sys\n"
        "from nbprod.executors.loading import GRAMMAR, load_papermill\n"
        "load_papermill()\n"
        "print('papermill.execute' in sys.modules, GRAMMAR in sys.modules, 'lark' in sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "False", "False"]


def test_the_schema_of_notebooks_has_no_iris() -> None:
    schemas = list(Path(nbformat.__file__).parent.glob("v4/*.schema.json"))
    assert schemas
    assert not [path.name for path in schemas if '"iri' in path.read_text(encoding="utf-8")]
