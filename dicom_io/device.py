"""The node's device identity: written into its objects, and used to recognise them when they come back."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from uuid import UUID

from pydicom import Dataset

from dicom_io.attributes import items, text
from dicom_io.uids import uid_of
from models.types.reading import BundleId

MANUFACTURER = "mammo-node"
MODEL = "mammo-node"
SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Segmentation Storage and Label Map Segmentation Storage (PS3.4 Annex B.5)."""
_DEVICE_OF_ALL = "2.25.242444742598191661606275133554599073307"
"""The Device UID that every installation wrote up to release 0.3.0."""


@dataclass(frozen=True)
class Device:
    """One installation of the node, as equipment (PS3.3 section C.7.5.1).

    Attributes:
        identity: created once per installation. Device UID and Device Serial Number are derived from it.
        station_name: Station Name, at most 16 characters (VR SH); not written if empty.
        institution_name: Institution Name, at most 64 characters (VR LO); not written if empty.
    """

    identity: UUID
    station_name: str = ""
    institution_name: str = ""

    @property
    def uid(self) -> str:
        """Device UID (0018,1002)."""
        return uid_of(self.identity)

    @property
    def serial_number(self) -> str:
        """Device Serial Number (0018,1000)."""
        return str(self.identity)

    def put_on(self, equipment: Dataset, *bundles: BundleId) -> None:
        """Writes the attributes of the General Equipment module into an object or an equipment item."""
        equipment.Manufacturer = MANUFACTURER
        equipment.ManufacturerModelName = MODEL
        equipment.DeviceSerialNumber = self.serial_number
        equipment.SoftwareVersions = software_versions(*bundles)
        for keyword, value in (("StationName", self.station_name), ("InstitutionName", self.institution_name)):
            if value:
                setattr(equipment, keyword, value)


def software_versions(*bundles: BundleId) -> list[str]:
    """Software Versions (0018,1020): of the node and of the models, each at most 64 characters (VR LO)."""
    try:
        node = version("mammo-node")
    except PackageNotFoundError:  # run from a checkout that is not installed
        node = "not installed"
    return [node[:64], *(str(bundle)[:64] for bundle in bundles)]


def contributing_equipment(device: Device, *bundles: BundleId) -> Dataset:
    """The Contributing Equipment item that IHE AIR (section 6.5.3.1) requires in an AI result."""
    # Without highdicom: the receiver's process imports this module and must stay small.
    purpose = Dataset()
    purpose.CodeValue = "109102"
    purpose.CodingSchemeDesignator = "DCM"
    purpose.CodeMeaning = "Processing Equipment"
    item = Dataset()
    device.put_on(item, *bundles)
    item.DeviceUID = device.uid
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def is_ours(dataset: Dataset) -> bool:
    """Whether a mammo-node, this installation or another, wrote this object (safety: it must never be read as input).

    Decided by Manufacturer and Manufacturer's Model Name, of the object or of its contributing equipment. A PACS does
    not change these when it coerces demographics or re-identifies a study. A segmentation by another manufacturer is
    not ours even if the node is contributing equipment: a viewer in which an expert corrected our outlines may keep
    the node as contributing equipment, which is correct (PS3.3 section C.12.1.1).
    """
    if _is_mammo_node(dataset):
        return True
    if text(dataset, "Manufacturer") not in ("", MANUFACTURER) and text(dataset, "SOPClassUID") in SEGMENTATIONS:
        return False
    return any(
        _is_mammo_node(item) or text(item, "DeviceUID") == _DEVICE_OF_ALL
        for item in items(dataset, "ContributingEquipmentSequence")
    )


def _is_mammo_node(equipment: Dataset) -> bool:
    return (text(equipment, "Manufacturer"), text(equipment, "ManufacturerModelName")) == (MANUFACTURER, MODEL)
