"""Rejection notes: documents that reject the node's own objects (IHE RAD TF-2 4.66, Imaging Object Change Management;
Key Object Selection, TID 2010)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import CodeContentItem, RelationshipTypeValues
from pydicom import Dataset

from dicom_io.attributes import code, items, text
from dicom_io.device import MANUFACTURER, is_ours
from dicom_io.errors import NotEncodable
from dicom_io.results import codes
from dicom_io.results.drawn_points import content, name_of, within
from dicom_io.results.encoding import Encoding, sign
from dicom_io.results.observer import device_observer
from dicom_io.results.sources import referenced_request, stand_in
from models.types.mammogram import Laterality
from models.types.words import RESEARCH_USE

SERIES_NUMBER = 9600
_SIDES = {value.value: side for table in (codes.LATERALITIES, codes.BREASTS) for side, value in table.items()}


class Reason(Enum):
    """The reason of a rejection: the document's title. 113038 and 113039 do not apply to the node's objects."""

    REPLACED = codes.REJECTED_FOR_QUALITY_REASONS
    WRONG_PATIENT_OR_SIDE = codes.REJECTED_FOR_PATIENT_SAFETY_REASONS


_SAYS = {
    Reason.REPLACED: "Results of mammo-node that revision {} of its results replaces or drops",
    Reason.WRONG_PATIENT_OR_SIDE: "Results of mammo-node for a wrong patient or side, replaced by revision {}",
}


def encode_rejection(
    rejected: Sequence[Dataset], reason: Reason, *, replacement: Dataset, destination: str, encoding: Encoding
) -> Dataset:
    """A note that rejects objects at one destination.

    Args:
        rejected: headers of the objects, one or more, all of one study.
        replacement: an object of the current revision, from which patient and study are copied.
        destination: its name; part of the UID.

    Raises:
        NotEncodable: nothing is rejected, or an object that is not ours or of another study.
    """
    if not rejected:
        raise NotEncodable("A rejection note that rejects nothing.")
    if not all(is_ours(result) for result in rejected):
        raise NotEncodable("A rejection note may take back our own objects alone.")
    study = replacement.StudyInstanceUID
    if any(result.StudyInstanceUID != study for result in rejected):
        raise NotEncodable("A rejection note is about objects of one study.")
    taken_back = [_reference(result) for result in rejected]
    selection = KeyObjectSelection(
        document_title=reason.value,
        referenced_objects=taken_back,
        observer_device_context=device_observer(encoding.device),
        description=f"{_SAYS[reason].format(encoding.revision)}; {RESEARCH_USE}",
    )
    if reason is Reason.REPLACED:  # TID 2010 row 3: this title needs a modifier of CID 7011, which knows no "replaced"
        why = CodeContentItem(
            codes.DOCUMENT_TITLE_MODIFIER, codes.OTHER_FAILURE, RelationshipTypeValues.HAS_CONCEPT_MOD
        )
        selection[0].ContentSequence.insert(0, why)
    parts = ("rejection", destination, reason.name, *(result.SOPInstanceUID for result in rejected))
    note = KeyObjectSelectionDocument(
        evidence=taken_back,
        content=selection,
        series_instance_uid=encoding.uid(study, "series", *parts),
        series_number=SERIES_NUMBER,
        sop_instance_uid=encoding.uid(study, *parts),
        instance_number=1,
        manufacturer=MANUFACTURER,
        series_description=f"{reason.value.meaning}, mammo-node"[:64],
    )
    sign(note, replacement, encoding)
    note.update(referenced_request(replacement))
    for item in note.ContentSequence:
        if item.ValueType in ("IMAGE", "COMPOSITE"):
            del item.ConceptNameCodeSequence  # TID 2010 gives the references no name
    return note


def wrong_ones(stale: Sequence[Dataset], replacement: Dataset, sides: Mapping[str, Laterality | None]) -> list[bool]:
    """Of each of the replaced objects, whether it names another patient than the replacement, or is about an image that
    one of them places in the other breast.

    Args:
        sides: the breast that each image of the study shows, by what is known today.
    """
    turned = {
        image
        for result in stale
        for image, side in sides_stated(result).items()
        if (known := sides.get(image)) is not None and known is not side
    }
    return [_is_another_patient(result, replacement) or bool(turned & set(_images_of(result))) for result in stale]


def sides_stated(dataset: Dataset) -> dict[str, Laterality]:
    """In which breast an object of ours places the images that it is about: an image library's entries, or the one
    laterality of a segmentation or presentation state."""
    stated = {}
    for item in content(dataset):
        if text(item, "ValueType") == "IMAGE":
            for child in items(item, "ContentSequence"):
                if name_of(child) == codes.IMAGE_LATERALITY.value:
                    for value in items(child, "ConceptCodeSequence"):
                        if side := _SIDES.get(text(value, "CodeValue")):
                            stated.update(dict.fromkeys(_images_of(item), side))
    whole = code(dataset, "ImageLaterality") or code(dataset, "Laterality")
    if whole in ("L", "R"):
        for series in items(dataset, "ReferencedSeriesSequence"):
            stated.update(dict.fromkeys(_images_of(series), Laterality(whole)))
    return stated


def _is_another_patient(result: Dataset, replacement: Dataset) -> bool:
    """By ID, birth date or name; what is not stated contradicts nothing, but for the ID."""
    if text(result, "PatientID") != text(replacement, "PatientID"):
        return True
    pairs = ((text(result, keyword), text(replacement, keyword)) for keyword in ("PatientBirthDate", "PatientName"))
    return any(before != now for before, now in pairs if before and now)


def _images_of(dataset: Dataset) -> Iterator[str]:
    for item in within(dataset):
        if uid := text(item, "ReferencedSOPInstanceUID"):
            yield uid


def _reference(result: Dataset) -> Dataset:
    """What highdicom must know of an object to point at it; nothing of the patient that it names."""
    reference = stand_in(result, (result.get("Rows", 1), result.get("Columns", 1)))
    reference.SOPClassUID = result.SOPClassUID
    if "Rows" not in result:
        del reference.Rows, reference.Columns
    return reference
