"""The service's own log: one JSON object a line on standard error, without anything that callers sent."""

from __future__ import annotations

import json
import sys
import traceback
from datetime import UTC, datetime
from typing import Any


def tell(level: str, message: str, *, error: BaseException | str | None = None, **fields: Any) -> None:
    """Write a line.

    Args:
        error: an exception's type and place are written, not its text, which may hold values of a request.
    """
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "message": message, **fields,
    }  # fmt: skip
    if isinstance(error, BaseException):
        line["error"] = type(error).__name__
        line["at"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-5:]
        ]
    elif error is not None:
        line["error"] = error
    sys.stderr.write(json.dumps(line, default=str) + "\n")
    sys.stderr.flush()
