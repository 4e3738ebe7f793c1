"""Connections without an association block no sender, use no thread, and are answered whatever they send."""

from __future__ import annotations

import contextlib
import logging
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies
from wire import EXPLICIT, Wire, association_request, context, item, one_store, pdu

from dicom_io.network.places import NoPlace, Places
from dicom_io.network.scp import ListenerLimits
from dicom_io.network.scp_request import FIXED, NotARequest, length_of, names_in, tidy

VERIFICATION = "1.2.840.10008.1.1"
ACCEPTED, REJECTED, ABORTED, CLOSED = 2, 3, 7, None
SILENT = {"silent": b"", "a byte of a head": b"\1", "half a request": association_request()[:100], "HTTP": b"GET /"}


@contextlib.contextmanager
def connections(port: int, count: int, says: bytes = b"") -> Iterator[list[Wire]]:
    opened = [Wire.to(port) for _ in range(count)]
    for entry in opened:
        with contextlib.suppress(OSError):  # it may have been closed for a later one
            entry.send(says)
    yield opened
    for entry in opened:
        entry.socket.close()


@pytest.mark.parametrize("says", SILENT.values(), ids=SILENT)
def test_connections_without_an_association_block_no_sender_and_use_no_thread(listening_node, says: bytes):
    port, before = listening_node.listener.port, set(threading.enumerate())
    with connections(port, 100, says), Wire.to(port) as sender:
        assert sender.associate() == ACCEPTED  # and so all connections before it were accepted as well
        begun = set(threading.enumerate()) - before
        assert len(begun) <= 2, "the two of the sender's association"


def test_an_association_request_has_a_time_limit_even_if_it_arrives_byte_by_byte(start_node):
    node = start_node(listening=ListenerLimits(association_timeout_s=0.5))
    over = threading.Event()

    def drip(peer: Wire) -> None:
        for entry in association_request():
            if over.wait(0.05):
                return
            with contextlib.suppress(OSError):
                peer.send(bytes([entry]))

    with Wire.to(node.listener.port) as peer:
        dripping = threading.Thread(target=drip, args=(peer,))
        dripping.start()
        assert peer.pdu()[0] is CLOSED
        over.set()
        dripping.join()


def test_a_pdu_has_a_time_limit_even_if_it_arrives_byte_by_byte(start_node, mammogram, raw_bytes):
    node = start_node(listening=ListenerLimits(idle_timeout_s=0.5))
    over = threading.Event()

    def drip(peer: Wire) -> None:
        for entry in one_store(1, raw_bytes(mammogram())):
            if over.wait(0.02):
                return
            with contextlib.suppress(OSError):
                peer.send(bytes([entry]))

    with Wire.to(node.listener.port) as peer:
        assert peer.associate() == ACCEPTED
        dripping = threading.Thread(target=drip, args=(peer,))
        dripping.start()
        assert peer.pdu()[0] in (CLOSED, ABORTED)
        over.set()
        dripping.join()
    assert node.instances() == []


def test_probes_are_logged_once(listening_node, caplog):
    with caplog.at_level(logging.INFO):
        for _ in range(50):
            Wire.to(listening_node.listener.port).socket.close()
        for _ in range(3):
            with Wire.to(listening_node.listener.port) as stranger:
                assert stranger.associate(calling=b"STRANGER") == REJECTED
        with Wire.to(listening_node.listener.port) as sender:
            assert sender.associate() == ACCEPTED
    messages = [record.getMessage() for record in caplog.records]
    assert [line for line in messages if "closed before it sent anything" in line] == [
        "a connection from 127.0.0.1 was closed before it sent anything (logged once)"
    ]
    assert len([line for line in messages if "STRANGER" in line]) == 1


def test_a_large_request_of_an_unknown_ae_title_is_rejected_before_it_is_received(listening_node):
    with Wire.to(listening_node.listener.port) as peer:
        head = struct.pack(">BxLHH16s16s32x", 1, 900_000, 1, 0, b"NODE".ljust(16), b"STRANGER".ljust(16))
        peer.send(head)
        assert peer.pdu() == (REJECTED, bytes([0, 1, 1, 3]))


def test_an_address_has_a_limit_of_connections_and_a_closed_one_counts_no_more(start_node):
    node = start_node(listening=ListenerLimits(max_associations=8, max_associations_per_peer=2))
    with connections(node.listener.port, 3) as (first, second, third):
        assert [first.associate(), second.associate()] == [ACCEPTED, ACCEPTED]
        assert third.associate() == REJECTED
        first.send(pdu(5, bytes(4)))
        assert first.pdu()[0] == 6
        first.pdu()
        with Wire.to(node.listener.port) as fourth:
            assert fourth.associate() == ACCEPTED


def test_two_hundred_simultaneous_connections_are_served_or_rejected_and_the_listener_still_works(
    listening_node, mammogram
):
    kinds: list[int | None] = []

    def call() -> None:
        with Wire.to(listening_node.listener.port) as peer:
            kinds.append(peer.associate())

    calls = [threading.Thread(target=call) for _ in range(200)]
    for entry in calls:
        entry.start()
    for entry in calls:
        entry.join()
    assert len(kinds) == 200
    assert set(kinds) <= {ACCEPTED, REJECTED, CLOSED}
    assert kinds.count(ACCEPTED) >= 16
    assert listening_node.store(mammogram()).Status == 0x0000


ODD = {
    "titles padded with NUL": ({"calling": b"PACS".ljust(16, b"\0"), "called": b"NODE".ljust(16, b"\0")}, ACCEPTED),
    "a title with spaces before it": ({"calling": b"  PACS"}, ACCEPTED),
    "a version of 40 characters": ({"version": b"A_VERY_LONG_NAME_OF_A_VENDOR_VERSION_1.2"}, ACCEPTED),
    "no version": ({"version": b""}, ACCEPTED),
    "a version with a backslash": ({"version": b"\\EST"}, ACCEPTED),
    "a version of other letters": ({"version": "Gerät".encode()}, ACCEPTED),
    "an item nobody knows": ({"more": item(0xF3, b"own")}, ACCEPTED),
    "a role cut short": ({"more": item(0x54, b"\0\x40abc")}, ACCEPTED),
    "a user's name cut short": ({"more": item(0x58, b"\1\0\0")}, ACCEPTED),
    "a window of 0": ({"more": item(0x53, bytes(4))}, ACCEPTED),
    "an even number": ({"contexts": [context(2)]}, ABORTED),
    "number 0": ({"contexts": [context(0)]}, ABORTED),
    "a good number and an even one": ({"contexts": [context(1), context(4)]}, ABORTED),
    "one number twice": ({"contexts": [context(1), context(1)]}, ABORTED),
    "no context": ({"contexts": []}, ABORTED),
    "200 contexts": ({"contexts": [context(1)] * 200}, ABORTED),
    "a SOP class longer than a UID": ({"contexts": [context(1), context(3, "1.2." + "9" * 80)]}, ACCEPTED),
    "a SOP class that is no UID": ({"contexts": [context(1), context(3, "mammography")]}, ACCEPTED),
    "a UID padded with NUL": ({"contexts": [context(1, VERIFICATION + "\0", EXPLICIT + "\0")]}, ACCEPTED),
    "a transfer syntax that is no UID": ({"contexts": [context(1, VERIFICATION, "?", EXPLICIT)]}, ACCEPTED),
    "a PDU of 8 bytes at most": ({"more": item(0x51, struct.pack(">L", 8))}, ABORTED),
    "another node": ({"called": b"SOMEBODY"}, REJECTED),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_unusual_request_is_answered_at_once_and_the_next_is_served(start_node, odd: str):
    node = start_node(listening=ListenerLimits(association_timeout_s=60))  # a later answer fails here
    parts, kind = ODD[odd]
    with Wire.to(node.listener.port) as peer:
        assert peer.associate(**parts) == kind
    with Wire.to(node.listener.port) as peer:
        assert peer.associate() == ACCEPTED


@pytest.mark.parametrize(
    "says",
    [pdu(1, b"short"), struct.pack(">BxL", 1, 0xFFFFFFFF), pdu(2, bytes(80)), pdu(4, bytes(80)), b"\x16\x03\x01\0\0\1"],
    ids=["a short request", "one of gigabytes", "an acceptance", "data", "TLS"],
)
def test_bytes_that_are_no_association_request_are_aborted(listening_node, says: bytes):
    with Wire.to(listening_node.listener.port) as peer:
        peer.send(says)
        assert peer.pdu()[0] == ABORTED


@given(strategies.binary(max_size=200), strategies.integers(0, 200))
def test_any_bytes_are_recognised_as_a_request_or_refused(noise: bytes, at: int):
    request = association_request()
    request = request[:at] + noise + request[at + len(noise) :]
    with contextlib.suppress(NotARequest):
        length_of(request[:6])
        names_in(request[:FIXED])
        again = tidy(request)
        assert tidy(again) == again


def test_the_longest_waiting_connection_is_closed_for_a_new_one_and_a_working_one_never():
    places: Places[str] = Places(most=3, most_per_address=2)
    for holder, waits in (("old", True), ("young", True)):
        assert places.take(holder, "near", waits=waits) is None
    assert places.take("third", "near", waits=True) == "old"
    assert places.take("far", "far") is None
    places.note("young", waits=False)
    assert places.take("fourth", "elsewhere") == "third"
    with pytest.raises(NoPlace):
        places.take("fifth", "elsewhere")
    places.leave("far")
    assert places.take("fifth", "far") is None
