"""Retrieves studies from a DICOMweb service: QIDO-RS and WADO-RS (PS3.18 sections 10.6 and 10.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dicomweb_client import DICOMwebClient
from pydicom import Dataset

from dicom_io.attributes import text
from dicom_io.durable import FULL
from dicom_io.errors import Rejected
from dicom_io.network.holdings import FetchLimits, HeldInstance, Progress, Retrieved
from dicom_io.network.web_peer import WebPeer

_AS_STORED = (("application/dicom", "*"),)
"""Any transfer syntax, so that the service does not convert (PS3.18 section 8.7.3.5.2)."""
_PAGE = 1000


@dataclass(frozen=True)
class WebSource:
    """A DICOMweb service from which studies are retrieved.

    Attributes:
        limits: max_bytes limits every answer, not only instances.
    """

    peer: WebPeer
    limits: FetchLimits = field(default_factory=FetchLimits)

    def studies(self, keyword: str, value: str) -> list[str]:
        """The studies whose attribute `keyword` is `value`."""
        with self._client() as client, self.peer.answering():
            found = _all(
                "StudyInstanceUID",
                lambda offset: client.search_for_studies(
                    search_filters={keyword: value}, fields=[keyword], limit=_PAGE, offset=offset
                ),
            )
        # A service that does not support a key returns all its studies.
        return [uid for uid, match in found.items() if text(match, keyword) == value]

    def instances(self, study_instance_uid: str) -> list[HeldInstance]:
        """All instances that the service holds of a study."""
        with self._client() as client, self.peer.answering():
            found = _all(
                "SOPInstanceUID",
                lambda offset: client.search_for_instances(study_instance_uid, limit=_PAGE, offset=offset),
            )
        return [
            HeldInstance(text(match, "SeriesInstanceUID"), uid, text(match, "SOPClassUID"))
            for uid, match in found.items()
        ]

    def retrieve(
        self, study_instance_uid: str, wanted: Sequence[HeldInstance], folder: Path, progress: Progress
    ) -> Retrieved:
        """Retrieves one instance after another; at most one is in memory.

        Raises:
            Unreachable: no answer in time.
            NoRoom: the disk of `folder` is nearly full.
        """
        files: list[Path] = []
        faults = []
        with self._client() as client:
            for held in wanted:
                if not self.limits.has_room(folder):
                    raise self.limits.no_room(folder)
                try:
                    with self.peer.answering():
                        instance = client.retrieve_instance(
                            study_instance_uid, held.series_instance_uid, held.sop_instance_uid, _AS_STORED
                        )
                except Rejected as refusal:
                    faults.append(str(refusal))
                    continue
                files.append(folder / f"{len(files)}.dcm")
                try:
                    instance.save_as(files[-1], enforce_file_format=True)
                except OSError as error:
                    if error.errno in FULL:
                        raise self.limits.no_room(folder) from error
                    raise
                progress(len(files))
        return Retrieved(len(files), tuple(files), tuple(faults))

    @contextmanager
    def _client(self) -> Iterator[DICOMwebClient]:
        with self.peer.session(self.limits.max_bytes, "max_image_mb") as session:
            yield self.peer.client(session)


def _all(keyword: str, page: Callable[[int], list[dict[str, dict[str, object]]]]) -> dict[str, Dataset]:
    """The matches of all pages by UID. Paging ends with the first page without new matches."""
    found: dict[str, Dataset] = {}
    while True:
        matches = [Dataset.from_json(match) for match in page(len(found))]
        new = {uid: match for match in matches if (uid := text(match, keyword)) and uid not in found}
        if not new:
            return found
        found |= new
