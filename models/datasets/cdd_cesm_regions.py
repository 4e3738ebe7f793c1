"""The kind of CDD-CESM's drawn regions, and which of them can be a lesion.

The set states no kind for a region; the kind follows from the text of the image's findings. Some regions outline skin
thickening, oedema or the whole breast.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.case import LeftOut
from models.types.reading import FindingKind
from models.types.region import Mask

_SOFT = re.compile(r"mass|nodul|node|imln|asymm?etr|distortion|densit", re.IGNORECASE)
_MASS = re.compile(r"mass|nodul|node|imln", re.IGNORECASE)
_CALCIFICATION = re.compile(r"calcifi|calcification", re.IGNORECASE)
_HARMLESS = re.compile(r"(benign|vascular)[^$]*calcif[^$]*", re.IGNORECASE)
_OVERLYING = re.compile(r"overlying[^$]*calcif", re.IGNORECASE)
_BESIDE_A_MASS = re.compile(r"ass?ymm?etr|distortion|surrounding|scar", re.IGNORECASE)
_ONLY_HARMLESS = re.compile(r"\s*(benign|pop ?corn)\s+macro-?calcifications?\s*", re.IGNORECASE)

LARGEST_SHARE = 0.3
"""A region larger than this share of the breast outlines oedema or the whole gland, not a lesion."""
LARGEST_BOX_SHARE = 0.5
"""A region whose box is larger than this share of the breast is drawn along the skin, or is several regions in one."""
SMALLEST_SIDE = 0.02
"""A region shorter than this share of the breast's long side was drawn by mistake, or is not resolved at 512 pixels."""
LONGEST_STRIP = 6.0
"""Area divided by the square of the greatest width: 0.8 for a disc, 10 to 40 for thickened skin along the breast."""


def names_calcifications(findings: str) -> bool:
    """Whether the words of an image's findings name calcifications of any kind, harmless ones too."""
    return _CALCIFICATION.search(findings) is not None


def kind_of(findings: str) -> FindingKind | None:
    """The kind of an image's drawn regions, from the text of its findings.

    Calcifications called benign or vascular do not count: they were not drawn. Suspicious calcifications without a mass
    or node are a calcification, also if they lie over an asymmetry or a distortion; every other soft-tissue finding
    (mass, node, asymmetry, distortion) is a mass. It is a mass with calcifications if every soft-tissue finding of the
    text is a mass "with overlying calcifications": the text ties calcifications to a lesion by this word alone. All
    regions of an image get the same kind: the set does not say which finding a region belongs to. None where the text
    names no lesion that a mammogram shows (oedema, a scar, a duct, "normal").
    """
    words = _HARMLESS.sub("", findings)
    if _CALCIFICATION.search(words) and not _MASS.search(words):
        return FindingKind.CALCIFICATION
    if _SOFT.search(words):
        soft = [finding for finding in words.split("$") if _SOFT.search(finding)]
        calcified = all(map(_is_calcified_mass, soft))
        return FindingKind.MASS_WITH_CALCIFICATIONS if calcified else FindingKind.MASS
    # "Benign macrocalcification" as the only finding: then the region outlines it.
    return FindingKind.CALCIFICATION if _ONLY_HARMLESS.fullmatch(findings) else None


def _is_calcified_mass(finding: str) -> bool:
    """Whether one finding is a mass under calcifications, and nothing else under which these may lie."""
    return bool(_MASS.search(finding) and _OVERLYING.search(finding) and not _BESIDE_A_MASS.search(finding))


def lesion_regions(
    image: str, regions: Sequence[Mask], breast: NDArray[np.bool_]
) -> tuple[tuple[Mask, ...], tuple[LeftOut, ...]]:
    """The regions that can be a lesion, and those that cannot, each with its reason.

    Args:
        image: its name, used in the reasons.
        breast: the breast's pixels (`models.anatomy.breast.breast_mask`), of the image's shape.
    """
    lesions, left_out = [], []
    for number, region in enumerate(regions, start=1):
        fault = _fault(region, breast)
        if fault is None:
            lesions.append(region)
        else:
            left_out.append(LeftOut(f"{image} region {number}", fault))
    return tuple(lesions), tuple(left_out)


def _fault(region: Mask, breast: NDArray[np.bool_]) -> str | None:
    breast_area = max(1, int(np.count_nonzero(breast)))
    long_side = max(int(np.count_nonzero(breast.any(axis=0))), int(np.count_nonzero(breast.any(axis=1))))
    if max(region.box.height, region.box.width) < SMALLEST_SIDE * long_side:
        return f"shorter than {SMALLEST_SIDE:.0%} of the breast"
    if region.area_px > LARGEST_SHARE * breast_area:
        return f"larger than {LARGEST_SHARE:.0%} of the breast"
    if region.box.height * region.box.width > LARGEST_BOX_SHARE * breast_area:
        return f"its box is larger than {LARGEST_BOX_SHARE:.0%} of the breast"
    edged = np.pad(region.crop.astype(np.uint8), 1)
    width = 2 * float(cv2.distanceTransform(edged, cv2.DIST_L2, 5).max())
    if region.area_px > LONGEST_STRIP * width**2:
        return "a strip, as thickened skin is drawn"
    return None
