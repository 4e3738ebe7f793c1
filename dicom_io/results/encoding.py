"""Common attributes of all objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO

from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian

from dicom_io.device import Device, contributing_equipment
from dicom_io.moments import stated_zone
from dicom_io.results.fingerprints import fingerprint
from dicom_io.results.language import ENGLISH, Language
from dicom_io.results.profiles import Profile
from dicom_io.results.sources import demographics
from dicom_io.uids import derive_uid
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality
from models.types.reading import BundleId


@dataclass(frozen=True)
class Encoding:
    """The context of writing a result: equal contexts and equal readings give equal bytes.

    Attributes:
        written_at: when it is written, in the site's local time.
        revision: number of the report of the study, from 1.
        bundles: the models that made the readings, or those in use if nothing was read; part of the UIDs.
        profile: of the destinations.
        began_at: arrival of the study's first image.
        device: the installation; part of the UIDs.
        coded_category: whether breasts and the exam get a coded BI-RADS category if a probability implies one
            (setting).
        language: of the free text of SR, summary page and messages (setting).
        patient_id_system: the URI of the authority that issues the site's patient IDs, for images that name none
            (setting); "" if it is not set. For messages only.
        again: how often an object of the same content was rejected before; part of the UID.
    """

    written_at: datetime
    revision: int
    bundles: tuple[BundleId, ...]
    profile: Profile
    began_at: datetime
    device: Device
    coded_category: bool = False
    language: Language = ENGLISH
    patient_id_system: str = ""
    again: int = 0

    def uid(self, study_instance_uid: str, *parts: str) -> str:
        """The UID of an object that is written in every revision: the report.

        The time is part of it: a study that is read again with an empty queue starts at revision 1 again, and its
        report must not have the UID of the first one. The time is stored with the job, so a retry gives the same UIDs.
        """
        written = self.written_at.astimezone(UTC).isoformat()
        return self._uid(study_instance_uid, f"revision {self.revision} of {written}", *parts)

    def lasting_uid(self, study_instance_uid: str, content: str, *parts: str) -> str:
        """The UID of an object that stays the same until its content changes: every object except the report.

        A late image or a radiologist's assessment opens a new revision; unchanged objects keep their UID, are not sent
        again, and do not appear twice in the viewer's list.

        Args:
            content: the digest of the object's content (fingerprints.py).
        """
        return self._uid(study_instance_uid, f"content {content}", *parts)

    def _uid(self, study_instance_uid: str, *parts: str) -> str:
        return derive_uid(
            study_instance_uid,
            self.began_at.astimezone(UTC).isoformat(),
            *(part for bundle in self.bundles for part in (bundle.name, bundle.version)),
            self.profile.name,
            self.device.uid,
            *([f"again {self.again}"] if self.again else []),
            *parts,
        )

    def by_readers_of(self, images: Iterable[ExamImage]) -> Encoding:
        """The same encoding, with the models that read these images."""
        return replace(self, bundles=tuple(dict.fromkeys(image.reading.bundle for image in images)) or self.bundles)

    @property
    def edition(self) -> str:
        """A text that distinguishes this revision's series from earlier ones in a viewer; empty for the first."""
        return f", revision {self.revision}" if self.revision > 1 else ""


@dataclass(frozen=True)
class LesionName:
    """The names of a lesion in an image: the same in all objects and revisions as long as its outline is the same."""

    label: str
    """For people, for example "R CC mass 1"; two images of one view may have the same label."""
    identifier: str
    """Tracking Identifier: the label with a few characters of the UID, so that it is unique."""
    uid: str
    """Tracking Unique Identifier: of this outline in this image (viewers merge what shares one)."""


def place(image: ExamImage) -> str:
    """See `models.types.exam.place_of`."""
    return image.place


def titles_of(images: Sequence[ExamImage]) -> list[str]:
    """The names of the images: breast and view, numbered if there are several of one view."""
    seen: dict[str, int] = {}
    titles = []
    for image in images:
        name = place(image)
        seen[name] = seen.get(name, 0) + 1
        titles.append(name if seen[name] == 1 else f"{name}, image {seen[name]}")
    return titles


def sides(exam: ExamReading) -> tuple[Laterality, ...]:
    """The breasts of the exam's score; none if an image does not state its breast."""
    all_lateralities_known = all(image.laterality for image in exam.images)
    read = {image.laterality for image in exam.images}
    return tuple(side for side in Laterality if side in read) if all_lateralities_known else ()


def lesion_name(image: ExamImage, number: int) -> LesionName:
    """The name of the image's finding `number`, counted from 1 in the order of the reading."""
    finding, bundle = image.reading.findings[number - 1], image.reading.bundle
    content = fingerprint((finding.kind, finding.mask))
    uid = derive_uid("lesion", image.sop_instance_uid, bundle.name, bundle.version, str(number), content)
    label = f"{place(image)} {finding.kind.in_words} {number}"
    return LesionName(label, f"{label} ({uid[-4:]})", uid)


def is_partial(exam: ExamReading) -> bool:
    """Whether the report is partial: a view is missing, or an image was not read, except on purpose."""
    return bool(exam.missing) or any(not image.on_purpose for image in exam.unread)


def sign(dataset: Dataset, source: Dataset, encoding: Encoding) -> None:
    """Sets patient, study, equipment and times of an object; overwrites values of libraries.

    If the source states its offset from UTC, the object states it too, and its own times use that offset, which applies
    to all dates and times of an object (PS3.3 section C.12.1.1.8). Otherwise the object states none.
    """
    dataset.update(demographics(source))
    encoding.device.put_on(dataset, *encoding.bundles)
    dataset.ContributingEquipmentSequence = [contributing_equipment(encoding.device, *encoding.bundles)]
    written_at = encoding.written_at.astimezone(stated_zone(source) or encoding.written_at.tzinfo)
    date, time = written_at.strftime("%Y%m%d"), written_at.strftime("%H%M%S")
    dataset.InstanceCreationDate = dataset.SeriesDate = dataset.ContentDate = date
    dataset.InstanceCreationTime = dataset.SeriesTime = dataset.ContentTime = time


def file_meta(dataset: Dataset) -> FileMetaDataset:
    """The File Meta Information for an object, in Explicit VR Little Endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    return meta


def to_bytes(dataset: Dataset) -> bytes:
    """The object as a file (PS3.10) in the transfer syntax of its file meta information."""
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()
