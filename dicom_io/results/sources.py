"""What results take over from the images they are about, made fit to be written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR

from dicom_io.attributes import numbers, text, values

# Patient and General Study modules (PS3.3 §C.7.1.1, §C.7.2.1): who is meant and which study, and nothing else.
_REQUIRED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_TAKEN_IF_THERE = (
    "SpecificCharacterSet", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence",
    "PatientAge", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "IssuerOfAccessionNumberSequence", "StudyDescription",
)  # fmt: skip
_WELL_FORMED = {
    "PatientBirthDate": r"\d{8}",
    "StudyDate": r"\d{8}",
    "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
    "PatientSex": r"[MFO]",
}


def demographics(source: Dataset) -> Dataset:
    """Patient and study as the image states them; what it lacks or states against the standard is empty (type 2)."""
    taken = Dataset()
    for keyword in _TAKEN_IF_THERE:
        if values(source, keyword):
            taken[keyword] = deepcopy(source[keyword])
    for keyword in _REQUIRED:
        form = _WELL_FORMED.get(keyword)
        if values(source, keyword) and (form is None or re.fullmatch(form, text(source, keyword))):
            taken[keyword] = deepcopy(source[keyword])
        else:
            taken[keyword] = DataElement(keyword, dictionary_VR(keyword), "")
    return taken


def stand_in(source: Dataset, shape: tuple[int, int]) -> Dataset:
    """What highdicom must know of an image to segment it: its identity and size.

    Patient and spacing stay out. Names must not reach a library's log, and with a Pixel Spacing but without a slice
    thickness highdicom would write Pixel Measures that cannot be read again.
    """
    image = demographics(Dataset())
    image.SOPClassUID = source.SOPClassUID
    image.SOPInstanceUID = source.SOPInstanceUID
    image.SeriesInstanceUID = source.SeriesInstanceUID
    image.StudyInstanceUID = source.StudyInstanceUID
    image.Modality = "MG"
    image.Rows, image.Columns = shape
    return image


def patient_orientation(source: Dataset) -> tuple[str, str] | None:
    """The directions of rows and columns (PS3.3 §C.7.6.1.1.1), None where the image does not state both."""
    stated = [str(value).strip() for value in values(source, "PatientOrientation")]
    return (stated[0], stated[1]) if len(stated) == 2 and all(stated) else None


def spacing_mm(source: Dataset) -> tuple[float, float] | None:
    """Distance of rows and of columns at the detector in mm (Imager Pixel Spacing), None where it is not stated."""
    stated = numbers(source, "ImagerPixelSpacing")
    return (stated[0], stated[1]) if len(stated) == 2 and min(stated) > 0 else None


def instance_reference(instance: Dataset) -> Dataset:
    """An item that points at an instance (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = instance.SOPClassUID
    item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return item


def study_references(instances: Iterable[Dataset]) -> list[Dataset]:
    """Items that point at instances by study and series (PS3.3 Table C.17-3), in the order given, each once."""
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
    for uid, references in series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedSOPSequence = list(references.values())
        study.ReferencedSeriesSequence.append(item)
    return study
