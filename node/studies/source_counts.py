"""Asks the sources how many instances they hold of the studies that are open (C-FIND), for completeness.py's ladder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from sqlalchemy import select, update

from dicom_io.errors import DestinationError
from node.store.database import Sessions
from node.store.states import StudyState
from node.store.tables import Study

log = logging.getLogger(__name__)

Count = Callable[[str], int | None]
"""Study Instance UID → the source's Number of Study Related Instances, None where it does not tell."""


def ask_sources(sessions: Sessions, counts: Mapping[str, Count], quiet_s: float, now: float) -> None:
    """Asks each source (by its AE title) about its open studies that have been quiet for a moment.

    Only before a study's first report: after it, the source's count may hold our own results, and tells nothing of
    what is still to come. A source that does not answer is not asked again in this round, and its studies close
    by their quiet period: the count that it gave before is cleared, so that an old one never delays a study.
    """
    with sessions.begin() as session:
        session.execute(
            update(Study)
            .where(Study.state == StudyState.OPEN, Study.revision > 1, Study.expected_instances.is_not(None))
            .values(expected_instances=None, decide_at=0.0)
        )
        quiet = (
            select(Study.id, Study.study_instance_uid, Study.source)
            .where(
                Study.state == StudyState.OPEN,
                Study.revision == 1,
                Study.source.in_(counts),
                Study.last_received_at <= now - quiet_s,
            )
            .order_by(Study.id)
        )
        studies = session.execute(quiet).all()
    silent: set[str] = set()
    for study_id, study_instance_uid, source in studies:
        expected = None
        if source not in silent:
            try:
                expected = counts[source](study_instance_uid)
            except DestinationError as error:
                silent.add(source)
                log.warning("study %d: its source did not tell its number of instances: %s", study_id, error)
        with sessions.begin() as session:
            study = session.get_one(Study, study_id)
            if study.expected_instances != expected:
                study.expected_instances = expected
                study.decide_at = 0.0
