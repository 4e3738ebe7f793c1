"""Stores an ImageReading as JSON and its masks as npz; reading them back gives an identical ImageReading."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

import numpy as np

from models.types.birads import Category, Likelihood
from models.types.reading import BundleId, Finding, FindingKind, ImageReading
from models.types.region import Box, Mask

_PICTURES = ("preview", "tones")


def to_json(reading: ImageReading) -> dict[str, object]:
    """A value for `json.dumps`: everything except the masks' pixels. Boxes are [top, left, bottom, right]."""
    return {
        "bundle": {"name": reading.bundle.name, "version": reading.bundle.version},
        "shape": list(reading.shape),
        "malignancy": reading.malignancy,
        "likelihood": _likelihood_to_json(reading.likelihood),
        "as_breast": _likelihood_to_json(reading.as_breast),
        "as_exam": _likelihood_to_json(reading.as_exam),
        "prevalence": reading.prevalence,
        "caveat": reading.caveat,
        "spacing_mm": reading.spacing_mm and list(reading.spacing_mm),
        "spacing_by": reading.spacing_by,
        "nipple": reading.nipple and list(reading.nipple),
        "findings": [_finding_to_json(finding) for finding in reading.findings],
        "seconds": dict(reading.seconds),
        "warnings": list(reading.warnings),
        "calibration_holds": reading.calibration_holds,
    }


def masks_of(reading: ImageReading) -> bytes:
    """The pixels as npz: masks as bool arrays named 0, 1, … in the order of the findings, and preview and tones if
    there are any. The same pixels give the same bytes."""
    buffer = io.BytesIO()
    arrays: dict[str, np.ndarray[Any, Any]] = {
        str(index): finding.mask.crop for index, finding in enumerate(reading.findings)
    }
    arrays |= {name: array for name in _PICTURES if (array := getattr(reading, name)) is not None}
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def from_json(values: dict[str, Any], masks: bytes) -> ImageReading:
    """The reading from the results of `to_json` and `masks_of`.

    Raises:
        ValueError: the two do not belong together, or were not written by those functions.
    """
    try:
        with np.load(io.BytesIO(masks), allow_pickle=False) as crops:
            findings = tuple(
                _finding_from_json(finding, crops[str(index)]) for index, finding in enumerate(values["findings"])
            )
            pictures = {name: crops[name] for name in _PICTURES if name in crops.files}
            masks_there = len(crops.files) - len(pictures)
            if masks_there != len(findings):
                raise ValueError(f"{masks_there} masks for {len(findings)} findings")
        rows, columns = values["shape"]
        return ImageReading(
            findings=findings,
            malignancy=values["malignancy"],
            shape=(rows, columns),
            bundle=BundleId(**values["bundle"]),
            seconds=dict(values["seconds"]),
            warnings=tuple(values["warnings"]),
            # The fields below are missing in readings that older versions stored.
            likelihood=_likelihood_from_json(values.get("likelihood")),
            as_breast=_likelihood_from_json(values.get("as_breast")),
            as_exam=_likelihood_from_json(values.get("as_exam")),
            prevalence=values.get("prevalence"),
            caveat=values.get("caveat", ""),
            spacing_mm=_pair(values.get("spacing_mm")),
            spacing_by=values.get("spacing_by", ""),
            nipple=_pair(values.get("nipple")),
            calibration_holds=values.get("calibration_holds", _held(values["warnings"])),
            **pictures,
        )
    except (LookupError, TypeError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"Not a stored reading: {error}") from error


def scores_from_json(values: dict[str, Any]) -> ImageReading:
    """The reading without findings and pictures, where its masks are gone: for its scores alone.

    Raises:
        ValueError: it was not written by `to_json`.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer)
    return from_json({**values, "findings": []}, buffer.getvalue())


def _held(warnings: list[str]) -> bool:
    """Whether the calibration held for an image that an older version read: the warning of a raw or synthetic one."""
    return not any("scores on such images are less dependable" in warning for warning in warnings)


def _finding_to_json(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind.value,
        "box": _box_to_json(finding.box),
        "mask_box": _box_to_json(finding.mask.box),
        "confidence": finding.confidence,
        "malignancy": finding.malignancy,
        "likelihood": _likelihood_to_json(finding.likelihood),
        "doubt": finding.doubt,
    }


def _finding_from_json(values: dict[str, Any], crop: np.ndarray[Any, np.dtype[np.bool_]]) -> Finding:
    return Finding(
        kind=FindingKind(values["kind"]),
        box=Box(*values["box"]),
        mask=Mask(Box(*values["mask_box"]), crop),
        confidence=values["confidence"],
        malignancy=values["malignancy"],
        likelihood=_likelihood_from_json(values.get("likelihood")),
        doubt=values.get("doubt", ""),
    )


def _box_to_json(box: Box) -> list[int]:
    return [box.top, box.left, box.bottom, box.right]


def _likelihood_to_json(likelihood: Likelihood | None) -> dict[str, object] | None:
    if likelihood is None:
        return None
    return {"probability": likelihood.probability, "category": likelihood.category.value}


def _likelihood_from_json(values: dict[str, Any] | None) -> Likelihood | None:
    return None if values is None else Likelihood(values["probability"], Category(values["category"]))


def _pair(values: list[Any] | None) -> tuple[Any, Any] | None:
    return None if values is None else (values[0], values[1])
