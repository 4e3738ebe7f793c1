"""The SCU: the node's requests to other applications (C-STORE, C-ECHO, C-FIND).

Files are streamed from disk unchanged (PS3.4 Annex B, PS3.7 section 9.1.1), and pixels are not decoded. An uncompressed
file is encoded again for a peer that accepts only the default transfer syntax, which all must accept (PS3.5 section
10.1), and for one that accepts a transfer syntax that is preferred for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made from tables at run time
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from dicom_io.attributes import numbers, text
from dicom_io.errors import NotAccepted, NotReadable, Rejected, Unreachable
from dicom_io.network.other_syntax import in_other_syntax
from dicom_io.network.peer import Peer
from dicom_io.pixels.file_meta import read_file_meta

_config.STORE_SEND_CHUNKED_DATASET = True  # pynetdicom's switch for streaming a file instead of decoding it

MAX_CONTEXTS = 128
"""Presentation contexts per association: their IDs are the odd numbers up to 255 (PS3.8 section 9.3.2.2)."""
SLOWEST_BYTES_PER_S = 250_000
"""The answer to a file may take the time-out plus the file size at this rate; a slower peer counts as hung."""
_NOT_DICOM = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    NotImplementedError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom raises for malformed File Meta Information."""
_LARGEST_COUNT = 2**31 - 1
"""The greatest value of an Integer String (PS3.5 section 6.2)."""


@dataclass(frozen=True)
class Content:
    """The presentation context that a file needs: its SOP class and transfer syntax."""

    sop_class_uid: UID
    transfer_syntax_uid: UID

    def otherwise(self) -> Content | None:
        """The same SOP class in the default transfer syntax, if only the encoding of elements changes; else None.

        It is proposed in a presentation context of its own: a peer that is offered both in one context may accept the
        default although it supports the file's transfer syntax.
        """
        if self.transfer_syntax_uid in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
            return Content(self.sop_class_uid, ImplicitVRLittleEndian)
        return None


def content_of(path: Path) -> Content:
    """The SOP class and transfer syntax of a DICOM file, from its File Meta Information.

    Raises:
        NotReadable: the file cannot be read, has no DICOM preamble, or its meta information lacks a UID.
    """
    try:
        meta, _ = read_file_meta(path)
        for keyword in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID"):
            if not UID(meta.get(keyword) or "").is_valid:
                raise NotReadable(f"it has no {keyword}")
        return Content(UID(meta.MediaStorageSOPClassUID), UID(meta.TransferSyntaxUID))
    except OSError as error:
        raise NotReadable(f"it cannot be read: {error.strerror}") from error
    except _NOT_DICOM as error:
        raise NotReadable("it is not a DICOM file") from error


class CStoreDestination:
    """A storage SCP. One association serves many sends. It is opened when it is needed and again after it broke.

    Not thread-safe. Use as a context manager, or call `close`.
    """

    def __init__(
        self, peer: Peer, contents: Iterable[Content] = (), preferred: Mapping[UID, Sequence[UID]] | None = None
    ) -> None:
        """
        Args:
            contents: what will be sent, if it is known in advance; at most one group of `batches`.
            preferred: by SOP class, the lossless transfer syntaxes in which uncompressed objects are sent rather than
                in their own; the first that the peer accepts.
        """
        self._peer = peer
        self._preferred = preferred or {}
        self._proposed = tuple(dict.fromkeys(contents))
        self._association: Association | None = None

    def __enter__(self) -> CStoreDestination:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, path: Path) -> str | None:
        """Sends one file. On return the destination has stored it; the warning with which it did, if there was one.

        Raises:
            Unreachable: no answer in time.
            Rejected: the destination refuses the association or this object, or the file is not DICOM.
            NotAccepted: the destination does not accept this SOP class or transfer syntax.
            OSError: the file could not be read.
        """
        try:
            content = content_of(path)
        except NotReadable as error:
            raise Rejected(f"it cannot be sent: {error}") from error
        association = self._association
        if association is not None and association.is_established and content in self._proposed:
            try:
                return self._send_over(association, path, content)
            except Unreachable:
                pass  # the idle association broke: a new one may work
        return self._send_over(self._opened(content), path, content)

    def open(self) -> None:
        """Opens the association in advance, to check that the peer accepts it.

        Raises:
            Unreachable, Rejected: as for `send`.
        """
        self._opened()

    def close(self) -> None:
        """Releases the association, if there is one."""
        association, self._association = self._association, None
        if association is not None:
            association.release()

    def _opened(self, *contents: Content) -> Association:
        """A new association for the contents proposed so far and `contents`."""
        self.close()
        wanted = tuple(dict.fromkeys((*self._proposed, *contents)))
        self._proposed = wanted if len(self._contexts(wanted)) <= MAX_CONTEXTS else contents
        self._association = self._peer.associate(self._contexts(self._proposed))
        return self._association

    def _send_over(self, association: Association, path: Path, content: Content) -> str | None:
        message = self._message(association, path, content)
        pace = SLOWEST_BYTES_PER_S if self._peer.pace is None else self._peer.pace.bytes_per_s
        association.dimse_timeout = self._peer.timeout_s + path.stat().st_size / min(pace, SLOWEST_BYTES_PER_S)
        try:
            answer = association.send_c_store(message)
        except RuntimeError as error:  # the association broke after the check
            raise Unreachable(f"{self._peer} broke the association") from error
        except OSError:  # of the file: part of it was sent, so the association cannot be used any more
            association.abort()
            raise
        # Pynetdicom, for a data set that contradicts its File Meta Information.
        except (AttributeError, ValueError) as error:
            raise Rejected("it cannot be sent: it cannot be written in the transfer syntax that was agreed") from error
        self._peer.must_not_fail(answer)
        return self._peer.warning(answer)

    def _contexts(self, contents: Iterable[Content]) -> list[PresentationContext]:
        """Those of `_contexts`, and one for each preferred transfer syntax."""
        own = list(contents)
        return _contexts([*own, *(other for content in own for other in self._rather(content))])

    def _rather(self, content: Content) -> list[Content]:
        """The contents as which an uncompressed object is sent if the peer accepts one of them."""
        if content.transfer_syntax_uid != ExplicitVRLittleEndian:
            return []
        return [Content(content.sop_class_uid, syntax) for syntax in self._preferred.get(content.sop_class_uid, ())]

    def _message(self, association: Association, path: Path, content: Content) -> Path | Dataset:
        """The path of the file, or its data set, which pynetdicom encodes in the transfer syntax of the accepted
        context."""
        for other in self._rather(content):
            if _accepts(association, other):
                return in_other_syntax(path, other.transfer_syntax_uid)
        if _accepts(association, content):
            return path
        otherwise = content.otherwise()
        if otherwise is None or not _accepts(association, otherwise):
            raise NotAccepted(
                f"{self._peer} does not accept {content.sop_class_uid.name} in {content.transfer_syntax_uid.name}"
                + (f" or {otherwise.transfer_syntax_uid.name}" if otherwise else "")
            )
        try:
            return dcmread(path)
        except _NOT_DICOM as error:
            raise Rejected("it cannot be sent: it is damaged") from error


@dataclass(frozen=True)
class Sent:
    """The result for one file: `error` is None if the peer stored it, else one sentence; `is_dicom` is False if the
    file is not DICOM and was not sent."""

    path: Path
    size_bytes: int
    error: str | None
    is_dicom: bool = True


def send_files(peer: Peer, paths: Sequence[Path]) -> Iterator[Sent]:
    """Sends files, and yields the result of each as soon as it is known; files that are not DICOM come first.

    Files are sent in the given order. If they need more than MAX_CONTEXTS presentation contexts together, they are sent
    over several associations, each of which keeps the order.

    Raises:
        Unreachable: no answer in time; the files that were not yielded were not sent.
        Rejected: the peer refuses the association.
    """
    contents: dict[Path, Content] = {}
    for path in paths:
        try:
            contents[path] = content_of(path)
        except NotReadable as error:
            yield Sent(path, 0, str(error), is_dicom=False)
    for batch in batches(contents.values()):
        with CStoreDestination(peer, batch) as destination:
            destination.open()
            for path in (path for path, content in contents.items() if content in batch):
                yield Sent(path, path.stat().st_size, _refusal(destination, path))


def batches(contents: Iterable[Content]) -> list[list[Content]]:
    """The distinct contents, in groups that fit into one association each."""
    groups: list[list[Content]] = []
    for content in dict.fromkeys(contents):
        if groups and len(_contexts([*groups[-1], content])) <= MAX_CONTEXTS:
            groups[-1].append(content)
        else:
            groups.append([content])
    return groups


def _contexts(contents: Iterable[Content]) -> list[PresentationContext]:
    """The proposed contexts: one per content, and one in the default transfer syntax where `otherwise` allows it."""
    own = list(contents)
    proposed = dict.fromkeys([*own, *(other for content in own if (other := content.otherwise()))])
    return [build_context(content.sop_class_uid, content.transfer_syntax_uid) for content in proposed]


def accepted_of(peer: Peer, contents: Sequence[Content]) -> list[Content]:
    """Those of the contents (at most MAX_CONTEXTS) that a peer accepts. Sends nothing.

    Raises:
        Unreachable: no answer in time.
        Rejected: it refuses the association.
    """
    try:
        association = peer.associate([build_context(each.sop_class_uid, each.transfer_syntax_uid) for each in contents])
    except NotAccepted:
        return []
    try:
        return [content for content in contents if _accepts(association, content)]
    finally:
        association.release()


def _refusal(destination: CStoreDestination, path: Path) -> str | None:
    try:
        destination.send(path)
    except Rejected as refusal:
        return str(refusal)
    return None


def echo(peer: Peer) -> None:
    """Verifies that a DICOM application answers (C-ECHO, PS3.4 Annex A).

    Raises:
        Unreachable: no answer in time.
        Rejected: it refuses the association or the C-ECHO.
    """
    association = peer.associate([build_context(Verification)])
    try:
        peer.must_not_fail(association.send_c_echo())
    except RuntimeError as error:
        raise Unreachable(f"{peer} broke the association") from error
    finally:
        association.release()


def count_instances(peer: Peer, study_instance_uid: str) -> int | None:
    """The number of instances that the source holds of a study: C-FIND at STUDY level (PS3.4 section C.6.2.1), Number
    of Study Related Instances (0020,1208); None if the source does not know the study, or returns no number.

    Raises:
        Unreachable: no answer in time.
        Rejected: it refuses the association or the query.
    """
    association = peer.associate([build_context(StudyRootQueryRetrieveInformationModelFind)])
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_instance_uid
    query.NumberOfStudyRelatedInstances = None
    count = None
    try:
        for answer, match in association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
            peer.must_not_fail(answer)
            if match is not None and text(match, "StudyInstanceUID") == study_instance_uid:
                count = _count(match)
    except RuntimeError as error:
        raise Unreachable(f"{peer} broke the association") from error
    finally:
        association.release()
    return count


def _count(match: Dataset) -> int | None:
    counts = numbers(match, "NumberOfStudyRelatedInstances")
    if len(counts) != 1 or not counts[0].is_integer() or not 0 <= counts[0] <= _LARGEST_COUNT:
        return None
    return int(counts[0])


def _accepts(association: Association, content: Content) -> bool:
    return any(
        context.abstract_syntax == content.sop_class_uid and content.transfer_syntax_uid in context.transfer_syntax
        for context in association.accepted_contexts
    )
