"""The masses of CBIS-DDSM's training side as small pictures (doi 10.7937/K9/TCIA.2016.7O02S9CY, CC BY 3.0).

    labels.csv       one row per mass: its box, pathology, BI-RADS, density, and the size of its film
    images/*.jpg     whole films, 8 bit, each squashed to one square of pixels

A film is given its shape back: the picture keeps its columns and gets rows of the same spacing, in millimetres by the
film's own size (`width_est`, `height_est`) and its scanner (`models/datasets/ddsm.py`). Some 0.17 mm between columns
and 0.29 mm between rows is what the files hold: the rows between are interpolated.

Every film shows a mass, of which a box is known and no outline. Calcifications are not in the table: a film counts as
marked up for masses alone. All are of the publishers' training side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from models.datasets.case import Case, Cases, DatasetError, LeftOut, Lesion, Side
from models.datasets.ddsm import film_spacing_mm, hospital_of, pathology_of
from models.datasets.labels import birads_of, density_of, laterality_of, worst_birads, worst_pathology
from models.datasets.pictures import box_mask, read_grey
from models.datasets.tables import Row, read_csv
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind

_BOX = ("x", "y", "w", "h")
_SIZE = ("width_est", "height_est")
_COLUMNS = ("file", "patient", "side", "view", "lesion", *_BOX, "pathology", "birads", "density", "shape", "margins")
_SIDE_PX = 800
"""Of the square that the boxes are given in."""


def read_cbis_ddsm_masses(folder: Path) -> Cases:
    """The films of the set; only the table is read.

    Raises:
        DatasetError: the table is missing or damaged, or names a picture that is not there.
    """
    table = folder / "labels.csv"
    films: dict[str, list[Row]] = defaultdict(list)
    for row in read_csv(table, (*_COLUMNS, *_SIZE, "ddsm_case")):
        films[row["file"]].append(row)
    cases, left_out = [], []
    for file, rows in films.items():
        case, faulty = _case(table, folder / file, rows)
        cases.append(case)
        left_out.extend(faulty)
    return Cases(tuple(cases), tuple(left_out))


def _case(table: Path, path: Path, rows: Sequence[Row]) -> tuple[Case, list[LeftOut]]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing, and {table} names it. Fetch the data set again.")
    first = rows[0]
    width, height = (_number(table, first, column) for column in _SIZE)
    shape = round(_SIDE_PX * height / width), _SIDE_PX
    spacing_mm = film_spacing_mm(first["ddsm_case"]) * width / _SIDE_PX
    lesions, left_out = [], []
    for row in rows:
        name = f"{path.stem}_{row['lesion']}"
        left, top, box_width, box_height = (_number(table, row, column) for column in _BOX)
        down = shape[0] / _SIDE_PX
        mask = box_mask((left, top * down, left + box_width, (top + box_height) * down), shape)
        if mask is None:
            left_out.append(LeftOut(name, "its box lies outside its film"))
            continue
        subtype = ", ".join(row[column].lower() for column in ("shape", "margins") if row[column] not in ("", "N/A"))
        pathology = pathology_of(row["pathology"], table, name)
        lesions.append(Lesion(mask, False, FindingKind.MASS, pathology, birads_of(row["birads"]), subtype))

    def read() -> Mammogram:
        squashed = read_grey(path)
        # Columns are as they were; the rows between those of the file are interpolated.
        pixels = cv2.resize(squashed, shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1).astype(np.float32)
        return Mammogram(
            pixels,
            (spacing_mm, spacing_mm),
            spacing_by="the film's scanner and size, from the set's table",
            film=True,
            laterality=laterality_of(first["side"]),
            view=first["view"],
        )

    case = Case(
        name=path.stem,
        dataset="cbis-ddsm-masses",
        patients=(first["patient"],),
        exam=first["patient"],
        laterality=laterality_of(first["side"]),
        view=first["view"],
        pathology=worst_pathology(lesion.pathology for lesion in lesions),
        birads=worst_birads(lesion.birads for lesion in lesions),
        density=density_of(first["density"]),
        marked_up=not left_out,
        label_is_fair=True,
        official=Side.TRAIN,
        read=read,
        read_lesions=lambda _: tuple(lesions),
        kinds=frozenset({FindingKind.MASS}),
        hospital=hospital_of(first["ddsm_case"]),
    )
    return case, left_out


def _number(table: Path, row: Row, column: str) -> float:
    try:
        return float(row[column])
    except ValueError as error:
        raise DatasetError(
            f"{table} gives {row['file']} the {column} {row[column]!r}, which is no number. Fetch the table again."
        ) from error
