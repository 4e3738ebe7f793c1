"""A DIMSE service provider that writes the data sets of C-STORE requests into files (see scp_stream.py)."""

from __future__ import annotations

import logging
import queue
import re
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, cast

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, N_EVENT_REPORT_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, C_ECHO, C_STORE, N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made from tables at run time
    StorageCommitmentPushModel,
    Verification,
    uid_to_service_class,
)

from dicom_io.network.answers import Answer, Status
from dicom_io.network.incoming import IncomingFile
from dicom_io.network.priority import priority_of

log = logging.getLogger(__name__)

INVALID_PDU = "Evt19"
UNRECOGNISED_OPERATION = 0x0211
"""The status for an operation that was not negotiated (PS3.7 Annex C)."""
_SERVED: dict[type, str] = {C_ECHO: Verification, N_EVENT_REPORT: StorageCommitmentPushModel}
"""The SOP class of each request besides C-STORE (PS3.4 Annexes A and J)."""
COMMAND, LAST = 0x01, 0x02  # the message control header's bits (PS3.8 Annex E.2)
NAP_S = 0.1  # the longest sleep of an idle association's thread before it checks its timers
LARGEST_REPORT = 1 << 20  # a storage commitment report takes some 150 bytes for each instance
_LARGEST_COMMAND = 1 << 16
_BAD_UID = Answer(Status.BAD_UID, "the request's UIDs are missing or are no UIDs")
_NOT_OF_STORAGE = Answer(Status.DOES_NOT_MATCH, "the request names a SOP class that is none of storage")
_UID = re.compile(r"[0-9.]{1,64}")  # the intake checks them fully


class OpenFile(Protocol):
    """Opens the file for the next data set. If `refused` is given, the data set is discarded."""

    def __call__(
        self, calling_ae_title: str, command: Dataset, transfer_syntax_uid: str, refused: Answer | None
    ) -> IncomingFile: ...


class ProtocolFault(Exception):
    """The peer violated the protocol."""


class StreamingDIMSE(DIMSEServiceProvider):
    """Writes the data set of a C-STORE into a file, and gives its handler the path.

    Used by two threads: the one that reads the connection calls `take` and `complete`; the association's thread calls
    `get_msg` and `send_msg`.

    Attributes:
        storing: the file of the data set that is being received; None between data sets.
        arrived: the files of complete data sets by `Event.dataset_path`, until a handler removes them.
        on_done: called when a request has been handled and the next may be read.
        user: that the sender proved to act for; "" if none was demanded.
    """

    def __init__(self, association: Association, open_file: OpenFile, user: str = "") -> None:
        super().__init__(association)
        self.user = user
        self._open_file = open_file
        self.storing: IncomingFile | None = None
        self.arrived: dict[Path, IncomingFile] = {}
        self.on_done: Callable[[], None] | None = None
        self._handed_over = 0  # counted by the reading thread
        self._taken = self._done = 0  # counted by the association's thread

    @property
    def is_busy(self) -> bool:
        """Whether a request is not answered yet; the next is read after the answer."""
        return self._done < self._handed_over

    def get_msg(self, block: bool = False) -> Any:
        """The next message. With block=False it still waits up to NAP_S, because its caller only polls.

        The call also means that the previous message has been handled.
        """
        self._count_done()
        if block:
            context_id, message = super().get_msg(block=True)
        else:
            try:
                context_id, message = self.msg_queue.get(timeout=NAP_S)
            except queue.Empty:
                return None, None
        if message is not None:
            self._taken += 1
        return context_id, message

    def send_msg(self, primitive: Any, context_id: int) -> None:
        self._done = self._taken  # before sending: the next request may arrive at once
        super().send_msg(primitive, context_id)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Takes message data of an association that the node requested (C-GET); StreamingDUL reads accepted ones."""
        try:
            for context_id, value in primitive.presentation_data_value_list:
                self.take(context_id, value[0], value[1:])
        except ProtocolFault as fault:
            log.warning("association aborted: %s", fault)
            self.dul.event_queue.put(INVALID_PDU)

    def take(self, context_id: int, control: int, fragment: bytes) -> None:
        """Takes one presentation data value.

        Raises:
            ProtocolFault: it is unexpected, too large, or cannot be read.
        """
        self.check(context_id, control, len(fragment))
        if not control & COMMAND and self.storing is not None:
            self.storing.write(fragment)
            if control & LAST:
                self.complete()
            return
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.context_id = context_id
        fragment_only = P_DATA()
        fragment_only.presentation_data_value_list.append((context_id, bytes([control]) + fragment))
        try:
            whole = self.message.decode_msg(fragment_only, self.assoc)
        except Exception as error:  # a malformed command can raise anything
            raise ProtocolFault("a command that cannot be read") from error
        if whole:
            self._received(self.message)
        elif isinstance(self.message, C_STORE_RQ) and self.storing is None:
            self.storing = self._open(self.message, context_id)

    def check(self, context_id: int, control: int, size: int) -> None:
        """Checks, before it is read, that a presentation data value of `size` bytes is expected.

        Raises:
            ProtocolFault: it is not. Only a C-STORE may have a large data set, because others are kept in memory.
        """
        message = self.message
        if message is not None and message.context_id != context_id:
            raise ProtocolFault("one message in two presentation contexts")
        begun = message is not None and message.__class__ is not DIMSEMessage  # its command is whole
        if control & COMMAND:
            if begun:
                raise ProtocolFault("a command within a data set")
            if (0 if message is None else message.encoded_command_set.tell()) + size > _LARGEST_COMMAND:
                raise ProtocolFault("a command without an end")
        elif not begun:
            raise ProtocolFault("a data set that no request announced")
        elif self.storing is None:
            self._check_data(cast(DIMSEMessage, message), size)

    def complete(self) -> None:
        """Passes the request and its file to the association's thread.

        Raises:
            ProtocolFault: no data set was being received.
        """
        file, message = self.storing, self.message
        if file is None or not isinstance(message, C_STORE_RQ):
            raise ProtocolFault("the end of a data set that never began")
        self.storing = None
        self.message = None
        request = _request(message)
        if isinstance(request, Answer):
            file.discard()
            self._refuse(message, request)
            return
        self.arrived[file.path] = file
        request._dataset_path = file.path
        self._hand_over(message, request)

    def discard(self) -> None:
        """Deletes the file of an incomplete data set, and files that no handler took because the sender aborted."""
        files = [] if self.storing is None else [self.storing]
        self.storing = None
        with suppress(KeyError):
            while True:
                files.append(self.arrived.popitem()[1])
        for file in files:
            file.discard()

    def _check_data(self, message: DIMSEMessage, size: int) -> None:
        if not isinstance(message, N_EVENT_REPORT_RQ) or message.data_set is None:
            raise ProtocolFault("a data set that no request announced")
        if message.data_set.tell() + size > LARGEST_REPORT:
            raise ProtocolFault("a report without an end")

    def _received(self, message: DIMSEMessage) -> None:
        """Handles a complete message, except a C-STORE with a data set."""
        self.message = None
        if isinstance(message, C_STORE_RQ):
            request = _request(message)
            if isinstance(request, Answer):
                self._refuse(message, request)
            else:
                self._hand_over(message, request)
            return
        try:
            primitive = message.message_to_primitive()
        except Exception as error:  # its setters can raise anything
            raise ProtocolFault("a message with an impossible parameter") from error
        if isinstance(primitive, C_CANCEL):  # no operation of the node takes long enough to be cancelled
            return
        if primitive.MessageIDBeingRespondedTo is not None or _is_served(primitive):
            self._hand_over(message, primitive)
        else:
            self._unrecognised(message, primitive)

    def _hand_over(self, message: DIMSEMessage, primitive: Any) -> None:
        self._handed_over += 1
        self.msg_queue.put((cast(int, message.context_id), primitive))

    def _refuse(self, request: C_STORE_RQ, answer: Answer) -> None:
        """Answers a C-STORE whose UIDs are malformed, without repeating them, which is optional (PS3.7 table 9.1-1), or
        whose SOP class is not a storage class, for which pynetdicom would abort with a traceback."""
        response = C_STORE()
        response.MessageIDBeingRespondedTo = _message_id(request)
        response.Status = int(answer.status)
        response.ErrorComment = answer.comment  # type: ignore[assignment]
        super().send_msg(response, cast(int, request.context_id))

    def _unrecognised(self, message: DIMSEMessage, request: Any) -> None:
        """Answers a request of an operation that the node does not support. pynetdicom would choose the handler by the
        SOP class alone, and answer a C-FIND with a storage SOP class as a C-STORE."""
        if message.context_id not in self.assoc._accepted_cx or request.MessageID is None:
            raise ProtocolFault("a request that cannot be answered")
        response = type(request)()
        response.MessageIDBeingRespondedTo = request.MessageID
        response.Status = UNRECOGNISED_OPERATION
        super().send_msg(response, message.context_id)

    def _count_done(self) -> None:
        if self._done < self._taken:
            self._done = self._taken
            if self.on_done is not None:
                self.on_done()

    def _open(self, request: C_STORE_RQ, context_id: int) -> IncomingFile:
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            raise ProtocolFault("a C-STORE in a presentation context that was not accepted")
        parsed = _request(request)
        refused = parsed if isinstance(parsed, Answer) else None
        calling = self.assoc.requestor.ae_title.strip()
        return self._open_file(calling, request.command_set, context.transfer_syntax[0], refused)


def _is_served(request: Any) -> bool:
    return type(request) in _SERVED and request.AffectedSOPClassUID == _SERVED[type(request)]


def _message_id(message: C_STORE_RQ) -> int:
    try:
        return int(message.command_set.MessageID)
    except Exception as error:  # a malformed command can raise anything
        raise ProtocolFault("a C-STORE without a Message ID") from error


def _request(message: C_STORE_RQ) -> C_STORE | Answer:
    """The request of a C-STORE, or its refusal if a UID is missing or malformed or the SOP class is no storage class.
    Of its other parameters only the priority is used."""
    try:
        named = (message.command_set.AffectedSOPClassUID, message.command_set.AffectedSOPInstanceUID)
    except Exception:  # noqa: BLE001 - a malformed command can raise anything
        return _BAD_UID
    if not all(isinstance(uid, str) and _UID.fullmatch(uid) for uid in named):
        return _BAD_UID
    if uid_to_service_class(named[0]) is not StorageServiceClass:
        return _NOT_OF_STORAGE
    request = C_STORE()
    request.MessageID = _message_id(message)
    request.Priority = priority_of(message.command_set)
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = named
    request.DataSet = BytesIO()  # pynetdicom counts a request without it as invalid
    return request
