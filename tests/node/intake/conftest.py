"""A listening node without reader or reporter, and senders for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from clock import Clock
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from requesting import request
from sqlalchemy import select

from dicom_io.network.answers import Answer
from dicom_io.network.host_names import addresses_of
from dicom_io.network.scp import AllowedSender, Listener, ListenerLimits, RefusedClasses, TlsAddress
from dicom_io.network.scp_gate import TellRefused
from node.archive.space import Space
from node.intake.receiving import Receiving, ReceivingLimits
from node.intake.sender_limits import SenderLimits
from node.store.database import Sessions, open_database, sessions_of
from node.store.tables import Instance, Job, Study

MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"


def make_mammogram(sop_instance_uid: str = "1.2.3.1", seed: int = 0, **changes: object) -> Dataset:
    """A mammogram of 64 × 64 pixels, to be changed by keyword."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = MAMMOGRAPHY
    image.SOPInstanceUID = sop_instance_uid
    image.StudyInstanceUID = "1.2.3"
    image.SeriesInstanceUID = "1.2.3.9"
    image.PatientID = "ONE"
    image.PatientName = "First^Name"
    image.PatientBirthDate = "19600101"
    image.PatientSex = "F"
    image.AccessionNumber = "A1"
    image.Modality = "MG"
    image.PresentationIntentType = "FOR PRESENTATION"
    image.ImageLaterality = "L"
    image.ViewPosition = "CC"
    image.Rows = image.Columns = 64
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = np.random.default_rng(seed).integers(0, 4096, (64, 64), dtype=np.uint16).tobytes()
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return image


def encoded(dataset: Dataset) -> bytes:
    """The data set as it goes over the network in Explicit VR Little Endian."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)
    return stream.getvalue()


@dataclass
class ListeningNode:
    """A node's receiving half on a free port of 127.0.0.1."""

    data_dir: Path
    sessions: Sessions
    receiving: Receiving
    listener: Listener
    clock: Clock = field(default_factory=Clock)

    @contextmanager
    def association(
        self, *contexts: tuple[str, str], calling: str = "PACS", called: str = "NODE"
    ) -> Iterator[Association]:
        """An association; released at the end if still open."""
        ae = AE(calling)
        for sop_class, syntax in contexts or ((MAMMOGRAPHY, ExplicitVRLittleEndian),):
            ae.add_requested_context(sop_class, syntax)
        association = request(ae, self.listener.port, called=called)
        yield association
        if association.is_established:
            association.release()

    def store(self, dataset: Dataset, calling: str = "PACS") -> Dataset:
        """Sends one data set by pynetdicom and gives the answer (Status, ErrorComment)."""
        syntax = dataset.file_meta.TransferSyntaxUID
        with self.association((dataset.SOPClassUID, syntax), calling=calling) as association:
            return association.send_c_store(dataset)

    def store_bytes(self, data: bytes, sop_instance_uid: str = "1.2.3.1", sop_class_uid: str = MAMMOGRAPHY) -> C_STORE:
        """Sends any bytes as a data set."""
        with self.association((sop_class_uid, ExplicitVRLittleEndian)) as association:
            return send_bytes(association, data, sop_instance_uid, sop_class_uid)

    def studies(self) -> list[Study]:
        with self.sessions.begin() as session:
            return list(session.scalars(select(Study).order_by(Study.id)))

    def instances(self) -> list[Instance]:
        with self.sessions.begin() as session:
            return list(session.scalars(select(Instance).order_by(Instance.id)))

    def jobs(self) -> list[Job]:
        with self.sessions.begin() as session:
            return list(session.scalars(select(Job).order_by(Job.id)))

    def files(self, folder: str) -> list[str]:
        """The files in a folder of the data folder, by relative path."""
        root = self.data_dir / folder
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def send_bytes(association: Association, data: bytes, sop_instance_uid: str, sop_class_uid: str) -> C_STORE:
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = UID(sop_class_uid)
    request.AffectedSOPInstanceUID = UID(sop_instance_uid)
    request.DataSet = BytesIO(data)
    association._reactor_checkpoint.clear()
    try:
        association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
        _, response = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    assert isinstance(response, C_STORE)
    return response


StartNode = Callable[..., ListeningNode]


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty queue, migrated once for all tests."""
    path = tmp_path_factory.mktemp("database") / "queue.sqlite"
    engine = open_database(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.commit()
    engine.dispose()
    return path


@pytest.fixture
def start_node(tmp_path: Path, migrated_database: Path) -> Iterator[StartNode]:
    """Starts nodes with the given limits; all are stopped at the end."""
    started: list[ListeningNode] = []

    def start(
        limits: ReceivingLimits | None = None,
        listening: ListenerLimits | None = None,
        senders: tuple[AllowedSender, ...] = (AllowedSender("PACS"), AllowedSender("CBIS")),
        data_dir: Path = tmp_path / "data",
        refused_classes: RefusedClasses | None = None,
        look_up: Callable[[str], frozenset[str]] = addresses_of,
        by_tls: TlsAddress | None = None,
        sender_limits: Callable[[Space], SenderLimits] = lambda space: SenderLimits((), space),
        tell_refused: TellRefused | None = None,
        tell_not_taken: Callable[[str, Answer], None] = lambda _title, _answer: None,
    ) -> ListeningNode:
        data_dir.mkdir(exist_ok=True)
        if not (tmp_path / "queue.sqlite").exists():
            shutil.copy(migrated_database, tmp_path / "queue.sqlite")
        sessions = sessions_of(open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}"))
        clock = Clock()
        limits = limits or ReceivingLimits()
        space = Space(
            [data_dir / "archive", data_dir / "quarantine"],
            data_dir,
            limits.min_free_bytes,
            limits.quota_bytes,
            sessions=sessions,
        )
        space.measure()
        of_senders = sender_limits(space)
        receiving = Receiving(
            sessions, data_dir, limits, frozenset({"CBIS"}), clock, space=space, sender_limits=of_senders
        )
        listener = Listener(
            "NODE",
            "127.0.0.1",
            0,
            senders,
            receiving.incoming,
            receiving,
            listening or ListenerLimits(),
            refused_classes=refused_classes,
            look_up=look_up,
            by_tls=by_tls,
            tell_refused=tell_refused,
            at_limit=of_senders.at_association_limit,
            tell_not_taken=tell_not_taken,
        )
        listener.start()
        started.append(ListeningNode(data_dir, sessions, receiving, listener, clock))
        return started[-1]

    yield start
    for node in started:
        node.listener.stop(grace_s=0.2)


@pytest.fixture
def listening_node(start_node: StartNode) -> ListeningNode:
    return start_node()


@pytest.fixture
def mammogram() -> Callable[..., Dataset]:
    return make_mammogram


@pytest.fixture
def raw_bytes() -> Callable[[Dataset], bytes]:
    return encoded
