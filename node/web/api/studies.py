"""Studies for programs: find them, and one with its road, its exam and its deliveries."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy.orm import Session

from node.operations.exam import exam_or_why
from node.operations.road import road_of
from node.operations.studies import MOST_NAMED, PAGE, StudyFilter, find_studies, identifiers, studies_named
from node.store import tables
from node.store.database import read_only
from node.store.states import StudyState
from node.web.api.callers import Caller, Viewer, require_patients
from node.web.api.problems import refusals
from node.web.api.shapes import NOT_GIVEN, Study, StudyList, StudySummary
from node.web.audited import searched, seen
from node.web.desk import desk_of
from node.web.rereading import what_became_of_rereading

router = APIRouter(tags=["studies"], responses=refusals(401, 422, 503))

MOST = 200
"""Studies on a page."""
Number = Annotated[int, Path(ge=1, lt=2**31)]
_Id = Annotated[int, Field(ge=1, lt=2**31)]
_Name = Annotated[str, Field(min_length=1, max_length=64)]


def _with_a_date(text: object) -> object:
    """A number would be taken for seconds since 1970."""
    if isinstance(text, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]", text):
        raise ValueError("must be a time with its zone, such as 2026-01-31T12:00:00Z")
    return text


_Moment = Annotated[AwareDatetime, BeforeValidator(_with_a_date)]


class Wanted(BaseModel):
    """The filter; what is left out asks for nothing."""

    model_config = ConfigDict(extra="forbid")  # a filter that was misspelt must not find every study

    state: StudyState | None = None
    sender: _Name | None = Field(None, description="The calling AE title that sent the first image.")
    destination: _Name | None = Field(None, description="Has results of it, or is to get them.")
    since: _Moment | None = Field(None, description="The first image was received then or later.")
    until: _Moment | None = Field(None, description="… and before this.")
    problems: bool = Field(False, description="Only what the node does not bring further by itself.")
    discordant: bool = Field(False, description="Only where models and radiologist disagree on recall.")
    least_score: float | None = Field(None, ge=0, le=1)
    ids: list[_Id] | None = Field(None, min_length=1, max_length=MOST)
    cursor: str | None = Field(None, pattern="^[1-9][0-9]{0,8}$", description="`next` of the page before.")
    limit: int = Field(PAGE, ge=1, le=MOST, description="Studies on a page.")

    def as_filter(self) -> StudyFilter:
        return StudyFilter(
            state=self.state,
            source=self.sender,
            destination=self.destination,
            since=None if self.since is None else self.since.timestamp(),
            until=None if self.until is None else self.until.timestamp(),
            problems=self.problems,
            discordant=self.discordant,
            least_score=self.least_score,
            ids=None if self.ids is None else tuple(self.ids),
        )


class Named(BaseModel):
    """What leads to a study."""

    model_config = ConfigDict(extra="forbid")

    identifier: str = Field(
        min_length=1, max_length=64, description="A Study Instance UID, an accession number or a patient ID."
    )


@router.get("/studies")
def list_studies(request: Request, caller: Viewer, wanted: Annotated[Wanted, Query()]) -> StudyList:
    """Studies, the newest first, a page at a time."""
    before = None if wanted.cursor is None else int(wanted.cursor)
    with read_only(desk_of(request).sessions) as session:
        return _page(session, caller, wanted.as_filter(), before, wanted.limit)


@router.post("/search", responses=refusals(400, 403))
def search(request: Request, caller: Viewer, named: Named) -> StudyList:
    """Studies by an identifier, which is not part of the address: addresses are logged on their way."""
    require_patients(caller)
    searched(desk_of(request), caller.actor, "/api/v1/search", named.identifier)
    with read_only(desk_of(request).sessions) as session:
        ids = tuple(studies_named(session, named.identifier))
        return _page(session, caller, StudyFilter(ids=ids), None, MOST_NAMED)


@router.get("/studies/{study}", responses=refusals(404))
def one_study(request: Request, caller: Viewer, study: Number) -> Study:
    """One study: where it stands and why, its road, its exam with every finding, and its deliveries."""
    desk = desk_of(request)
    with read_only(desk.sessions) as session:
        road = road_of(session, study)
        if road is None:
            raise no_such_study(study)
        if road.study.state is StudyState.QUARANTINED:
            exam, lost = None, f"the study is in quarantine: {NOT_GIVEN}"
        else:
            exam, lost = exam_or_why(session, desk.settings, study)
        instances = session.get_one(tables.Study, study).instances
        known = identifiers(session, [study]) if caller.sees_patients else {}
        numbers = {instance.sop_instance_uid: instance.id for instance in instances}
    if caller.sees_patients:
        seen(desk, caller.actor, study)
    return Study.whole(road, known.get(study), exam, lost, numbers, what_became_of_rereading(desk, study))


def no_such_study(study: int) -> HTTPException:
    return HTTPException(404, f"There is no study {study}.")


def _page(session: Session, caller: Caller, wanted: StudyFilter, before: int | None, limit: int) -> StudyList:
    found = find_studies(session, wanted, before, limit)
    known = identifiers(session, [row.id for row in found.studies]) if caller.sees_patients else {}
    return StudyList(
        studies=[StudySummary.of(row, known.get(row.id)) for row in found.studies],
        next=None if found.older is None else str(found.older),
    )
