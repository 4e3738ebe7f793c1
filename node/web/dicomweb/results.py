"""The node's results by DICOMweb: search (QIDO-RS, PS3.18 section 10.6) and retrieve (WADO-RS, section 10.4).

Results only: received images are asked for where they came from. Of a study in quarantine there are none, and none that
a later revision replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session, aliased

from dicom_io.results.outputs import OUTPUTS
from dicom_io.results.profiles import ResultKind
from models.errors import UserError
from node.logs import place_of
from node.store.states import StudyState
from node.store.tables import Instance, Result, Study

log = logging.getLogger(__name__)

ROOT = "/dicom-web"
"""The address of the service, at the page's."""
OF_PATIENT_AND_STUDY = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID",
    "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDescription",
)  # fmt: skip
OF_SERIES = ("Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime")
OF_INSTANCE = (
    "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames",
)  # fmt: skip
_IN_ALL = ("StudyInstanceUID", "SeriesInstanceUID", "Modality")
"""Without these no answer can be made."""
_KINDS = [kind for kind in OUTPUTS if kind is not ResultKind.REJECTION]
_IS_GIVEN = and_(Result.kind.in_(_KINDS), Result.purged_at.is_(None))
"""Retention deletes files, and not rows."""


@dataclass(frozen=True)
class Wanted:
    """Which studies are searched for; None: any."""

    study_instance_uid: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None


class ResultUnreadable(UserError):
    """The file of a result is gone or damaged, or the disk does not answer."""


@dataclass(frozen=True)
class Written:
    """A result as the queue knows it. `study`: the number of its study."""

    study: int
    sop_instance_uid: str
    path: Path


@dataclass(frozen=True)
class Object:
    """A result: the number of its study, its file, and its header without pixels."""

    study: int
    path: Path
    header: Dataset


def find_studies(session: Session, wanted: Wanted, limit: int, offset: int) -> list[str]:
    """The Study Instance UIDs of the studies that have results, the newest first."""
    query = (
        select(Study.study_instance_uid)
        .where(Study.state != StudyState.QUARANTINED, Study.results.any(_IS_GIVEN), *_matching(wanted))
        .order_by(Study.id.desc())
    )
    return list(session.scalars(query.limit(limit).offset(offset)))


def _matching(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.study_instance_uid is not None:
        yield Study.study_instance_uid == wanted.study_instance_uid
    if wanted.patient_id is not None:
        yield Study.id.in_(select(Instance.study_id).where(Instance.patient_id == wanted.patient_id))
    if wanted.accession_number is not None:
        yield Study.id.in_(select(Instance.study_id).where(Instance.accession_number == wanted.accession_number))


def written_of(session: Session, data_dir: Path, study_instance_uid: str, instance: str | None = None) -> list[Written]:
    """The results of a study that count now, or one instance of them. Their files are read when the session is closed:
    a transaction that lasts as long as a slow disk would keep the queue's log from being emptied."""
    other = aliased(Result)
    newest = select(func.max(other.last_revision)).where(other.study_id == Result.study_id).scalar_subquery()
    query = (
        select(Study.id, Result.sop_instance_uid, Result.path)
        .join(Result.study)
        .where(
            Study.study_instance_uid == study_instance_uid,
            Study.state != StudyState.QUARANTINED,
            _IS_GIVEN,
            Result.last_revision == newest,
        )
        .order_by(Result.id)
    )
    if instance is not None:
        query = query.where(Result.sop_instance_uid == instance)
    return [Written(study, uid, data_dir / path) for study, uid, path in session.execute(query)]


def object_of(result: Written) -> Object:
    """Reads a result's header.

    Raises:
        ResultUnreadable: it cannot be, or is not that of this result.
    """
    try:
        header = dcmread(result.path, stop_before_pixels=True)
        is_whole = header.SOPInstanceUID == result.sop_instance_uid and all(keyword in header for keyword in _IN_ALL)
    except Exception as fault:
        log.error("study %d: the file of a result cannot be read: %s", result.study, place_of(fault))
        raise ResultUnreadable(f"A result of study {result.study} cannot be read.") from fault
    if not is_whole:
        log.error("study %d: the file of a result is damaged", result.study)
        raise ResultUnreadable(f"A result of study {result.study} is damaged.")
    return Object(result.study, result.path, header)


def study_match(objects: Sequence[Object], root: str) -> Dataset:
    """A study as a search answers (PS3.18 table 10.6.3-3). `root`: the address of the service."""
    match = _some_of(objects[0].header, OF_PATIENT_AND_STUDY)
    match.ModalitiesInStudy = sorted({one.header.Modality for one in objects})
    match.NumberOfStudyRelatedSeries = len({one.header.SeriesInstanceUID for one in objects})
    match.NumberOfStudyRelatedInstances = len(objects)
    return _available(match, f"{root}/studies/{match.StudyInstanceUID}")


def series_matches(objects: Sequence[Object], root: str) -> list[Dataset]:
    """The series of a study (PS3.18 table 10.6.3-4)."""
    series: dict[str, list[Object]] = {}
    for one in objects:
        series.setdefault(str(one.header.SeriesInstanceUID), []).append(one)
    matches = []
    for uid, members in series.items():
        match = _some_of(members[0].header, ("StudyInstanceUID", *OF_SERIES))
        match.NumberOfSeriesRelatedInstances = len(members)
        matches.append(_available(match, f"{root}/studies/{match.StudyInstanceUID}/series/{uid}"))
    return matches


def instance_match(one: Object, root: str) -> Dataset:
    """An instance (PS3.18 table 10.6.3-5)."""
    match = _some_of(one.header, ("StudyInstanceUID", *OF_SERIES, *OF_INSTANCE))
    series = f"{root}/studies/{match.StudyInstanceUID}/series/{match.SeriesInstanceUID}"
    return _available(match, f"{series}/instances/{match.SOPInstanceUID}")


def boundary_of(objects: Sequence[Object]) -> str:
    """A boundary for these objects' bodies: the same for the same, and in none of them but by a chance of 2**-256."""
    return sha256(b"".join(str(one.header.SOPInstanceUID).encode() for one in objects)).hexdigest()


def multipart(objects: Sequence[Object], boundary: str) -> Iterator[bytes]:
    """The body of a retrieve answer (multipart/related): files as destinations get them."""
    for one in objects:
        syntax = one.header.file_meta.TransferSyntaxUID
        yield f"\r\n--{boundary}\r\nContent-Type: application/dicom; transfer-syntax={syntax}\r\n\r\n".encode()
        yield one.path.read_bytes()
    yield f"\r\n--{boundary}--\r\n".encode()


def _some_of(header: Dataset, keywords: Sequence[str]) -> Dataset:
    some = Dataset()
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        if tag is not None and tag in header:
            some.add(header[tag])
    if "SpecificCharacterSet" in header:  # of the values; in JSON they are UTF-8
        some.SpecificCharacterSet = header.SpecificCharacterSet
    return some


def _available(match: Dataset, url: str) -> Dataset:
    match.RetrieveURL = url
    match.InstanceAvailability = "ONLINE"
    return match
