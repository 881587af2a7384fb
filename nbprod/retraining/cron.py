"""Times that come again: five fields as cron has them, minute, hour, day of month, month, day of week, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nbprod.errors import UsageError

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "day of week": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_FAR = 366 * 5
"""Days after which a time that has not come never does: 29 February comes in four years, or in eight around 2100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A schedule that was read.

    Attributes:
        either: whether one of day of month and day of week is enough, as cron has it where both are given.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def next(self, after: float) -> float | None:
        """The first time after a moment, both in Unix seconds; None if there is none, as on 30 February."""
        moment = datetime.fromtimestamp(after, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for _ in range(_FAR):
            if moment.month in self.months and self._on(moment):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        if (hour, minute) >= (moment.hour, moment.minute):
                            return moment.replace(hour=hour, minute=minute).timestamp()
            moment = (moment + timedelta(days=1)).replace(hour=0, minute=0)
        return None

    def _on(self, day: datetime) -> bool:
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either else of_month and of_week


def read_cron(text: str) -> Cron:
    """Read five fields: ``*``, numbers, names, ranges ``1-5``, steps ``*/15`` and lists of these.

    Raises:
        UsageError: it is none.
    """
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise UsageError(f"a schedule has five fields, such as '0 3 * * 1' for Mondays at 3:00 UTC, not {text!r}.")
    found = [_field(part, *field, text=text) for part, field in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = found
    return Cron(
        text=text,
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        either=not parts[2].startswith("*") and not parts[4].startswith("*"),
    )


def _field(part: str, name: str, low: int, high: int, *, text: str) -> frozenset[int]:
    found: set[int] = set()
    for piece in part.split(","):
        span, slash, step = piece.partition("/")
        first, dash, last = span.partition("-")
        try:
            every = int(step) if slash else 1
            if span == "*":
                begin, end = low, high
            else:
                begin = _number(first, name)
                end = _number(last, name) if dash else high if slash else begin
            if every < 1 or not low <= begin <= end <= high:
                raise ValueError
        except ValueError:
            raise UsageError(
                f"the {name} of the schedule {text!r} is {piece!r}, which is no number, range or step from {low} to "
                f"{high}."
            ) from None
        found.update(range(begin, end + 1, every))
    return frozenset(found)


def _number(text: str, name: str) -> int:
    names = _NAMES.get(name, ())
    if text.lower() in names:
        return names.index(text.lower()) + (1 if name == "month" else 0)
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)
