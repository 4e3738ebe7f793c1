"""What every object we write has in common."""

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
from dicom_io.results.profiles import Profile
from dicom_io.results.sources import demographics
from dicom_io.uids import derive_uid
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality
from models.types.reading import BundleId, FindingKind


@dataclass(frozen=True)
class Encoding:
    """Under which circumstances a result is written: equal circumstances and equal readings give equal bytes.

    Attributes:
        written_at: when it is written, in the site's local time.
        revision: counts the reports of the study, from 1.
        bundles: the models that read what it is about, or are in use where nothing was read; they enter the UIDs.
        profile: for whom it is written.
        began_at: when the node had the study's first image.
        device: the installation that writes; it enters the UIDs.
        coded_category: breasts and the exam get a coded BI-RADS category where a probability implies one: the site
            asks for it.
        again: how often an object of the same content was rejected before: the next is another.
    """

    written_at: datetime
    revision: int
    bundles: tuple[BundleId, ...]
    profile: Profile
    began_at: datetime
    device: Device
    coded_category: bool = False
    again: int = 0

    def uid(self, study_instance_uid: str, *parts: str) -> str:
        """The UID of something that is written anew in every revision: the report.

        The time enters as well: a study read anew from an empty queue begins at revision 1 again, and a PACS that has
        the first report must not take another one for it. It is the row's, so a second try has the same UIDs.
        """
        written = self.written_at.astimezone(UTC).isoformat()
        return self._uid(study_instance_uid, f"revision {self.revision} of {written}", *parts)

    def lasting_uid(self, study_instance_uid: str, content: str, *parts: str) -> str:
        """The UID of something that stays as it is until what it is made of changes: every object but the report.

        A late image or a radiologist's assessment opens a new revision; what it does not touch keeps its UID, is not
        sent again, and does not stand twice in the viewer's list.

        Args:
            content: the digest of all that the object is made of (fingerprints.py).
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
        """The same, by the models that read these images; there may be several."""
        return replace(self, bundles=tuple(dict.fromkeys(image.reading.bundle for image in images)) or self.bundles)

    @property
    def edition(self) -> str:
        """What tells this revision's series from an earlier one's in a viewer's list; empty for the first."""
        return f", revision {self.revision}" if self.revision > 1 else ""


@dataclass(frozen=True)
class LesionName:
    """How one lesion in one image is called, alike in all objects and revisions as long as its outline is the same."""

    label: str
    """For people, e.g. "R CC mass 1"; two images of one view give the same label."""
    identifier: str
    """Tracking Identifier: the label with a few characters of the UID, so that no two lesions share it by chance."""
    uid: str
    """Tracking Unique Identifier: of this outline in this image (viewers merge what shares one)."""


def place(image: ExamImage) -> str:
    """Breast and view in short, e.g. "R CC", "R CC spot/magnified", "L MLO axillary tail"; "view not stated" where the
    header says neither."""
    stated = " ".join(part for part in (image.laterality, image.view) if part) or "view not stated"
    return f"{stated} {image.extent}" if image.extent else stated


def titles_of(images: Sequence[ExamImage]) -> list[str]:
    """What each image is called among all: breast and view, counted where there are several of a kind."""
    seen: dict[str, int] = {}
    titles = []
    for image in images:
        name = place(image)
        seen[name] = seen.get(name, 0) + 1
        titles.append(name if seen[name] == 1 else f"{name}, image {seen[name]}")
    return titles


def sides(exam: ExamReading) -> tuple[Laterality, ...]:
    """The breasts that the exam's score is about; none where an image does not say which breast it shows."""
    all_lateralities_known = all(image.laterality for image in exam.images)
    return tuple(breast.laterality for breast in exam.breasts) if all_lateralities_known else ()


def lesion_name(image: ExamImage, number: int) -> LesionName:
    """The name of the image's finding `number`, counted from 1 in the order of the reading."""
    finding, bundle = image.reading.findings[number - 1], image.reading.bundle
    kind = {FindingKind.MASS: "mass", FindingKind.CALCIFICATION: "calcifications"}[finding.kind]
    content = fingerprint((finding.kind, finding.mask))
    uid = derive_uid("lesion", image.sop_instance_uid, bundle.name, bundle.version, str(number), content)
    label = f"{place(image)} {kind} {number}"
    return LesionName(label, f"{label} ({uid[-4:]})", uid)


def is_partial(exam: ExamReading) -> bool:
    """Whether a report on the exam lacks something: a view is missing, or an image was not read, not on purpose."""
    return bool(exam.missing) or any(not image.on_purpose for image in exam.unread)


def sign(dataset: Dataset, source: Dataset, encoding: Encoding) -> None:
    """Sets of whom the object is, who wrote it and when, over whatever a library put there.

    Where the source states its offset from UTC so does the object, and its own times are by that clock too: the offset
    holds for every date and time of an object (PS3.3 section C.12.1.1.8). Where it does not, none is claimed of it.
    """
    dataset.update(demographics(source))
    encoding.device.put_on(dataset, *encoding.bundles)
    dataset.ContributingEquipmentSequence = [contributing_equipment(encoding.device, *encoding.bundles)]
    written_at = encoding.written_at.astimezone(stated_zone(source) or encoding.written_at.tzinfo)
    date, time = written_at.strftime("%Y%m%d"), written_at.strftime("%H%M%S")
    dataset.InstanceCreationDate = dataset.SeriesDate = dataset.ContentDate = date
    dataset.InstanceCreationTime = dataset.SeriesTime = dataset.ContentTime = time


def file_meta(dataset: Dataset) -> FileMetaDataset:
    """The file meta information of an object that no library made, in Explicit VR Little Endian."""
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
