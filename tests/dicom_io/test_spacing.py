"""A single function determines the pixel spacing in the breast and names its source."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicom_io.spacing import aspect_of, spacing_of

MAGNIFICATION, SPOT, CLEAVAGE = "399163009", "399055006", "399161006"
FACTOR = "EstimatedRadiographicMagnificationFactor"


def header(modifier: str = "", **attributes: object) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    if modifier:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = modifier, "SCT", "x"
        made.ViewModifierCodeSequence = [code]
    return made


def detector(**attributes: object) -> dict[str, object]:
    return {"ImagerPixelSpacing": [0.09, 0.09], **attributes}


def calibrated(kind: str, mm: float = 0.05, **attributes: object) -> dict[str, object]:
    return {"PixelSpacing": [mm, mm], "PixelSpacingCalibrationType": kind, **attributes}


CASES = [
    # modifier, header, mm, named
    ("", {}, None, ""),
    ("", detector(), 0.09, "Imager Pixel Spacing at the detector"),
    ("", {"PixelSpacing": [0.2, 0.2]}, 0.2, "Pixel Spacing (not calibrated) at the detector"),
    ("", detector(PixelSpacing=[0.2, 0.2]), 0.09, "Imager"),
    ("", {"NominalScannedPixelSpacing": [0.05, 0.05]}, 0.05, "film"),
    ("", detector(NominalScannedPixelSpacing=[0.05, 0.05]), 0.09, "Imager"),
    # the factor, in a full field as in any other view
    ("", detector(**{FACTOR: "1"}), 0.09, "Imager Pixel Spacing"),
    ("", detector(**{FACTOR: "1.125"}), 0.08, "divided by the magnification factor 1.125"),
    (SPOT, detector(**{FACTOR: "1.125"}), 0.08, "divided by the magnification factor 1.125"),
    (CLEAVAGE, detector(**{FACTOR: "1.125"}), 0.08, "divided by the magnification factor 1.125"),
    (MAGNIFICATION, detector(**{FACTOR: "1.8"}), 0.05, "divided by the magnification factor 1.8"),
    ("", detector(**{FACTOR: "1.8"}), 0.05, "divided by the magnification factor 1.8"),
    ("", {"PixelSpacing": [0.09, 0.09], FACTOR: "1.8"}, 0.05, "divided"),
    (MAGNIFICATION, detector(), None, ""),
    (SPOT, detector(), None, ""),
    (CLEAVAGE, detector(), 0.09, "at the detector"),
    # the distances replace a missing or impossible factor
    ("", detector(DistanceSourceToDetector="660", DistanceSourceToPatient="330"), 0.045, "distances"),
    (MAGNIFICATION, detector(DistanceSourceToDetector="648", DistanceSourceToPatient="360"), 0.05, "distances"),
    (
        MAGNIFICATION,
        detector(**{FACTOR: "-1.8"}, DistanceSourceToDetector="648", DistanceSourceToPatient="360"),
        0.05,
        "distances",
    ),
    (MAGNIFICATION, detector(DistanceSourceToDetector="648", DistanceSourceToPatient="0"), None, ""),
    (MAGNIFICATION, detector(DistanceSourceToDetector="360", DistanceSourceToPatient="648"), None, ""),
    # a view declared magnified cannot have the factor of a contact view
    (MAGNIFICATION, detector(**{FACTOR: "1"}), None, ""),
    (
        MAGNIFICATION,
        detector(**{FACTOR: "1"}, DistanceSourceToDetector="648", DistanceSourceToPatient="360"),
        0.05,
        "distances",
    ),
    # calibrated spacing is already that in the breast
    (MAGNIFICATION, calibrated("GEOMETRY", **{FACTOR: "1.8"}), 0.05, "GEOMETRY"),
    (MAGNIFICATION, calibrated("GEOMETRY"), 0.05, "GEOMETRY"),
    (MAGNIFICATION, calibrated("GEOMETRY", **detector(**{FACTOR: "1.8"})), 0.05, "GEOMETRY"),
    (MAGNIFICATION, calibrated("FIDUCIAL", 0.06, **detector(**{FACTOR: "1.8"})), 0.06, "FIDUCIAL"),
    ("", calibrated("FIDUCIAL", 0.08, **detector()), 0.08, "FIDUCIAL"),
    ("", calibrated("fiducial ", 0.08, **detector()), 0.08, "FIDUCIAL"),
    # GEOMETRY is stated without a correction: the spacing is the detector's own
    (MAGNIFICATION, calibrated("GEOMETRY", 0.09, **detector(**{FACTOR: "1.8"})), 0.05, "divided"),
    # malformed values count as absent, impossible ones give no lengths
    ("", {"ImagerPixelSpacing": [0, 0], "PixelSpacing": [0.1, 0.1]}, 0.1, "Pixel Spacing"),
    ("", {"ImagerPixelSpacing": "0.1", "PixelSpacing": [0.2, 0.2]}, 0.2, "Pixel Spacing"),
    ("", {"ImagerPixelSpacing": [1, 1]}, None, ""),
    ("", {"ImagerPixelSpacing": [0.1, 5]}, None, ""),
    (MAGNIFICATION, {"ImagerPixelSpacing": [0.015, 0.015], FACTOR: "1.8"}, None, ""),
]


@pytest.mark.parametrize(("modifier", "attributes", "mm", "named"), CASES)
def test_the_spacing_in_the_breast_follows_from_the_header(
    modifier: str, attributes: dict[str, object], mm: float | None, named: str
) -> None:
    found = spacing_of(header(modifier, **attributes))
    assert found.mm == (None if mm is None else pytest.approx((mm, mm)))
    assert named in found.by
    assert bool(found.by) == (found.mm is not None)


@pytest.mark.parametrize("factor", ["0", "-1.8", "0.10256", "0.99", "107", "180", "5"])
def test_an_impossible_magnification_factor_is_ignored_with_a_warning(factor: str) -> None:
    whole = spacing_of(header(**detector(**{FACTOR: factor})))
    assert whole.mm == (0.09, 0.09)
    assert any("factor" in sentence for sentence in whole.warnings)
    spot = spacing_of(header(SPOT, **detector(**{FACTOR: factor})))
    assert spot.mm is None
    assert len(spot.warnings) == 2


@settings(max_examples=100)
@given(
    factor=st.floats(allow_nan=False, allow_infinity=False),
    mm=st.floats(-1, 1),
    modifier=st.sampled_from(["", MAGNIFICATION, SPOT, CLEAVAGE]),
)
def test_any_header_gives_a_spacing_possible_for_mammograms_or_none(factor: float, mm: float, modifier: str) -> None:
    made = header(modifier)
    # As text, so that no writer corrects it: any value that a header may contain.
    made.add_new("ImagerPixelSpacing", "LO", [repr(mm), repr(mm)])
    made.add_new(FACTOR, "LO", repr(factor))
    found = spacing_of(made)
    assert found.mm is None or 0.01 <= found.mm[0] <= mm


@pytest.mark.parametrize(
    ("attributes", "aspect"),
    [
        ({"ImagerPixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
        ({"PixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
        ({"NominalScannedPixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
        ({"PixelAspectRatio": [1, 2]}, (1, 2)),
        ({}, (1, 1)),
    ],
)
def test_pixels_that_are_not_square_are_recognised_by_every_attribute_that_can_state_it(
    attributes: dict[str, object], aspect: tuple[float, float]
) -> None:
    assert aspect_of(header(**attributes)) == pytest.approx(aspect)
