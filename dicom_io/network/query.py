"""Queries a DICOM application for studies and their instances: C-FIND, Study Root model (PS3.4 section C.6.2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made from tables at run time
    StudyRootQueryRetrieveInformationModelFind,
)

from dicom_io.attributes import text
from dicom_io.errors import Unreachable
from dicom_io.network.holdings import HeldInstance
from dicom_io.network.peer import Peer

MODEL = StudyRootQueryRetrieveInformationModelFind


def find_studies(peer: Peer, keyword: str, value: str) -> list[str]:
    """The Study Instance UIDs of the studies whose attribute `keyword` is `value`.

    Raises:
        Unreachable: no answer in time.
        Rejected: the peer refuses the association or the C-FIND.
    """
    with _querying(peer) as query:
        # A peer that does not support a key returns all its studies.
        matches = [match for match in query.matches("STUDY", **{keyword: value}) if text(match, keyword) == value]
    return list(dict.fromkeys(text(match, "StudyInstanceUID") for match in matches))


def find_instances(peer: Peer, study_instance_uid: str) -> list[HeldInstance]:
    """All instances of a study, queried series by series.

    Raises:
        Unreachable, Rejected: as for `find_studies`.
    """
    held: dict[str, HeldInstance] = {}
    with _querying(peer) as query:
        for series in query.matches("SERIES", StudyInstanceUID=study_instance_uid):
            above = {"StudyInstanceUID": study_instance_uid, "SeriesInstanceUID": text(series, "SeriesInstanceUID")}
            for image in query.matches("IMAGE", **above):
                uid = text(image, "SOPInstanceUID")
                held[uid] = HeldInstance(above["SeriesInstanceUID"], uid, text(image, "SOPClassUID"))
    return list(held.values())


_RETURN_KEYS = {
    "STUDY": ("StudyInstanceUID",),
    "SERIES": ("SeriesInstanceUID",),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID"),
}
"""The return keys of each level."""


@dataclass(frozen=True)
class _Query:
    peer: Peer
    association: Association

    def matches(self, level: str, **keys: str) -> list[Dataset]:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        for keyword in _RETURN_KEYS[level]:
            setattr(identifier, keyword, "")
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
        matches = []
        try:
            for answer, match in self.association.send_c_find(identifier, MODEL):
                self.peer.must_not_fail(answer)
                if match is not None and text(match, _RETURN_KEYS[level][0]):
                    matches.append(match)
        except RuntimeError as error:
            raise Unreachable(f"{self.peer} broke the association") from error
        return matches


@contextmanager
def _querying(peer: Peer) -> Iterator[_Query]:
    association = peer.associate([build_context(MODEL)])
    try:
        yield _Query(peer, association)
    finally:
        association.release()
