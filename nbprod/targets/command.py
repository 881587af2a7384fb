"""Call another program, and say in one sentence why it failed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbprod.errors import DeployError

LAST_LINES = 6
"""So many of a program's last lines are told when it fails."""


def call(
    command: Sequence[str | Path],
    *,
    doing: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 900.0,
) -> str:
    """Run a program to its end and return what it printed.

    Args:
        doing: what it is for, for the error, such as ``build the image``.
        timeout: seconds.

    Raises:
        DeployError: it cannot be started, fails or takes too long; with its last words.
    """
    words = [str(word) for word in command]
    program = Path(words[0]).name
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except OSError as error:
        raise DeployError(f"could not {doing}: {program} cannot be started ({error.strerror}).") from error
    except subprocess.TimeoutExpired as error:
        raise DeployError(f"could not {doing}: {program} took longer than {timeout:g} s.") from error
    if done.returncode:
        raise DeployError(f"could not {doing}: {program} says {last_words(done.stderr or done.stdout)}")
    return done.stdout


def last_words(text: str) -> str:
    """The last lines of what a program said, as one line."""
    lines = [" ".join(line.split()) for line in text.strip().splitlines() if line.strip()]
    return " | ".join(lines[-LAST_LINES:]) or "nothing"
