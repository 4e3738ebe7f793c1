"""Attributes that results copy from the headers of their images; malformed values are left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation

from dicom_io.attributes import items, numbers, text, uid, values
from dicom_io.moments import stated_zone
from dicom_io.results.carried_over import (
    CLINICAL_TRIAL,
    COMMON,
    EVER_THERE,
    EVER_THERE_OF_A_REQUEST,
    EVER_THERE_OF_A_TRIAL_SUBJECT,
    EVER_THERE_WITH,
    IN_WORDS,
    NEEDED_OF_A_CODE,
    NEEDED_OF_A_TRIAL_SUBJECT,
    NEEDED_OF_AN_ITEM,
    ONLY_WITH,
    PATIENT,
    REQUEST,
    STUDY,
    TRIAL_SUBJECT,
)
from dicom_io.results.fitting import cut, fits
from models.types.exam import ExamImage

_TIME = r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"
_WELL_FORMED = {
    "PatientBirthDate": r"\d{8}",
    "PatientBirthTime": _TIME,
    "StudyDate": r"\d{8}",
    "StudyTime": _TIME,
    "PatientSex": r"[MFO]",
    "PatientAge": r"\d{3}[DWMY]",
    "PatientIdentityRemoved": r"YES|NO",
    "QualityControlSubject": r"YES|NO",
}


def demographics(source: Dataset) -> Dataset:
    """Patient, study and clinical trial attributes of the image (carried_over.py). An absent or malformed value is left
    out, or empty if the standard requires the attribute (type 2)."""
    taken = _taken(source, (*PATIENT, *CLINICAL_TRIAL, *STUDY, *COMMON))
    taken.update(_trial_subject(source))
    for other in items(taken, "OtherPatientIDsSequence"):
        if not text(other, "TypeOfPatientID"):  # type 1, but senders often omit it
            other.TypeOfPatientID = "TEXT"
    for keyword, form in _WELL_FORMED.items():
        if keyword in taken and not re.fullmatch(form, text(taken, keyword)):
            del taken[keyword]
    for keyword, others in EVER_THERE_WITH.items():
        if any(other in taken for other in others):
            _completed(taken, (keyword,))
    if stated_zone(source) is None and "TimezoneOffsetFromUTC" in taken:
        del taken.TimezoneOffsetFromUTC
    return _completed(taken, EVER_THERE)


def described_by(images: Sequence[ExamImage], sources: Mapping[str, Dataset]) -> Dataset:
    """The header that states patient and study of a result of the exam: of the first image that was read, else of the
    first instance (at least one)."""
    return sources[images[0].sop_instance_uid] if images else next(iter(sources.values()))


def identity(source: Dataset) -> Dataset:
    """Only the attributes that identify an instance, its study and its patient."""
    result = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        result[keyword] = DataElement(keyword, "UI", uid(source, keyword))
    result.Modality = "MG"
    for keyword in ("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate"):
        if stated := "\\".join(str(value) for value in values(source, keyword)):
            result[keyword] = DataElement(keyword, dictionary_VR(keyword), stated)
    return result


def request_attributes(source: Dataset) -> Dataset:
    """The image's orders, for the General Series module of a result; an empty dataset if the image names none."""
    return _taken(source, ("RequestAttributesSequence",))


def referenced_request(source: Dataset) -> Dataset:
    """The image's orders, for the SR Document General module (PS3.3 section C.17.2): from Referenced Request Sequence,
    else from Request Attributes Sequence."""
    taken, requests = Dataset(), []
    for item in items(source, "ReferencedRequestSequence") or items(source, "RequestAttributesSequence"):
        if request := _taken(item, REQUEST):
            request = _completed(request, EVER_THERE_OF_A_REQUEST)
            if not text(request, "AccessionNumber"):
                request.AccessionNumber = text(source, "AccessionNumber")
            if not text(request, "StudyInstanceUID"):
                request.StudyInstanceUID = source.StudyInstanceUID
            requests.append(request)
    if requests:
        taken.ReferencedRequestSequence = requests
    return taken


def _trial_subject(source: Dataset) -> Dataset:
    """The Clinical Trial Subject module; an empty dataset if the image lacks a required attribute of it."""
    if _holds(source, NEEDED_OF_A_TRIAL_SUBJECT):
        return _completed(_taken(source, TRIAL_SUBJECT), EVER_THERE_OF_A_TRIAL_SUBJECT)
    return Dataset()


def _taken(source: Dataset, keywords: Iterable[str]) -> Dataset:
    """Copies attributes that fit their VR. Of the others, text is cut and identifiers are copied whole: a cut ID would
    identify another patient or study."""
    taken = Dataset()
    for keyword in keywords:
        if within := [kept for item in items(source, keyword) if (kept := _well_formed(item, keyword))]:
            taken[keyword] = DataElement(keyword, "SQ", within)
        elif values(source, keyword) and (vr := dictionary_VR(keyword)) != "SQ":
            if keyword in EVER_THERE or all(fits(vr, value) for value in values(source, keyword)):
                taken[keyword] = deepcopy(source[keyword])
            elif keyword.endswith(IN_WORDS) and (words := cut(vr, text(source, keyword))):
                taken[keyword] = DataElement(keyword, vr, words)
    for keyword, value, others in ONLY_WITH:
        stated = keyword in taken and (not value or text(taken, keyword) == value)
        if stated and not any(other in taken for other in others):
            del taken[keyword]
    return taken


def _well_formed(item: Dataset, sequence: str) -> Dataset:
    """An item of a sequence without private, unknown or malformed attributes; empty if it lacks a required one."""
    kept = _taken(item, [keyword for tag in item.keys() if (keyword := keyword_for_tag(tag))])  # noqa: SIM118 - tags
    needed = NEEDED_OF_A_CODE if sequence.endswith("CodeSequence") else NEEDED_OF_AN_ITEM.get(sequence, ())
    return kept if _holds(kept, needed) else Dataset()


def _holds(dataset: Dataset, needed: Iterable[Iterable[str]]) -> bool:
    """Whether at least one attribute of each group has a value."""
    return all(any(text(dataset, keyword) for keyword in one_of) for one_of in needed)


def _completed(taken: Dataset, keywords: Iterable[str]) -> Dataset:
    for keyword in keywords:
        if keyword not in taken:
            vr = dictionary_VR(keyword)
            taken[keyword] = DataElement(keyword, vr, [] if vr == "SQ" else "")
    return taken


def stand_in(source: Dataset, shape: tuple[int, int]) -> Dataset:
    """A header for highdicom in place of the image's: its identity and size.

    Patient data are left out, so that no name reaches the log of a library. Pixel Spacing is left out: without a slice
    thickness highdicom would write Pixel Measures that cannot be read again. The SOP class is replaced: for a class
    with frames (a synthetic image stored as Breast Tomosynthesis, a Multi-frame Secondary Capture) highdicom requires
    functional groups. `set_referenced_class` sets the class in the finished object.
    """
    image = demographics(Dataset())
    image.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    image.SOPInstanceUID = source.SOPInstanceUID
    image.SeriesInstanceUID = source.SeriesInstanceUID
    image.StudyInstanceUID = source.StudyInstanceUID
    image.Modality = "MG"
    image.Rows, image.Columns = shape
    return image


def patient_orientation(source: Dataset) -> tuple[str, str] | None:
    """The directions of rows and columns (PS3.3 §C.7.6.1.1.1); None if the image does not state both."""
    stated = [str(value).strip() for value in values(source, "PatientOrientation")]
    is_valid = len(stated) == 2 and all(re.fullmatch("[LRAPHF]{1,3}", direction) for direction in stated)
    return (stated[0], stated[1]) if is_valid else None


def spacing_mm(source: Dataset) -> tuple[float, float] | None:
    """The spacing of rows and of columns at the detector in mm (Imager Pixel Spacing); None if it is not stated."""
    stated = numbers(source, "ImagerPixelSpacing")
    return (stated[0], stated[1]) if len(stated) == 2 and min(stated) > 0 else None


def set_referenced_class(written: Dataset, source: Dataset) -> None:
    """Sets the image's SOP class in every reference to it, at any depth of an object made with its stand-in."""
    for element in written:
        for item in element.value if element.VR == "SQ" else ():
            set_referenced_class(item, source)
    if written.get("ReferencedSOPInstanceUID") == source.SOPInstanceUID:
        written.ReferencedSOPClassUID = source.SOPClassUID


def instance_reference(instance: Dataset) -> Dataset:
    """An item that refers to an instance (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = instance.SOPClassUID
    item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return item


def study_references(instances: Iterable[Dataset]) -> list[Dataset]:
    """Items that refer to instances by study and series (PS3.3 Table C.17-3), in the given order, each once."""
    studies: dict[str, dict[str, dict[str, Dataset]]] = {}
    for instance in instances:
        series = studies.setdefault(instance.StudyInstanceUID, {})
        found = series.setdefault(instance.SeriesInstanceUID, {})
        found.setdefault(instance.SOPInstanceUID, instance_reference(instance))
    return [_study_item(uid, series) for uid, series in studies.items()]


def _study_item(study_instance_uid: str, series: Mapping[str, Mapping[str, Dataset]]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = []
    for series_instance_uid, references in series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_instance_uid
        item.ReferencedSOPSequence = list(references.values())
        study.ReferencedSeriesSequence.append(item)
    return study
