from pydicom import Dataset

from dicom_io.device import MANUFACTURER, MODEL, contributing_equipment, device_uid, is_ours
from models.types import BundleId


def _made_by(manufacturer: str | None, model: str | None) -> Dataset:
    dataset = Dataset()
    dataset.Manufacturer = manufacturer
    dataset.ManufacturerModelName = model
    return dataset


def test_our_object_is_known_by_manufacturer_and_model():
    assert is_ours(_made_by(MANUFACTURER, MODEL))
    assert is_ours(_made_by(MANUFACTURER + " ", MODEL)), "padding added on the way"


def test_our_object_is_known_after_a_pacs_coerced_patient_and_equipment():
    coerced = _made_by("Some PACS", "Gateway")
    coerced.PatientID = "other"
    coerced.ContributingEquipmentSequence = [contributing_equipment(BundleId("research-default", "1"))]
    assert is_ours(coerced)


def test_images_of_others_are_not_ours():
    image = _made_by("HOLOGIC, Inc.", "Selenia Dimensions")
    assert not is_ours(image)
    assert not is_ours(Dataset())
    assert not is_ours(_made_by(None, None))
    assert not is_ours(_made_by(MANUFACTURER, "another product"))


def test_an_image_that_passed_through_other_equipment_is_not_ours():
    image = _made_by("HOLOGIC, Inc.", "Selenia Dimensions")
    gateway = _made_by("Some PACS", "Gateway")
    gateway.DeviceUID = "1.2.3.4"
    image.ContributingEquipmentSequence = [gateway, Dataset()]
    assert not is_ours(image)


def test_the_equipment_item_names_device_and_models():
    item = contributing_equipment(BundleId("research-default", "1"))
    assert item.DeviceUID == device_uid()
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert item.SoftwareVersions[1] == "research-default 1"
