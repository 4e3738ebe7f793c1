"""The database: what the queue stores. One class per table; states and their transitions are in states.py.

Times are UTC seconds since the epoch (float), so that SQLite and PostgreSQL compare them alike; they are always
passed by the caller. Paths are relative to the data folder.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    UniqueConstraint,
    case,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dicom_io.instance_kinds import InstanceKind
from dicom_io.patient_identity import StatedPatient
from dicom_io.rejection_reasons import RejectionReason
from dicom_io.results.profiles import ResultKind
from models.types.birads import AssessmentSource, Category
from models.types.mammogram import Laterality
from node.store.states import DeliveryState, JobKind, JobState, StudyState
from node.store.unread import Unread, sentence
from node.store.urgency import Urgency


def _by_value(kinds: type[StrEnum]) -> Enum:
    """A column of an enum whose values are stored, not its names."""
    return Enum(kinds, native_enum=False, values_callable=lambda members: [member.value for member in members])


def _where(name: str, column: str, condition: str) -> Index:
    """An index of only those rows for which a condition holds."""
    return Index(name, column, sqlite_where=text(condition), postgresql_where=text(condition))


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads a plain class attribute
        dict[str, object]: JSON(none_as_null=True),
        list[str]: JSON,
        InstanceKind: _by_value(InstanceKind),
        ResultKind: _by_value(ResultKind),
        Category: _by_value(Category),
        AssessmentSource: _by_value(AssessmentSource),
        Laterality: _by_value(Laterality),
        RejectionReason: _by_value(RejectionReason),
        Unread: _by_value(Unread),
        Urgency: _by_value(Urgency),
    }


class Study(Table):
    """A study. Logs contain its `id`, and not its UID."""

    __tablename__ = "study"
    __table_args__ = (
        Index("ix_study_due", "state", "decide_at"),
        Index("ix_study_revised", "state", "revision"),
        Index("ix_study_from_source", "source", "id"),
        # The oldest studies of which something is kept still, in order.
        _where("ix_study_with_images", "last_received_at", "images_purged_at IS NULL"),
        _where("ix_study_with_readings", "last_received_at", "readings_purged_at IS NULL"),
        _where("ix_study_with_results", "last_received_at", "results_purged_at IS NULL"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    """The calling AE title that sent its first image ("" for files)."""
    state: Mapped[StudyState] = mapped_column(default=StudyState.OPEN)
    why: Mapped[str] = mapped_column(default="")
    """Why it waits, was closed, was not read or is in quarantine: one sentence without patient data."""
    revision: Mapped[int] = mapped_column(default=1)
    """Number of the report: an image that arrives after a report opens the next revision."""
    first_received_at: Mapped[float] = mapped_column(index=True)
    last_received_at: Mapped[float]
    opened_at: Mapped[float]
    """Arrival of the first image of this revision, or when it was retried: deadline and turn count from here."""
    closed_at: Mapped[float | None]
    """When this revision was complete."""
    expected_instances: Mapped[int | None]
    """The number of instances at the source, if it was queried (C-FIND) and answered."""
    decide_at: Mapped[float] = mapped_column(default=0.0)
    """For an open study: the time of the next check by studies/closing.py; 0: at once, because something has
    changed."""

    urgency: Mapped[Urgency] = mapped_column(default=Urgency.ROUTINE)
    """The highest that its instances gave it."""

    score: Mapped[float | None]
    """Of the exam, as its last report states it (0..1); None: nothing was read, or no report of this version."""
    discordant: Mapped[bool] = mapped_column(default=False)
    """Whether the last report's models and radiologist disagree on recall."""

    images_purged_at: Mapped[float | None]
    """When retention deleted all its files in the archive; None: some are kept. The same for the masks of its readings
    and for the files of its results, below; the rows themselves stay."""
    readings_purged_at: Mapped[float | None]
    results_purged_at: Mapped[float | None]

    instances: Mapped[list[Instance]] = relationship(back_populates="study", order_by="Instance.id")
    results: Mapped[list[Result]] = relationship(back_populates="study", order_by="Result.id")

    @hybrid_property
    def head_start_s(self) -> float:
        """See urgency.py."""
        return self.urgency.head_start_s

    @head_start_s.inplace.expression
    @classmethod
    def _head_start_s(cls) -> ColumnElement[float]:
        return case({urgency: urgency.head_start_s for urgency in Urgency}, value=cls.urgency)

    @hybrid_property
    def turn(self) -> float:
        """What waits goes in this order, lowest first; see urgency.py."""
        return self.opened_at - self.head_start_s

    @turn.inplace.expression
    @classmethod
    def _turn(cls) -> ColumnElement[float]:
        return cls.opened_at - cls.head_start_s


class Instance(Table):
    """One SOP instance received, with what was read from it."""

    __tablename__ = "instance"
    __table_args__ = (
        _where("ix_instance_refused", "received_at", "refusal IS NOT NULL AND purged_at IS NULL"),
        _where("ix_instance_uncopied", "id", "copied_at IS NULL AND purged_at IS NULL"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(unique=True)
    sop_class_uid: Mapped[str]
    series_instance_uid: Mapped[str]
    patient_id: Mapped[str] = mapped_column(index=True)
    """As this instance states it, like the birth date: a study's instances must agree (safety rule 5)."""
    patient_birth_date: Mapped[str]
    patient_id_issuer: Mapped[str] = mapped_column(default="", server_default="")
    """As it is compared (dicom_io/patient_identity.py); "": not stated, or an older version received it."""
    patient_name: Mapped[str] = mapped_column(default="", server_default="")
    """As it is compared, of a patient without an ID; else ""."""
    accession_number: Mapped[str] = mapped_column(default="", index=True)
    """Used to match a radiologist's assessment without a Study Instance UID."""
    transfer_syntax_uid: Mapped[str]
    kind: Mapped[InstanceKind]
    laterality: Mapped[Laterality | None]
    view: Mapped[str | None]
    extent: Mapped[str] = mapped_column(default="")
    """The part that it shows, if not the whole of a standard view: "spot/magnified", "cleavage", …"""
    no_view: Mapped[str] = mapped_column(default="")
    """Why it is no ordinary view of a breast, and is never read: a sentence for the report; "" for an ordinary view."""
    acquisition: Mapped[dict[str, object] | None]
    """A dicom_io.acquisition.Acquisition; None: an older version received it."""
    path: Mapped[str]
    received_at: Mapped[float] = mapped_column(index=True)
    read_at: Mapped[float | None] = mapped_column(index=True)
    """When its reading was stored; None: not read, or by an older version."""
    left_out: Mapped[bool] = mapped_column(default=False)
    """A route says that it is not read, or a rejection note rejects it: its study is handled as if it had
    not arrived."""
    unread: Mapped[Unread | None]
    """Why the image was not, or cannot be, read."""
    unread_detail: Mapped[str] = mapped_column(default="")
    refusal: Mapped[str | None]
    """Why no BI-RADS category was taken from a report."""
    reading: Mapped[dict[str, object] | None]
    """models.readings.reading_json, without the masks."""
    masks_path: Mapped[str | None]
    """None beside a reading: retention deleted the masks."""
    purged_at: Mapped[float | None]
    """When retention deleted its file in the archive; None: it is there."""
    copied_at: Mapped[float | None]
    """When its file, at `path`, was copied to the far side of the archive (node/archive/copies.py)."""
    sha256: Mapped[str | None]
    """Of its file, as it was received, in hexadecimal; None: an older version received it."""

    study: Mapped[Study] = relationship(back_populates="instances")

    @property
    def unread_reason(self) -> str | None:
        """Why the image was not, or cannot be, read: a sentence for the report and for `status`."""
        return None if self.unread is None else sentence(self.unread, self.unread_detail or self.no_view)

    @property
    def patient(self) -> StatedPatient:
        """The patient whom it states."""
        return StatedPatient(self.patient_id, self.patient_birth_date, self.patient_id_issuer, self.patient_name)

    @patient.setter
    def patient(self, stated: StatedPatient) -> None:
        self.patient_id, self.patient_birth_date = stated.patient_id, stated.birth_date
        self.patient_id_issuer, self.patient_name = stated.issuer, stated.name

    def leave_unread(self, why: Unread | None, detail: str = "") -> None:
        """The reason if it is not read; None: it is read, or will be."""
        self.unread, self.unread_detail = why, detail


class RejectedInstance(Table):
    """An instance that a rejection note of another system names, here or not: it may come after the note."""

    __tablename__ = "rejected_instance"

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(unique=True)
    reason: Mapped[RejectionReason]


class DoomedFile(Table):
    """A file that retention deletes: whatever named it says already that it is gone. The row goes after the file, so
    that a node that is killed in between deletes it when it starts again."""

    __tablename__ = "doomed_file"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    path: Mapped[str]


class Annotation(Table):
    """A segmentation by somebody else that may be ground truth: who drew what, and when. Its file is the instance's.

    Whether it counts (its images are here, the patient is theirs, a person drew it) is decided each time it is used,
    because its images may be received later. See node/annotations/truth.py.
    """

    __tablename__ = "annotation"

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), unique=True)
    creator: Mapped[str]
    """Content Creator's Name (staff), "" if not stated; not logged."""
    created_at: Mapped[float | None]
    """As the segmentation says; when it was received is in the instance's row."""
    source: Mapped[str]
    """The calling AE title that sent it ("" for files)."""
    images: Mapped[list[str]]
    """SOP Instance UIDs of the annotated images."""
    automatic_by: Mapped[list[str]]
    """The algorithms' names where all its segments are said to be automatic, otherwise empty."""
    predecessors: Mapped[list[str]]
    """SOP Instance UIDs of the objects of which it is an edited version."""

    instance: Mapped[Instance] = relationship()


class Job(Table):
    """Work to be done once. The row stays while its job runs; see queue.py for leases and fencing."""

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_claim", "state", "kind", "attempts", "turn", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[JobKind]
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    instance_id: Mapped[int | None] = mapped_column(ForeignKey("instance.id"))
    """The image, for READ_IMAGE."""
    revision: Mapped[int]
    """The study's revision that this job belongs to."""
    state: Mapped[JobState] = mapped_column(default=JobState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    faults: Mapped[int] = mapped_column(default=0)
    """How often a fault of the machine put it off (faults.py): `error` names the last; none counts as an attempt."""
    next_at: Mapped[float] = mapped_column(default=0.0)
    """Earliest time of the next claim: when it was last given back or postponed until; 0 if it never was."""
    turn: Mapped[float] = mapped_column(default=0.0)
    """Jobs are claimed in this order, lowest first: its study's turn when it was queued, or later, if it was
    postponed."""
    token: Mapped[int] = mapped_column(default=0)
    """Fencing token: increases with every claim; only the holder of the newest may finish the job."""
    worker: Mapped[str | None]
    lease_until: Mapped[float | None]
    error: Mapped[str] = mapped_column(default="")
    begun_at: Mapped[float | None]
    """Of a report: when its objects began to be written. Their creation time: a second try writes the same bytes."""

    study: Mapped[Study] = relationship()
    instance: Mapped[Instance | None] = relationship()


class ActorPoolState(Table):
    """A node's actors on the Ray cluster, for `status` and metrics; no row where the node reads by itself."""

    __tablename__ = "actor_pool"

    worker: Mapped[str] = mapped_column(primary_key=True)
    """The node's reader, as in Job.worker."""
    actors: Mapped[int]
    """That have loaded the models, and read or wait for images."""
    wanted: Mapped[int]
    fault: Mapped[str]
    """Why there are fewer than wanted; "" if nothing is known to be wrong."""
    changed_at: Mapped[float]


class Result(Table):
    """An object of a study, in one profile. It belongs to later revisions too if they do not change it."""

    __tablename__ = "result"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    revision: Mapped[int]
    """That it was written for."""
    last_revision: Mapped[int]
    """The newest revision that it belongs to. If below the study's revision, it is replaced, or the report is
    pending."""
    profile: Mapped[str]
    """The name of the dicom_io.results.profiles.Profile."""
    kind: Mapped[ResultKind]
    sop_instance_uid: Mapped[str] = mapped_column(unique=True)
    path: Mapped[str]
    written_at: Mapped[float] = mapped_column(index=True)
    purged_at: Mapped[float | None]
    """When retention deleted its file; None: it is there."""

    study: Mapped[Study] = relationship(back_populates="results")


class Delivery(Table):
    """The outbox: the delivery of one result to one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("result_id", "destination"),
        Index("ix_delivery_due", "state", "destination", "next_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    result_id: Mapped[int] = mapped_column(ForeignKey("result.id"), index=True)
    destination: Mapped[str]
    """The destination's name in the settings."""
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]
    next_at: Mapped[float]
    sent_at: Mapped[float | None] = mapped_column(index=True)
    transaction_uid: Mapped[str | None] = mapped_column(index=True)
    """Of the last storage commitment request; None: none so far."""
    commitment_asked_at: Mapped[float | None]
    error: Mapped[str] = mapped_column(default="")
    rejected_by_id: Mapped[int | None] = mapped_column(ForeignKey("result.id"))
    """The rejection note that rejects the result at this destination."""

    result: Mapped[Result] = relationship(foreign_keys=result_id)


class Subscription(Table):
    """A webhook of the settings, as `serve` found it when it started: whoever stores an event sees who wants it."""

    __tablename__ = "subscription"

    name: Mapped[str] = mapped_column(primary_key=True)
    events: Mapped[list[str]]
    """Values of node.store.events.StudyEvent."""
    least_score: Mapped[float | None]
    """Of the event above_threshold, 0..1."""


class Notice(Table):
    """An event of a study of which one webhook is told: the outbox of webhooks."""

    __tablename__ = "notice"
    __table_args__ = (Index("ix_notice_due", "state", "webhook", "next_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook: Mapped[str]
    """Its name in the settings."""
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    event: Mapped[str]
    """A value of node.store.events.StudyEvent."""
    revision: Mapped[int]
    """The study's when it happened; also `score`, which is None of a study in quarantine."""
    score: Mapped[float | None]
    happened_at: Mapped[float]
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.WAITING)
    """WAITING, SENT or DEAD."""
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]
    """When it happened, or was last retried by a person: `dead_after_s` counts from here."""
    next_at: Mapped[float]
    sent_at: Mapped[float | None] = mapped_column(index=True)
    error: Mapped[str] = mapped_column(default="")

    study: Mapped[Study] = relationship()


class ToldNeed(Table):
    """What needs a person, and of how much of it a mail told."""

    __tablename__ = "told_need"

    key: Mapped[str] = mapped_column(primary_key=True)
    """See node.operations.needs.Need."""
    told: Mapped[int]
    """How many of it the last mail stated; 0: none did."""
    since: Mapped[float | None]
    """Since when there is more than that; None: there is not."""


class ReceivedAssessment(Table):
    """A radiologist's BI-RADS category of a breast or an exam, as received; matched with a study, or waiting for
    one."""

    __tablename__ = "assessment"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), index=True)
    """None: no study matches so far; `why` says the reason."""
    study_instance_uid: Mapped[str] = mapped_column(default="", index=True)
    """As the document states it, "" if it does not; also the next two."""
    accession_number: Mapped[str] = mapped_column(default="", index=True)
    patient_id: Mapped[str] = mapped_column(default="")
    laterality: Mapped[Laterality | None]
    """None: the exam."""
    category: Mapped[Category]
    source: Mapped[AssessmentSource]
    document: Mapped[str]
    """Its document: a SOP Instance UID, a message control ID, or a file and its line. The same again adds nothing."""
    order: Mapped[str] = mapped_column(default="", index=True)
    """Of the documents about one order only the newest counts; "" if it names no order."""
    assessed_at: Mapped[float | None]
    """When the radiologist assessed it, where the document says; of two for one breast the later one counts."""
    received_at: Mapped[float]
    why: Mapped[str] = mapped_column(default="")
    withdrawn_at: Mapped[float | None]
    """When it was withdrawn or corrected: it counts no longer. None: it stands."""
    withdrawn_by: Mapped[str | None]
    """The document that took it back, or "a person"."""

    study: Mapped[Study | None] = relationship()


class ReadingWeek(Table):
    """What the models said in a week of the images of one scanner, sender and bundle; counted as reports are written,
    see node/reporting/weeks.py."""

    __tablename__ = "reading_week"

    week: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """`weeks.week_of`."""
    scanner: Mapped[str] = mapped_column(primary_key=True)
    """Manufacturer and model; "" if not stated."""
    source: Mapped[str] = mapped_column(primary_key=True)
    """The calling AE title ("" for files)."""
    bundle: Mapped[str] = mapped_column(primary_key=True)
    """Name and version."""
    images: Mapped[int]
    score_sum: Mapped[float]
    """Of the images' scores (0..1); `score_squares`: of their squares."""
    score_squares: Mapped[float]
    findings: Mapped[int]
    """Of all images."""
    exams: Mapped[int]
    """With a probability of malignancy; `exams_above`: of these, above the site's recall threshold."""
    exams_above: Mapped[int]


class ShadowReading(Table):
    """What another bundle says of a reported study, beside what was reported: for comparison, and never sent."""

    __tablename__ = "shadow_reading"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    revision: Mapped[int]
    """Of the report that it is compared with."""
    read_at: Mapped[float]
    bundle: Mapped[str]
    """Name and version of the bundle whose reading was reported; `other_bundle`: of that which read in its shadow."""
    other_bundle: Mapped[str]
    score: Mapped[float]
    """Of the exam (0..1), as reported; `other_score`: by the other bundle."""
    other_score: Mapped[float]
    category: Mapped[str | None]
    """That the exam's probability implies; None: the bundle is not calibrated for exams."""
    other_category: Mapped[str | None]
    findings_kept: Mapped[int]
    """Of all images: found by both bundles; `findings_new`: by the other alone; `findings_gone`: by the reported one
    alone."""
    findings_new: Mapped[int]
    findings_gone: Mapped[int]


class Account(Table):
    """Somebody who may sign in to the page."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    """A value of config.web.Role."""
    password_hash: Mapped[str]
    """Argon2id, with its salt and parameters; "" for an account of a provider."""
    issuer: Mapped[str] = mapped_column(default="")
    """The OpenID provider whose account it is, and `subject`, by which it is known there; "" for one with a
    password."""
    subject: Mapped[str] = mapped_column(default="")
    created_at: Mapped[float]
    signed_out_at: Mapped[float] = mapped_column(default=0.0)
    """Sessions that began by this time have ended."""


class ApiToken(Table):
    """A program that may use the interface (docs/api.md)."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    """A value of config.web.Role."""
    digest: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the token, in hexadecimal digits."""
    created_at: Mapped[float]


class LimitedSender(Table):
    """A sender that was refused because of a limit of its own, in the settings `senders`, or whose instances were."""

    __tablename__ = "limited_sender"
    __table_args__ = (UniqueConstraint("calling_ae_title", "limit"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    calling_ae_title: Mapped[str]
    limit: Mapped[str]
    """The setting; or the DIMSE status with which its instances were refused, as "0xC002"."""
    times: Mapped[int] = mapped_column(default=0)
    """Number of associations or objects that were refused."""
    last_at: Mapped[float]


class RefusedClass(Table):
    """A SOP class that a sender proposed and the node does not accept: its instances were never sent."""

    __tablename__ = "refused_class"
    __table_args__ = (UniqueConstraint("calling_ae_title", "sop_class_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    calling_ae_title: Mapped[str]
    sop_class_uid: Mapped[str]
    times: Mapped[int] = mapped_column(default=0)
    """Number of associations."""
    last_at: Mapped[float]


class RefusedCaller(Table):
    """An address that was refused: an association, a message, or a program without a known token."""

    __tablename__ = "refused_caller"

    address: Mapped[str] = mapped_column(primary_key=True)
    says: Mapped[str]
    """Why, the last time."""
    times: Mapped[int]
    last_at: Mapped[float]


class StudyAct(Table):
    """What a person did to a study. The audit trail has it too; this is for the study's road."""

    __tablename__ = "study_act"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    at: Mapped[float]
    what: Mapped[str]
    """A value of node.operations.acts.Deed."""
    who: Mapped[str]
    """The name of an account, of a token, or of a user of the machine: never logged."""


class AuditEvent(Table):
    """An event of the audit trail that is not in its file yet; entered in the transaction in which it happens.

    Its number is never given again (AUTOINCREMENT), so that the events stay in order.
    """

    __tablename__ = "audit_event"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str]
    """The name of the machine on which it happened."""
    at: Mapped[float]
    message: Mapped[dict[str, object]]
    """A dicom_io.audit.message.AuditMessage. With the patient's ID: never logged."""
    line: Mapped[int | None] = mapped_column(index=True)
    """The number of its line in the trail, which is being written; None: it has none so far."""


class AuditTrail(Table):
    """One row: how far the audit trail was written, so that files that were cut are noticed."""

    __tablename__ = "audit_trail"

    id: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[int]
    digest: Mapped[str]
    """Of the last line; see node/audit/trail.py."""


class DataFolder(Table):
    """The data folder that the queue's paths are in: one row, from the first start on."""

    __tablename__ = "data_folder"

    installation: Mapped[str] = mapped_column(primary_key=True)
    """The identity in it (installation.py)."""


class UsedSpace(Table):
    """What counts against the quota: one row, which all processes share (node/archive/space.py)."""

    __tablename__ = "used_space"

    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    """Bytes: what was measured, and what was stored and deleted since."""
    measured: Mapped[int]
    """How often it was measured."""
