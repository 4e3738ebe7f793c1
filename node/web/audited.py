"""What people and programs see of patients is entered into the audit trail before it is shown."""

from __future__ import annotations

from collections.abc import Mapping

from dicom_io.audit.message import Action
from node.audit.actors import Actor
from node.audit.events import enter_accessed, enter_query, enter_retrieved
from node.store.tables import Study
from node.web.desk import Desk


def seen(desk: Desk, by: Actor, study: int) -> None:
    """Somebody opens a study's images, or what is known of it and its patient."""
    if desk.views.is_new(by, study):
        with desk.sessions.begin() as session:
            enter_accessed(session, session.get_one(Study, study), by, Action.READ, desk.now())


def searched(desk: Desk, by: Actor, service: str, criteria: str) -> None:
    """Somebody searches for studies by what identifies a patient or a study."""
    with desk.sessions.begin() as session:
        enter_query(session, by, service, criteria, desk.now())


def retrieved(desk: Desk, by: Actor, study: int, sop_classes: Mapping[str, int]) -> None:
    """A program takes results of a study as files."""
    with desk.sessions.begin() as session:
        enter_retrieved(session, session.get_one(Study, study), by, sop_classes, desk.now())
