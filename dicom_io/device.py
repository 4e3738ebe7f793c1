"""Who we are in what we write, and how we know our own objects when a PACS routes them back to us."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from pydicom import Dataset

from dicom_io.attributes import items, text
from dicom_io.uids import derive_uid
from models.types import BundleId

MANUFACTURER = "mammo-node"
MODEL = "mammo-node"
SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Segmentation Storage and Label Map Segmentation Storage (PS3.4 Annex B.5)."""


def device_uid() -> str:
    """The device's UID, the same in every installation: it says which product wrote an object, not whose."""
    return derive_uid(MANUFACTURER, MODEL, "device")


def software_versions(*bundles: BundleId) -> list[str]:
    """Software Versions (0018,1020): the node's and the models', each at most 64 characters (VR LO)."""
    try:
        node = version("mammo-node")
    except PackageNotFoundError:  # run from a checkout without having been installed
        node = "not installed"
    return [node[:64], *(str(bundle)[:64] for bundle in bundles)]


def contributing_equipment(*bundles: BundleId) -> Dataset:
    """The item by which IHE AIR (section 6.5.3.1) has an AI result name the equipment that made it."""
    # Plain pydicom: the receiver's process imports this module and stays small without highdicom.
    purpose = Dataset()
    purpose.CodeValue = "109102"
    purpose.CodingSchemeDesignator = "DCM"
    purpose.CodeMeaning = "Processing Equipment"
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = MODEL
    item.DeviceSerialNumber = device_uid()
    item.DeviceUID = device_uid()
    item.SoftwareVersions = software_versions(*bundles)
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def is_ours(dataset: Dataset) -> bool:
    """Whether a mammo-node wrote this object (safety: it must never be read as input).

    Told by the equipment, which a PACS leaves alone when it coerces demographics or re-identifies a study: Manufacturer
    with Manufacturer's Model Name, or our Device UID among the contributing equipment. A segmentation by another maker
    is not ours even so: a viewer in which somebody corrected our outlines may carry our equipment over as one that
    contributed, which it did (PS3.3 section C.12.1.1).
    """
    maker, model = text(dataset, "Manufacturer"), text(dataset, "ManufacturerModelName")
    if (maker, model) == (MANUFACTURER, MODEL):
        return True
    if maker not in ("", MANUFACTURER) and text(dataset, "SOPClassUID") in SEGMENTATIONS:
        return False
    return any(text(item, "DeviceUID") == device_uid() for item in items(dataset, "ContributingEquipmentSequence"))
