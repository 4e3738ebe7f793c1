"""Having a study read again from the page or the interface: it goes on after the answer."""

from __future__ import annotations

from node.audit.actors import Actor
from node.operations.acts import Act, Deed, note
from node.operations.rereading import reread_study
from node.web.background import Outcome
from node.web.desk import Desk

BUSY = "Something else is being read again or calculated: wait until that is done."


def begin_rereading(desk: Desk, study: int, bundle: str, by: Actor, *, shadow: bool) -> bool:
    """Begins to read a study again, as `mammo-node reread`; False: other work runs, and nothing was begun. Noted as an
    act of `by`."""
    begun = desk.background.begin(_key(study), reread_study, desk.settings, study, bundle, shadow, desk.now)
    if begun:
        asked = Deed.ASKED_TO_SHADOW if shadow else Deed.ASKED_TO_READ
        with desk.sessions.begin() as session:
            note(session, Act(asked, by, study=study), desk.now())
    return begun


def what_became_of_rereading(desk: Desk, study: int) -> str:
    """One sentence; "" where it was not asked for since the page's process began."""
    return _said(desk.background.outcome(_key(study)))


def _key(study: int) -> str:
    return f"study {study}"


def _said(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    if outcome.runs:
        return "It is being read again."
    if outcome.failed:
        return f"It was not read again: {outcome.failed}"
    if outcome.value is None:
        return "It was read again as a shadow: the two readings are compared, and the study stays as it is."
    return f"It was read again: revision {outcome.value} reports it."
