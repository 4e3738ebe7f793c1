"""Retrieves studies from a DICOM application by C-GET, or by C-MOVE to the node (PS3.4 section C.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pydicom import Dataset
from pynetdicom import build_role, evt
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made from tables at run time
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from pynetdicom.status import code_to_category

from dicom_io.attributes import number
from dicom_io.errors import Rejected, Unreachable
from dicom_io.network.answers import Answer, Status
from dicom_io.network.holdings import FetchLimits, HeldInstance, Progress, Retrieved
from dicom_io.network.incoming import IncomingFile, head_of
from dicom_io.network.peer import Peer
from dicom_io.network.query import find_instances, find_studies
from dicom_io.network.scp_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES
from dicom_io.network.scp_messages import LARGEST_REPORT, ProtocolFault, StreamingDIMSE
from dicom_io.network.scu import MAX_CONTEXTS

_GET = StudyRootQueryRetrieveInformationModelGet
_MOVE = StudyRootQueryRetrieveInformationModelMove
_MEANINGS = {
    0xA701: "it cannot count the matches",
    0xA702: "it cannot send",
    0xA801: "move destination unknown",
}
"""Statuses that only C-GET and C-MOVE have (PS3.4 tables C.4-2 and C.4-3)."""


@dataclass(frozen=True)
class DicomSource:
    """A PACS that is queried by C-FIND.

    Attributes:
        move_to: the AE title to which it sends the instances (C-MOVE); None: C-GET is used.
        limits: for C-GET.
    """

    peer: Peer
    move_to: str | None = None
    limits: FetchLimits = field(default_factory=FetchLimits)

    def studies(self, keyword: str, value: str) -> list[str]:
        """The studies whose attribute `keyword` is `value`."""
        return find_studies(self.peer, keyword, value)

    def instances(self, study_instance_uid: str) -> list[HeldInstance]:
        """All instances that the PACS holds of a study."""
        return find_instances(self.peer, study_instance_uid)

    def retrieve(
        self, study_instance_uid: str, wanted: Sequence[HeldInstance], folder: Path, progress: Progress
    ) -> Retrieved:
        """Retrieves series by series, which every PACS supports.

        Raises:
            Unreachable: no answer in time.
            Rejected: the PACS does not support this request, or does not know the node's AE title.
            NoRoom: the disk of `folder` is nearly full.
        """
        if self.move_to is None:
            return self._get(study_instance_uid, wanted, folder, progress)
        return self._move(study_instance_uid, wanted, self.move_to, progress)

    def _get(
        self, study_instance_uid: str, wanted: Sequence[HeldInstance], folder: Path, progress: Progress
    ) -> Retrieved:
        classes = sorted({held.sop_class_uid for held in wanted if held.sop_class_uid} or STORAGE_CLASSES)
        keeping = _Keeping(folder, progress, self.limits)
        association = self.peer.associate(
            [build_context(_GET), *_storage_contexts(classes)],
            roles=[build_role(uid, scp_role=True) for uid in classes],
            handlers=[(evt.EVT_CONN_OPEN, keeping.begin), (evt.EVT_C_STORE, keeping.store)],
        )
        ends = []
        try:
            for series, size in _by_series(study_instance_uid, wanted):
                *_, end = self._answers(association.send_c_get(series, _GET), size)
                ends.append(end)
        except ValueError as error:  # its context was not accepted
            raise Rejected(f'{self.peer} does not know C-GET: set retrieve = "c-move"') from error
        except (RuntimeError, Unreachable) as error:
            if keeping.is_full:
                raise self.limits.no_room(folder) from error
            raise Unreachable(f"{self.peer} broke the association, or did not answer in time") from error
        finally:
            association.release()
            keeping.end()
        faults = [*keeping.faults, *(fault for end in ends if (fault := end.fault))]
        return Retrieved(len(keeping.kept), tuple(keeping.kept.values()), tuple(faults))

    def _move(
        self, study_instance_uid: str, wanted: Sequence[HeldInstance], move_to: str, progress: Progress
    ) -> Retrieved:
        association = self.peer.associate([build_context(_MOVE)])
        ends: list[_Answer] = []
        try:
            for series, size in _by_series(study_instance_uid, wanted):
                before = sum(end.completed for end in ends)
                for answer in self._answers(association.send_c_move(series, move_to, _MOVE), size):
                    progress(before + answer.completed)
                ends.append(answer)
        except RuntimeError as error:
            raise Unreachable(f"{self.peer} broke the association") from error
        finally:
            association.release()
        completed = sum(end.completed for end in ends)
        faults = tuple(end.fault for end in ends if end.fault)
        if faults and not completed:
            raise Rejected(
                f"{faults[0]}: it must know the AE title {move_to} with the node's host and port, "
                f"and the node must have {self.peer.ae_title} among its senders"
            )
        return Retrieved(completed, faults=faults)

    def _answers(self, answers: Iterable[tuple[Dataset, Dataset | None]], size: int) -> Iterator[_Answer]:
        """The answers to the request for a series of `size` instances; the last is the final one."""
        for answer, _ in answers:
            if "Status" not in answer:
                self.peer.must_not_fail(answer)
            status, failed = int(answer.Status), int(number(answer, "NumberOfFailedSuboperations") or 0)
            counts = "NumberOfCompletedSuboperations" in answer  # the counts are optional, also in a success answer
            completed = size if status == Status.SUCCESS and not counts else _completed(answer)
            yield _Answer(str(self.peer), status, completed, failed)


@dataclass(frozen=True)
class _Answer:
    """The progress of the retrieval of one series: its sub-operations so far."""

    peer: str
    status: int
    completed: int
    failed: int

    @property
    def fault(self) -> str:
        """One sentence; empty if there is no fault."""
        if code_to_category(self.status) == "Failure":
            meaning = _MEANINGS.get(self.status, "failure")
            return f"{self.peer} answers with status 0x{self.status:04X} ({meaning})"
        if self.failed:
            total = self.completed + self.failed
            return (
                f"{self.peer} reports that {self.failed} of {total} sub-operations failed (status 0x{self.status:04X})"
            )
        return ""


def _completed(answer: Dataset) -> int:
    counts = ("NumberOfCompletedSuboperations", "NumberOfWarningSuboperations")
    return sum(int(number(answer, keyword) or 0) for keyword in counts)


def _by_series(study_instance_uid: str, wanted: Sequence[HeldInstance]) -> Iterator[tuple[Dataset, int]]:
    """The identifier for each series, and the number of its wanted instances."""
    for series_instance_uid, size in Counter(held.series_instance_uid for held in wanted).items():
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "SERIES"
        identifier.StudyInstanceUID = study_instance_uid
        identifier.SeriesInstanceUID = series_instance_uid
        yield identifier, size


def _storage_contexts(classes: Sequence[str]) -> list[PresentationContext]:
    """One context for each class and transfer syntax, so that the peer can send each image as it is stored. If there
    are more than fit into an association, the most usual transfer syntaxes."""
    pairs = [(uid, syntax) for syntax in TRANSFER_SYNTAXES for uid in classes]
    return [build_context(uid, syntax) for uid, syntax in pairs[: MAX_CONTEXTS - 1]]


class _RetrievingDIMSE(StreamingDIMSE):
    """Streams the data sets of a C-GET to disk, as the listener does."""

    def _check_data(self, message: DIMSEMessage, size: int) -> None:
        """The final answer of a C-GET may also have a data set: the UIDs that failed."""
        if message.data_set is not None and message.data_set.tell() + size > LARGEST_REPORT:
            raise ProtocolFault("an answer without an end")


@dataclass
class _Keeping:
    """The files of one C-GET.

    Attributes:
        kept: the files by SOP Instance UID.
        faults: why the node could not store the others.
        is_full: the disk has no room left; the association is aborted.
    """

    folder: Path
    progress: Progress
    limits: FetchLimits
    is_full: bool = False
    kept: dict[str, Path] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _dimse: StreamingDIMSE | None = None

    def begin(self, event: evt.Event) -> None:
        """Installs the streaming provider when the connection opens."""
        event.assoc.dimse = self._dimse = _RetrievingDIMSE(event.assoc, self._open)

    def end(self) -> None:
        """Deletes the file of an incomplete data set."""
        if self._dimse is not None:
            self._dimse.discard()

    def store(self, event: evt.Event) -> int:
        """Answers a C-STORE sub-operation."""
        file = cast(StreamingDIMSE, self._dimse).arrived.pop(event.dataset_path)
        try:
            file.finish()
            if file.fault is not None:
                self.is_full = file.fault.status is Status.NO_SPACE
                if self.is_full:  # the peer may ignore a C-CANCEL and send all further data sets
                    event.assoc.abort()
                    event.assoc.dimse.msg_queue.put((None, None))  # wakes the thread that waits for an answer
                self.faults.append(file.fault.comment)
                return int(file.fault.status)
            uid = str(cast(C_STORE, event.request).AffectedSOPInstanceUID)
            self.kept[uid] = file.path.rename(self.folder / f"{len(self.kept)}.dcm")
        finally:
            file.discard()
        self.progress(len(self.kept))
        return int(Status.SUCCESS)

    def _open(
        self, calling_ae_title: str, command: Dataset, transfer_syntax_uid: str, refused: Answer | None
    ) -> IncomingFile:
        if refused is None and not self.limits.has_room(self.folder):
            refused = Answer(Status.NO_SPACE, "disk nearly full (min_free_mb)")
        head = b"" if refused else head_of(command, transfer_syntax_uid)
        return IncomingFile(self.folder, head, self.limits.max_bytes, refused)
