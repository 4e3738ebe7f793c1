"""Why a rejection note rejects objects (IHE RAD TF-3 4.66, Imaging Object Change Management). Imports no DICOM library,
because the database tables use it."""

from __future__ import annotations

from enum import StrEnum


class RejectionReason(StrEnum):
    """The title of a rejection note: a code of CID 7010, scheme DCM."""

    QUALITY = "113001"
    PATIENT_SAFETY = "113037"
    WRONG_WORKLIST_ENTRY = "113038"
    RETENTION_EXPIRED = "113039"

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]

    @property
    def excludes(self) -> bool:
        """Whether the images that are named count no more. That a retention policy expired says nothing of them."""
        return self is not RejectionReason.RETENTION_EXPIRED


_MEANINGS = {
    RejectionReason.QUALITY: "Rejected for Quality Reasons",
    RejectionReason.PATIENT_SAFETY: "Rejected for Patient Safety Reasons",
    RejectionReason.WRONG_WORKLIST_ENTRY: "Incorrect Modality Worklist Entry",
    RejectionReason.RETENTION_EXPIRED: "Data Retention Policy Expired",
}
