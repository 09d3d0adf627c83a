"""Dates and times as telephone systems, spreadsheets and file names write them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from dateutil import parser

_EPOCH = re.compile(r"\d{9,10}(?:[.,]\d+)?|\d{13}")
_SPREADSHEET_DAY = re.compile(r"[345]\d{4}(?:[.,]\d+)?")
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})(?P<dash>[-/._]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
    r"(?:[T _-]?(?P<hour>\d\d)(?P<colon>[-:._h]?)(?P<minute>\d\d)"
    r"(?:(?P=colon)(?P<second>\d\d)(?:[.,]\d+)?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.IGNORECASE,
)
_YEAR_LAST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d\d)(?:[ T,]+(.+))?")
_DOTTED_TIME = re.compile(r"(\d{1,2})\.(\d\d)(?:\.(\d\d))?")
_HALF_DAY = re.compile(r"\d\s*[ap]\.?m\.?\b", re.IGNORECASE)
_YEARS = range(1990, 2100)


@dataclass(frozen=True)
class Moment:
    """A moment with its offset from UTC.

    `zone_assumed`: the text named no zone, so the house's was taken. `notes` say what else was not certain.
    """

    at: datetime
    zone_assumed: bool
    notes: tuple[str, ...] = ()


def understand(text: str, zone: ZoneInfo, day_first: bool | None = None) -> Moment:
    """The moment that a text names; one without a zone is in the house's.

    Understood are ISO 8601 (also with dashes in the time, or without any, as in file names), day.month.year,
    month/day/year (`day_first` says which of the two comes first, where other rows have shown it), seconds or
    milliseconds since 1970, a spreadsheet's day numbers, and English month names.

    Raises:
        ValueError: the text is no date, or one outside the years 1990 to 2099.
    """
    text = text.strip()
    notes: list[str] = []
    if _EPOCH.fullmatch(text):
        seconds = float(text.replace(",", ".")) / (1000 if text.isdigit() and len(text) == 13 else 1)
        found: datetime = datetime.fromtimestamp(seconds, UTC)
    elif _SPREADSHEET_DAY.fullmatch(text):
        found = datetime(1899, 12, 30) + timedelta(seconds=round(float(text.replace(",", ".")) * 86400))
        notes.append(f"{text} is read as a spreadsheet's day number")
    elif match := _YEAR_FIRST.fullmatch(text):
        found = _year_first(match)
    elif match := _YEAR_LAST.fullmatch(text):
        found = _year_last(match, zone, day_first, notes)
    else:
        found = _in_words(text, zone)
    if found.year not in _YEARS:
        raise ValueError(f"the year {found.year} is not one of a recording")
    if found.tzinfo is not None:
        return Moment(found, zone_assumed=False, notes=tuple(notes))
    return Moment(_in_house(found, zone, notes), zone_assumed=True, notes=tuple(notes))


def day_comes_first(texts: Iterable[str]) -> bool | None:
    """Whether 03/04/2025 is 3 April in these dates; None where none of them shows it, or they disagree."""
    shown = set()
    for text in texts:
        match = _YEAR_LAST.fullmatch(text.strip())
        if match and match[2] != "." and (int(match[1]) > 12) != (int(match[3]) > 12):
            shown.add(int(match[1]) > 12)
    return shown.pop() if len(shown) == 1 else None


def _year_first(match: re.Match[str]) -> datetime:
    parts = [int(match[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
    name = match["zone"]
    if name is None:
        return datetime(*parts)  # type: ignore[arg-type]  # six numbers
    if name.upper() in ("Z", "UTC", "GMT"):
        return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]
    digits = name[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return datetime(*parts, tzinfo=timezone(-offset if name[0] == "-" else offset))  # type: ignore[arg-type, misc]


def _year_last(match: re.Match[str], zone: ZoneInfo, day_first: bool | None, notes: list[str]) -> datetime:
    first, second = int(match[1]), int(match[3])
    year = int(match[4]) + (2000 if len(match[4]) == 2 else 0)
    if match[2] == "." or first > 12:
        by_day = second <= 12
    elif second > 12 or first == second:
        by_day = first == second
    elif day_first is not None:
        by_day = day_first
    else:
        by_day = not _HALF_DAY.search(match[0])
        order = "day" if by_day else "month"
        notes.append(
            f"{match[0]} can be read in two ways; taken with the {order} first. Write it year-month-day"
        )
    day, month = (first, second) if by_day else (second, first)
    date = datetime(year, month, day)
    if match[5] is None:
        return date
    time = _DOTTED_TIME.sub(lambda dotted: ":".join(filter(None, dotted.groups())), match[5], count=1)
    return _in_words(f"{date:%Y-%m-%d} {time}", zone)


def _in_words(text: str, zone: ZoneInfo) -> datetime:
    def offset(name: str | None, seconds: int | None) -> tzinfo | None:
        if name is None and seconds is None:
            return None
        if seconds is not None:
            return timezone(timedelta(seconds=seconds))
        for month in (1, 7):
            sample = datetime(2025, month, 1, tzinfo=zone)
            if name == sample.tzname():
                return timezone(sample.utcoffset() or timedelta(0))
        if name in ("UTC", "GMT", "Z"):
            return UTC
        raise ValueError(f"{name} is a zone that cannot be told for sure")

    try:
        one, other = (
            parser.parse(text, default=datetime(*default), tzinfos=offset)
            for default in ((1904, 1, 1), (1908, 2, 2))
        )
    except (OverflowError, parser.ParserError) as error:
        raise ValueError("no date that can be read") from error
    if one != other:
        raise ValueError("a part of the date is missing")
    return one


def _in_house(local: datetime, zone: ZoneInfo, notes: list[str]) -> datetime:
    """The house's time with its offset; the night the clock is changed is noted."""
    moment = local.replace(tzinfo=zone, fold=0)
    second = local.replace(tzinfo=zone, fold=1)
    offset = moment.utcoffset() or timedelta(0)
    if offset != second.utcoffset():
        if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local:
            notes.append(
                f"{local:%H:%M} came twice that night (the clock went back); taken as the first, {moment:%z}"
            )
        else:
            notes.append(
                f"{local:%H:%M} did not come that night (the clock went forward); taken as {moment:%z}"
            )
    return local.replace(tzinfo=timezone(offset))
