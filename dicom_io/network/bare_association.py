"""Whether a DICOM listener answers, asked without any library: for the health check of a container.

pynetdicom does the same with a hundred times the processor time, nearly all of it to be imported.
"""

from __future__ import annotations

import socket
import struct

_REQUEST, _ACCEPTED, _REJECTED, _RELEASE_REQUEST, _RELEASED = 0x01, 0x02, 0x03, 0x05, 0x06
_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_VERIFICATION = b"1.2.840.10008.1.1"
_IMPLICIT_VR_LITTLE_ENDIAN = b"1.2.840.10008.1.2"
_IMPLEMENTATION_CLASS_UID = b"2.25.66470839205836411463527304913823862551"
_MAX_PDU = 16384


def answers_associations(host: str, port: int, ae_title: str, timeout_s: float) -> bool:
    """Whether the listener there accepts or rejects an association for Verification (PS3.8 section 9.3), which is then
    released. Calling and called AE title are the same, as for a node that asks itself.

    Raises:
        OSError: nobody is there, or nobody answers in time.
    """
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        connection.sendall(_pdu(_REQUEST, _association_request(ae_title.encode("ascii"))))
        answer = _type_of_next(connection)
        if answer == _ACCEPTED:
            connection.sendall(_pdu(_RELEASE_REQUEST, bytes(4)))
            return _type_of_next(connection) == _RELEASED
        return answer == _REJECTED


def _association_request(ae_title: bytes) -> bytes:
    """The fields of an A-ASSOCIATE-RQ after its length (PS3.8 table 9-11, items of 9.3.2 and annex D.1)."""
    context = bytes((1, 0, 0, 0)) + _item(0x30, _VERIFICATION) + _item(0x40, _IMPLICIT_VR_LITTLE_ENDIAN)
    user = _item(0x51, struct.pack(">I", _MAX_PDU)) + _item(0x52, _IMPLEMENTATION_CLASS_UID)
    return (
        struct.pack(">HH16s16s32x", 1, 0, ae_title.ljust(16), ae_title.ljust(16))
        + _item(0x10, _APPLICATION_CONTEXT)
        + _item(0x20, context)
        + _item(0x50, user)
    )


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _pdu(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(content)) + content


def _type_of_next(connection: socket.socket) -> int | None:
    """The type of the next PDU, which is read to its end; None: the connection was closed, or it is no PDU."""
    header = _exactly(connection, 6)
    if header is None:
        return None
    kind, length = struct.unpack(">BxI", header)
    return kind if length <= _MAX_PDU and _exactly(connection, length) is not None else None


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    received = b""
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            return None
        received += part
    return received
