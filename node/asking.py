"""Asks the sources how many instances they hold of the studies that are open (C-FIND), for closing.py's ladder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from sqlalchemy import select

from dicom_io.errors import DestinationError
from node.database import Sessions
from node.states import StudyState
from node.tables import Study

log = logging.getLogger(__name__)

Count = Callable[[str], int | None]
"""Study Instance UID → the source's Number of Study Related Instances, None where it does not tell."""


def ask_sources(sessions: Sessions, counts: Mapping[str, Count], quiet_s: float, now: float) -> None:
    """Asks each source (by its AE title) about its open studies that have been quiet for a moment.

    A source that does not answer leaves the study to its quiet period: the count it gave before is forgotten, so that
    an old one never holds a study up.
    """
    with sessions.begin() as session:
        quiet = (
            select(Study.id, Study.study_instance_uid, Study.source)
            .where(Study.state == StudyState.OPEN, Study.source.in_(counts), Study.last_received_at <= now - quiet_s)
            .order_by(Study.id)
        )
        studies = session.execute(quiet).all()
    for study_id, study_instance_uid, source in studies:
        try:
            expected = counts[source](study_instance_uid)
        except DestinationError as error:
            log.warning("study %d: its source was asked for its count in vain: %s", study_id, error)
            expected = None
        with sessions.begin() as session:
            session.get_one(Study, study_id).expected_instances = expected
