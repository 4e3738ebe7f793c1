"""The exposure that an image shows: by it a raw image and its image for presentation are known to be the same one."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from pydicom import Dataset

from dicom_io.attributes import items, text, texts
from dicom_io.image_types import is_plain_exposure
from dicom_io.views import modifiers_of


@dataclass(frozen=True)
class Acquisition:
    """What a header states of the exposure; "" where it states nothing.

    Attributes:
        sources: SOP Instance UIDs of the images that it was made from (Source Image Sequence).
        event: Irradiation Event UID (0008,3010).
        uid: Acquisition UID (0008,0017).
        time: date and time of the acquisition, to the second: YYYYMMDDhhmmss.
        number: Acquisition Number.
        modifiers: of the view, known and unknown ones, also those that leave the whole view ("implant displaced").
        is_exposure: it is no image that was calculated from others, such as a synthetic one.
    """

    sources: tuple[str, ...] = ()
    event: str = ""
    uid: str = ""
    time: str = ""
    number: str = ""
    modifiers: tuple[str, ...] = ()
    is_exposure: bool = True

    def is_same(self, other: Acquisition) -> bool | None:
        """Whether both are one exposure; None: the headers do not tell. Two images made from the same one are.
        An equal number alone does not tell: some devices give every image the same."""
        for name in ("event", "uid", "time"):
            own, theirs = getattr(self, name), getattr(other, name)
            if own and theirs:
                return bool(own == theirs)
        if self.number and other.number and self.number != other.number:
            return False
        return True if self.sources and self.sources == other.sources else None

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "sources": list(self.sources), "modifiers": list(self.modifiers)}

    @classmethod
    def from_json(cls, values: dict[str, Any] | None) -> Acquisition:
        """From `as_json`; None: nothing is known."""
        if values is None:
            return cls()
        lists = {name: tuple(values[name]) for name in ("sources", "modifiers")}
        return cls(**{**values, **lists})


def acquisition_of(dataset: Dataset) -> Acquisition:
    """What a header states of its exposure (PS3.3 sections C.7.6.1, C.8.11.7 and C.12.1)."""
    sources = (text(item, "ReferencedSOPInstanceUID") for item in items(dataset, "SourceImageSequence"))
    moment = text(dataset, "AcquisitionDateTime") or text(dataset, "AcquisitionDate") + text(dataset, "AcquisitionTime")
    digits = re.match(r"\d{14}", moment)
    return Acquisition(
        sources=tuple(filter(None, sources)),
        event="\\".join(sorted(texts(dataset, "IrradiationEventUID"))),
        uid=text(dataset, "AcquisitionUID"),
        time=digits[0] if digits else "",
        number=text(dataset, "AcquisitionNumber"),
        modifiers=modifiers_of(dataset),
        is_exposure=is_plain_exposure(dataset),
    )
