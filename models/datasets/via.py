"""Regions as the VGG Image Annotator exports them (CSV): one row per region, its shape as JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.datasets.case import DatasetError
from models.datasets.pictures import box_mask, ellipse_mask, polygon_mask
from models.datasets.tables import read_csv
from models.types.region import Mask


@dataclass(frozen=True)
class Region:
    """A drawn region.

    Attributes:
        shape: as the annotator writes it, x and y in pixels.
    """

    shape: Mapping[str, Any]

    def mask(self, rows_columns: tuple[int, int]) -> Mask | None:
        """Its pixels in an image of this shape; None if it encloses none (a point, a line)."""
        match self.shape:
            case {"name": "polygon" | "polyline", "all_points_x": [_, _, _, *_] as x, "all_points_y": y}:
                return polygon_mask(list(zip(x, y, strict=True)), rows_columns)
            case {"name": "ellipse", "cx": x, "cy": y, "rx": across, "ry": down}:
                return ellipse_mask((x, y), (across, down), self.shape.get("theta", 0.0), rows_columns)
            case {"name": "circle", "cx": x, "cy": y, "r": radius}:
                return ellipse_mask((x, y), (radius, radius), 0.0, rows_columns)
            case {"name": "rect", "x": left, "y": top, "width": width, "height": height}:
                return box_mask((left, top, left + width, top + height), rows_columns)
        return None


def drawn_regions(path: Path) -> dict[str, list[Region]]:
    """The regions of a file, by the name of their image without its extension.

    Raises:
        DatasetError: the file is missing or not such an export.
    """
    found = defaultdict(list)
    for line, row in enumerate(read_csv(path, ("#filename", "region_shape_attributes")), start=2):
        try:
            shape = json.loads(row["region_shape_attributes"] or "{}")
        except ValueError as error:
            raise DatasetError(f"{path}, line {line}: the region's shape is not JSON. Fetch the file again.") from error
        if shape:
            found[Path(row["#filename"]).stem.strip()].append(Region(shape))
    return dict(found)
