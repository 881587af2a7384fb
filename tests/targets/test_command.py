"""A program that fails is told of in one sentence."""

from __future__ import annotations

import sys

import pytest

from nbprod.errors import DeployError
from nbprod.targets.command import LAST_LINES, call, last_words


def test_what_a_program_prints_is_returned() -> None:
    assert call([sys.executable, "-c", "print('well')"], doing="ask") == "well\n"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            [sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"],
            "could not ask: .* says why",
        ),
        ([sys.executable, "-c", "raise SystemExit(3)"], "says nothing"),
        (["/no/such/program"], r"program cannot be started \(No such file"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "took longer than 0.5 s"),
    ],
)
def test_why_a_program_failed_is_told(program: list[str], said: str) -> None:
    with pytest.raises(DeployError, match=said):
        call(program, doing="ask", timeout=0.5 if "sleep" in program[-1] else 60)


def test_only_the_last_lines_are_told() -> None:
    assert last_words("\n".join(map(str, range(99)))).split(" | ") == [str(n) for n in range(99 - LAST_LINES, 99)]
