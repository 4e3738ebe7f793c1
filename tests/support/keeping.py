"""A node on the road whose results are delivered, and its purge."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset
from pydicom.uid import UID
from road import Road

from config.settings import Settings
from node.audit.actors import retention
from node.retention.purge import Purge, Purged
from node.store.states import DeliveryState
from node.store.tables import Delivery, Instance, Result

DAY_S = 86_400.0
PACS = {"name": "pacs", "kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "port": 11113}


def settings_of(road: Road, destination: dict[str, object] = PACS, **retention_settings: float) -> Settings:
    values = {"data_dir": road.data_dir, "destinations": [destination], "retention": retention_settings}
    return Settings.model_validate(values)


def purge_of(road: Road, destination: dict[str, object] = PACS, free: float = 1 << 50, **settings: float) -> Purge:
    return Purge(road.sessions, settings_of(road, destination, **settings), road.clock, lambda: int(free), retention())


def purge(road: Road, destination: dict[str, object] = PACS, **settings: float) -> Purged:
    """Purges by age."""
    return purge_of(road, destination, **settings).by_age()


def deliver(road: Road, state: DeliveryState = DeliveryState.SENT) -> None:
    """All deliveries arrive."""
    with road.sessions.begin() as session:
        for delivery in session.query(Delivery):
            delivery.state, delivery.sent_at = state, road.clock()


def reported_and_delivered(road: Road, *images: Dataset | Path) -> None:
    road.all_of_it(*images)
    deliver(road)


def files(road: Road, folder: str) -> set[str]:
    """The files below a folder of the data folder, relative to that."""
    return {
        path.relative_to(road.data_dir).as_posix() for path in (road.data_dir / folder).rglob("*") if path.is_file()
    }


def named(road: Road) -> set[str]:
    """The files that the rows say are there."""
    with road.sessions.begin() as session:
        instances, results = session.query(Instance).all(), session.query(Result).all()
        return {
            *(row.path for row in instances if row.purged_at is None),
            *(row.masks_path for row in instances if row.masks_path is not None),
            *(row.path for row in results if row.purged_at is None),
        }


def on_disk(road: Road) -> set[str]:
    return files(road, "archive") | files(road, "readings") | files(road, "results")


def annotate(road: Road, creator: str = "Expert^Some", *, automatic: bool = False, **changes: str) -> None:
    """Somebody corrects the first result, as a viewer does. `automatic`: which leaves that the node found it."""
    (first, *_) = road.results("SEG")
    first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.77")
    first.Manufacturer = "Viewer"
    first.DeviceUID = first.SeriesInstanceUID = "1.2.3.78"
    del first.ContributingEquipmentSequence
    for segment in () if automatic else first.SegmentSequence:
        segment.SegmentAlgorithmType = "MANUAL"
        segment.pop("SegmentAlgorithmName", None)
        segment.pop("SegmentationAlgorithmIdentificationSequence", None)
    first.ContentCreatorName = creator
    for keyword, value in changes.items():
        setattr(first, keyword, value)
    first.save_as(road.data_dir / "corrected.dcm", enforce_file_format=True)
    road.receive(road.data_dir / "corrected.dcm")
    (road.data_dir / "corrected.dcm").unlink()
