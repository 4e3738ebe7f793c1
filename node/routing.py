"""Routes: which images are read and which destinations get results. The first route that matches decides. Pure.

Routes are tried for an image when it is received (is it read?), and for a study when its report is made (who gets it?).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase

from config.settings import Route
from dicom_io.headers import InstanceHeader
from models.types.words import counted


@dataclass(frozen=True)
class Decision:
    """The decision of the routes.

    Attributes:
        read: whether the image is read.
        destinations: names of the destinations that get the results; None: all.
        urgency: as the route states it; None: it does not.
        route: the name of the route that decided; None: no route matches, and the defaults apply.
        why: one sentence for each route that was tried, in their order.
    """

    read: bool
    destinations: tuple[str, ...] | None
    urgency: str | None
    route: str | None
    why: tuple[str, ...]


def route(routes: Sequence[Route], header: InstanceHeader, calling_ae_title: str, came_at: float) -> Decision:
    """The decision for an image from `calling_ae_title` ("": a file).

    Args:
        came_at: UTC seconds since the epoch.
    """
    day = datetime.fromtimestamp(came_at, UTC).astimezone().date()  # in the site's time zone, like Study Date
    why: list[str] = []
    for candidate in routes:
        against = next(_against(candidate, header, calling_ae_title, day), None)
        if against is None:
            why.append(f"{candidate.name}: fits")
            return Decision(candidate.read, candidate.destinations, candidate.urgency, candidate.name, tuple(why))
        why.append(f"{candidate.name}: does not fit: {against}")
    return Decision(True, None, None, None, (*why, "no route fits: none keeps anything back"))


def _against(candidate: Route, header: InstanceHeader, calling_ae_title: str, day: date) -> Iterator[str]:
    """Each reason why a route does not fit; a condition that is not given is no reason."""
    if candidate.calling_ae_titles and calling_ae_title not in candidate.calling_ae_titles:
        yield f"the calling AE title is {calling_ae_title or 'not known'}"
    if candidate.sop_class_uids and header.sop_class_uid not in candidate.sop_class_uids:
        yield f"the SOP class is {header.sop_class_uid}"
    if candidate.procedures and not any(_like(name, candidate.procedures) for name in header.procedures):
        yield f"the procedure is {' / '.join(header.procedures) or 'not stated'}"
    if candidate.institutions and not _like(header.institution, candidate.institutions):
        yield f"the institution is {header.institution or 'not stated'}"
    if candidate.older_than_days is not None or candidate.younger_than_days is not None:
        yield from _against_age(candidate, header.study_date, day)


def _against_age(candidate: Route, study_date: date | None, day: date) -> Iterator[str]:
    if study_date is None:
        yield "the study's date is not stated"
        return
    days = (day - study_date).days
    if candidate.older_than_days is not None and days <= candidate.older_than_days:
        yield f"the study is {counted(days, 'day')} old"
    if candidate.younger_than_days is not None and days >= candidate.younger_than_days:
        yield f"the study is {counted(days, 'day')} old"


def _like(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches a pattern with * and ?, ignoring case."""
    return any(fnmatchcase(name.casefold(), pattern.casefold()) for pattern in patterns)


def everything(header: InstanceHeader, calling_ae_title: str, came_at: float) -> Decision:
    """The Router of a node without routes."""
    return route((), header, calling_ae_title, came_at)


Router = Callable[[InstanceHeader, str, float], Decision]
"""`route` with the settings' routes: header, calling AE title and time of arrival to what is to be done. A study is
asked about by when it came, so that its later revisions go where the first went."""
