"""The node as SCU, against real pynetdicom peers on 127.0.0.1."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    SegmentationStorage,
    generate_uid,
)
from pynetdicom import AllStoragePresentationContexts, build_context, evt
from pynetdicom.dsutils import decode
from storing_pacs import CALLING, MG, Pacs

from dicom_io.errors import Rejected, Unreachable
from dicom_io.network.peer import Peer
from dicom_io.network.scu import MAX_CONTEXTS, CStoreDestination, send_files

pytestmark = pytest.mark.slow


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    peer = Pacs()
    peer.start()
    yield peer
    peer.stop()


@pytest.fixture
def a_file(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, sop_class: str = MG, syntax: str = ExplicitVRLittleEndian, rows: int = 8) -> Path:
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID = sop_class
        image.SOPInstanceUID = generate_uid(entropy_srcs=[name])
        image.Rows = image.Columns = rows
        image.BitsAllocated = image.BitsStored = 16
        image.SamplesPerPixel = 1
        image.PixelRepresentation = 0
        image.PhotometricInterpretation = "MONOCHROME2"
        image.PixelData = np.zeros((rows, rows), np.uint16).tobytes()
        if syntax != ExplicitVRLittleEndian:
            image.compress(syntax, generate_instance_uid=False)
        path = tmp_path / name
        image.save_as(path, enforce_file_format=True)
        return path

    return write


def uid_of(path: Path) -> str:
    return str(dcmread(path).SOPInstanceUID)


def data_set_of(path: Path) -> bytes:
    """The file's bytes after its meta information."""
    length = dcmread(path).file_meta.FileMetaInformationGroupLength
    return path.read_bytes()[128 + 4 + 12 + length :]


def test_a_file_is_sent_unchanged_in_its_transfer_syntax(pacs, a_file):
    path = a_file("j2k", syntax=JPEG2000Lossless, rows=64)
    with CStoreDestination(pacs.as_peer()) as destination:
        destination.send(path)
    assert pacs.kept[uid_of(path)] == (JPEG2000Lossless, data_set_of(path))


@pytest.fixture
def plain_pacs() -> Iterator[Pacs]:
    """A peer that supports only the default transfer syntax."""
    peer = Pacs()
    peer.ae.supported_contexts = []
    for sop_class in (MG, SegmentationStorage):
        peer.ae.add_supported_context(sop_class, ImplicitVRLittleEndian)
    peer.start()
    yield peer
    peer.stop()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_peer_with_only_the_default_transfer_syntax_gets_the_same_object_in_it(plain_pacs, a_file, syntax):
    path = a_file("image")
    sent = dcmread(path)
    sent.file_meta.TransferSyntaxUID = syntax
    sent.save_as(path, enforce_file_format=True)
    with CStoreDestination(plain_pacs.as_peer()) as destination:
        destination.send(path)
        destination.send(path)
    assert plain_pacs.associations == 1
    transfer_syntax, encoded = plain_pacs.kept[uid_of(path)]
    assert transfer_syntax == ImplicitVRLittleEndian
    arrived = decode(BytesIO(encoded), is_implicit_vr=True, is_little_endian=True)
    assert list(arrived.keys()) == list(sent.keys())
    assert {element.tag: element.value for element in arrived} == {element.tag: element.value for element in sent}


def test_a_compressed_file_is_never_converted_for_a_peer_that_does_not_accept_it(plain_pacs, a_file):
    with CStoreDestination(plain_pacs.as_peer()) as destination:
        destination.send(a_file("image"))
        with pytest.raises(Rejected, match=r"does not accept .* in JPEG 2000"):
            destination.send(a_file("j2k", syntax=JPEG2000Lossless, rows=64))


def test_a_file_that_contradicts_its_meta_information_is_not_converted_and_is_rejected(plain_pacs, a_file):
    path = a_file("image")
    odd = dcmread(path)
    odd.SOPClassUID = ComprehensiveSRStorage
    odd.save_as(path, enforce_file_format=False)
    assert dcmread(path).file_meta.MediaStorageSOPClassUID == MG
    with (
        CStoreDestination(plain_pacs.as_peer()) as destination,
        pytest.raises(Rejected, match="cannot be sent"),
    ):
        destination.send(path)


def test_many_files_are_sent_over_one_association(pacs, a_file):
    with CStoreDestination(pacs.as_peer()) as destination:
        for name in "abc":
            destination.send(a_file(name))
    assert len(pacs.kept) == 3
    assert pacs.associations == 1


def test_a_new_sop_class_opens_an_association_for_all_sop_classes_sent_so_far(pacs, a_file):
    image, segmentation = a_file("image"), a_file("segmentation", SegmentationStorage)
    with CStoreDestination(pacs.as_peer()) as destination:
        for path in (image, segmentation, image, segmentation):
            destination.send(path)
    assert pacs.associations == 2


def test_an_association_that_the_peer_closed_between_files_is_opened_again(pacs, a_file):
    with CStoreDestination(pacs.as_peer()) as destination:
        destination.send(a_file("first"))
        pacs.hang_up()
        destination.send(a_file("second"))
    assert len(pacs.kept) == 2


def test_a_warning_counts_as_sent(pacs, a_file):
    pacs.store_status = 0xB000
    with CStoreDestination(pacs.as_peer()) as destination:
        destination.send(a_file("coerced"))
    assert len(pacs.kept) == 1


def test_a_refusal_is_reported_with_its_status_and_without_uids(pacs, a_file):
    pacs.store_status = 0xA700
    path = a_file("refused")
    with (
        CStoreDestination(pacs.as_peer()) as destination,
        pytest.raises(Rejected, match=r"0xA700 .out of resources.") as refusal,
    ):
        destination.send(path)
    assert refusal.value.status == 0xA700
    assert uid_of(path) not in str(refusal.value)


def test_a_sop_class_that_the_peer_does_not_accept_is_reported_as_rejected(pacs, a_file):
    with (
        CStoreDestination(pacs.as_peer()) as destination,
        pytest.raises(Rejected, match="does not accept Comprehensive SR Storage"),
    ):
        destination.send(a_file("report", ComprehensiveSRStorage))


def test_a_result_that_is_no_dicom_file_is_rejected_and_the_deliverer_continues(pacs, tmp_path):
    (tmp_path / "torn").write_bytes(b"\0" * 128 + b"DICM")
    with (
        CStoreDestination(pacs.as_peer()) as destination,
        pytest.raises(Rejected, match="cannot be sent"),
    ):
        destination.send(tmp_path / "torn")


def test_a_wrong_called_ae_title_is_rejected_with_the_reason(pacs, a_file):
    pacs.ae.require_called_aet = True
    with (
        CStoreDestination(pacs.as_peer(ae_title="OTHER")) as destination,
        pytest.raises(Rejected, match=r"[Cc]alled AE title not recogni[sz]ed"),
    ):
        destination.send(a_file("image"))


def test_a_rejection_that_comes_before_the_node_waits_for_it_is_told_with_its_reason(pacs):
    """The thread that asks is held until the connection is closed again, as it is on a busy machine."""
    pacs.ae.require_called_aet = True
    closed = threading.Event()
    handlers = [(evt.EVT_CONN_CLOSE, lambda event: closed.set()), (evt.EVT_REQUESTED, lambda event: closed.wait(30))]
    with pytest.raises(Rejected, match=r"[Cc]alled AE title not recogni[sz]ed"):
        pacs.as_peer(ae_title="OTHER").associate([build_context(MG)], handlers=handlers)


def test_a_peer_that_does_not_listen_is_unreachable(closed_port, a_file):
    destination = CStoreDestination(Peer("PACS", "127.0.0.1", closed_port, 5, CALLING))
    with pytest.raises(Unreachable, match=f"PACS at 127.0.0.1:{closed_port}"):
        destination.send(a_file("image"))


def test_a_host_without_an_address_is_unreachable(a_file):
    destination = CStoreDestination(Peer("PACS", "no-such-host.invalid", 104, 5, CALLING))
    with pytest.raises(Unreachable):
        destination.send(a_file("image"))


def test_a_peer_that_never_answers_the_association_request_times_out(silent_port, a_file):
    destination = CStoreDestination(Peer("PACS", "127.0.0.1", silent_port, 0.3, CALLING))
    with pytest.raises(Unreachable):
        destination.send(a_file("image"))


def test_a_peer_that_never_answers_the_c_store_times_out(pacs, a_file):
    released = threading.Event()
    pacs._store = lambda event: released.wait(300) and 0x0000
    pacs.stop()
    pacs.start()
    try:
        with (
            CStoreDestination(pacs.as_peer(timeout_s=0.3)) as destination,
            pytest.raises(Unreachable),
        ):
            destination.send(a_file("image"))
    finally:
        released.set()


def test_a_peer_that_stops_reading_within_a_file_times_out(pacs, a_file):
    """The image is larger than the socket buffers, so that the sender itself blocks."""
    released = threading.Event()

    def freeze(event: evt.Event) -> None:
        if type(event.pdu).__name__ == "P_DATA_TF":
            released.wait(300)

    pacs._server.bind(evt.EVT_PDU_RECV, freeze)
    try:
        with (
            CStoreDestination(pacs.as_peer(timeout_s=0.3)) as destination,
            pytest.raises(Unreachable),
        ):
            destination.send(a_file("large", rows=4096))
    finally:
        released.set()


def test_send_files_names_what_is_not_dicom_and_sends_the_rest(pacs, a_file, tmp_path):
    readme = tmp_path / "readme.txt"
    readme.write_text("Not an image.")
    image, refused = a_file("image"), a_file("report", ComprehensiveSRStorage)
    sent = {s.path: s for s in send_files(pacs.as_peer(), [image, readme, refused])}
    assert sent[image].error is None
    assert sent[image].size_bytes == image.stat().st_size
    assert "not a DICOM file" in sent[readme].error
    assert "does not accept" in sent[refused].error
    assert list(pacs.kept) == [uid_of(image)]


def test_more_sop_classes_than_one_association_can_hold_are_sent_over_several(pacs, a_file):
    # Each takes two: its own transfer syntax, and the default one.
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts[: MAX_CONTEXTS // 2 + 2]]
    for sop_class in classes:
        pacs.ae.add_supported_context(sop_class)
    pacs.stop()
    pacs.start()
    paths = [a_file(f"{n:03}", sop_class) for n, sop_class in enumerate(classes)]
    sent = list(send_files(pacs.as_peer(), paths))
    assert [file.error for file in sent] == [None] * len(paths)
    assert len(pacs.kept) == len(paths)
    assert pacs.associations == 2


def test_send_files_stops_if_the_peer_does_not_answer(closed_port, a_file):
    sending = send_files(Peer("PACS", "127.0.0.1", closed_port, 1, CALLING), [a_file("image")])
    with pytest.raises(Unreachable):
        list(sending)
