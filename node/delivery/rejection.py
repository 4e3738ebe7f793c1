"""Rejects results that a later revision replaced or dropped at the destinations that have them (IHE RAD IOCM).

A rejection note is written once the replacing objects are delivered, and is delivered like every result. The rows of
the deliveries name the note that rejects them, so that none is rejected twice.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset, dcmread
from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.orm import Session, aliased, joinedload

from dicom_io.device import Device
from dicom_io.durable import write_durably
from dicom_io.results.encoding import Encoding, to_bytes
from dicom_io.results.profiles import ResultKind
from dicom_io.results.rejections import Reason, encode_rejection, wrong_ones
from models.types.reading import BundleId
from models.types.words import counted
from node.archive.layout import rejection_note
from node.delivery.outbox import ResultDestination
from node.logs import place_of
from node.store.database import Sessions, read_only
from node.store.states import DeliveryState, StudyState
from node.store.tables import Delivery, Instance, Result, Study

log = logging.getLogger(__name__)

_ARRIVED = (DeliveryState.SENT, DeliveryState.UNCOMMITTED, DeliveryState.COMMITTED)


@dataclass(frozen=True)
class RejectionWriter:
    """Writes the rejection notes for one destination.

    Attributes:
        destination: the destination.
        commits: whether the replacing objects must be committed there, and not only sent.
        bundle: the models in use, named in the notes.
        now: UTC seconds since the epoch.
    """

    destination: ResultDestination
    commits: bool
    sessions: Sessions
    data_dir: Path
    device: Device
    bundle: BundleId
    now: Callable[[], float]

    def run(self) -> None:
        """`write_notes`, as a tick."""
        self.write_notes()

    def write_notes(self) -> int:
        """Writes the due notes; returns their number."""
        with read_only(self.sessions) as session:
            due = defaultdict(list)
            for delivery in session.scalars(self._due()):
                due[delivery.result.study_id].append(delivery.id)
        return sum(self._reject_or_log(study_id, ids) for study_id, ids in due.items())

    def _due(self) -> Select[Delivery]:
        """Deliveries of replaced or dropped results that are not rejected yet, once all replacing results are
        delivered."""
        return (
            select(Delivery)
            .join(Delivery.result)
            .join(Result.study)
            .options(joinedload(Delivery.result))
            .where(
                Study.revision > 1,
                Study.state == StudyState.REPORTED,
                Result.last_revision < Study.revision,
                Result.purged_at.is_(None),
                Delivery.destination == self.destination.name,
                # Not `in_`: an index of delivery states would be used, and with it all deliveries be looked at.
                Delivery.state.not_in(set(DeliveryState) - set(_ARRIVED)),
                Delivery.rejected_by_id.is_(None),
                self._present_is(arrived=True),
                ~self._present_is(arrived=False),
            )
            .order_by(Delivery.id)
        )

    def _present_is(self, *, arrived: bool) -> ColumnElement[bool]:
        """Whether any result of the study's current revision is delivered (or, with arrived=False, not delivered)."""
        delivery, result = aliased(Delivery), aliased(Result)
        delivered_states = (DeliveryState.COMMITTED,) if self.commits else _ARRIVED
        # One inside the other, so that SQLite begins with the study's few results and not with all deliveries.
        delivered = exists().where(
            delivery.result_id == result.id,
            delivery.destination == self.destination.name,
            delivery.state.in_(delivered_states) if arrived else delivery.state.not_in(delivered_states),
        )
        return exists().where(
            result.study_id == Study.id,
            result.last_revision == Study.revision,
            result.kind != ResultKind.REJECTION,
            delivered,
        )

    def _reject_or_log(self, study_id: int, deliveries: Sequence[int]) -> int:
        """Rejects the results of one study. A failure (a file that cannot be read) is logged, and delays no other
        study."""
        try:
            return self._reject(study_id, deliveries)
        except Exception as fault:  # noqa: BLE001 - a damaged file can raise anything: retried at the next tick
            log.error("study %d: no rejection note could be written: %s", study_id, place_of(fault))
            return 0

    def _reject(self, study_id: int, deliveries: Sequence[int]) -> int:
        """Writes a note for each reason. The study's row is locked, so that no report is stored meanwhile."""
        with self.sessions.begin() as session:
            study = session.get_one(Study, study_id, with_for_update=True)
            stale = session.scalars(self._due().where(Delivery.id.in_(deliveries), Study.id == study_id)).all()
            if not stale:
                return 0
            headers = [self._header(delivery.result) for delivery in stale]
            replacement = self._header(self._present(session, study))
            shown = select(Instance.sop_instance_uid, Instance.laterality).where(Instance.study_id == study_id)
            sides = dict(session.execute(shown).all())
            wrong = wrong_ones(headers, replacement, sides)
            # A report leaves out the images that retention deleted: what earlier ones say of them stands.
            is_whole = all(instance.purged_at is None for instance in study.instances)
            written = 0
            for reason in Reason if is_whole else (Reason.WRONG_PATIENT_OR_SIDE,):
                rejected = [
                    (delivery, header)
                    for delivery, header, is_wrong in zip(stale, headers, wrong, strict=True)
                    if is_wrong is (reason is Reason.WRONG_PATIENT_OR_SIDE)
                ]
                if rejected:
                    self._write(session, study, rejected, reason, replacement)
                    written += 1
            return written

    def _write(
        self,
        session: Session,
        study: Study,
        rejected: Sequence[tuple[Delivery, Dataset]],
        reason: Reason,
        replacement: Dataset,
    ) -> None:
        now = self.now()
        encoding = Encoding(
            written_at=datetime.fromtimestamp(now, UTC).astimezone(),
            revision=study.revision,
            bundles=(self.bundle,),
            profile=self.destination.profile,
            began_at=datetime.fromtimestamp(study.first_received_at, UTC),
            device=self.device,
        )
        note = encode_rejection(
            [header for _, header in rejected],
            reason,
            replacement=replacement,
            destination=self.destination.name,
            encoding=encoding,
        )
        path = rejection_note(study.id, study.revision, str(note.SOPInstanceUID))
        write_durably(self.data_dir / path, to_bytes(note))
        result = Result(
            study_id=study.id,
            revision=study.revision,
            last_revision=study.revision,
            profile=self.destination.profile.name,
            kind=ResultKind.REJECTION,
            sop_instance_uid=str(note.SOPInstanceUID),
            path=str(path),
            written_at=now,
        )
        session.add(result)
        session.flush()
        study.results_purged_at = None
        session.add(Delivery(result_id=result.id, destination=self.destination.name, created_at=now, next_at=now))
        for delivery, _ in rejected:
            delivery.rejected_by_id = result.id
        log.info(
            "study %d: %s will be taken back at %s: %s",
            study.id, counted(len(rejected), "result"), self.destination.name, reason.value.meaning,
        )  # fmt: skip

    def _present(self, session: Session, study: Study) -> Result:
        """A delivered result of the current revision."""
        return session.scalars(
            select(Result)
            .join(Delivery, Delivery.result_id == Result.id)
            .where(
                Result.study_id == study.id,
                Result.last_revision == study.revision,
                Result.kind != ResultKind.REJECTION,
                Delivery.destination == self.destination.name,
                Delivery.state.in_(_ARRIVED),
            )
            .order_by(Result.id.desc())
            .limit(1)
        ).one()

    def _header(self, result: Result) -> Dataset:
        return dcmread(self.data_dir / result.path, stop_before_pixels=True)
