"""Import papermill without a grammar that it never uses and that takes longer to build than all the rest to import.

nbformat imports jsonschema, which imports ``rfc3987_syntax`` where JupyterLab brought it, and that compiles the grammar
of IRIs: 1 s of 1.5 s. Only the string formats ``iri`` and ``iri-reference`` need it, which notebooks' schema has not.
"""

from __future__ import annotations

import importlib
import sys
import threading

GRAMMAR = "rfc3987_syntax"

_one_at_a_time = threading.Lock()


def load_papermill() -> None:
    """Import what executing a notebook needs; jsonschema then checks no IRIs, as where the grammar is not installed."""
    with _one_at_a_time:
        hide = GRAMMAR not in sys.modules
        if hide:
            sys.modules[GRAMMAR] = None  # type: ignore[assignment]  # which makes importing it an ImportError
        try:
            importlib.import_module("papermill.execute")
        finally:
            if hide:
                del sys.modules[GRAMMAR]
