"""The part of pynetdicom's upper layer that makes a receiver fast and small, replaced by subclasses.

As it comes, pynetdicom reads the socket 4096 bytes at a time, copies every PDU five times on the way to its handler,
lets a peer that stalls within a PDU hold its thread for ever, and either keeps whole data sets in memory or streams
them to a folder that cannot be chosen (`_config.STORE_RECV_CHUNKED_DATASET`, a switch for the whole process). Here the
bytes of a C-STORE's data set go from the socket into the buffer of their file and nowhere else. Everything else (the
state machine, association control, commands, answers) stays pynetdicom's. `StreamingHandler` is given to its server as
`request_handler`; what it leans on beyond the documented interface is a handful of names, all in this file.
"""

from __future__ import annotations

import logging
import queue
import select
import socket
import struct
from contextlib import suppress
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
from pynetdicom.dimse_messages import C_STORE_RQ, N_EVENT_REPORT_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA, _PDUPrimitiveType
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from dicom_io.network.incoming import IncomingFile, new_block

log = logging.getLogger(__name__)

_P_DATA_TF = 0x04
_ESTABLISHED = "Sta6"  # PS3.8 section 9.2: association established, ready for data transfer
_CONNECTION_CLOSED = "Evt17"
_INVALID_PDU = "Evt19"
_NAP_S = 0.1  # how long a thread of an idle association sleeps at most before it looks at its timers
_LARGEST_OTHER_PDU = 1 << 20  # an A-ASSOCIATE-RQ of 128 contexts with 40 transfer syntaxes each takes 0.2 MB
_LARGEST_COMMAND = 1 << 16
_LARGEST_REPORT = 1 << 20  # a storage commitment report takes some 150 bytes for each instance
# Many senders write a command and its data set in two calls with Nagle's algorithm on: the second waits until the first
# is acknowledged, and an acknowledgement that waits for company in its turn costs each small object 40 ms.
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_COMMAND, _LAST = 0x01, 0x02  # the message control header's bits (PS3.8 Annex E.2)


class OpenFile(Protocol):
    """Opens the file for a data set that is about to come; `block` is the association's buffer."""

    def __call__(self, command: Dataset, transfer_syntax_uid: str, block: memoryview) -> IncomingFile: ...


class ReceivingServer(ThreadedAssociationServer):
    """pynetdicom's server, which also knows where data sets go."""

    open_file: OpenFile


class ProtocolFault(Exception):
    """The peer sent what the protocol does not allow here."""


class StreamingHandler(RequestHandler):
    """Gives every new association the providers below."""

    server: ReceivingServer

    def _create_association(self) -> Association:
        association = super()._create_association()
        # These would log the requests, and with them UIDs of patients' images.
        for event, handler in (
            (evt.EVT_DIMSE_RECV, standard_dimse_recv_handler),
            (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
            (evt.EVT_PDU_RECV, standard_pdu_recv_handler),
            (evt.EVT_PDU_SENT, standard_pdu_sent_handler),
        ):
            association.unbind(event, handler)
        association.dimse = StreamingDIMSE(association, self.server.open_file)
        association.dul = StreamingDUL(association)
        association.acse_timeout = association.ae.acse_timeout  # these two hand themselves to the new provider
        association.network_timeout = association.ae.network_timeout
        # accept() leaves sockets without a timeout: a peer that goes silent within a PDU would be waited for for ever.
        self.request.settimeout(association.ae.network_timeout)
        association.set_socket(LookaheadSocket(association, self.request))
        return association


class LookaheadSocket(AssociationSocket):
    """A socket whose first bytes may be read, and put back for somebody else to read."""

    def __init__(self, association: Association, client_socket: socket.socket) -> None:
        super().__init__(association, client_socket)
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._put_back = b""

    @property
    def _open_socket(self) -> socket.socket:
        if self.socket is None:
            raise ConnectionError
        return self.socket

    def put_back(self, data: bytes) -> None:
        self._put_back = data

    def recv(self, nr_bytes: int) -> bytearray:
        """`nr_bytes`, or fewer where the peer has closed the connection."""
        data = bytearray(nr_bytes)
        ahead = min(len(self._put_back), nr_bytes)
        data[:ahead] = self._put_back[:ahead]
        self._put_back = self._put_back[ahead:]
        with memoryview(data) as view:
            read = ahead + self._read_into(view[ahead:])
        del data[read:]
        if _TCP_QUICKACK is not None:  # not sticky: asked for anew after every read
            self._open_socket.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)
        return data

    def read_exactly(self, size: int) -> bytes:
        """
        Raises:
            ConnectionError: the peer closed the connection before.
        """
        data = self.recv(size)
        if len(data) < size:
            raise ConnectionError
        return bytes(data)

    def read_into_file(self, file: IncomingFile, size: int) -> None:
        """Reads `size` bytes straight into the file's buffer.

        Raises:
            ConnectionError: the peer closed the connection before.
        """
        while size:
            with file.room(size) as room:
                read = self._open_socket.recv_into(room)
            if not read:
                raise ConnectionError
            file.took(read)
            size -= read

    def _read_into(self, view: memoryview) -> int:
        done = 0
        while done < len(view) and (read := self._open_socket.recv_into(view[done:])):
            done += read
        return done


class StreamingDIMSE(DIMSEServiceProvider):
    """Puts the data set of a C-STORE into a file and lets its handler have the path.

    Attributes:
        storing: the file of the data set that is being received; None between data sets.
        arrived: the files of complete data sets, by `Event.dataset_path`, until a handler takes them out.
    """

    def __init__(self, association: Association, open_file: OpenFile) -> None:
        super().__init__(association)
        self._open_file = open_file
        self.storing: IncomingFile | None = None
        self.arrived: dict[Path, IncomingFile] = {}
        self._block = new_block()

    def get_msg(self, block: bool = False) -> Any:
        """The next message. Asked not to wait, it waits for a nap all the same: its caller does nothing but ask."""
        if block:
            return super().get_msg(block=True)
        try:
            return self.msg_queue.get(timeout=_NAP_S)
        except queue.Empty:
            return None, None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Takes what does not come by the fast road: commands, and data sets in one PDU with their command."""
        try:
            for context_id, value in primitive.presentation_data_value_list:
                self._receive(context_id, value)
        except ProtocolFault as fault:
            log.warning("association aborted: %s", fault)
            self.dul.event_queue.put(_INVALID_PDU)

    def _receive(self, context_id: int, value: bytes) -> None:
        if self.storing is not None and not value[0] & _COMMAND:
            self.storing.write(memoryview(value)[1:])
            if value[0] & _LAST:
                self.complete()
            return
        self._check_bounds(value)
        single = P_DATA()
        single.presentation_data_value_list.append((context_id, value))
        super().receive_primitive(single)
        if isinstance(self.message, C_STORE_RQ) and value[0] & _COMMAND:
            self.storing = self._open(self.message, context_id)

    def complete(self) -> None:
        """Hands the request and its file over to the association's thread.

        Raises:
            ProtocolFault: the request lacks what it must have (PS3.7 section 9.3.1.1), or no data set had begun.
        """
        file, message = self.storing, self.message
        if file is None or message is None:
            raise ProtocolFault("the end of a data set that never began")
        try:
            request = cast(C_STORE, message.message_to_primitive())
        except (TypeError, ValueError) as error:
            raise ProtocolFault("a C-STORE with an impossible parameter") from error
        if not request.is_valid_request:
            raise ProtocolFault("a C-STORE that lacks a parameter")
        self.storing = self.message = None
        self.arrived[file.path] = file
        request._dataset_path = file.path
        self.msg_queue.put((cast(int, message.context_id), request))

    def discard(self) -> None:
        """Removes what is left of a transfer that broke off."""
        if self.storing is not None:
            self.storing.discard()
            self.storing = None

    def _open(self, request: C_STORE_RQ, context_id: int) -> IncomingFile:
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            raise ProtocolFault("a C-STORE in a presentation context that was not accepted")
        return self._open_file(request.command_set, context.transfer_syntax[0], self._block)

    def _check_bounds(self, value: bytes) -> None:
        """Only a C-STORE may bring a large data set here: nothing else may fill the memory."""
        if not value[0] & _COMMAND:
            report = self.message if isinstance(self.message, N_EVENT_REPORT_RQ) else None
            if report is None or report.data_set is None:
                raise ProtocolFault("a data set that no request announced")
            if report.data_set.tell() + len(value) > _LARGEST_REPORT:
                raise ProtocolFault("a report without an end")
        elif self.message is not None and self.message.encoded_command_set.tell() + len(value) > _LARGEST_COMMAND:
            raise ProtocolFault("a command without an end")


class _Knocking(queue.Queue[Any]):
    """A queue that also wakes whoever waits for messages: what is put here is the end of an association."""

    def __init__(self, messages: queue.Queue[Any]) -> None:
        super().__init__()
        self._messages = messages

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._messages.put((None, None))


class StreamingDUL(DULServiceProvider):
    """Reads the data sets of C-STOREs without pynetdicom's queues and state machine between their PDUs.

    It also waits for the socket where pynetdicom asks it a thousand times a second: sixteen associations that nobody
    uses would cost half a core, and the more senders there are the more each would be in the others' way.
    """

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self.to_user_queue = _Knocking(self._dimse.msg_queue)
        self._bell, self._clapper = socket.socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        finally:
            self._dimse.discard()
            self._bell.close()
            self._clapper.close()

    def send_pdu(self, primitive: _PDUPrimitiveType) -> None:
        super().send_pdu(primitive)
        with suppress(OSError):  # full: it rings already; closed: the reactor has ended
            self._clapper.send(b"!")

    def _is_transport_event(self) -> bool:
        stream = cast(LookaheadSocket, self.socket)
        if self.state_machine.current_state == _ESTABLISHED and stream.socket is not None:
            poll = select.poll()
            poll.register(stream.socket, select.POLLIN)
            poll.register(self._bell, select.POLLIN)
            poll.poll(_NAP_S * 1000)
            with suppress(BlockingIOError):
                self._bell.recv(4096)
            if not self.to_provider_queue.empty():
                return False
        return super()._is_transport_event()

    @property
    def _dimse(self) -> StreamingDIMSE:
        return cast(StreamingDIMSE, self.assoc.dimse)

    def _read_pdu_data(self) -> None:
        """Reads one PDU; or, within a data set, all its PDUs up to the last."""
        stream = cast(LookaheadSocket, self.socket)
        try:
            while self._read_fragments(stream) and self.to_provider_queue.empty():
                self._idle_timer.restart()
        except OSError:
            log.info("a sender broke the connection off or went silent in the middle of a message")
            self.event_queue.put(_CONNECTION_CLOSED)
        except ProtocolFault as fault:
            log.warning("association aborted: %s", fault)
            self.event_queue.put(_INVALID_PDU)

    def _read_fragments(self, stream: LookaheadSocket) -> bool:
        """Reads one PDU and says whether the next one belongs to the same data set."""
        head = bytes(stream.recv(6))
        if len(head) < 6:
            self.event_queue.put(_CONNECTION_CLOSED)
            return False
        kind, left = struct.unpack(">BxL", head)
        streaming = self._dimse.storing is not None and self.state_machine.current_state == _ESTABLISHED
        if kind != _P_DATA_TF or not streaming:
            if left > _LARGEST_OTHER_PDU:
                raise ProtocolFault(f"a PDU of {left} bytes")
            stream.put_back(head)
            super()._read_pdu_data()
            return False
        while left:
            left = self._read_fragment(stream, left)
        return self._dimse.storing is not None

    def _read_fragment(self, stream: LookaheadSocket, left: int) -> int:
        """Reads one presentation data value into the file and says what is left of its PDU."""
        if left < 6:
            raise ProtocolFault("a presentation data value without a header")
        size, _, control = struct.unpack(">LBB", stream.read_exactly(6))
        file = self._dimse.storing
        if size < 2 or 4 + size > left or control & _COMMAND or file is None:
            raise ProtocolFault("a presentation data value out of place")
        stream.read_into_file(file, size - 2)
        if control & _LAST:
            self._dimse.complete()
        return left - 4 - int(size)
