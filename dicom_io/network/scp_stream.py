"""The part of pynetdicom's upper layer that makes a receiver fast and small, replaced by subclasses.

As it comes, pynetdicom reads the socket 4096 bytes at a time, copies every PDU five times on the way to its handler,
lets a peer that stalls within a PDU hold its thread for ever, and either keeps whole data sets in memory or streams
them to a folder that cannot be chosen (`_config.STORE_RECV_CHUNKED_DATASET`, a switch for the whole process). Here the
bytes of a C-STORE's data set go from the socket into the buffer of their file and nowhere else, and one request of an
association is answered before the next is read: the node's window is 1 (PS3.7 section D.3.3.3), and a sender that sends
ahead waits where TCP lets it wait. Everything else (the state machine, association control, answers) stays
pynetdicom's. `StreamingHandler` is given to its server as `request_handler`; what it leans on beyond the documented
interface is a handful of names, here, in scp_socket.py (where the bytes go) and in scp_messages.py (what they say).
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
# PS3.8 section 9.2: what is known of the association's state
_ESTABLISHED = "Sta6"  # ready for data transfer
_ENDING = "Sta13"  # awaiting that the peer closes the connection
_LARGEST_OTHER_PDU = 1 << 20  # an A-ASSOCIATE-RQ of 128 contexts with 40 transfer syntaxes each takes 0.2 MB
_AWAY_BYTES = 1 << 16


class ReceivingServer(Gate):
    """A server that also knows where data sets go, and what its associations take."""

    open_file: OpenFile
    takes: list[PresentationContext]


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


class _Knocking(queue.Queue[Any]):
    """A queue that also wakes whoever waits for messages: what is put here is the end of an association."""

    def __init__(self, messages: queue.Queue[Any]) -> None:
        super().__init__()
        self._messages = messages

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._messages.put((None, None))


class _TolerantStateMachine(StateMachine):
    """Passes over an event that cannot occur in its state (PS3.8 Table 9-10), for which pynetdicom ends the thread.

    The association's thread answers while this one reads that the peer has gone: the answer comes after the end.
    """

    def do_action(self, event: str) -> None:
        if (event, self.current_state) in TRANSITION_TABLE:
            super().do_action(event)
            return
        with suppress(queue.Empty):
            while True:
                self.dul.to_provider_queue.get_nowait()


class StreamingDUL(DULServiceProvider):
    """Reads messages without pynetdicom's queues and state machine between their PDUs, one at a time.

    It also waits for the socket where pynetdicom asks it a thousand times a second: sixteen associations that nobody
    uses would cost half a core, and the more senders there are the more each would be in the others' way.
    """

    def __init__(self, association: Association, on_end: Callable[[], None]) -> None:
        super().__init__(association)
        self.state_machine = _TolerantStateMachine(self)
        self._on_end = on_end
        self.to_user_queue = _Knocking(self._dimse.msg_queue)
        self._bell, self._clapper = socket.socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)
        self._opened = self._over = False  # its request was read; whatever comes now is not looked at
        self._left = 0  # bytes of the P-DATA-TF that is being read
        self._dimse.on_done = self.ring

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

    def _is_transport_event(self) -> bool:
        stream = cast(LookaheadSocket, self.socket)
        if self.state_machine.current_state == _ESTABLISHED and stream.socket is not None:
            poll = select.poll()
            poll.register(self._bell, select.POLLIN)
            if not self._dimse.is_busy:
                poll.register(stream.socket, select.POLLIN)
            poll.poll(NAP_S * 1000)
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
            self.event_queue.put(CONNECTION_CLOSED)
        except ProtocolFault as fault:
            log.warning("association aborted: %s", fault)
            self._over = True
            self.event_queue.put(INVALID_PDU)

    def _read_away(self, stream: LookaheadSocket) -> None:
        """Reads what comes after the end, in which nothing is looked for; it is not answered by one more abort each."""
        if not stream.read_some(_AWAY_BYTES):
            self.event_queue.put(CONNECTION_CLOSED)

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
            self.event_queue.put(CONNECTION_CLOSED)
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
        if dimse.storing is None or control & COMMAND:
            dimse.take(context_id, control, stream.read_exactly(length))
        else:
            stream.read_into_file(dimse.storing, length)
            if control & LAST:
                dimse.complete()
        return left - 4 - int(size)
