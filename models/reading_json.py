"""An ImageReading as JSON and its masks as npz; back again it is the same, to the last bit."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from models.types import Box, BundleId, Finding, FindingKind, ImageReading, Mask


def to_json(reading: ImageReading) -> dict[str, object]:
    """What `json.dumps` takes: everything but the masks' pixels. Boxes are [top, left, bottom, right]."""
    return {
        "bundle": {"name": reading.bundle.name, "version": reading.bundle.version},
        "shape": list(reading.shape),
        "malignancy": reading.malignancy,
        "probability": reading.probability,
        "findings": [_finding_to_json(finding) for finding in reading.findings],
        "seconds": dict(reading.seconds),
        "warnings": list(reading.warnings),
    }


def masks_of(reading: ImageReading) -> bytes:
    """The masks' pixels as npz: bool arrays named 0, 1, … in the order of the findings. Same masks, same bytes."""
    buffer = io.BytesIO()
    crops = {str(index): finding.mask.crop for index, finding in enumerate(reading.findings)}
    np.savez_compressed(buffer, allow_pickle=False, **crops)
    return buffer.getvalue()


def from_json(values: dict[str, Any], masks: bytes) -> ImageReading:
    """The reading that `to_json` and `masks_of` were given.

    Raises:
        ValueError: the two do not belong together, or are not what those functions write.
    """
    try:
        with np.load(io.BytesIO(masks), allow_pickle=False) as crops:
            findings = tuple(
                _finding_from_json(finding, crops[str(index)]) for index, finding in enumerate(values["findings"])
            )
            if len(crops.files) != len(findings):
                raise ValueError(f"{len(crops.files)} masks for {len(findings)} findings")
        rows, columns = values["shape"]
        return ImageReading(
            findings=findings,
            malignancy=values["malignancy"],
            shape=(rows, columns),
            bundle=BundleId(**values["bundle"]),
            seconds=dict(values["seconds"]),
            warnings=tuple(values["warnings"]),
            probability=values.get("probability"),  # readings stored before there were any lack it
        )
    except (KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"Not a stored reading: {error}") from error


def _finding_to_json(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind.value,
        "box": _box_to_json(finding.box),
        "mask_box": _box_to_json(finding.mask.box),
        "confidence": finding.confidence,
        "malignancy": finding.malignancy,
        "probability": finding.probability,
    }


def _finding_from_json(values: dict[str, Any], crop: np.ndarray[Any, np.dtype[np.bool_]]) -> Finding:
    return Finding(
        kind=FindingKind(values["kind"]),
        box=Box(*values["box"]),
        mask=Mask(Box(*values["mask_box"]), crop),
        confidence=values["confidence"],
        malignancy=values["malignancy"],
        probability=values.get("probability"),
    )


def _box_to_json(box: Box) -> list[int]:
    return [box.top, box.left, box.bottom, box.right]
