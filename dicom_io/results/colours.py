"""The colours of findings, alike in every object that has colours."""

from __future__ import annotations

from collections.abc import Mapping

from models.types.reading import FindingKind

RGB = tuple[int, int, int]

# Orange and sky blue: told apart by colour-blind readers too (Okabe and Ito), and unlike the grey of the image.
COLOURS: Mapping[FindingKind, RGB] = {FindingKind.MASS: (230, 159, 0), FindingKind.CALCIFICATION: (86, 180, 233)}
"""Red, green, blue in 0..255."""
