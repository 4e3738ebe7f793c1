"""The demo's PACS: stores received objects in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from dicom_io.network.answers import Answer, Status
from dicom_io.network.scp import AllowedSender, Listener, ReceivedFile


@dataclass(frozen=True)
class FolderIntake:
    """An Intake that stores everything, as <folder>/<Study Instance UID>/<modality>-<SOP Instance UID>.dcm."""

    path: Path

    def refusal(self, calling_ae_title: str) -> Answer | None:
        return None

    def accept(self, received: ReceivedFile) -> Answer:
        header = dcmread(received.path, stop_before_pixels=True)
        place = self.path / str(header.StudyInstanceUID) / f"{header.Modality}-{header.SOPInstanceUID}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        received.path.replace(place)
        return Answer(Status.SUCCESS)

    def study(self, study_instance_uid: str) -> list[Path]:
        """The received files of a study: the SEGs, then the SR."""
        return sorted((self.path / study_instance_uid).glob("*.dcm"))


def demo_pacs(folder: FolderIntake, node_ae_title: str) -> Listener:
    """A listener on a free port of 127.0.0.1, that the node may send to."""
    return Listener(
        ae_title="DEMO_PACS",
        host="127.0.0.1",
        port=0,
        senders=[AllowedSender(node_ae_title)],
        incoming=folder.path / "incoming",
        intake=folder,
    )
