"""The process in which a recipe runs again, in a folder of its own, and never longer than whoever asked for it.

The first line of standard input is the request, ``{"target", "settings", "parent", "onward", "name"}``; one line of
standard output is the answer, ``{"run", "version", "registered"}`` or ``{"error"}``. When standard input closes, it
stops.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

from nbprod.entities import CellError, StageRun
from nbprod.errors import NbprodError


def _stop_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def answered(request: dict[str, Any]) -> dict[str, Any]:
    """Run what was asked for."""
    from nbprod.lifecycle.plan import Request
    from nbprod.lifecycle.report import RunOptions
    from nbprod.lifecycle.run import run
    from nbprod.pipeline.bind import Setting
    from nbprod.pipeline.events import ignore

    settings = tuple(Setting(name=n, value=v, origin=f"retrain {n}") for n, v in request["settings"].items())
    asked = Request(target=request["target"], settings=settings, parent=request["parent"], onward=request["onward"])
    report = run(asked, RunOptions(name=request["name"]), ignore)
    failed = next((stage for stage in report.run.stages if stage.error), None)
    if failed and failed.error:
        return {"error": _told(failed, failed.error), "run": report.run.id}
    if report.version is None:
        return {
            "error": f"it registered nothing. {' '.join(report.notes)}".strip(),
            "exit_code": 3,
            "run": report.run.id,
        }
    return {"run": report.run.id, "version": report.version.version, "registered": report.registered}


def _told(failed: StageRun, error: CellError) -> str:
    """What failed, where, and where the notebook with all of it is."""
    line = f", line {error.line}," if error.line else ""
    cell = f"cell {error.cell}{line} of " if error.cell else ""  # no cell is to blame for a missing output, say
    seen = f"; look at {failed.executed.uri}" if failed.executed else ""
    return f"stage '{failed.stage}' failed in {cell}{failed.notebook}: {error.message.rstrip('.')}{seen}"


def main() -> None:
    """Answer one request."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, _stop)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        reply = answered(request)
    except NbprodError as error:
        reply = {"error": str(error)}
    except KeyboardInterrupt:
        sys.exit(130)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever reads the answer closes our standard input
    channel.write(json.dumps(reply) + "\n")
    channel.flush()


if __name__ == "__main__":
    main()
