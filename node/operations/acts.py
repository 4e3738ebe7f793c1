"""What people do to the node. Every act passes `note`, in the transaction that does it."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy.orm import Session

from dicom_io.audit.codes import (
    LOGIN,
    LOGOUT,
    RESTRICTED_FUNCTION,
    ROLES_CHANGED,
    USER_ATTRIBUTES_CHANGED,
    USER_IDENTIFIER,
    Coded,
)
from dicom_io.audit.message import Action
from node.audit.actors import Actor
from node.audit.events import enter_accessed, enter_export
from node.audit.security_events import enter_alert, enter_authentication
from node.store.tables import Study, StudyAct

log = logging.getLogger(__name__)

_SCHEME = "99MAMMONODE"


class Deed(StrEnum):
    """What is done, in the past."""

    RETRIED = "retried"
    RELEASED = "released from quarantine"
    SET_ASIDE = "set aside"
    SENT_AGAIN = "sent again"
    READ_AGAIN = "read again"
    SHADOWED = "read again, as a shadow"
    ASKED_TO_READ = "asked to be read again"
    ASKED_TO_SHADOW = "asked to be read again, as a shadow"
    BROUGHT_BACK = "brought back from the far side"
    SIGNED_IN = "signed in"
    SIGNED_OUT = "signed out"
    REFUSED = "refused to sign in"
    ACCOUNT_MADE = "account made"
    ACCOUNT_REMOVED = "account removed"
    PASSWORD_CHANGED = "password changed"
    ROLE_CHANGED = "role changed"
    TOKEN_MADE = "token made"
    TOKEN_REMOVED = "token removed"
    CALCULATED = "asked for the agreement"
    COMPARED = "asked for the annotations"
    ROUTES_TESTED = "tested the routes"
    DELIVERIES_RETRIED = "retried deliveries"
    DELIVERIES_DROPPED = "dropped deliveries"
    DELIVERIES_MOVED = "moved deliveries"
    DIGESTS_ENTERED = "entered digests"
    NOTICES_DROPPED = "dropped notices"
    CATEGORIES_WITHDRAWN = "withdrew the radiologist's categories"


_AUTHENTICATIONS = {Deed.SIGNED_IN: LOGIN, Deed.REFUSED: LOGIN, Deed.SIGNED_OUT: LOGOUT}
_ALERTS = {
    Deed.ACCOUNT_MADE: USER_ATTRIBUTES_CHANGED,
    Deed.ACCOUNT_REMOVED: USER_ATTRIBUTES_CHANGED,
    Deed.PASSWORD_CHANGED: USER_ATTRIBUTES_CHANGED,
    Deed.ROLE_CHANGED: ROLES_CHANGED,
    Deed.TOKEN_MADE: USER_ATTRIBUTES_CHANGED,
    Deed.TOKEN_REMOVED: USER_ATTRIBUTES_CHANGED,
}
"""Of all others that are about no study: use of a restricted function."""


@dataclass(frozen=True)
class Act:
    """Something that a person does.

    Attributes:
        what: the act.
        by: who does it.
        study: the id of the study that it is about.
        about: anything else that it is about; never a name, id, date or UID of a patient.
        subject: the name of the account or token that it is about: for the audit trail, and not for the log.
    """

    what: Deed
    by: Actor
    study: int | None = None
    about: str = ""
    subject: str = ""


def note(session: Session, act: Act, now: float) -> None:
    """Logs an act, and enters it into the audit trail, and on a study's road, with `session`, so that an act and its
    event are stored together or not at all."""
    on = ", ".join(filter(None, ("" if act.study is None else f"study {act.study}", act.about)))
    log.info("act: %s by %s%s", act.what, act.by.known_as, f": {on}" if on else "")
    if act.study is not None:
        kind = Coded(act.what.name, _SCHEME, act.what + (f": {act.about}" if act.about else ""))
        session.add(StudyAct(study_id=act.study, at=now, what=act.what, who=act.by.user))
        enter_accessed(session, session.get_one(Study, act.study), act.by, Action.UPDATE, now, kind)
    elif act.what in _AUTHENTICATIONS:
        why = "" if act.what is not Deed.REFUSED else act.about or "the name or the password is wrong"
        enter_authentication(session, act.by, _AUTHENTICATIONS[act.what], now, why)
    else:
        kind = _ALERTS.get(act.what, RESTRICTED_FUNCTION)
        says = act.what + (f": {act.about}" if act.about else "")
        enter_alert(session, kind, act.subject or act.by.user, says, now, by=act.by, id_type=USER_IDENTIFIER)


def note_export(session: Session, studies: Collection[int], to: Path, about: str, by: Actor, now: float) -> None:
    """Logs that studies are written into a folder, and enters it into the audit trail.

    Args:
        studies: their numbers.
        about: what is written, for the log.
    """
    log.info("act: %s by %s%s", "exported", by.known_as, f": {about}")
    enter_export(session, studies, to, by, now)
