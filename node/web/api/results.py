"""The results of a study: what the node wrote about it, listed and downloaded."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy import select

from dicom_io.results.outputs import OUTPUTS
from dicom_io.results.profiles import MESSAGES
from node.retention.told import day_of
from node.store.database import read_only
from node.store.states import StudyState
from node.store.tables import Result, Study
from node.web.api.callers import Viewer, require_patients
from node.web.api.problems import refusals
from node.web.api.shapes import NOT_GIVEN, ResultList, ResultObject
from node.web.api.studies import Number, no_such_study
from node.web.audited import retrieved
from node.web.desk import desk_of

router = APIRouter(tags=["results"], responses=refusals(401, 404, 409, 422, 503))

DICOM = "application/dicom"
_OF_MESSAGES = {".json": "application/fhir+json", ".hl7": "x-application/hl7-v2+er7; charset=utf-8"}
"""By the suffix of their file."""


@router.get("/studies/{study}/results")
def list_results(request: Request, caller: Viewer, study: Number) -> ResultList:
    """The results of all revisions of a study."""
    with read_only(desk_of(request).sessions) as session:
        row = session.get(Study, study)
        if row is None:
            raise no_such_study(study)
        _refuse_in_quarantine(row)
        rows = session.scalars(select(Result).where(Result.study_id == study).order_by(Result.id)).all()
    return ResultList(results=[ResultObject.of(row, sees_patients=caller.sees_patients) for row in rows])


@router.get(
    "/studies/{study}/results/{result}",
    response_class=Response,
    responses={
        200: {
            "description": "A DICOM file (PS3.10), as destinations get it; of the kinds FHIR and ORU the message.",
            "content": {
                media_type: {"schema": {"type": "string", "format": "binary"}}
                for media_type in (DICOM, *_OF_MESSAGES.values())
            },
        },
        **refusals(403),
    },
)
def download(request: Request, caller: Viewer, study: Number, result: Number) -> Response:
    """A result as a file. It names the patient."""
    require_patients(caller)
    desk = desk_of(request)
    with read_only(desk.sessions) as session:
        row = session.get(Result, result)
        if row is None or row.study_id != study:
            raise HTTPException(404, f"Study {study} has no result {result}.")
        _refuse_in_quarantine(row.study)
    if row.purged_at is not None:
        raise HTTPException(404, f"Result {result} was purged on {day_of(row.purged_at)} (retention).")
    path = desk.settings.data_dir / row.path
    if not path.is_file():
        raise HTTPException(404, f"The file of result {result} is gone from the data folder.")
    kind = None if row.kind in MESSAGES else str(OUTPUTS[row.kind].sop_class_uid)
    retrieved(desk, caller.actor, study, {} if kind is None else {kind: 1})
    return FileResponse(
        path,
        media_type=_OF_MESSAGES.get(path.suffix, DICOM),
        filename=f"study-{study}-revision-{row.revision}-{row.kind}-{row.id}{path.suffix}",
    )


def _refuse_in_quarantine(study: Study) -> None:
    """Refuses the results of a study whose images may be of two patients.

    Raises:
        HTTPException: it is in quarantine.
    """
    if study.state is StudyState.QUARANTINED:
        raise HTTPException(409, f"Study {study.id} is in quarantine: {NOT_GIVEN}.")
