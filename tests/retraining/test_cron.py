"""Schedules: when they come next, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import UsageError
from nbprod.retraining.cron import read_cron

AFTER = datetime(2026, 11, 25, 7, 30, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "comes"),
    [
        ("* * * * *", (2026, 11, 25, 7, 31)),
        ("30 7 * * *", (2026, 11, 26, 7, 30)),
        ("0 3 * * 1", (2026, 11, 30, 3, 0)),
        ("0 3 * * MON", (2026, 11, 30, 3, 0)),
        ("*/20 8-9 * * *", (2026, 11, 25, 8, 0)),
        ("0 0 1 jan *", (2027, 1, 1, 0, 0)),
        ("0 0 29 2 *", (2028, 2, 29, 0, 0)),
        ("0 0 * * 7", (2026, 11, 29, 0, 0)),
        ("0 0 13 * 5", (2026, 11, 27, 0, 0)),
        ("5/25 7 * * *", (2026, 11, 25, 7, 55)),
    ],
)
def test_the_next_time_is_the_first_one_that_fits(text: str, comes: tuple[int, ...]) -> None:
    found = read_cron(text).next(AFTER.timestamp())
    assert found == datetime(*comes, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


def test_a_time_that_never_comes_is_none() -> None:
    assert read_cron("0 0 30 2 *").next(AFTER.timestamp()) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 3 * *", "a schedule has five fields"),
        ("60 3 * * 1", "the minute of the schedule '60 3 * * 1' is '60'"),
        ("0 3 * * 1-8", "the day of week of the schedule"),
        ("0 3 0 * *", "the day of month of the schedule"),
        ("0 */0 * * *", "the hour of the schedule"),
        ("0 3 * foo *", "the month of the schedule"),
        ("5-1 3 * * *", "the minute of the schedule"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("*", r"\*")):
        read_cron(text)


@given(st.integers(0, 59), st.integers(0, 23), st.floats(0, 4e9))
def test_a_daily_time_comes_within_a_day_and_after_the_moment(minute: int, hour: int, after: float) -> None:
    found = read_cron(f"{minute} {hour} * * *").next(after)
    assert found is not None
    assert after < found <= after + 86400


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    try:
        read_cron(text)
    except UsageError as error:
        assert error.message.endswith(".")
