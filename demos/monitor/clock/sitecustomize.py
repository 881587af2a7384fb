"""The demo's clock: Python processes that find this file live in the simulated month, and nbprod has no switch for it.

It is put on PYTHONPATH by the demo alone. `NBPROD_DEMO_CLOCK` names a file that holds how many seconds the simulated
time is ahead of the real one (below 0: behind it); it is read again whenever the time is asked for.
"""

from __future__ import annotations

import datetime
import importlib.abc
import importlib.machinery
import os
import sys
import time
from typing import Any

FILE = os.environ.get("NBPROD_DEMO_CLOCK", "")
REAL = datetime.datetime
real_time = time.time


def ahead() -> float:
    """Seconds; 0 where there is no file."""
    try:
        with open(FILE, encoding="ascii") as file:
            return float(file.read())
    except (OSError, ValueError):
        return 0.0


class Kind(type):
    """A real datetime counts as one of the demo's."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, REAL)


class Simulated(REAL, metaclass=Kind):
    """What `nbprod` finds where it imports `datetime`."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """The simulated time."""
        return REAL.now(tz) + datetime.timedelta(seconds=ahead())


class Finder(importlib.abc.MetaPathFinder):
    """Gives nbprod's modules the simulated time as they are imported; others have `time.time`."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The module's own spec, with one thing to do after it was run."""
        if not name.startswith("nbprod."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                run(module)
                if getattr(module, "datetime", None) is REAL:
                    module.datetime = Simulated

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if FILE:
    time.time = lambda: real_time() + ahead()
    sys.meta_path.insert(0, Finder())
