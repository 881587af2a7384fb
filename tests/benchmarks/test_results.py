"""How benchmarks compare and tell what they found; nothing here is timed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.bench import QUICK
from benchmarks.processes import BenchmarkError, Took, run
from benchmarks.report import BEGIN, END, tables, write
from benchmarks.results import Results, alternate, shown


def test_rounds_go_forwards_and_backwards_in_turn() -> None:
    order: list[str] = []
    alternate({name: lambda number, name=name: order.append(name) for name in "ab"}, 3)  # type: ignore[misc]
    assert "".join(order) == "abbaab"


def test_a_ratio_is_of_the_medians_and_tells_its_pairs() -> None:
    results = Results()
    slow = results.add("m", "papermill", [4.0, 6.0, 9.0])
    fast = results.add("m", "nbprod", [2.0, 3.0, 3.0])
    results.ratio("twice as fast", slow, fast, 2.0)
    assert (results.bars[0].met, results.bars[0].found) == (True, "2.00 times (pairs: 2.00 to 3.00)")


def test_a_missed_limit_is_said() -> None:
    results = Results()
    results.at_most("at most 1 s", results.add("m", "nbprod", [0.5, 2.0, 3.0]), 1.0)
    assert [(bar.met, bar.found) for bar in results.bars] == [(False, "2.00 s")]


def test_values_have_three_digits_and_a_unit() -> None:
    assert [shown(v, "s") for v in (0.0123, 0.5, 12.34, 123.4)] == ["12 ms", "0.50 s", "12.3 s", "123 s"]


def test_the_tables_replace_what_stands_between_the_marks_of_the_page(tmp_path: Path) -> None:
    results = Results()
    results.timed("start", "nbprod", [Took(1.0, 0.5)], note="cold")
    results.timed("start", "papermill", [Took(2.0, 1.5)])
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nformer tables\n{END}\nafter\n")
    write(page, tables(results, scale=QUICK, tools=(), load=0.0, seconds=60.0))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "former" not in text
    assert "| 2.00 x" in text and "| cold" in text


def test_a_command_that_fails_says_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="the reason"):
        run([sys.executable, "-c", "import sys; sys.exit('the reason')"], folder=tmp_path, environment={})


def test_a_process_is_measured_to_its_end(tmp_path: Path) -> None:
    ended = run([sys.executable, "-c", "print('x' * 3)"], folder=tmp_path, environment={})
    assert ended.out == "xxx\n" and ended.took.seconds > 0
