"""The values that the interface answers with. What is here stays in /api/v1; more may be added."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from dicom_io.instance_kinds import InstanceKind
from dicom_io.results.labels import lesion_label
from dicom_io.results.own_codes import range_of
from dicom_io.results.profiles import ResultKind
from models.types.birads import Agreement, AssessmentSource, Category, Concordance
from models.types.birads import Likelihood as Calibrated
from models.types.exam import JOINING_RULE, ExamImage, ExamReading
from models.types.mammogram import Laterality
from models.types.reading import FindingKind
from models.types.words import RESEARCH_USE_ONLY
from node.operations.road import Road, answer
from node.operations.status import DeliveryView, ImageView, StudyView
from node.operations.studies import Identifiers
from node.store.states import DeliveryState, ImageOutcome, StudyState
from node.store.tables import Result
from node.store.urgency import Urgency

SCORE = "A score, 0 to 1; no probability."


def moment(at: float) -> datetime:
    """A time of the database (UTC seconds since the epoch)."""
    return datetime.fromtimestamp(at, UTC)


def moment_or_none(at: float | None) -> datetime | None:
    return None if at is None else moment(at)


class PatientIdentifiers(BaseModel):
    """What leads to the patient, as the study's first image states it. Dates as in DICOM (YYYYMMDD)."""

    study_instance_uid: str
    patient_id: str
    birth_date: str
    accession_number: str

    @classmethod
    def of(cls, known: Identifiers | None) -> Self | None:
        return None if known is None else cls(**vars(known))


NOT_GIVEN = "nothing that was read of it is given until a person has checked it and retries it"
"""Of a study in quarantine: its images may be of two patients (safety rule 5)."""


class StudySummary(BaseModel):
    id: int = Field(description="The study's number at this node, as `mammo-node status` shows it.")
    state: StudyState
    says: str = Field(description="Where it stands and why, in a sentence or two.")
    sender: str = Field(description='The calling AE title that sent its first image; "" for files.')
    urgency: Urgency
    revision: int = Field(description="Of its report; a late image or a radiologist's category gives the next one.")
    received_at: datetime = Field(description="When its first image was received.")
    last_received_at: datetime
    complete_at: datetime | None = Field(description="When this revision was complete.")
    image_count: int = Field(description="Instances received.")
    score: float | None = Field(description=f"Of the exam, in its last report; null in quarantine. {SCORE}")
    discordant: bool = Field(description="Whether models and radiologist disagree on recall; false in quarantine.")
    identifiers: PatientIdentifiers | None = Field(description="null where the token's role may not see patients.")

    @classmethod
    def of(cls, study: StudyView, known: Identifiers | None) -> StudySummary:
        return StudySummary(**_summary(study, known))


def _summary(study: StudyView, known: Identifiers | None) -> dict[str, Any]:
    is_given = study.state is not StudyState.QUARANTINED
    return {
        "id": study.id,
        "state": study.state,
        "says": answer(study),
        "sender": study.source,
        "urgency": study.urgency,
        "revision": study.revision,
        "received_at": moment(study.first_received_at),
        "last_received_at": moment(study.last_received_at),
        "complete_at": moment_or_none(study.closed_at),
        "image_count": len(study.images),
        "score": study.score if is_given else None,
        "discordant": study.discordant and is_given,
        "identifiers": PatientIdentifiers.of(known),
    }


class StudyList(BaseModel):
    studies: list[StudySummary] = Field(description="The newest first.")
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class Image(BaseModel):
    """An instance that was received."""

    id: int = Field(description="Its number at this node.")
    kind: InstanceKind
    laterality: Laterality | None
    view: str | None
    outcome: ImageOutcome
    reason: str | None = Field(description="Why it was not read.")
    received_at: datetime
    read_at: datetime | None
    purged_at: datetime | None = Field(description="When retention deleted its file; null: it is there.")

    @classmethod
    def of(cls, image: ImageView) -> Self:
        return cls(
            id=image.id,
            kind=image.kind,
            laterality=image.laterality,
            view=image.view,
            outcome=image.outcome,
            reason=image.reason,
            received_at=moment(image.received_at),
            read_at=moment_or_none(image.read_at),
            purged_at=moment_or_none(image.purged_at),
        )


class RoadEvent(BaseModel):
    """Something that happened to the study, or will."""

    at: datetime | None = Field(description="null: no time is known.")
    what: str
    why: str


class Delivery(BaseModel):
    """The delivery of a result to a destination."""

    id: int
    result: ResultKind
    revision: int
    is_replaced: bool = Field(description="Whether a later revision does not have this result any more.")
    destination: str
    state: DeliveryState
    attempts: int
    next_at: datetime = Field(description="While it waits: of the next try.")
    sent_at: datetime | None
    error: str

    @classmethod
    def of(cls, delivery: DeliveryView, revision: int) -> Self:
        return cls(
            id=delivery.id,
            result=delivery.result,
            revision=delivery.revision,
            is_replaced=delivery.last_revision < revision,
            destination=delivery.destination,
            state=delivery.state,
            attempts=delivery.attempts,
            next_at=moment(delivery.next_at),
            sent_at=moment_or_none(delivery.sent_at),
            error=delivery.error,
        )


class Likelihood(BaseModel):
    """A calibrated probability, of a breast or the exam."""

    probability: float = Field(description="Of malignancy, 0 to 1, at the prevalence of the settings.")
    above_recall_threshold: bool
    category_range: str = Field(description="The BI-RADS category whose range holds the probability: no assessment.")

    @classmethod
    def of(cls, found: Calibrated | None, side: Laterality | None, threshold: float) -> Self | None:
        if found is None:
            return None
        return cls(
            probability=found.probability,
            above_recall_threshold=found.is_recalled(threshold),
            category_range=range_of(found.category, side).meaning,
        )


class Finding(BaseModel):
    number: int = Field(description="Within its image, from 1.")
    kind: FindingKind
    label: str = Field(description="As in the results: number, kind, score, long axis.")
    score: float = Field(description=SCORE)
    probability: float | None = Field(description="Of malignancy, 0 to 1; null where lesions are not calibrated.")
    confidence: float = Field(description="The detector's, 0 to 1, that there is a lesion.")
    box: list[int] = Field(description="top, left, bottom, right in pixels of the image.")
    doubt: str = Field(description="Why the outline may be wrong.")


class ImageReading(BaseModel):
    image: int = Field(description="The number of the image among the study's images.")
    laterality: Laterality | None
    view: str | None
    score: float = Field(description=SCORE)
    probability: float | None = Field(description="Of malignancy, 0 to 1; null where images are not calibrated.")
    rows: int
    columns: int
    bundle: str = Field(description="The models that read it, and their version.")
    findings: list[Finding]
    warnings: list[str]

    @classmethod
    def of(cls, image: ExamImage, number: int) -> Self:
        reading = image.reading
        return cls(
            image=number,
            laterality=image.laterality,
            view=image.view,
            score=reading.malignancy,
            probability=reading.likelihood.probability if reading.likelihood else None,
            rows=reading.shape[0],
            columns=reading.shape[1],
            bundle=str(reading.bundle),
            findings=[
                Finding(
                    number=place,
                    kind=finding.kind,
                    label=lesion_label(image, place),
                    score=finding.malignancy,
                    probability=finding.likelihood.probability if finding.likelihood else None,
                    confidence=finding.confidence,
                    box=[finding.box.top, finding.box.left, finding.box.bottom, finding.box.right],
                    doubt=finding.doubt,
                )
                for place, finding in enumerate(reading.findings, start=1)
            ],
            warnings=list(reading.warnings),
        )


class BreastReading(BaseModel):
    laterality: Laterality
    score: float = Field(description=SCORE)
    likelihood: Likelihood | None


class Compared(BaseModel):
    """A radiologist's category compared with the models."""

    laterality: Laterality | None = Field(description="null: the exam.")
    category: Category
    source: AssessmentSource
    agreement: Agreement
    why: str

    @classmethod
    def of(cls, compared: Concordance) -> Self:
        return cls(
            laterality=compared.laterality,
            category=compared.assessment.category,
            source=compared.assessment.source,
            agreement=compared.agreement,
            why=compared.why,
        )


class Exam(BaseModel):
    """What the models found in the images that were read so far."""

    intended_use: str
    score: float | None = Field(description=SCORE)
    joining_rule: str = Field(description="How the scores of breasts and exam follow from those of the images.")
    likelihood: Likelihood | None = Field(description="null where exams are not calibrated, or it is withheld.")
    withheld: dict[str, str] = Field(
        description="Why nothing negative is stated of a breast (L, R) or of the exam: not all of it was read."
    )
    recall_threshold: float
    breasts: list[BreastReading]
    images: list[ImageReading]
    compared: list[Compared]
    missing_views: list[str]
    warnings: list[str]

    @classmethod
    def of(cls, exam: ExamReading | None, numbers: Mapping[str, int]) -> Self | None:
        """`numbers`: of the images, by SOP Instance UID."""
        if exam is None:
            return None
        threshold = exam.recall_threshold
        return cls(
            intended_use=RESEARCH_USE_ONLY,
            score=exam.malignancy,
            joining_rule=JOINING_RULE,
            likelihood=Likelihood.of(exam.likelihood, None, threshold),
            withheld={"exam" if side is None else str(side): why for side, why in exam.withheld.items()},
            recall_threshold=threshold,
            breasts=[
                BreastReading(
                    laterality=breast.laterality,
                    score=breast.malignancy,
                    likelihood=Likelihood.of(breast.likelihood, breast.laterality, threshold),
                )
                for breast in exam.breasts
            ],
            images=[ImageReading.of(image, numbers[image.sop_instance_uid]) for image in exam.images],
            compared=[Compared.of(compared) for compared in exam.concordances],
            missing_views=list(exam.missing),
            warnings=list(exam.warnings),
        )


class Study(StudySummary):
    images: list[Image] = Field(description="What was received.")
    events: list[RoadEvent] = Field(description="Its road through the node, in order of time.")
    deliveries: list[Delivery]
    exam: Exam | None = Field(description="null: no image was read, or `exam_lost` says why.")
    exam_lost: str = Field(description="Why there is no exam although images were read.")
    reread: str = Field(description="What became of reading it again, if that was asked for lately.")

    @classmethod
    def whole(
        cls,
        road: Road,
        known: Identifiers | None,
        exam: ExamReading | None,
        lost: str,
        numbers: Mapping[str, int],
        reread: str,
    ) -> Self:
        study = road.study
        return cls(
            **_summary(study, known),
            images=[Image.of(image) for image in study.images],
            events=[RoadEvent(at=moment_or_none(event.at), what=event.what, why=event.why) for event in road.events],
            deliveries=[Delivery.of(delivery, study.revision) for delivery in study.deliveries],
            exam=Exam.of(exam, numbers),
            exam_lost=lost,
            reread=reread,
        )


class ResultObject(BaseModel):
    """A DICOM object or message that the node wrote about a study."""

    id: int
    kind: ResultKind
    profile: str
    revision: int = Field(description="That it was written for.")
    last_revision: int = Field(description="The newest that it belongs to; below the study's: it is replaced.")
    written_at: datetime
    purged_at: datetime | None = Field(description="When retention deleted its file; null: it is there.")
    sop_instance_uid: str | None = Field(description="null where the token's role may not see patients.")

    @classmethod
    def of(cls, row: Result, *, sees_patients: bool) -> Self:
        return cls(
            id=row.id,
            kind=row.kind,
            profile=row.profile,
            revision=row.revision,
            last_revision=row.last_revision,
            written_at=moment(row.written_at),
            purged_at=moment_or_none(row.purged_at),
            sop_instance_uid=row.sop_instance_uid if sees_patients else None,
        )


class ResultList(BaseModel):
    results: list[ResultObject] = Field(description="In the order in which they were written.")


class Done(BaseModel):
    """What an act did."""

    says: list[str] = Field(description="One sentence for each thing.")
