"""How long something is kept. Pure: the moment is always given."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_WRITTEN = re.compile(r"(\d{1,4}) (year|month|day)s?")
_MONTHS_A_YEAR = 12


@dataclass(frozen=True, slots=True)
class Period:
    """A span of the calendar.

    Attributes:
        months: Whole months; a year is twelve.
        days: Days beside them.
        endless: Kept forever.
        nothing: Not kept at all.
    """

    months: int = 0
    days: int = 0
    endless: bool = False
    nothing: bool = False

    def before(self, moment: datetime) -> datetime | None:
        """What is older than this has been kept for the whole period at ``moment``; ``None`` where nothing has.

        Months are the calendar's: two years before 29 February 2028 is 28 February 2026.
        """
        if self.endless:
            return None
        if self.nothing:
            return moment
        month = moment.year * _MONTHS_A_YEAR + moment.month - 1 - self.months
        year, month = divmod(month, _MONTHS_A_YEAR)
        if year < 1:
            return None
        last_day = calendar.monthrange(year, month + 1)[1]
        start = moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))
        try:
            return start - timedelta(days=self.days)
        except OverflowError:
            return None

    def __str__(self) -> str:
        if self.endless or self.nothing:
            return "forever" if self.endless else "never"
        if self.days:
            return _counted(self.days, "day")
        years, months = divmod(self.months, _MONTHS_A_YEAR)
        return _counted(self.months, "month") if months else _counted(years, "year")


def period(text: str) -> Period:
    """The period that a policy writes as ``2 years``, ``18 months``, ``90 days``, ``forever`` or ``never``.

    Raises:
        ValueError: it is none of these.
    """
    if text in {"forever", "never"}:
        return Period(endless=text == "forever", nothing=text == "never")
    match = _WRITTEN.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(
            f'{text!r} is no period: write "2 years", "18 months", "90 days", "forever" or "never"'
        )
    count = int(match[1])
    if match[2] == "day":
        return Period(days=count)
    return Period(months=count * (_MONTHS_A_YEAR if match[2] == "year" else 1))


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"
