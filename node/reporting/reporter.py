"""Reports a closed study: builds the exam, encodes and writes the results, and queues deliveries in one transaction.

Runs without torch. A report that is written a second time (its first writer was killed) has the same UIDs and bytes.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset, dcmread
from sqlalchemy.orm import selectinload

from dicom_io.device import Device
from dicom_io.durable import write_durably
from dicom_io.errors import DicomError
from dicom_io.headers import describe, scanner_of
from dicom_io.results.encode import ResultObject, encode_results
from dicom_io.results.encoding import Encoding
from dicom_io.results.gsps.display import is_grey
from dicom_io.results.language import ENGLISH, Language
from dicom_io.results.outputs import OUTPUTS
from dicom_io.results.profiles import MESSAGES, Profile, ResultKind
from dicom_io.results.sources import identity
from models.birads.concordance import is_discordant
from models.readings.exam import put_together
from models.reference.tenths import Reference
from models.types.birads import RECALL_THRESHOLD
from models.types.exam import ExamReading
from models.types.reading import BundleId
from models.types.words import counted
from node.archive.contents import headers_of
from node.archive.layout import result
from node.delivery.outbox import (
    ResultDestination,
    Written,
    destinations_reached,
    enter_results,
    profiles_of,
    rejected_uids,
)
from node.logs import place_of
from node.reporting.exams import exam_of, unread_image
from node.reporting.messages import encode_message, kind_of_message
from node.reporting.weeks import count_reading
from node.routing import Router
from node.store.changes import ChangeWatch
from node.store.database import Sessions, read_only
from node.store.events import tell_failure, tell_report
from node.store.faults import FAULT_POLICY, FaultPolicy, describe_fault, given_up, is_passing
from node.store.queue import Claim, LeaseLost, claim, finish, give_back, next_due, put_off, wait_again
from node.store.states import JobKind, JobState
from node.store.tables import Job, Study
from node.studies.closing import (
    arrived_views,
    choose_raw_images,
    read_alike,
    read_purged_again,
    readings_begun,
)
from node.studies.lifecycle import end_reported

log = logging.getLogger(__name__)

_Documents = dict[ResultKind, Dataset]

_NOTICES = (ResultKind.SR, ResultKind.CAD_SR, ResultKind.SC, *MESSAGES)
"""The kind of result for the notice that there is no report: the first of these in the profile."""

ATTEMPTS = 5
"""How often a report may crash the node before its job fails."""


@dataclass(frozen=True)
class Reporter:
    """Reports closed studies whose images are read.

    Attributes:
        data_dir: the data folder; paths in the database are relative to it.
        destinations: the destinations of results.
        router: decides which of them get the results of a study.
        bundle: the models in use, named if nothing could be read.
        device: this installation, named in every object.
        worker: the name in the leases.
        now: UTC seconds since the epoch.
        fault_policy: retries after a fault of the machine.
        recall_threshold: the site's: a probability (0..1) above it is a recall.
        coded_category: see Encoding.
        reference: the reference set that ranks the exams' scores, if the site uses one.
        patient_id_system, language: see Encoding.
    """

    sessions: Sessions
    data_dir: Path
    destinations: Sequence[ResultDestination]
    router: Router
    bundle: BundleId
    device: Device
    worker: str
    lease_s: float
    now: Callable[[], float]
    fault_policy: FaultPolicy = FAULT_POLICY
    recall_threshold: float = RECALL_THRESHOLD
    coded_category: bool = False
    reference: Reference | None = None
    patient_id_system: str = ""
    language: Language = ENGLISH

    def run(self, stop: threading.Event) -> None:
        """Reports until `stop` is set."""
        with self.sessions.begin() as session:
            # Left if a fault of the database ended this loop before.
            give_back(session, self.worker, self.now(), counts=False)
        with ChangeWatch(self.sessions, self.now) as changes:
            while not stop.is_set():
                looked_at = self.now()
                if not self.report_one():
                    with read_only(self.sessions) as session:
                        due = next_due(session, JobKind.REPORT, looked_at)
                    changes.wait(stop, due)

    def report_one(self) -> bool:
        """Reports one study; returns False if none is ready."""
        with self.sessions.begin() as session:
            claims = claim(session, JobKind.REPORT, self.worker, self.now(), self.lease_s)
        for held in claims:
            try:
                self._report_or_fail(held)
            except LeaseLost:
                log.info(
                    "study %d: job %d: overtaken while it was reported; its results are dropped",
                    held.study_id,
                    held.job_id,
                )
        return bool(claims)

    def _report_or_fail(self, held: Claim) -> None:
        try:
            if held.attempts > ATTEMPTS:
                self._give_up(held, f"the node ended {ATTEMPTS} times while it wrote this report")
            elif not self._waits_for_readings(held):
                self._report(held)
        except LeaseLost:
            raise
        except Exception as fault:  # noqa: BLE001 - a header can cause any exception: logged, and stored in the job's row
            if is_passing(fault):
                self._put_off(held, describe_fault(fault))
            else:
                self._failed(held, fault)

    def _put_off(self, held: Claim, reason: str) -> None:
        """Puts a report off after a fault of the machine; the others are still written."""
        faults = held.faults + 1
        again_at = self.fault_policy.again_at(faults, self.now())
        if again_at is None:
            log.error(
                "study %d: job %d: the report is given up: %s", held.study_id, held.job_id, given_up(faults, reason)
            )
            self._give_up(held, given_up(faults, reason))
            return
        with self.sessions.begin() as session:
            put_off(session, held, reason, again_at)
            session.get_one(Study, held.study_id).why = f"its report is postponed: {reason}"
        log.warning("study %d: job %d: the report is postponed: %s", held.study_id, held.job_id, reason)

    def _failed(self, held: Claim, fault: Exception) -> None:
        """Stores the failure of one report in its job, where `status` shows it and `retry` can retry it; other studies
        are still reported. Only the place of the exception is stored: its message may quote a header."""
        log.error("study %d: job %d: the report failed: %s", held.study_id, held.job_id, place_of(fault))
        self._give_up(held, str(fault) if isinstance(fault, DicomError) else place_of(fault))

    def _give_up(self, held: Claim, error: str) -> None:
        """Fails a report, and sends its destinations a notice if that can be written."""
        why = f"its report could not be written: {error}"
        notice, destinations = self._notice(held, why)
        with self.sessions.begin() as session:
            finish(session, held, JobState.FAILED, error)
            # Nothing of it was sent: a later try has a new time of writing.
            session.get_one(Job, held.job_id).begun_at = None
            study = session.get_one(Study, held.study_id)
            study.why = why
            enter_results(session, study, notice, destinations, self.now())
            tell_failure(session, study, self.now())
        log.info("study %d: %s that there is no report", held.study_id, counted(len(notice), "notice"))

    def _notice(self, held: Claim, why: str) -> tuple[list[Written], list[ResultDestination]]:
        """The documents for the destinations that say that the study's images were not reported, and these
        destinations.

        They use only what identifies the images: the report failed because of something else in headers or readings.
        """
        if held.attempts > ATTEMPTS + 1:  # writing the notice crashed the node too
            return [], []
        try:
            return self._encode_notice(held, why)
        except Exception as fault:  # noqa: BLE001 - logged; the failure of the report is stored anyway
            log.error(
                "study %d: job %d: no notice that there is no report: %s", held.study_id, held.job_id, place_of(fault)
            )
            return [], []

    def _encode_notice(self, held: Claim, why: str) -> tuple[list[Written], list[ResultDestination]]:
        with read_only(self.sessions) as session:
            study = session.get_one(
                Study, held.study_id, options=[selectinload(Study.instances), selectinload(Study.results)]
            )
            images = [instance for instance in study.instances if instance.kind.is_image]
            unread = [unread_image(image, why) for image in images]
            exam = put_together([], unread, arrived_views(study, readings_begun(session, study)))
        headers = headers_of(study.instances, study.study_instance_uid, self.data_dir)
        destinations = self._destinations_of(study, headers)
        sources = {image.sop_instance_uid: identity(headers[image.sop_instance_uid]) for image in images}
        written: list[Written] = []
        for profile in profiles_of(destinations):
            kind = next((kind for kind in _NOTICES if kind in profile.kinds), None)
            if kind is not None:
                only = replace(profile, kinds=frozenset({kind}))
                encoding = self._encoding(held, study, only)
                objects = self._encode(exam, sources, encoding, self._message_before(study, profile, held.revision))
                written += self._write_objects(study, held.revision, profile, objects)
        return written, [destination for destination in destinations if not destination.only_discordant]

    def _waits_for_readings(self, held: Claim) -> bool:
        """Whether an image must be read first, or again; then the report waits for it."""
        with self.sessions.begin() as session:
            study = session.get_one(Study, held.study_id)
            asked = choose_raw_images(session, study)
            asked = read_purged_again(session, study) or asked
            asked = asked or read_alike(session, study)
            if asked:
                wait_again(session, held)
        return asked

    def _report(self, held: Claim) -> None:
        study, exam, sources, predecessors = self._gather(held)
        destinations = self._destinations_of(study, sources)
        with read_only(self.sessions) as session:  # no rejection note is written while the study is not reported
            taken_back = rejected_uids(session, study)
        written: list[Written] = []
        for profile in profiles_of(destinations):
            encoding = self._encoding(held, study, profile)
            before = self._message_before(study, profile, held.revision)
            objects = self._encode(exam, sources, encoding, before, predecessors[profile.name], taken_back)
            written += self._write_objects(study, held.revision, profile, objects)
        if any(ResultKind.GSPS in profile.kinds for profile in profiles_of(destinations)):
            in_colour = sum(
                not is_grey(sources[image.sop_instance_uid]) for image in exam.images if image.reading.findings
            )
            if in_colour:
                log.info("study %d: no presentation state of %s in colour", held.study_id, counted(in_colour, "image"))
        scanners = {image.sop_instance_uid: scanner_of(sources[image.sop_instance_uid]) for image in exam.images}
        self._store(held, written, destinations, exam, scanners)

    def _encode(
        self,
        exam: ExamReading,
        sources: Mapping[str, Dataset],
        encoding: Encoding,
        message_before: bytes | None,
        predecessors: _Documents | None = None,
        taken_back: Collection[str] = (),
    ) -> list[ResultObject]:
        """What a profile has: a message, or objects."""
        kind = kind_of_message(encoding.profile)
        if kind is not None:
            return [encode_message(kind, exam, sources, encoding, message_before)]
        return encode_results(exam, sources, encoding, predecessors, taken_back)

    def _message_before(self, study: Study, profile: Profile, revision: int) -> bytes | None:
        """The last message of the profile about an earlier revision; None if there is none, or none that this one may
        withdraw from."""
        kind = kind_of_message(profile)
        earlier = [row for row in study.results if row.kind is kind and row.revision < revision]
        last = max(earlier, key=lambda row: row.revision, default=None)
        # Without the images that retention deleted, this revision would withdraw what was found in them.
        if last is None or last.purged_at is not None or any(image.purged_at is not None for image in study.instances):
            return None
        return (self.data_dir / last.path).read_bytes()

    def _encoding(self, held: Claim, study: Study, profile: Profile) -> Encoding:
        return Encoding(
            written_at=datetime.fromtimestamp(self._begun_at(held), UTC).astimezone(),
            revision=held.revision,
            bundles=(self.bundle,),
            profile=profile,
            began_at=datetime.fromtimestamp(study.first_received_at, UTC),
            device=self.device,
            coded_category=self.coded_category,
            patient_id_system=self.patient_id_system,
            language=self.language,
        )

    def _begun_at(self, held: Claim) -> float:
        """The time at which the writing of this report began; stored in its job, so that a retry gives the same
        bytes."""
        with self.sessions.begin() as session:
            job = session.get_one(Job, held.job_id)
            if job.begun_at is None:
                job.begun_at = self.now()
            return job.begun_at

    def _destinations_of(self, study: Study, sources: Mapping[str, Dataset]) -> list[ResultDestination]:
        """The destinations of the study by the routes, decided by its first image that is read or should have been."""
        there = [instance for instance in study.instances if instance.purged_at is None]
        first = next((instance for instance in there if instance.kind.is_image and not instance.left_out), there[0])
        header = describe(sources[first.sop_instance_uid])
        names = self.router(header, study.source, study.first_received_at).destinations
        return [destination for destination in self.destinations if names is None or destination.name in names]

    def _gather(self, held: Claim) -> tuple[Study, ExamReading, dict[str, Dataset], Mapping[str, _Documents]]:
        """The study, its exam, the headers of its instances by SOP Instance UID, and earlier documents by profile."""
        with read_only(self.sessions) as session:
            study = session.get_one(
                Study, held.study_id, options=[selectinload(Study.instances), selectinload(Study.results)]
            )
            exam = exam_of(session, study, self.data_dir, self.recall_threshold, self.reference)
            earlier = {
                (written.profile, written.kind): written.path
                for written in sorted(study.results, key=lambda written: written.last_revision)
                if written.kind in OUTPUTS
                and written.purged_at is None
                and OUTPUTS[written.kind].names_predecessor
                and written.revision < held.revision
            }
        headers = headers_of(study.instances, study.study_instance_uid, self.data_dir)
        documents: defaultdict[str, _Documents] = defaultdict(dict)
        for (profile, kind), path in earlier.items():
            documents[profile][kind] = dcmread(self.data_dir / path)
        return study, exam, headers, documents

    def _write_objects(
        self, study: Study, revision: int, profile: Profile, objects: Sequence[ResultObject]
    ) -> Iterator[Written]:
        """Writes the objects that no earlier revision wrote."""
        known = {earlier.sop_instance_uid: earlier.path for earlier in study.results if earlier.purged_at is None}
        for number, encoded in enumerate(objects, start=1):
            path = known.get(encoded.sop_instance_uid)
            if path is None:
                path = str(result(study.id, revision, profile.name, number, encoded.kind))
                write_durably(self.data_dir / path, encoded.content)
            yield Written(profile.name, encoded.kind, encoded.sop_instance_uid, path)

    def _store(
        self,
        held: Claim,
        objects: Sequence[Written],
        destinations: Sequence[ResultDestination],
        exam: ExamReading,
        scanners: Mapping[str, str],
    ) -> None:
        discordant = is_discordant(exam)
        with self.sessions.begin() as session:
            finish(session, held, JobState.DONE)
            study = session.get_one(Study, held.study_id)
            end_reported(study)
            score_before, discordant_before = study.score, study.discordant
            study.score, study.discordant = exam.malignancy, discordant
            now = self.now()
            tell_report(session, study, score_before=score_before, discordant_before=discordant_before, now=now)
            count_reading(session, study, exam, scanners, now)
            known = destinations_reached(session, study)
            wanted = [
                destination
                for destination in destinations
                if discordant or not destination.only_discordant or destination.name in known
            ]
            enter_results(session, study, objects, wanted, self.now())
        log.info("study %d: revision %d reported: %s", held.study_id, held.revision, counted(len(objects), "object"))
