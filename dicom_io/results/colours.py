"""The colours of findings, the same in all objects."""

from __future__ import annotations

from collections.abc import Mapping

from models.types.reading import FindingKind

RGB = tuple[int, int, int]

# Orange, sky blue and yellow: distinguishable for colour-blind readers too (Okabe and Ito), and different from grey.
COLOURS: Mapping[FindingKind, RGB] = {
    FindingKind.MASS: (230, 159, 0),
    FindingKind.CALCIFICATION: (86, 180, 233),
    FindingKind.MASS_WITH_CALCIFICATIONS: (240, 228, 66),
}
"""Red, green, blue in 0..255."""
