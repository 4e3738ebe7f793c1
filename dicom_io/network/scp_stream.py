"""The part of pynetdicom's upper layer that makes a receiver fast and small, replaced by subclasses.

As it comes, pynetdicom reads the socket 4096 bytes at a time, copies every PDU five times on the way to its handler,
lets a peer that stalls within a PDU hold its thread for ever, and either keeps whole data sets in memory or streams
them to a folder that cannot be chosen (`_config.STORE_RECV_CHUNKED_DATASET`, a switch for the whole process). Here the
bytes of a C-STORE's data set go from the socket into the buffer of their file and nowhere else, and one request of an
association is answered before the next is read: the node's window is 1 (PS3.7 section D.3.3.3), and a sender that sends
ahead waits where TCP lets it wait. Everything else (the state machine, association control, answers) stays
pynetdicom's. `StreamingHandler` is given to its server as `request_handler`; what it leans on beyond the documented
interface is a handful of names, all in this file.
"""

from __future__ import annotations

import logging
import queue
import re
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, cast

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, N_EVENT_REPORT_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP
from pynetdicom.pdu_primitives import P_DATA, _PDUPrimitiveType
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler

from dicom_io.network.answers import Answer, Status
from dicom_io.network.incoming import IncomingFile
from dicom_io.network.scp_gate import Gate

log = logging.getLogger(__name__)

_P_DATA_TF, _A_RELEASE_RQ, _A_ABORT = 0x04, 0x05, 0x07
# PS3.8 section 9.2: what is known of the association's state
_IDLE = "Sta1"  # without a connection
_ESTABLISHED = "Sta6"  # ready for data transfer
_ENDING = "Sta13"  # awaiting that the peer closes the connection
_CONNECTION_CLOSED = "Evt17"
_INVALID_PDU = "Evt19"
_NAP_S = 0.1  # how long a thread of an idle association sleeps at most before it looks at its timers
_LARGEST_OTHER_PDU = 1 << 20  # an A-ASSOCIATE-RQ of 128 contexts with 40 transfer syntaxes each takes 0.2 MB
_LARGEST_COMMAND = 1 << 16
_AWAY_BYTES = 1 << 16
LARGEST_REPORT = 1 << 20  # a storage commitment report takes some 150 bytes for each instance
# Many senders write a command and its data set in two calls with Nagle's algorithm on: the second waits until the first
# is acknowledged, and an acknowledgement that waits for company in its turn costs each small object 40 ms.
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_BAD_UID = Answer(Status.BAD_UID, "the request's UIDs are missing or are no UIDs")
_UID = re.compile(r"[0-9.]{1,64}")  # the intake looks closer
_COMMAND, _LAST = 0x01, 0x02  # the message control header's bits (PS3.8 Annex E.2)


class OpenFile(Protocol):
    """Opens the file for a data set that is about to come; what is `refused` beforehand is not written."""

    def __call__(self, command: Dataset, transfer_syntax_uid: str, refused: Answer | None) -> IncomingFile: ...


class ReceivingServer(Gate):
    """A server that also knows where data sets go, and what its associations take."""

    open_file: OpenFile
    takes: list[PresentationContext]


class ProtocolFault(Exception):
    """The peer sent what the protocol does not allow here."""


class StreamingHandler(RequestHandler):
    """Gives every new association the providers below, and the request that the gate has read."""

    server: ReceivingServer

    def setup(self) -> None:
        self._opening, self.request, self._key = self.request

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.acceptor.supported_contexts = self.server.takes
        # These would log the requests, and with them UIDs of patients' images.
        for event, handler in (
            (evt.EVT_DIMSE_RECV, standard_dimse_recv_handler),
            (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
            (evt.EVT_PDU_RECV, standard_pdu_recv_handler),
            (evt.EVT_PDU_SENT, standard_pdu_sent_handler),
        ):
            association.unbind(event, handler)
        association.dimse = StreamingDIMSE(association, self.server.open_file)
        association.dul = StreamingDUL(association, partial(self.server.places.leave, self._key))
        association.acse_timeout = association.ae.acse_timeout  # these two hand themselves to the new provider
        association.network_timeout = association.ae.network_timeout
        # Sockets come without a timeout: a peer that goes silent within a PDU would be waited for for ever.
        self.request.settimeout(association.ae.network_timeout)
        stream = LookaheadSocket(association, self.request)
        stream.put_back(self._opening)
        association.set_socket(stream)
        return association


class LookaheadSocket(AssociationSocket):
    """A socket whose first bytes may be read, and put back for somebody else to read; with a time for each PDU.

    Attributes:
        deadline: until when (time.monotonic) all that is asked for must have come; None: for ever. Without it a peer
            that sends a byte now and then would be waited for.
    """

    def __init__(self, association: Association, client_socket: socket.socket) -> None:
        super().__init__(association, client_socket)
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._put_back = b""
        self.deadline: float | None = None

    @property
    def _open_socket(self) -> socket.socket:
        if self.socket is None:
            raise ConnectionError
        return self.socket

    @property
    def ready(self) -> bool:
        """Whether something can be read. pynetdicom's select knows no descriptor above 1023."""
        if self._put_back:
            return True
        if self.socket is None:
            return False
        poll = select.poll()
        try:
            poll.register(self.socket, select.POLLIN)
        except (OSError, ValueError):
            self.event_queue.put(_CONNECTION_CLOSED)
            return False
        return bool(poll.poll(0))

    def put_back(self, data: bytes) -> None:
        self._put_back = data + self._put_back

    def recv(self, nr_bytes: int) -> bytearray:
        """`nr_bytes`, or fewer where the peer has closed the connection.

        Raises:
            TimeoutError: they did not come in time.
        """
        data = bytearray(nr_bytes)
        ahead = min(len(self._put_back), nr_bytes)
        data[:ahead] = self._put_back[:ahead]
        self._put_back = self._put_back[ahead:]
        read = ahead
        with memoryview(data) as view:
            while read < nr_bytes and (more := self._recv_into(view[read:])):
                read += more
        del data[read:]
        if _TCP_QUICKACK is not None:  # not sticky: asked for anew after every read
            self._open_socket.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)
        return data

    def read_some(self, most: int) -> bytes:
        """What has come, `most` bytes of it; none where the peer has closed the connection."""
        if self._put_back:
            data, self._put_back = self._put_back, b""
            return data
        return self._open_socket.recv(most)

    def read_exactly(self, size: int) -> bytes:
        """
        Raises:
            ConnectionError: the peer closed the connection before.
            TimeoutError: they did not come in time.
        """
        data = self.recv(size)
        if len(data) < size:
            raise ConnectionError
        return bytes(data)

    def read_into_file(self, file: IncomingFile, size: int) -> None:
        """Reads `size` bytes straight into the file's buffer.

        Raises:
            ConnectionError: the peer closed the connection before.
            TimeoutError: they did not come in time.
        """
        while size:
            with file.room(size) as room:
                read = self._recv_into(room)
            if not read:
                raise ConnectionError
            file.took(read)
            size -= read

    def _recv_into(self, view: memoryview) -> int:
        connection = self._open_socket
        if self.deadline is None:
            return connection.recv_into(view)
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        patience = connection.gettimeout()
        connection.settimeout(left if patience is None else min(left, patience))
        try:
            return connection.recv_into(view)
        finally:
            connection.settimeout(patience)


class StreamingDIMSE(DIMSEServiceProvider):
    """Puts the data set of a C-STORE into a file and lets its handler have the path.

    Two threads are at work: the one that reads the connection calls `take` and `complete`, the association's own calls
    `get_msg` and `send_msg`.

    Attributes:
        storing: the file of the data set that is being received; None between data sets.
        arrived: the files of complete data sets, by `Event.dataset_path`, until a handler takes them out.
    """

    def __init__(self, association: Association, open_file: OpenFile) -> None:
        super().__init__(association)
        self._open_file = open_file
        self.storing: IncomingFile | None = None
        self.arrived: dict[Path, IncomingFile] = {}
        self._handed_over = 0  # counted by the one thread
        self._taken = self._done = 0  # by the other

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer: the next is not read before."""
        return self._done < self._handed_over

    def get_msg(self, block: bool = False) -> Any:
        """The next message. Asked not to wait, it waits for a nap all the same: its caller does nothing but ask.

        Whoever asks has done with the message before.
        """
        self._has_done()
        if block:
            context_id, message = super().get_msg(block=True)
        else:
            try:
                context_id, message = self.msg_queue.get(timeout=_NAP_S)
            except queue.Empty:
                return None, None
        if message is not None:
            self._taken += 1
        return context_id, message

    def send_msg(self, primitive: Any, context_id: int) -> None:
        self._done = self._taken  # before the answer leaves: what it brings may be there at once
        super().send_msg(primitive, context_id)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Takes what a requestor's connection brings (C-GET); an acceptor's is read by StreamingDUL."""
        try:
            for context_id, value in primitive.presentation_data_value_list:
                self.take(context_id, value[0], value[1:])
        except ProtocolFault as fault:
            log.warning("association aborted: %s", fault)
            self.dul.event_queue.put(_INVALID_PDU)

    def take(self, context_id: int, control: int, fragment: bytes) -> None:
        """Takes one presentation data value.

        Raises:
            ProtocolFault: it is out of place, larger than anything of its kind, or cannot be read.
        """
        self.check(context_id, control, len(fragment))
        if not control & _COMMAND and self.storing is not None:
            self.storing.write(fragment)
            if control & _LAST:
                self.complete()
            return
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.context_id = context_id
        single = P_DATA()
        single.presentation_data_value_list.append((context_id, bytes([control]) + fragment))
        try:
            whole = self.message.decode_msg(single, self.assoc)
        except Exception as error:  # whatever a parser may stumble over
            raise ProtocolFault("a command that cannot be read") from error
        if whole:
            self._received(self.message)
        elif isinstance(self.message, C_STORE_RQ) and self.storing is None:
            self.storing = self._open(self.message, context_id)

    def check(self, context_id: int, control: int, size: int) -> None:
        """Sees that a presentation data value of `size` bytes belongs here, before it is read.

        Raises:
            ProtocolFault: it does not. Only a C-STORE may bring a large data set: nothing else may fill the memory.
        """
        message = self.message
        if message is not None and message.context_id != context_id:
            raise ProtocolFault("one message in two presentation contexts")
        begun = message is not None and message.__class__ is not DIMSEMessage  # its command is whole
        if control & _COMMAND:
            if begun:
                raise ProtocolFault("a command within a data set")
            if (0 if message is None else message.encoded_command_set.tell()) + size > _LARGEST_COMMAND:
                raise ProtocolFault("a command without an end")
        elif not begun:
            raise ProtocolFault("a data set that no request announced")
        elif self.storing is None:
            self._check_data(cast(DIMSEMessage, message), size)

    def complete(self) -> None:
        """Hands the request and its file over to the association's thread.

        Raises:
            ProtocolFault: no data set had begun.
        """
        file, message = self.storing, self.message
        if file is None or not isinstance(message, C_STORE_RQ):
            raise ProtocolFault("the end of a data set that never began")
        self.storing = None
        self.message = None
        request = _request(message)
        if request is None:
            file.discard()
            self._refuse(message)
            return
        self.arrived[file.path] = file
        request._dataset_path = file.path
        self._hand_over(message, request)

    def discard(self) -> None:
        """Removes what is left of a transfer that broke off."""
        if self.storing is not None:
            self.storing.discard()
            self.storing = None

    def _check_data(self, message: DIMSEMessage, size: int) -> None:
        if not isinstance(message, N_EVENT_REPORT_RQ) or message.data_set is None:
            raise ProtocolFault("a data set that no request announced")
        if message.data_set.tell() + size > LARGEST_REPORT:
            raise ProtocolFault("a report without an end")

    def _received(self, message: DIMSEMessage) -> None:
        """A message that is whole, and no C-STORE with a data set."""
        self.message = None
        if isinstance(message, C_STORE_RQ):
            request = _request(message)
            if request is None:
                self._refuse(message)
            else:
                self._hand_over(message, request)
            return
        try:
            primitive = message.message_to_primitive()
        except Exception as error:  # whatever its setters raise
            raise ProtocolFault("a message with an impossible parameter") from error
        if not isinstance(primitive, C_CANCEL):  # there is nothing that takes long enough to be cancelled
            self._hand_over(message, primitive)

    def _hand_over(self, message: DIMSEMessage, primitive: Any) -> None:
        self._handed_over += 1
        self.msg_queue.put((cast(int, message.context_id), primitive))

    def _refuse(self, request: C_STORE_RQ) -> None:
        """Answers a request whose UIDs no answer could repeat; it does not have to (PS3.7 table 9.1-1)."""
        response = C_STORE()
        response.MessageIDBeingRespondedTo = _message_id(request)
        response.Status = int(_BAD_UID.status)
        response.ErrorComment = _BAD_UID.comment  # type: ignore[assignment]
        super().send_msg(response, cast(int, request.context_id))

    def _has_done(self) -> None:
        if self._done < self._taken:
            self._done = self._taken
            if isinstance(self.dul, StreamingDUL):
                self.dul.ring()

    def _open(self, request: C_STORE_RQ, context_id: int) -> IncomingFile:
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            raise ProtocolFault("a C-STORE in a presentation context that was not accepted")
        refused = _BAD_UID if _request(request) is None else None
        return self._open_file(request.command_set, context.transfer_syntax[0], refused)


def _message_id(message: C_STORE_RQ) -> int:
    try:
        return int(message.command_set.MessageID)
    except Exception as error:  # whatever a parser may stumble over
        raise ProtocolFault("a C-STORE without a Message ID") from error


def _request(message: C_STORE_RQ) -> C_STORE | None:
    """What a C-STORE asks for; None where a UID is missing or is none. Its other parameters matter to nobody here."""
    try:
        named = (message.command_set.AffectedSOPClassUID, message.command_set.AffectedSOPInstanceUID)
    except Exception:  # noqa: BLE001 - whatever a parser may stumble over
        return None
    if not all(isinstance(uid, str) and _UID.fullmatch(uid) for uid in named):
        return None
    request = C_STORE()
    request.MessageID = _message_id(message)
    request.Priority = 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = named
    request.DataSet = BytesIO()  # pynetdicom takes no request for one without it
    return request


class _Knocking(queue.Queue[Any]):
    """A queue that also wakes whoever waits for messages: what is put here is the end of an association."""

    def __init__(self, messages: queue.Queue[Any]) -> None:
        super().__init__()
        self._messages = messages

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._messages.put((None, None))


class StreamingDUL(DULServiceProvider):
    """Reads messages without pynetdicom's queues and state machine between their PDUs, one at a time.

    It also waits for the socket where pynetdicom asks it a thousand times a second: sixteen associations that nobody
    uses would cost half a core, and the more senders there are the more each would be in the others' way.
    """

    def __init__(self, association: Association, on_end: Callable[[], None]) -> None:
        super().__init__(association)
        self._on_end = on_end
        self.to_user_queue = _Knocking(self._dimse.msg_queue)
        self._bell, self._clapper = socket.socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)
        self._opened = self._over = False  # its request was read; whatever comes now is not looked at
        self._left = 0  # bytes of the P-DATA-TF that is being read

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        finally:
            self._dimse.discard()
            self._bell.close()
            self._clapper.close()
            self._on_end()

    def ring(self) -> None:
        """Wakes the reactor: there is something to send, or the next request may be read."""
        with suppress(OSError):  # full: it rings already; closed: the reactor has ended
            self._clapper.send(b"!")

    def send_pdu(self, primitive: _PDUPrimitiveType) -> None:
        super().send_pdu(primitive)
        self.ring()

    def _send(self, pdu: Any) -> None:
        if isinstance(pdu, A_RELEASE_RP | A_ABORT_RQ | A_ASSOCIATE_RJ):
            self._on_end()  # whoever hears this may be back at once
        super()._send(pdu)

    def _process_recv_primitive(self) -> bool:
        if self.state_machine.current_state in (_IDLE, _ENDING):
            # An answer of the association's thread that comes after the end: the state machine would raise.
            with suppress(queue.Empty):
                while True:
                    self.to_provider_queue.get_nowait()
            return False
        return super()._process_recv_primitive()

    def _is_transport_event(self) -> bool:
        stream = cast(LookaheadSocket, self.socket)
        if self.state_machine.current_state == _ESTABLISHED and stream.socket is not None:
            poll = select.poll()
            poll.register(self._bell, select.POLLIN)
            if not self._dimse.is_busy:
                poll.register(stream.socket, select.POLLIN)
            poll.poll(_NAP_S * 1000)
            with suppress(BlockingIOError):
                self._bell.recv(4096)
            if self._dimse.is_busy or not self.to_provider_queue.empty():
                return False
        return super()._is_transport_event()

    @property
    def _dimse(self) -> StreamingDIMSE:
        return cast(StreamingDIMSE, self.assoc.dimse)

    def _read_pdu_data(self) -> None:
        """Reads as far as the next message is whole."""
        stream = cast(LookaheadSocket, self.socket)
        try:
            if self._over or self.state_machine.current_state == _ENDING:
                self._read_away(stream)
                return
            while self._read_on(stream) and self.to_provider_queue.empty():
                self._idle_timer.restart()
        except OSError:
            log.info("a sender broke the connection off or went silent in the middle of a message")
            self.event_queue.put(_CONNECTION_CLOSED)
        except ProtocolFault as fault:
            log.warning("association aborted: %s", fault)
            self._over = True
            self.event_queue.put(_INVALID_PDU)

    def _read_away(self, stream: LookaheadSocket) -> None:
        """Reads what comes after the end, in which nothing is looked for; it is not answered by one more abort each."""
        if not stream.read_some(_AWAY_BYTES):
            self.event_queue.put(_CONNECTION_CLOSED)

    def _read_on(self, stream: LookaheadSocket) -> bool:
        """Reads one presentation data value, or one PDU of another kind, and says whether more belongs to it."""
        if not self._left and not self._begin_pdu(stream):
            return False
        self._left = self._read_fragment(stream, self._left)
        return not self._dimse.is_busy and (self._left > 0 or self._dimse.storing is not None)

    def _begin_pdu(self, stream: LookaheadSocket) -> bool:
        """Reads the head of a PDU; all of it where it brings no message."""
        patience = self.network_timeout
        stream.deadline = None if patience is None else time.monotonic() + patience
        head = bytes(stream.recv(6))
        if len(head) < 6:
            self.event_queue.put(_CONNECTION_CLOSED)
            return False
        kind, left = struct.unpack(">BxL", head)
        if left > _LARGEST_OTHER_PDU and (kind != _P_DATA_TF or self._dimse.storing is None):
            raise ProtocolFault(f"a PDU of {left} bytes")
        if kind == _P_DATA_TF and self.state_machine.current_state == _ESTABLISHED:
            if patience is not None:  # as long again for each PDU's worth, where one is larger than was agreed
                stream.deadline = time.monotonic() + patience * max(1, left / self.assoc.acceptor.maximum_length)
            self._left = left
            return bool(left)
        if not self._opened:  # the request that the gate has put in order
            self._opened = True
        else:
            # pynetdicom's parser and state machine raise where these are not as they should be, and end their thread.
            if kind not in (_A_RELEASE_RQ, _A_ABORT):
                raise ProtocolFault("a PDU that has no place here")
            stream.read_exactly(left)
            self._over = True
            head = struct.pack(">BxL4x", kind, 4)
        stream.put_back(head)
        super()._read_pdu_data()
        return False

    def _read_fragment(self, stream: LookaheadSocket, left: int) -> int:
        """Reads one presentation data value and says what is left of its PDU."""
        if left < 6:
            raise ProtocolFault("a presentation data value without a header")
        size, context_id, control = struct.unpack(">LBB", stream.read_exactly(6))
        if size < 2 or 4 + size > left:
            raise ProtocolFault("a presentation data value out of place")
        dimse, length = self._dimse, int(size) - 2
        dimse.check(context_id, control, length)
        if dimse.storing is None or control & _COMMAND:
            dimse.take(context_id, control, stream.read_exactly(length))
        else:
            stream.read_into_file(dimse.storing, length)
            if control & _LAST:
                dimse.complete()
        return left - 4 - int(size)
