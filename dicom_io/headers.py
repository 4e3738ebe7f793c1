"""What an instance is, told by its header alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydicom import Dataset
from pydicom.uid import UID

from dicom_io.attributes import code, items, number, text, uid, values
from dicom_io.device import is_ours
from models.types import Laterality

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_MAMMOGRAPHY = {_STORAGE + "1.2", _STORAGE + "1.2.1"}
_RADIOGRAPHY = {_STORAGE + "1", _STORAGE + "1.1", _STORAGE + "1.1.1"}
_FOR_PROCESSING = {_STORAGE + "1.2.1", _STORAGE + "1.1.1"}
_TOMOSYNTHESIS = {_STORAGE + "13.1.3", _STORAGE + "13.1.4", _STORAGE + "13.1.5"}
_SECONDARY_CAPTURE = {_STORAGE + "7"} | {_STORAGE + f"7.{number}" for number in range(1, 5)}
_SEGMENTATION = {_STORAGE + "66.4", _STORAGE + "66.5", _STORAGE + "66.7"}
_STRUCTURED_REPORTS = _STORAGE + "88."
_KEY_OBJECTS = _STORAGE + "88.59"

SPECIMEN = "SPECIMEN"
"""The view of a radiograph of tissue that was taken out."""

# CID 4014 View for Mammography: SNOMED CT codes and the SNOMED RT codes that older senders use (designator SRT, SNM3
# or 99SDM), with the abbreviations of ACR MQCM 1999 that the context group lists beside them.
_VIEWS = {
    **dict.fromkeys(("399260004", "R-10224"), "ML"),
    **dict.fromkeys(("399368009", "R-10226"), "MLO"),
    **dict.fromkeys(("399352003", "R-10228"), "LM"),
    **dict.fromkeys(("399099002", "R-10230"), "LMO"),
    **dict.fromkeys(("399162004", "R-10242"), "CC"),
    **dict.fromkeys(("399196006", "R-10244"), "FB"),
    **dict.fromkeys(("399188001", "R-102D0"), "SIO"),
    **dict.fromkeys(("441555000", "R-40AAA"), "ISO"),
    **dict.fromkeys(("399265009", "R-102CF"), "XCC"),
    **dict.fromkeys(("399192008", "R-1024A", "Y-X1770"), "XCCL"),
    **dict.fromkeys(("399101009", "R-1024B", "Y-X1771"), "XCCM"),
    **dict.fromkeys(("127457009", "G-8310"), SPECIMEN),
}
# CID 4015 View Modifier for Mammography
_MAGNIFICATION = {"399163009", "R-102D6"}
_SPOT_COMPRESSION = {"399055006", "R-102D7"}
_IMPLANT_DISPLACED = {"399209000", "R-102D5"}

# A contact view stands a few centimetres above the detector (factor 1.02 to 1.1); magnification stands begin at 1.4.
_LARGEST_CONTACT_MAGNIFICATION = 1.2


class InstanceKind(StrEnum):
    FOR_PRESENTATION = "for-presentation"
    """A mammogram to be looked at: Digital Mammography For Presentation, or breast CR / DX."""
    FOR_PROCESSING = "for-processing"
    """A raw mammogram."""
    SECONDARY_CAPTURE = "secondary-capture"
    TOMOSYNTHESIS = "tomosynthesis"
    OTHER_IMAGE = "other-image"
    """An image, but of no breast (a chest CR, say)."""
    SEGMENTATION = "segmentation"
    REPORT = "report"
    OTHER = "other"


@dataclass(frozen=True)
class InstanceHeader:
    """The part of a header that the node decides by."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    patient_birth_date: str
    accession_number: str
    kind: InstanceKind
    laterality: Laterality | None
    view: str | None
    full_field: bool
    """Neither magnified nor spot-compressed, by View Modifier Code Sequence and magnification factor."""
    procedures: tuple[str, ...]
    """What was done, in all the ways in which the header says it: descriptions of study and procedure, and codes."""
    institution: str
    study_date: date | None
    ours: bool
    """Written by a mammo-node: never input (safety rule 1)."""


def describe(dataset: Dataset) -> InstanceHeader:
    """What this instance is.

    Raises:
        NotReadable: a UID that identifies the instance is missing or is no UID.
    """
    return InstanceHeader(
        sop_instance_uid=uid(dataset, "SOPInstanceUID"),
        sop_class_uid=uid(dataset, "SOPClassUID"),
        study_instance_uid=uid(dataset, "StudyInstanceUID"),
        series_instance_uid=uid(dataset, "SeriesInstanceUID"),
        patient_id="\\".join(str(part).strip() for part in values(dataset, "PatientID")),
        patient_birth_date=text(dataset, "PatientBirthDate"),
        accession_number=text(dataset, "AccessionNumber"),
        kind=kind_of(dataset),
        laterality=laterality_of(dataset),
        view=view_of(dataset),
        full_field=is_full_field(dataset),
        procedures=procedures_of(dataset),
        institution=text(dataset, "InstitutionName"),
        study_date=_date(text(dataset, "StudyDate")),
        ours=is_ours(dataset),
    )


def kind_of(dataset: Dataset) -> InstanceKind:
    """What sort of object this is. A wrongly labelled pair of SOP class and Presentation Intent counts as raw."""
    sop_class = text(dataset, "SOPClassUID")
    of_breast = code(dataset, "Modality") == "MG" or code(dataset, "BodyPartExamined") == "BREAST"
    if sop_class in _MAMMOGRAPHY or (sop_class in _RADIOGRAPHY and of_breast):
        raw = sop_class in _FOR_PROCESSING or code(dataset, "PresentationIntentType") == "FOR PROCESSING"
        return InstanceKind.FOR_PROCESSING if raw else InstanceKind.FOR_PRESENTATION
    if sop_class in _TOMOSYNTHESIS:
        return InstanceKind.TOMOSYNTHESIS
    if sop_class in _SECONDARY_CAPTURE and of_breast:
        return InstanceKind.SECONDARY_CAPTURE
    if sop_class in _SEGMENTATION:
        return InstanceKind.SEGMENTATION
    if sop_class.startswith(_STRUCTURED_REPORTS) and sop_class != _KEY_OBJECTS:
        return InstanceKind.REPORT
    is_image = "Rows" in dataset or "Image Storage" in UID(sop_class).name
    return InstanceKind.OTHER_IMAGE if is_image else InstanceKind.OTHER


def laterality_of(dataset: Dataset) -> Laterality | None:
    """The breast shown: the image's own statement first, then the frame's, the series', the oblique's geometry."""
    for stated in (
        code(dataset, "ImageLaterality"),
        *(code(anatomy, "FrameLaterality") for anatomy in _shared_groups(dataset, "FrameAnatomySequence")),
        code(dataset, "Laterality"),
    ):
        if stated in ("L", "R"):
            return Laterality(stated)
        if stated:  # "B" both, "U" unpaired: said, and no single breast
            return None
    return _laterality_of_oblique(dataset)


def view_of(dataset: Dataset) -> str | None:
    """The view's abbreviation: by code (required of MG), by View Position, or by CBIS-DDSM's Patient Orientation."""
    known = set(_VIEWS.values())
    for view in _view_codes(dataset):
        if coded := _VIEWS.get(text(view, "CodeValue")):
            return coded
    position = code(dataset, "ViewPosition")
    if position in known:
        return position
    orientation = values(dataset, "PatientOrientation")
    if len(orientation) == 1 and (misplaced := str(orientation[0]).strip().upper()) in known:
        return misplaced
    return None


def is_full_field(dataset: Dataset) -> bool:
    """Neither magnified, spot-compressed nor a specimen: by view, its modifiers (CID 4015), magnification factor."""
    factor = number(dataset, "EstimatedRadiographicMagnificationFactor")
    if factor is not None and factor > _LARGEST_CONTACT_MAGNIFICATION:
        return False
    return view_of(dataset) != "SPECIMEN" and not _modifiers(dataset) & (_MAGNIFICATION | _SPOT_COMPRESSION)


def is_head_up(dataset: Dataset) -> bool:
    """Whether the columns run away from the patient's head, by Patient Orientation (PS3.3 §C.7.6.1.1.1); True where it
    does not say, as images are stored to be shown."""
    orientation = values(dataset, "PatientOrientation")
    return len(orientation) != 2 or not str(orientation[1]).strip().upper().startswith("H")


def procedures_of(dataset: Dataset) -> tuple[str, ...]:
    """What was done: Study Description, Requested and Performed Procedure descriptions, and the codes' values and
    meanings (PS3.3 §C.7.2.1, §C.4.13)."""
    found = [text(dataset, keyword) for keyword in ("StudyDescription", "PerformedProcedureStepDescription")]
    for holder in (dataset, *items(dataset, "RequestAttributesSequence")):
        found.append(text(holder, "RequestedProcedureDescription"))
        for sequence in ("ProcedureCodeSequence", "RequestedProcedureCodeSequence"):
            found += [text(code, key) for code in items(holder, sequence) for key in ("CodeValue", "CodeMeaning")]
    return tuple(dict.fromkeys(name for name in found if name))


def has_implant(dataset: Dataset) -> bool:
    """An implant is in the breast (Breast Implant Present) or was pushed aside for this view (modifier ID)."""
    return code(dataset, "BreastImplantPresent") == "YES" or bool(_modifiers(dataset) & _IMPLANT_DISPLACED)


def chest_wall_side(dataset: Dataset) -> Literal["left", "right"] | None:
    """The side of the stored image on which the chest wall must lie; None where the header does not settle it.

    Patient Orientation (PS3.3 §C.7.6.1.1.1) gives the direction in which the rows run: towards the front of the
    patient means that the chest wall is left. Without it only custom is left (left breasts have their chest wall
    left), and custom says nothing of an image that its maker flipped.
    """
    orientation = values(dataset, "PatientOrientation")
    if len(orientation) == 2:
        towards = str(orientation[0]).strip().upper()
        return "left" if towards.startswith("A") else "right" if towards.startswith("P") else None
    laterality = laterality_of(dataset)
    if laterality is None or code(dataset, "FieldOfViewHorizontalFlip") == "YES":
        return None
    return "left" if laterality is Laterality.LEFT else "right"


def _date(stated: str) -> date | None:
    """A date as DICOM writes it (VR DA, PS3.5 §6.2); None where it is none."""
    try:
        return datetime.strptime(stated, "%Y%m%d").date()  # noqa: DTZ007 - a date has no time zone
    except ValueError:
        return None


def _laterality_of_oblique(dataset: Dataset) -> Laterality | None:
    # The detector of a medio-lateral oblique runs from the upper outer to the lower inner side of the breast. So the
    # columns of a left breast run to the feet and to the patient's right, or back again. In CC views either breast may
    # be stored either way round, and nothing follows.
    orientation = values(dataset, "PatientOrientation")
    if len(orientation) != 2 or view_of(dataset) not in ("MLO", "LMO"):
        return None
    directions = set(str(orientation[1]).strip().upper())
    if directions >= {"F", "R"} or directions >= {"H", "L"}:
        return Laterality.LEFT
    if directions >= {"F", "L"} or directions >= {"H", "R"}:
        return Laterality.RIGHT
    return None


def _shared_groups(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    for group in items(dataset, "SharedFunctionalGroupsSequence"):
        yield from items(group, keyword)


def _view_codes(dataset: Dataset) -> list[Dataset]:
    return [*items(dataset, "ViewCodeSequence"), *_shared_groups(dataset, "ViewCodeSequence")]


def _modifiers(dataset: Dataset) -> set[str]:
    return {
        text(modifier, "CodeValue")
        for view in _view_codes(dataset)
        for modifier in items(view, "ViewModifierCodeSequence")
    }
