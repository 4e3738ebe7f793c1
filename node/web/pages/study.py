"""One study: where it stands and why, its road, its images with their lesions, and its deliveries."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Path, Request, Response
from sqlalchemy import select

from config.web import UID_HERE, Role
from dicom_io.errors import NotReadable
from dicom_io.results.labels import percent, verdict
from models.types.birads import Likelihood
from models.types.exam import ExamReading
from models.types.mammogram import Laterality
from models.types.words import counted
from node.archive.contents import reading_of
from node.operations.acts import Act, Deed, note
from node.operations.exam import exam_or_why
from node.operations.rereading import bundles_to_read_with
from node.operations.resend import CannotResend, resend
from node.operations.retry import CannotRetry
from node.operations.retry import retry as retry_by
from node.operations.road import name_of, retry_helps, road_of
from node.operations.studies import Identifiers, NoSuchStudy, identifiers, patients_of
from node.peers import result_destination
from node.store.database import read_only
from node.store.tables import Instance, ShadowReading, Study
from node.web.answers import not_found, page
from node.web.audited import seen
from node.web.desk import Desk, desk_of
from node.web.pictures import jpeg_of, pictures_of
from node.web.protection import check_form
from node.web.rereading import BUSY, begin_rereading, what_became_of_rereading
from node.web.visitors import Visitor, require, visitor_of

router = APIRouter()

Number = Annotated[int, Path(ge=1, lt=2**31)]


@router.get("/studies/{study}")
def one_study(request: Request, study: Number) -> Response:
    return show(request, study)


def show(request: Request, study: int, done: tuple[str, ...] = (), refused: str = "", status: int = 200) -> Response:
    """The page of a study. `done`: what an act on it did; `refused`: why an act was not done."""
    desk, visitor = desk_of(request), visitor_of(request)
    with read_only(desk.sessions) as session:
        road = road_of(session, study)
        if road is None:
            return not_found(request, f"There is no study {study}.")
        exam, lost = exam_or_why(session, desk.settings, study)
        rows = session.get_one(Study, study).instances
        known = identifiers(session, [study]).get(study) if visitor.sees_patients else None
        patients = patients_of(session, study) if visitor.sees_patients else {}
        pictures = pictures_of(exam, {row.sop_instance_uid: row.id for row in rows}) if exam else ()
        shadows = session.scalars(
            select(ShadowReading).where(ShadowReading.study_id == study).order_by(ShadowReading.id.desc())
        ).all()
    if visitor.sees_patients:
        seen(desk, visitor.actor, study)
    return page(
        request,
        "study.html",
        status,
        road=road,
        study=road.study,
        known=known,
        patients=patients,
        exam=exam,
        lost=lost,
        pictures=pictures,
        verdict=verdict,
        percent=percent,
        exam_rows=exam_rows,
        name_of=name_of,
        viewer_url=_viewer(desk, visitor, known),
        done=done,
        refused=refused,
        reread=what_became_of_rereading(desk, study),
        helps=retry_helps(road.study),
        shadows=shadows,
        destinations=[to.name for to in desk.settings.destinations],
        bundles=bundles_to_read_with(desk.settings),
    )


@router.post("/studies/{study}/retry")
def retry(request: Request, study: Number, csrf: Annotated[str, Form()] = "") -> Response:
    """As `mammo-node retry`."""
    check_form(request, csrf)
    visitor = require(request, Role.OPERATOR)
    desk = desk_of(request)
    try:
        with desk.sessions.begin() as session:
            done = retry_by(session, desk.settings, study, desk.now(), visitor.actor)
    except NoSuchStudy:
        return not_found(request, f"There is no study {study}.")
    except CannotRetry as refusal:
        return show(request, study, refused=str(refusal), status=409)
    return show(request, study, done=tuple(done))


@router.post("/studies/{study}/resend")
def send_again(
    request: Request, study: Number, to: Annotated[str, Form(max_length=64)], csrf: Annotated[str, Form()] = ""
) -> Response:
    """As `mammo-node deliveries resend`."""
    check_form(request, csrf)
    visitor = require(request, Role.OPERATOR)
    desk = desk_of(request)
    destination = next((known for known in desk.settings.destinations if known.name == to), None)
    if destination is None:
        return show(request, study, refused=f"There is no destination {to}: nothing was done.", status=409)
    try:
        with desk.sessions.begin() as session:
            number = resend(session, study, result_destination(destination), desk.now())
            note(session, Act(Deed.SENT_AGAIN, visitor.actor, study=study, about=to), desk.now())
    except CannotResend as refusal:
        return show(request, study, refused=str(refusal), status=409)
    return show(request, study, done=(f"{counted(number, 'result')} will be sent to {to}",))


@router.post("/studies/{study}/reread")
def reread(
    request: Request,
    study: Number,
    bundle: Annotated[str, Form(max_length=4096)],
    shadow: Annotated[bool, Form()] = False,
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """As `mammo-node reread`, with a bundle of the settings; it goes on after the answer."""
    check_form(request, csrf)
    visitor = require(request, Role.OPERATOR)
    desk = desk_of(request)
    if bundle not in bundles_to_read_with(desk.settings):
        return show(request, study, refused="There is no such bundle in the settings: nothing was done.", status=409)
    with read_only(desk.sessions) as session:
        if session.get(Study, study) is None:
            return not_found(request, f"There is no study {study}.")
    if not begin_rereading(desk, study, bundle, visitor.actor, shadow=shadow):
        return show(request, study, refused=BUSY, status=409)
    return show(request, study)


@router.get("/studies/{study}/images/{image}.jpg")
def picture(request: Request, study: Number, image: Number) -> Response:
    desk = desk_of(request)
    if not visitor_of(request).sees_patients:
        raise HTTPException(403, "Your account may not see pictures of patients.")
    with read_only(desk.sessions) as session:
        row = session.get(Instance, image)
        if row is None or row.study_id != study or row.masks_path is None or row.reading is None:
            return not_found(request, "There is no such picture.")
        try:
            made = jpeg_of(reading_of(row, desk.settings.data_dir))
        except (NotReadable, OSError):
            made = None
    seen(desk, visitor_of(request).actor, study)
    return not_found(request, "There is no such picture.") if made is None else Response(made, media_type="image/jpeg")


def exam_rows(exam: ExamReading) -> list[tuple[Laterality | None, str, float | None, Likelihood | None]]:
    """Breasts of which there is a score, or an image that was not read, and the exam: side, name, score and
    likelihood."""
    scored = {breast.laterality: (breast.malignancy, breast.likelihood) for breast in exam.breasts}
    named = ((Laterality.LEFT, "Left breast"), (Laterality.RIGHT, "Right breast"))
    return [
        *(
            (side, name, *scored.get(side, (None, None)))
            for side, name in named
            if side in scored or side in exam.withheld
        ),
        (None, "Exam", exam.malignancy, exam.likelihood),
    ]


def _viewer(desk: Desk, visitor: Visitor, known: Identifiers | None) -> str | None:
    template = desk.settings.web.viewer_url
    if template is None or known is None or not visitor.sees_patients:
        return None
    return template.replace(UID_HERE, known.study_instance_uid)
