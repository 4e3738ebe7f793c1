"""The node's device identity in the objects that it writes, by which it recognises its own when they come back."""

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
    """One installation, as the equipment that it is (PS3.3 section C.7.5.1).

    Attributes:
        identity: made once for the installation; its Device UID and Device Serial Number are made of it.
        station_name: the name of the station, at most 16 characters (VR SH); empty: not written.
        institution_name: of the institution that has it, at most 64 characters (VR LO); empty: not written.
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
        """The attributes of the General Equipment module, on an object or on an item about equipment."""
        equipment.Manufacturer = MANUFACTURER
        equipment.ManufacturerModelName = MODEL
        equipment.DeviceSerialNumber = self.serial_number
        equipment.SoftwareVersions = software_versions(*bundles)
        for keyword, value in (("StationName", self.station_name), ("InstitutionName", self.institution_name)):
            if value:
                setattr(equipment, keyword, value)


def software_versions(*bundles: BundleId) -> list[str]:
    """Software Versions (0018,1020): the node's and the models', each at most 64 characters (VR LO)."""
    try:
        node = version("mammo-node")
    except PackageNotFoundError:  # run from a checkout without having been installed
        node = "not installed"
    return [node[:64], *(str(bundle)[:64] for bundle in bundles)]


def contributing_equipment(device: Device, *bundles: BundleId) -> Dataset:
    """The item by which IHE AIR (section 6.5.3.1) has an AI result name the equipment that made it."""
    # Plain pydicom: the receiver's process imports this module and stays small without highdicom.
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
    """Whether a mammo-node wrote this object (safety: it must never be read as input), of this installation or another.

    Told by the equipment, which a PACS leaves alone when it coerces demographics or re-identifies a study: Manufacturer
    with Manufacturer's Model Name, of the object or among the contributing equipment. A segmentation by another maker
    is not ours even so: a viewer in which somebody corrected our outlines may carry our equipment over as one that
    contributed, which it did (PS3.3 section C.12.1.1).
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
