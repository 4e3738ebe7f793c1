"""Classifies an instance by its header."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from typing import Literal

from pydicom import Dataset
from pydicom.uid import UID

from dicom_io.acquisition import Acquisition, acquisition_of
from dicom_io.attributes import code, items, number, text, texts, uid, values
from dicom_io.device import is_ours
from dicom_io.image_types import is_generated_2d, why_no_view
from dicom_io.instance_kinds import InstanceKind
from dicom_io.patient_identity import StatedPatient, compared_name, plain_words
from dicom_io.views import SPECIMEN, extent_of, functional_groups, side_of_label, view_of
from models.types.mammogram import Laterality

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_MAMMOGRAPHY = {_STORAGE + "1.2", _STORAGE + "1.2.1"}
_RADIOGRAPHY = {_STORAGE + "1", _STORAGE + "1.1", _STORAGE + "1.1.1"}
_FOR_PROCESSING = {_STORAGE + "1.2.1", _STORAGE + "1.1.1"}
_TOMOSYNTHESIS = {_STORAGE + "13.1.3", _STORAGE + "13.1.4", _STORAGE + "13.1.5"}
_SECONDARY_CAPTURE = {_STORAGE + "7"} | {_STORAGE + f"7.{number}" for number in range(1, 5)}
_OF_BREASTS = _MAMMOGRAPHY | _RADIOGRAPHY | _TOMOSYNTHESIS | _SECONDARY_CAPTURE
"""SOP classes whose instances may show a breast."""
_SEGMENTATION = {_STORAGE + "66.4", _STORAGE + "66.5", _STORAGE + "66.7"}
_STRUCTURED_REPORTS = _STORAGE + "88."
_KEY_OBJECTS = _STORAGE + "88.59"

# CID 4013: the breast, the breast of one side, and both; SNOMED CT and SNOMED RT.
_SIDES_OF_BREASTS: Mapping[str, Laterality | None] = {
    **dict.fromkeys(("76752008", "T-04000", "63762007", "T-04080"), None),
    **dict.fromkeys(("80248007", "T-04030"), Laterality.LEFT),
    **dict.fromkeys(("73056007", "T-04020"), Laterality.RIGHT),
}
# CID 244.
_SIDES: Mapping[str, Laterality] = {
    **dict.fromkeys(("7771000", "G-A101"), Laterality.LEFT),
    **dict.fromkeys(("24028007", "G-A100"), Laterality.RIGHT),
}

TOMOSYNTHESIS_REASON = "breast tomosynthesis: only single images are read so far"
SPECIMEN_REASON = "a specimen radiograph: no breast is in it"
_QUALITY_CONTROL = "a quality control image: it shows no patient"
_WITH_PHANTOM = "a quality control image: a phantom is in it beside the breast"
_FRAMES = "several images in one object: only single images are read"


@dataclass(frozen=True)
class InstanceHeader:
    """The values of a header that the node uses."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient: StatedPatient
    accession_number: str
    kind: InstanceKind
    laterality: Laterality | None
    view: str | None
    extent: str
    """The part that it shows if not the whole of a standard view ("spot/magnified", "cleavage", …); else ""."""
    no_view: str
    """Why it is no ordinary view of a breast, and is never read: a reason for the report; "" for an ordinary view."""
    acquisition: Acquisition
    procedures: tuple[str, ...]
    """The procedure, in all forms of the header: descriptions of study and procedure, and codes."""
    requested_priorities: tuple[str, ...]
    """Requested Procedure Priority, as stated anywhere in the header."""
    institution: str
    study_date: date | None
    ours: bool
    """Written by a mammo-node: never input (safety rule 1)."""

    @property
    def patient_id(self) -> str:
        """All its Patient IDs, "" if it states none."""
        return self.patient.patient_id

    @property
    def patient_birth_date(self) -> str:
        return self.patient.birth_date


def describe(dataset: Dataset) -> InstanceHeader:
    """The values of a header that the node uses.

    Raises:
        NotReadable: a UID that identifies the instance is missing or malformed.
    """
    return InstanceHeader(
        sop_instance_uid=uid(dataset, "SOPInstanceUID"),
        sop_class_uid=uid(dataset, "SOPClassUID"),
        study_instance_uid=uid(dataset, "StudyInstanceUID"),
        series_instance_uid=uid(dataset, "SeriesInstanceUID"),
        patient=stated_patient(dataset),
        accession_number=text(dataset, "AccessionNumber"),
        kind=kind_of(dataset),
        laterality=laterality_of(dataset),
        view=view_of(dataset),
        extent=extent_of(dataset),
        no_view=why_never_read(dataset),
        acquisition=acquisition_of(dataset),
        procedures=procedures_of(dataset),
        requested_priorities=requested_priorities_of(dataset),
        institution=text(dataset, "InstitutionName"),
        study_date=_date(text(dataset, "StudyDate")),
        ours=is_ours(dataset),
    )


def stated_patient(dataset: Dataset) -> StatedPatient:
    """The patient of a header."""
    patient_id = "\\".join(texts(dataset, "PatientID"))
    return StatedPatient(
        patient_id,
        text(dataset, "PatientBirthDate"),
        plain_words(text(dataset, "IssuerOfPatientID")),
        "" if patient_id else compared_name(text(dataset, "PatientName")),
    )


def kind_of(dataset: Dataset) -> InstanceKind:
    """The kind of object. If SOP class and Presentation Intent contradict each other, it counts as raw."""
    sop_class = text(dataset, "SOPClassUID")
    of_breast = _is_of_breast(dataset)
    if sop_class in _OF_BREASTS and _is_for_quality_control(dataset):
        return InstanceKind.OTHER_IMAGE
    if sop_class in _MAMMOGRAPHY or (sop_class in _RADIOGRAPHY and of_breast):
        raw = sop_class in _FOR_PROCESSING or code(dataset, "PresentationIntentType") == "FOR PROCESSING"
        return InstanceKind.FOR_PROCESSING if raw else InstanceKind.FOR_PRESENTATION
    if sop_class in _TOMOSYNTHESIS:
        synthetic = is_generated_2d(dataset) and not _has_frames(dataset)
        return InstanceKind.FOR_PRESENTATION if synthetic else InstanceKind.TOMOSYNTHESIS
    if sop_class in _SECONDARY_CAPTURE and of_breast:
        return InstanceKind.SECONDARY_CAPTURE
    if sop_class in _SEGMENTATION:
        return InstanceKind.SEGMENTATION
    if sop_class.startswith(_STRUCTURED_REPORTS) and sop_class != _KEY_OBJECTS:
        return InstanceKind.REPORT
    is_image = "Rows" in dataset or "Image Storage" in UID(sop_class).name
    return InstanceKind.OTHER_IMAGE if is_image else InstanceKind.OTHER


def why_never_read(dataset: Dataset) -> str:
    """Why an image of a breast is no ordinary view of it (safety rule 6); "" for an ordinary view or no image.

    A partial or magnified view is ordinary here; `views.extent_of` says how much it shows.
    """
    match kind_of(dataset):
        case InstanceKind.OTHER_IMAGE:
            return _QUALITY_CONTROL if _is_for_quality_control(dataset) else ""
        case InstanceKind.TOMOSYNTHESIS:
            return TOMOSYNTHESIS_REASON
        case InstanceKind.FOR_PRESENTATION | InstanceKind.FOR_PROCESSING | InstanceKind.SECONDARY_CAPTURE:
            if view_of(dataset) == SPECIMEN:
                return SPECIMEN_REASON
            if code(dataset, "QualityControlImage") == "BOTH":
                return _WITH_PHANTOM
            return why_no_view(dataset) or (_FRAMES if _has_frames(dataset) else "")
        case _:
            return ""


def laterality_of(dataset: Dataset) -> Laterality | None:
    """The breast, by the first of: Image Laterality, Frame Laterality, Laterality, the anatomic region, the geometry
    of an oblique view.

    A value that is not R, L or B (PS3.3 §C.8.11.7.1), or several values, are ignored. Several attributes that differ:
    see `dicom_io.contradictions`.
    """
    for _, side in _written_lateralities(dataset):
        return None if side == "B" else Laterality(side)  # both: said, and no single breast
    return _laterality_of_region(dataset) or _laterality_of_oblique(dataset)


def stated_lateralities(dataset: Dataset) -> Iterator[tuple[str, Laterality]]:
    """The breast by each attribute that states one, with the attribute's name; the first one counts (`laterality_of`).

    A label in View Position ("RCC") states it too, but is not used for the breast.
    """
    for name, side in _written_lateralities(dataset):
        if side != "B":
            yield name, Laterality(side)
    for name, found in (
        ("Anatomic Region Sequence", _laterality_of_region(dataset)),
        ("Patient Orientation", _laterality_of_oblique(dataset)),
        ("View Position", side_of_label(dataset)),
    ):
        if found is not None:
            yield name, Laterality(found)


def _written_lateralities(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """L, R or B by each attribute that holds it, with the attribute's name."""
    frames = functional_groups(dataset, "FrameAnatomySequence")
    for name, stated in (
        ("Image Laterality", values(dataset, "ImageLaterality")),
        *(("Frame Laterality", values(anatomy, "FrameLaterality")) for anatomy in frames),
        ("Laterality", values(dataset, "Laterality")),
    ):
        side = str(stated[0]).strip().upper() if len(stated) == 1 else ""
        if side in ("L", "R", "B"):
            yield name, side


def scanner_of(dataset: Dataset) -> str:
    """Manufacturer and model of the device that made an image (PS3.3 §C.7.5.1), as people call it; "" if not stated."""
    maker, model = text(dataset, "Manufacturer"), text(dataset, "ManufacturerModelName")
    return model if model.casefold().startswith(maker.casefold()) else f"{maker} {model}".strip()


class Turn(Enum):
    """How an image is stored."""

    UPRIGHT = auto()
    HEAD_DOWN = auto()
    SIDEWAYS = auto()
    """Turned by a quarter: its rows do not run between the chest wall and the nipple."""


def turn_of(dataset: Dataset) -> Turn:
    """How an image is stored, by Patient Orientation (PS3.3 §C.7.6.1.1.1): in a mammogram the rows run to the front or
    the back of the patient, and the columns away from her head. Upright if it is not stated, as images are usually
    stored for display."""
    rows, columns = (str(value).strip().upper()[:1] for value in _orientation(dataset) or ("", ""))
    if rows in ("R", "L", "H", "F") or columns in ("A", "P"):
        return Turn.SIDEWAYS
    return Turn.HEAD_DOWN if columns == "H" else Turn.UPRIGHT


def _orientation(dataset: Dataset) -> tuple[str, str] | None:
    """The directions in which rows and columns run; None if not both are stated."""
    stated = [str(value).strip().upper() for value in values(dataset, "PatientOrientation")]
    return (stated[0], stated[1]) if len(stated) == 2 else None


def procedures_of(dataset: Dataset) -> tuple[str, ...]:
    """The procedure: Study Description, Requested and Performed Procedure descriptions, and the codes' values and
    meanings (PS3.3 §C.7.2.1, §C.4.13)."""
    found = [text(dataset, keyword) for keyword in ("StudyDescription", "PerformedProcedureStepDescription")]
    for holder in (dataset, *items(dataset, "RequestAttributesSequence")):
        found.append(text(holder, "RequestedProcedureDescription"))
        for sequence in ("ProcedureCodeSequence", "RequestedProcedureCodeSequence"):
            found += [text(code, key) for code in items(holder, sequence) for key in ("CodeValue", "CodeMeaning")]
    return tuple(dict.fromkeys(name for name in found if name))


def requested_priorities_of(dataset: Dataset) -> tuple[str, ...]:
    """Requested Procedure Priority (PS3.3 §C.4.11) of the data set and of its requests.

    It belongs to worklists; devices that copy it into images write it beside the request's other attributes.
    """
    holders = (dataset, *items(dataset, "RequestAttributesSequence"))
    found = (code(holder, "RequestedProcedurePriority") for holder in holders)
    return tuple(dict.fromkeys(word for word in found if word))


def chest_wall_side(dataset: Dataset) -> Literal["left", "right"] | None:
    """The side of the stored image on which the chest wall must lie; None if the header does not determine it.

    Patient Orientation (PS3.3 §C.7.6.1.1.1) gives the direction in which the rows run: towards the front of the
    patient means that the chest wall is on the left. Without it, the convention is used (left breasts have their chest
    wall on the left), except for an image that the device flipped.
    """
    if orientation := _orientation(dataset):
        towards = orientation[0]
        return "left" if towards.startswith("A") else "right" if towards.startswith("P") else None
    laterality = laterality_of(dataset)
    if laterality is None or code(dataset, "FieldOfViewHorizontalFlip") == "YES":
        return None
    return "left" if laterality is Laterality.LEFT else "right"


def _date(stated: str) -> date | None:
    """A date as DICOM writes it (VR DA, PS3.5 §6.2); None if it is malformed."""
    try:
        return datetime.strptime(stated, "%Y%m%d").date()  # noqa: DTZ007 - a date has no time zone
    except ValueError:
        return None


def _laterality_of_region(dataset: Dataset) -> Laterality | None:
    """The side of the breast by the code of the anatomic region or its modifier; None if these state both sides or
    none."""
    regions = _regions(dataset)
    modifiers = [modifier for region in regions for modifier in items(region, "AnatomicRegionModifierSequence")]
    stated = {_SIDES_OF_BREASTS.get(text(region, "CodeValue").upper()) for region in regions}
    stated |= {_SIDES.get(text(modifier, "CodeValue").upper()) for modifier in modifiers}
    sides = stated - {None}
    return sides.pop() if len(sides) == 1 else None


def _laterality_of_oblique(dataset: Dataset) -> Laterality | None:
    # The detector of a medio-lateral oblique runs from the upper outer to the lower inner side of the breast. So the
    # columns of a left breast run to the feet and to the patient's right, or back again. In CC views either breast may
    # be stored either way round, and nothing follows.
    orientation = _orientation(dataset)
    if orientation is None or view_of(dataset) not in ("MLO", "LMO"):
        return None
    directions = set(orientation[1])
    if directions >= {"F", "R"} or directions >= {"H", "L"}:
        return Laterality.LEFT
    if directions >= {"F", "L"} or directions >= {"H", "R"}:
        return Laterality.RIGHT
    return None


def _is_of_breast(dataset: Dataset) -> bool:
    """By Modality, Body Part Examined, or if that is not stated, the code of the anatomic region."""
    part = code(dataset, "BodyPartExamined")
    if code(dataset, "Modality") == "MG" or part == "BREAST":
        return True
    return not part and any(text(region, "CodeValue").upper() in _SIDES_OF_BREASTS for region in _regions(dataset))


def _regions(dataset: Dataset) -> list[Dataset]:
    holders = (dataset, *functional_groups(dataset, "FrameAnatomySequence"))
    return [region for holder in holders for region in items(holder, "AnatomicRegionSequence")]


def _is_for_quality_control(dataset: Dataset) -> bool:
    """By Quality Control Image (0028,0300) or Quality Control Subject (0010,0200)."""
    return "YES" in (code(dataset, "QualityControlImage"), code(dataset, "QualityControlSubject"))


def _has_frames(dataset: Dataset) -> bool:
    """Whether there are several frames: a stack or a loop."""
    return (number(dataset, "NumberOfFrames") or 0) > 1
