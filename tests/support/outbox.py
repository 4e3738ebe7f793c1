"""A queue with results that wait for a destination, without the node that wrote them."""

from __future__ import annotations

from dicom_io.results.profiles import ResultKind
from node.store.database import Sessions
from node.store.states import StudyState
from node.store.tables import Delivery, Result, Study
from node.store.urgency import Urgency


def wait_for(
    sessions: Sessions, destination: str, path: str, now: float, kind: ResultKind, urgency: Urgency = Urgency.ROUTINE
) -> None:
    """A reported study with one result, a file beside the queue, that is due now."""
    with sessions.begin() as session:
        study = Study(
            study_instance_uid=f"1.2.{sum(path.encode())}", source="PACS", urgency=urgency, state=StudyState.REPORTED,
            first_received_at=now, last_received_at=now, opened_at=now,
        )  # fmt: skip
        session.add(study)
        session.flush()
        result = Result(
            study_id=study.id, revision=1, last_revision=1, profile="any", kind=kind, written_at=now,
            sop_instance_uid=f"{study.study_instance_uid}.1", path=path,
        )  # fmt: skip
        session.add(result)
        session.flush()
        session.add(Delivery(result_id=result.id, destination=destination, created_at=now, next_at=now))
