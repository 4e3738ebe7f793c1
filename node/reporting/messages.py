"""The registry of messages: results for systems that take no DICOM objects. A new kind needs its name in `ResultKind`
and `MESSAGES` (dicom_io/results/profiles.py), a row here, and its destination in `config/peers.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydicom import Dataset

from dicom_io.results.encode import ResultObject
from dicom_io.results.encoding import Encoding
from dicom_io.results.profiles import Profile, ResultKind
from dicom_io.results.sources import described_by
from models.types.exam import ExamReading
from node.reporting.fhir import encode_fhir
from node.reporting.oru import encode_oru

Encode = Callable[[ExamReading, Mapping[str, Dataset], Encoding, bytes | None], bytes]
"""Encodes the report from the exam, the header of each instance by SOP Instance UID, and the message of the revision
before; raises NotEncodable."""

ENCODERS: Mapping[ResultKind, Encode] = {ResultKind.FHIR: encode_fhir, ResultKind.ORU: encode_oru}


def kind_of_message(profile: Profile) -> ResultKind | None:
    """The kind of message that a profile is; None if it is of DICOM objects."""
    return next((kind for kind in ENCODERS if kind in profile.kinds), None)


def encode_message(
    kind: ResultKind,
    exam: ExamReading,
    sources: Mapping[str, Dataset],
    encoding: Encoding,
    before: bytes | None,
) -> ResultObject:
    """A revision's message, checked for the identity of patient and study; each revision has one of its own.

    Raises:
        NotEncodable: there is no source, or the sources disagree on patient or study.
    """
    content = ENCODERS[kind](exam, sources, encoding, before)
    study = described_by(exam.images, sources).StudyInstanceUID
    return ResultObject(kind, encoding.uid(study, kind), content)
