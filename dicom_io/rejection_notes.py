"""Rejection notes of other systems: Key Object Selection documents that reject instances (IHE RAD TF-3 4.66; TID 2010).

The node's own are written by dicom_io/results/rejections.py, and never come back as input (safety rule 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from dicom_io.attributes import items, text
from dicom_io.errors import NotReadable
from dicom_io.rejection_reasons import RejectionReason
from dicom_io.segmentations import read_header


@dataclass(frozen=True)
class RejectionNote:
    """A rejection note.

    Attributes:
        instances: SOP Instance UIDs of what it rejects, one or more.
    """

    reason: RejectionReason
    instances: tuple[str, ...]


def is_rejection_note(header: Dataset) -> bool:
    """Whether a document is a rejection note, by its title; its content may not be read."""
    return _reason(header) is not None


def read_rejection_note(path: Path) -> RejectionNote:
    """Reads a rejection note. The node does so in a worker process, so this module imports no database.

    The references of the content count; where it has none, those of the evidence.

    Raises:
        NotReadable: it is none, or names no instance.
        OSError: the file cannot be read.
    """
    dataset = read_header(path)
    reason = _reason(dataset)
    found = _references(items(dataset, "ContentSequence"))
    if not found:
        studies = items(dataset, "CurrentRequestedProcedureEvidenceSequence")
        found = _references([series for study in studies for series in items(study, "ReferencedSeriesSequence")])
    if reason is None or not found:
        raise NotReadable("a rejection note that names no instance")
    return RejectionNote(reason, tuple(dict.fromkeys(found)))


def _reason(header: Dataset) -> RejectionReason | None:
    if text(header, "SOPClassUID") != KeyObjectSelectionDocumentStorage:
        return None
    titles = {
        text(title, "CodeValue")
        for title in items(header, "ConceptNameCodeSequence")
        if text(title, "CodingSchemeDesignator") == "DCM"
    }
    return next((reason for reason in RejectionReason if reason in titles), None)


def _references(holders: Iterable[Dataset]) -> list[str]:
    references = [reference for holder in holders for reference in items(holder, "ReferencedSOPSequence")]
    return [uid for reference in references if (uid := text(reference, "ReferencedSOPInstanceUID"))]
