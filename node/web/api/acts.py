"""What programs may do to a study: retry it, send its results again, and have it read again."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from models.types.words import counted
from node.operations.acts import Act, Deed, note
from node.operations.rereading import bundles_to_read_with
from node.operations.resend import CannotResend, resend
from node.operations.retry import CannotRetry
from node.operations.retry import retry as retry_by
from node.operations.studies import NoSuchStudy
from node.peers import result_destination
from node.store.database import read_only
from node.store.tables import Study
from node.web.api.callers import Operator
from node.web.api.problems import refusals
from node.web.api.shapes import Done
from node.web.api.studies import Number, no_such_study
from node.web.desk import desk_of
from node.web.rereading import BUSY, begin_rereading, what_became_of_rereading

router = APIRouter(tags=["acts"], responses=refusals(401, 403, 404, 409, 422, 503))


@router.post("/studies/{study}/retry")
def retry(request: Request, caller: Operator, study: Number) -> Done:
    """As `mammo-node retry`: what failed, what is dead, and release from quarantine. 409: it cannot be retried."""
    desk = desk_of(request)
    try:
        with desk.sessions.begin() as session:
            return Done(says=retry_by(session, desk.settings, study, desk.now(), caller.actor))
    except NoSuchStudy as unknown:
        raise no_such_study(study) from unknown
    except CannotRetry as refusal:
        raise HTTPException(409, str(refusal)) from refusal


class Resending(BaseModel):
    """Where the results of a study are to be sent again."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(max_length=64, description="The name of a destination in the settings.")


@router.post("/studies/{study}/resend", responses=refusals(400))
def send_again(request: Request, caller: Operator, study: Number, where: Resending) -> Done:
    """As `mammo-node deliveries resend`: all results of the newest revision. 409: they cannot be sent there."""
    desk = desk_of(request)
    destination = next((known for known in desk.settings.destinations if known.name == where.to), None)
    if destination is None:
        raise HTTPException(409, "The settings name no such destination. Nothing was done.")
    with desk.sessions.begin() as session:
        if session.get(Study, study) is None:
            raise no_such_study(study)
        try:
            number = resend(session, study, result_destination(destination), desk.now())
        except CannotResend as refusal:
            raise HTTPException(409, str(refusal)) from refusal
        note(session, Act(Deed.SENT_AGAIN, caller.actor, study=study, about=where.to), desk.now())
    return Done(says=[f"{counted(number, 'result')} will be sent to {where.to}"])


class Rereading(BaseModel):
    """How a study is to be read again."""

    model_config = ConfigDict(extra="forbid")

    bundle: str | None = Field(default=None, max_length=4096, description="One of the settings; null: the node's.")
    shadow: bool = Field(default=False, description="Only compare: nothing of the study changes, nothing is sent.")


@router.post("/studies/{study}/reread", status_code=202, responses=refusals(400))
def reread(request: Request, caller: Operator, study: Number, how: Rereading) -> Done:
    """As `mammo-node reread`. It goes on after the answer, and `reread` of the study says what became of it. 409:
    another study is being read again, or the settings name no such bundle."""
    desk = desk_of(request)
    known = bundles_to_read_with(desk.settings)
    if how.bundle not in (None, *known):
        raise HTTPException(409, f"The settings name no such bundle, only {', '.join(known)}. Nothing was done.")
    with read_only(desk.sessions) as session:
        if session.get(Study, study) is None:
            raise no_such_study(study)
    if not begin_rereading(desk, study, how.bundle or known[0], caller.actor, shadow=how.shadow):
        raise HTTPException(409, BUSY)
    return Done(says=[what_became_of_rereading(desk, study)])
