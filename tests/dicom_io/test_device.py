from dataclasses import replace
from uuid import uuid4

from pydicom import Dataset
from readings import DEVICE

from dicom_io.device import MANUFACTURER, MODEL, Device, contributing_equipment, is_ours
from models.types.reading import BundleId


def _made_by(manufacturer: str | None, model: str | None) -> Dataset:
    dataset = Dataset()
    dataset.Manufacturer = manufacturer
    dataset.ManufacturerModelName = model
    return dataset


def test_the_nodes_objects_are_recognised_by_manufacturer_and_model():
    assert is_ours(_made_by(MANUFACTURER, MODEL))
    assert is_ours(_made_by(MANUFACTURER + " ", MODEL)), "padding added on the way"


def test_the_nodes_objects_are_recognised_after_a_pacs_coerced_patient_and_equipment():
    coerced = _made_by("Some PACS", "Gateway")
    coerced.PatientID = "other"
    coerced.ContributingEquipmentSequence = [contributing_equipment(DEVICE, BundleId("research-default", "1"))]
    assert is_ours(coerced)


def test_images_of_other_devices_are_not_recognised_as_the_nodes():
    image = _made_by("HOLOGIC, Inc.", "Selenia Dimensions")
    assert not is_ours(image)
    assert not is_ours(Dataset())
    assert not is_ours(_made_by(None, None))
    assert not is_ours(_made_by(MANUFACTURER, "another product"))


def test_an_image_with_contributing_equipment_is_not_recognised_as_the_nodes():
    image = _made_by("HOLOGIC, Inc.", "Selenia Dimensions")
    gateway = _made_by("Some PACS", "Gateway")
    gateway.DeviceUID = "1.2.3.4"
    image.ContributingEquipmentSequence = [gateway, Dataset()]
    assert not is_ours(image)


def test_the_equipment_item_names_device_and_models():
    item = contributing_equipment(DEVICE, BundleId("research-default", "1"))
    assert item.DeviceUID == DEVICE.uid
    assert item.DeviceSerialNumber == DEVICE.serial_number
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert item.SoftwareVersions[1] == "research-default 1"


def test_every_installation_has_its_own_device_uid_and_recognises_objects_of_the_others():
    first, second = Device(uuid4()), Device(uuid4())
    assert (first.uid, first.serial_number) != (second.uid, second.serial_number)
    coerced = _made_by("Some PACS", "Gateway")
    coerced.ContributingEquipmentSequence = [contributing_equipment(second, BundleId("research-default", "1"))]
    assert is_ours(coerced)


def test_objects_of_release_0_3_0_are_recognised_by_their_shared_device_uid():
    coerced = _made_by("Some PACS", "Gateway")
    equipment = _made_by("Some PACS", "Gateway")
    equipment.DeviceUID = "2.25.242444742598191661606275133554599073307"
    coerced.ContributingEquipmentSequence = [equipment]
    assert is_ours(coerced)


def test_objects_hold_the_station_and_institution_that_the_settings_name():
    named = contributing_equipment(replace(DEVICE, station_name="AI-1", institution_name="Klinik am See"))
    assert (named.StationName, named.InstitutionName) == ("AI-1", "Klinik am See")
    assert "StationName" not in contributing_equipment(DEVICE)
