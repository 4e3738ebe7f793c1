"""Events of the audit trail that are about no study: who signed in, what was refused, what was changed (PS3.15 sections
A.5.3.2, A.5.3.11 and A.5.3.12)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from dicom_io.audit.codes import AUDIT_LOG_USED, NODE_ID, SECURITY_ALERT, URI, USER_AUTHENTICATION, Coded
from dicom_io.audit.message import Action, AuditedObject, AuditMessage, Outcome
from node.audit.actors import Actor, this_process
from node.audit.events import enter

_SECURITY_RESOURCE = "13"


def enter_authentication(session: Session, who: Actor, kind: Coded, now: float, why: str = "") -> None:
    """User Authentication: somebody signed in or out.

    Args:
        kind: LOGIN or LOGOUT.
        why: it was refused, in words.
    """
    outcome = Outcome.MINOR if why else Outcome.SUCCESS
    people = who.participant(), this_process()
    enter(
        session,
        AuditMessage(USER_AUTHENTICATION, Action.EXECUTE, now, people, types=(kind,), outcome=outcome, why=why),
    )


def enter_alert(
    session: Session,
    kind: Coded,
    subject: str,
    says: str,
    now: float,
    *,
    by: Actor | None = None,
    id_type: Coded = URI,
    is_serious: bool = False,
) -> None:
    """Security Alert.

    Args:
        kind: of PS3.16 CID 403.
        subject: an address, a URI or a name; of the kind that `id_type` says.
        says: the nature of the alert.
        by: who did it, if it is somebody.
        is_serious: something was refused or tampered with; otherwise the alert informs.
    """
    about = AuditedObject(subject, id_type, "2", _SECURITY_RESOURCE, details=(("Alert Description", says),))
    who = (this_process(),) if by is None else (this_process(), by.participant(is_requestor=False))
    outcome = Outcome.SERIOUS if is_serious else Outcome.SUCCESS
    enter(session, AuditMessage(SECURITY_ALERT, Action.EXECUTE, now, who, (about,), (kind,), outcome))


def enter_refused(session: Session, kind: Coded, address: str, says: str, now: float) -> None:
    """Security Alert: an application at an address was refused."""
    enter_alert(session, kind, address, says, now, id_type=NODE_ID, is_serious=True)


def enter_log_used(session: Session, folder: Path, by: Actor, now: float) -> None:
    """Audit Log Used: somebody read the trail."""
    log = AuditedObject(folder.as_uri(), URI, "2", _SECURITY_RESOURCE, "Security Audit Log")
    who = by.participant(), this_process()
    enter(session, AuditMessage(AUDIT_LOG_USED, Action.READ, now, who, (log,)))
