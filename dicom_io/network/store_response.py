"""The answer to a Store Transaction (STOW-RS): the Store Instances Response Module (PS3.18 section I.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from pydicom import Dataset

from dicom_io.network.answers import Status


class NoSuchKind(IntEnum):
    """Failure Reasons of what the node does not receive (PS3.18 table I.2-2)."""

    SOP_CLASS = 0x0122
    TRANSFER_SYNTAX = 0xC122


OUT_OF_RESOURCES = frozenset({Status.NO_SPACE, Status.NO_STORAGE})
"""Failure Reasons of a want that may pass: send again."""


@dataclass(frozen=True)
class Stored:
    """What became of one instance.

    Attributes:
        sop_class_uid, sop_instance_uid: "" where the instance could not be read so far.
        failure: the Failure Reason (0008,1197), a DIMSE status; None: it is stored.
    """

    sop_class_uid: str
    sop_instance_uid: str
    failure: int | None = None

    @property
    def is_named(self) -> bool:
        return bool(self.sop_class_uid and self.sop_instance_uid)


def http_status(outcomes: Sequence[Stored]) -> int:
    """200: all are stored; 202: some are; 409: none is; 503: none is, but they may be if they are sent again (PS3.18
    table 10.5.3-1)."""
    failures = [outcome.failure for outcome in outcomes if outcome.failure is not None]
    if not failures:
        return 200
    if len(failures) < len(outcomes):
        return 202
    return 503 if OUT_OF_RESOURCES.issuperset(failures) else 409


def response_dataset(outcomes: Sequence[Stored]) -> Dataset:
    """The module as a data set. Received instances cannot be retrieved from the node: Retrieve URL is empty."""
    answer = Dataset()
    answer.RetrieveURL = ""
    stored = [_reference(outcome) for outcome in outcomes if outcome.failure is None]
    failed = [_reference(outcome) for outcome in outcomes if outcome.failure is not None and outcome.is_named]
    others = [_reference(outcome) for outcome in outcomes if outcome.failure is not None and not outcome.is_named]
    if stored:
        answer.ReferencedSOPSequence = stored
    if failed:
        answer.FailedSOPSequence = failed
    if others:
        answer.OtherFailuresSequence = others
    return answer


def _reference(outcome: Stored) -> Dataset:
    item = Dataset()
    if outcome.is_named:
        item.ReferencedSOPClassUID = outcome.sop_class_uid
        item.ReferencedSOPInstanceUID = outcome.sop_instance_uid
    if outcome.failure is None:
        item.RetrieveURL = ""
    else:
        item.FailureReason = int(outcome.failure)
    return item
