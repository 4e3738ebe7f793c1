"""Studies: search, filters, and pages by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from node.operations.road import answer
from node.operations.studies import MOST_NAMED, StudyFilter, find_studies, identifiers, studies_named
from node.store.database import read_only
from node.store.states import StudyState
from node.store.tables import Study
from node.web.answers import page
from node.web.audited import searched
from node.web.desk import desk_of
from node.web.protection import check_form
from node.web.visitors import visitor_of

router = APIRouter()

Text = Annotated[str, Query(max_length=64)]
MOST_IDS = MOST_NAMED


@dataclass(frozen=True)
class Asked:
    """The filter as the form states it; empty texts ask for nothing. Days are of `zone`, the browser's."""

    state: str = ""
    source: str = ""
    destination: str = ""
    undelivered: str = ""
    since: str = ""
    until: str = ""
    zone: str = ""
    score: str = ""
    problems: str = ""
    discordant: str = ""
    ids: str = ""

    @property
    def query(self) -> dict[str, str]:
        """What an address must say to ask for the same."""
        return {name: value for name, value in vars(self).items() if value}

    def wanted(self) -> StudyFilter:
        """The filter.

        Raises:
            ValueError: a field cannot be understood; the message says which.
        """
        zone = _zone(self.zone)
        return StudyFilter(
            state=_state(self.state),
            source=self.source or None,
            destination=self.destination or None,
            undelivered=bool(self.undelivered),
            since=_midnight("from", self.since, zone),
            until=_midnight("to", self.until, zone, later=1),
            problems=bool(self.problems),
            discordant=bool(self.discordant),
            least_score=_score(self.score),
            ids=_ids(self.ids),
        )


@router.get("/studies")
def studies(
    request: Request,
    state: Text = "",
    source: Text = "",
    destination: Text = "",
    undelivered: Text = "",
    since: Text = "",
    until: Text = "",
    zone: Text = "",
    score: Text = "",
    problems: Text = "",
    discordant: Text = "",
    ids: Annotated[str, Query(max_length=12 * MOST_IDS)] = "",
    before: int | None = None,
) -> Response:
    desk, visitor = desk_of(request), visitor_of(request)
    asked = Asked(state, source, destination, undelivered, since, until, zone, score, problems, discordant, ids)
    try:
        wanted = asked.wanted()
    except ValueError as mistake:
        raise HTTPException(400, str(mistake)) from mistake
    with read_only(desk.sessions) as session:
        found = find_studies(session, wanted, before)
        known = identifiers(session, [row.id for row in found.studies]) if visitor.sees_patients else {}
    older = _address(asked.query, before=str(found.older)) if found.older is not None else None
    return page(
        request,
        "studies.html",
        rows=[(row, answer(row), known.get(row.id)) for row in found.studies],
        asked=asked,
        older=older,
        newest=_address(asked.query) if before is not None else None,
        states=[str(state) for state in StudyState],
        sources=[sender.ae_title for sender in desk.settings.senders],
        destinations=[to.name for to in desk.settings.destinations],
    )


@router.post("/studies/find")
def find(
    request: Request, name: Annotated[str, Form(max_length=64)] = "", csrf: Annotated[str, Form()] = ""
) -> Response:
    """Finds studies by number, or by an identifier. The answer's address has numbers only: addresses are logged on
    their way, and kept by browsers."""
    check_form(request, csrf)
    desk, visitor = desk_of(request), visitor_of(request)
    name = name.strip()
    if visitor.sees_patients:
        searched(desk, visitor.actor, "/studies/find", name)
    with read_only(desk.sessions) as session:
        found = studies_named(session, name) if visitor.sees_patients else []
        if name.isdecimal() and len(name) < 12 and session.get(Study, int(name)) is not None:
            found = [int(name), *(study for study in found if study != int(name))]
    if len(found) == 1:
        return RedirectResponse(f"/studies/{found[0]}", 303)
    return RedirectResponse(_address({"ids": ",".join(map(str, found)) or "none"}), 303)


def _address(query: Mapping[str, str], **more: str) -> str:
    return f"/studies?{urlencode({**query, **more})}" if query or more else "/studies"


def _state(text: str) -> StudyState | None:
    try:
        return StudyState(text) if text else None
    except ValueError as error:
        raise ValueError(f"There is no state {text}.") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("The browser's time zone is not known here.") from error


def _midnight(field: str, text: str, zone: ZoneInfo, later: int = 0) -> float | None:
    """The beginning of a day, or of one `later` days after it, as UTC seconds since the epoch."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text) + timedelta(days=later)
        return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"Received {field}: {text} is no date, such as 2026-01-31.") from error


def _score(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"Score at least: {text} is no number from 0 to 1.")
    return value


def _ids(text: str) -> tuple[int, ...] | None:
    if not text:
        return None
    return tuple(int(part) for part in text.split(",") if part.isdecimal() and len(part) < 12)[:MOST_IDS]
