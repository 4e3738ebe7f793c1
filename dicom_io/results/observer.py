"""The observer: a device, never a person (safety: a machine must never look like a radiologist)."""

from __future__ import annotations

from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom.sr.codedict import codes

from dicom_io.device import MANUFACTURER, MODEL, Device


def device_observer(device: Device) -> ObserverContext:
    """TID 1002 and 1004 (PS3.16)."""
    return ObserverContext(
        codes.DCM.Device,
        DeviceObserverIdentifyingAttributes(
            uid=device.uid,
            name=MODEL,
            manufacturer_name=MANUFACTURER,
            model_name=MODEL,
            serial_number=device.serial_number,
        ),
    )
