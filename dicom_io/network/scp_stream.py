"""Subclasses of pynetdicom's upper layer that stream received data sets to disk.

Unchanged, pynetdicom reads 4096 bytes per call, copies every PDU five times, waits forever for a peer that stalls
within a PDU, and either keeps whole data sets in memory or streams them to a folder that cannot be chosen
(`_config.STORE_RECV_CHUNKED_DATASET`, a switch for the whole process). Here the bytes of a C-STORE's data set go from
the socket directly into the buffer of their file. Each request of an association is answered before the next is read:
the node's window is 1 (PS3.7 section D.3.3.3), and TCP flow control holds back a sender that sends ahead. The state
machine, association control and answers are pynetdicom's. `StreamingHandler` is passed to pynetdicom's server as
`request_handler`. The undocumented names of pynetdicom that are used occur here, in scp_socket.py (the socket) and in
scp_messages.py (the messages).
"""

from __future__ import annotations

import logging
import queue
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from pynetdicom import evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE, StateMachine
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP
from pynetdicom.pdu_primitives import _PDUPrimitiveType
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler

from dicom_io.network.scp_gate import Gate
from dicom_io.network.scp_messages import COMMAND, INVALID_PDU, LAST, NAP_S, OpenFile, ProtocolFault, StreamingDIMSE
from dicom_io.network.scp_socket import CONNECTION_CLOSED, LookaheadSocket

log = logging.getLogger(__name__)

_P_DATA_TF, _A_RELEASE_RQ, _A_ABORT = 0x04, 0x05, 0x07
# PS3.8 section 9.2: states of the association
_ESTABLISHED = "Sta6"  # ready for data transfer
_ENDING = "Sta13"  # waiting for the peer to close the connection
_LARGEST_OTHER_PDU = 1 << 20  # an A-ASSOCIATE-RQ of 128 contexts with 40 transfer syntaxes each takes 0.2 MB
_DISCARD_BYTES = 1 << 16


class ReceivingServer(Gate):
    """A server that also opens the files of data sets, and knows the supported presentation contexts."""

    open_file: OpenFile
    takes: list[PresentationContext]


class StreamingHandler(RequestHandler):
    """Gives each new association the providers below, and the request that the gate has read."""

    server: ReceivingServer

    def setup(self) -> None:
        self._opening, self.request, self._key, self._user = self.request

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.acceptor.supported_contexts = self.server.takes
        # These handlers would log the requests, which contain the UIDs of images.
        for event, handler in (
            (evt.EVT_DIMSE_RECV, standard_dimse_recv_handler),
            (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
            (evt.EVT_PDU_RECV, standard_pdu_recv_handler),
            (evt.EVT_PDU_SENT, standard_pdu_sent_handler),
        ):
            association.unbind(event, handler)
        association.dimse = StreamingDIMSE(association, self.server.open_file, self._user)
        association.dul = StreamingDUL(association, partial(self.server.leave, self._key))
        # These two setters pass their value on to the new provider.
        association.acse_timeout = association.ae.acse_timeout
        association.network_timeout = association.ae.network_timeout
        # Without a timeout, a peer that stops within a PDU would block the thread forever.
        self.request.settimeout(association.ae.network_timeout)
        stream = LookaheadSocket(association, self.request)
        stream.put_back(self._opening)
        association.set_socket(stream)
        return association


class _WakingQueue(queue.Queue[Any]):
    """The queue of primitives to the user. Its items end an association, so `put` also wakes `get_msg`."""

    def __init__(self, messages: queue.Queue[Any]) -> None:
        super().__init__()
        self._messages = messages

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._messages.put((None, None))


class _TolerantStateMachine(StateMachine):
    """Ignores an event that cannot occur in its state (PS3.8 Table 9-10); pynetdicom would end the thread.

    It occurs when the association's thread sends an answer while this thread reads that the peer has closed.
    """

    def do_action(self, event: str) -> None:
        if (event, self.current_state) in TRANSITION_TABLE:
            super().do_action(event)
            return
        with suppress(queue.Empty):
            while True:
                self.dul.to_provider_queue.get_nowait()


class StreamingDUL(DULServiceProvider):
    """Reads one message at a time, without pynetdicom's queues and state machine between its PDUs.

    It waits for the socket, where pynetdicom polls it 1000 times per second: sixteen idle associations would use half
    a core.
    """

    def __init__(self, association: Association, on_end: Callable[[], None]) -> None:
        super().__init__(association)
        self.state_machine = _TolerantStateMachine(self)
        self._on_end = on_end
        self.to_user_queue = _WakingQueue(self._dimse.msg_queue)
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._opened = self._over = False  # the request was read; the association has ended
        self._left = 0  # bytes of the P-DATA-TF that is being read
        self._dimse.on_done = self.wake

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        finally:
            self._dimse.discard()
            self._wake_read.close()
            self._wake_write.close()
            self._on_end()

    def wake(self) -> None:
        """Wakes the reactor: there is something to send, or the next request may be read."""
        with suppress(OSError):  # full: already woken; closed: the reactor has ended
            self._wake_write.send(b"!")

    def send_pdu(self, primitive: _PDUPrimitiveType) -> None:
        super().send_pdu(primitive)
        self.wake()

    def _send(self, pdu: Any) -> None:
        if isinstance(pdu, A_RELEASE_RP | A_ABORT_RQ | A_ASSOCIATE_RJ):
            self._on_end()  # before sending: the peer may associate again at once
        super()._send(pdu)

    def _is_transport_event(self) -> bool:
        stream = cast(LookaheadSocket, self.socket)
        if self.state_machine.current_state == _ESTABLISHED and stream.socket is not None:
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            if not self._dimse.is_busy:
                poll.register(stream.socket, select.POLLIN)
            poll.poll(0 if stream.has_decrypted and not self._dimse.is_busy else NAP_S * 1000)
            with suppress(BlockingIOError):
                self._wake_read.recv(4096)
            if self._dimse.is_busy or not self.to_provider_queue.empty():
                return False
        return super()._is_transport_event()

    @property
    def _dimse(self) -> StreamingDIMSE:
        return cast(StreamingDIMSE, self.assoc.dimse)

    def _read_pdu_data(self) -> None:
        """Reads until the next message is complete."""
        stream = cast(LookaheadSocket, self.socket)
        try:
            if self._over or self.state_machine.current_state == _ENDING:
                self._discard(stream)
                return
            while self._read_on(stream) and self.to_provider_queue.empty():
                self._idle_timer.restart()
        except OSError:
            log.info("a sender closed the connection or stopped sending within a message")
            self.event_queue.put(CONNECTION_CLOSED)
        except ProtocolFault as fault:
            log.warning("association aborted: %s", fault)
            self._over = True
            self.event_queue.put(INVALID_PDU)

    def _discard(self, stream: LookaheadSocket) -> None:
        """Discards what is received after the end of the association, without sending further aborts."""
        if not stream.read_some(_DISCARD_BYTES):
            self.event_queue.put(CONNECTION_CLOSED)

    def _read_on(self, stream: LookaheadSocket) -> bool:
        """Reads one presentation data value, or one PDU of another kind; returns whether to read on."""
        if not self._left and not self._begin_pdu(stream):
            return False
        self._left = self._read_fragment(stream, self._left)
        return not self._dimse.is_busy and (self._left > 0 or self._dimse.storing is not None)

    def _begin_pdu(self, stream: LookaheadSocket) -> bool:
        """Reads the header of a PDU; of a PDU that is no P-DATA-TF, all of it. Returns whether message data follows."""
        patience = self.network_timeout
        stream.deadline = None if patience is None else time.monotonic() + patience
        head = bytes(stream.recv(6))
        if len(head) < 6:
            self.event_queue.put(CONNECTION_CLOSED)
            return False
        kind, left = struct.unpack(">BxL", head)
        if left > _LARGEST_OTHER_PDU and (kind != _P_DATA_TF or self._dimse.storing is None):
            raise ProtocolFault(f"a PDU of {left} bytes")
        if kind == _P_DATA_TF and self.state_machine.current_state == _ESTABLISHED:
            if patience is not None:  # a PDU larger than negotiated gets proportionally more time
                stream.deadline = time.monotonic() + patience * max(1, left / self.assoc.acceptor.maximum_length)
            self._left = left
            return bool(left)
        if not self._opened:  # the request, which the gate has normalised
            self._opened = True
        else:
            # On a malformed or unexpected PDU, pynetdicom's parser or state machine raises, which ends its thread.
            if kind not in (_A_RELEASE_RQ, _A_ABORT):
                raise ProtocolFault("an unexpected PDU")
            stream.read_exactly(left)
            self._over = True
            head = struct.pack(">BxL4x", kind, 4)
        stream.put_back(head)
        super()._read_pdu_data()
        return False

    def _read_fragment(self, stream: LookaheadSocket, left: int) -> int:
        """Reads one presentation data value; returns how many bytes of its PDU are left."""
        if left < 6:
            raise ProtocolFault("a presentation data value without a header")
        size, context_id, control = struct.unpack(">LBB", stream.read_exactly(6))
        if size < 2 or 4 + size > left:
            raise ProtocolFault("a presentation data value longer than its PDU")
        dimse, length = self._dimse, int(size) - 2
        dimse.check(context_id, control, length)
        if dimse.storing is None or control & COMMAND:
            dimse.take(context_id, control, stream.read_exactly(length))
        else:
            stream.read_into_file(dimse.storing, length)
            if control & LAST:
                dimse.complete()
        return left - 4 - int(size)
