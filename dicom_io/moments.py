"""Reads dates and times of a header as datetimes with a time zone."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone

from pydicom import Dataset
from pydicom.valuerep import DA, DT, TM

from dicom_io.attributes import text

_OFFSET = re.compile(r"([+-])(\d{2})([0-5]\d)")


def moment(dataset: Dataset, date_keyword: str, time_keyword: str) -> datetime | None:
    """A date and a time of a data set, in the time zone that it states, else this machine's.

    None if either is absent or impossible.
    """
    try:
        day = DA(text(dataset, date_keyword))
        clock = TM(text(dataset, time_keyword))
        if not isinstance(day, date) or not isinstance(clock, time):
            return None
        return _placed(datetime.combine(day, clock), dataset)
    except (ValueError, OverflowError):
        return None


def moment_of(dataset: Dataset, keyword: str, zone_of: Dataset) -> datetime | None:
    """A DateTime (VR DT) in the time zone that it states, else in that of `zone_of`, else in this machine's.

    None if it is absent, has no time of day, or is impossible.
    """
    stated = text(dataset, keyword)
    try:
        found = DT(stated)
        if not isinstance(found, datetime) or len(re.split("[+-]", stated)[0]) <= len("YYYYMMDD"):
            return None
        return found.astimezone() if found.tzinfo else _placed(found, zone_of)
    except (ValueError, OverflowError):
        return None


def _placed(found: datetime, dataset: Dataset) -> datetime:
    zone = stated_zone(dataset)
    return found.replace(tzinfo=zone) if zone else found.astimezone()


def stated_zone(dataset: Dataset) -> timezone | None:
    """The time zone that a data set states for its dates and times ("+0100", Timezone Offset From UTC, PS3.3 section
    C.12.1.1.8); None if it states none between -1200 and +1400."""
    stated = _OFFSET.fullmatch(text(dataset, "TimezoneOffsetFromUTC"))
    if stated is None:
        return None
    offset = timedelta(hours=int(stated[2]), minutes=int(stated[3]))
    offset = -offset if stated[1] == "-" else offset
    return timezone(offset) if timedelta(hours=-12) <= offset <= timedelta(hours=14) else None
