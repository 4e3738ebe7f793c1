"""The table of one's own images, which each of the four layouts has (docs/data.md, "Your own images").

One row per image or, for `csv`, one per lesion. The columns `image` (a file, relative to the table's folder) and
`patient` are required; `OF_IMAGES` and `OF_LESIONS` are the others, each of which may be missing or empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.case import Case, Cases, DatasetError, LeftOut, Pathology, Side, lesions_told_apart
from models.datasets.dicom import DicomReader, placed
from models.datasets.labels import birads_of, density_of, laterality_of, worst_birads, worst_pathology
from models.datasets.own.regions import Region
from models.datasets.tables import Row, read_csv
from models.types.mammogram import Laterality, Mammogram

TABLE = "images.csv"
REQUIRED = ("image", "patient")
OF_IMAGES = ("exam", "laterality", "view", "density", "spacing_mm", "film", "hospital", "side", "marked_up")
OF_LESIONS = ("pathology", "birads")
"""In a table of lesions they are the lesion's, else the image's."""
_DEPTHS = (8, 10, 12, 14, 16)
UNKNOWN = "its class {!r} is neither a mass nor a calcification"
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

Word = TypeVar("Word", bound=StrEnum)


class YesNo(StrEnum):
    YES = "yes"
    NO = "no"


@dataclass(frozen=True)
class OwnImage:
    """An image of the table.

    Attributes:
        path: of the file.
        table: where it stands, for messages.
        rows: its rows.
    """

    path: Path
    table: Path
    rows: tuple[Row, ...]

    @property
    def file(self) -> str:
        """As the table has it."""
        return self.rows[0]["image"]

    @property
    def name(self) -> str:
        """Unique in the table."""
        return self.file.rpartition(".")[0].replace("/", "_").replace("\\", "_") or self.file

    def stated(self, column: str) -> str:
        """The value of a column of images; "" without such a column."""
        return self.rows[0].get(column, "")

    def word(self, row: Row, column: str, words: type[Word]) -> Word | None:
        """One of these words in a column; None if it is empty.

        Raises:
            DatasetError: it is another word.
        """
        value = row.get(column, "").lower()
        if value and value not in list(words):
            raise self.wrong(column, value, " or ".join(words))
        return words(value) if value else None

    def wrong(self, column: str, value: str, allowed: str) -> DatasetError:
        """The error for a value that cannot be used."""
        return DatasetError(f"{self.table}: {self.file} has the {column} {value!r}. Write {allowed}.")


def read_images(table: Path) -> list[OwnImage]:
    """The images of a table, in its order.

    Raises:
        DatasetError: it is missing or lacks a column; an image is missing or is of no patient, or its rows contradict
            each other.
    """
    rows_of: dict[str, list[Row]] = {}
    for number, row in enumerate(read_csv(table, REQUIRED), start=2):
        if not row["image"]:
            raise DatasetError(f"{table}: row {number} names no image. Fill in the column image.")
        rows_of.setdefault(row["image"], []).append(row)
    return [_image(table, rows) for rows in rows_of.values()]


def _image(table: Path, rows: Sequence[Row]) -> OwnImage:
    file = rows[0]["image"]
    if not (table.parent / file).is_file():
        raise DatasetError(f"{table.parent / file} is missing, and {table} names it. Paths start at the table.")
    for column in ("patient", *OF_IMAGES):
        if len({row.get(column, "") for row in rows}) > 1:
            raise DatasetError(f"{table}: the rows of {file} differ in {column}, which is one for the image.")
    if not rows[0]["patient"]:
        raise DatasetError(
            f"{table}: {file} has no patient. Patients, and not images, are split: give every image its patient."
        )
    return OwnImage(table.parent / file, table, tuple(rows))


def case_of(
    dataset: str, image: OwnImage, reader: DicomReader, regions: Sequence[Region], *, looked_at: bool = True
) -> tuple[Case, list[LeftOut]]:
    """The image as a case, and the regions of it that are of no known kind: with one it is not marked up.

    Args:
        regions: all that are drawn on it.
        looked_at: whether somebody looked for lesions: without any, it has none.

    Raises:
        DatasetError: a value of the table cannot be used.
    """
    known = [(region, region.kind) for region in regions if region.kind is not None]
    unknown = [LeftOut(region.place, UNKNOWN.format(region.name)) for region in regions if region.kind is None]
    laterality, view, spacing_mm = _laterality(image), image.stated("view").upper() or None, _spacing_mm(image)
    first = image.rows[0]
    film = {YesNo.YES: True, YesNo.NO: False, None: None}[image.word(first, "film", YesNo)]
    marked_up = image.word(first, "marked_up", YesNo) is not YesNo.NO

    def read() -> Mammogram:
        picture = image.path.suffix.lower() in _PICTURES
        shown = Mammogram(read_picture(image.path)) if picture else reader.mammogram(image.path)
        return placed(shown, laterality, view, spacing_mm, film)

    case = Case(
        name=image.name,
        dataset=dataset,
        patients=(first["patient"],),
        exam=image.stated("exam") or None,
        laterality=laterality,
        view=view,
        pathology=worst_pathology(image.word(row, "pathology", Pathology) for row in image.rows),
        birads=worst_birads(birads_of(row.get("birads", "")) for row in image.rows),
        density=density_of(image.stated("density")),
        marked_up=marked_up and looked_at and not unknown,
        label_is_fair=True,
        official=image.word(first, "side", Side),
        read=read,
        read_lesions=lambda shown: lesions_told_apart(region.lesion(shown.shape, kind) for region, kind in known),
        kinds=frozenset(kind for _, kind in known),
        hospital=image.stated("hospital"),
    )
    return case, unknown


def put_together(found: Iterable[tuple[Case, list[LeftOut]]]) -> Cases:
    """The results of `case_of` as one set."""
    pairs = list(found)
    return Cases(tuple(case for case, _ in pairs), tuple(left_out for _, some in pairs for left_out in some))


def _laterality(image: OwnImage) -> Laterality | None:
    stated = image.stated("laterality")
    found = laterality_of(stated)
    if found is None and stated:
        raise image.wrong("laterality", stated, "L or R")
    return found


def _spacing_mm(image: OwnImage) -> float | None:
    if not (stated := image.stated("spacing_mm")):
        return None
    try:
        spacing = float(stated)
    except ValueError:
        spacing = 0.0
    if not 0 < spacing < np.inf:
        raise image.wrong("spacing_mm", stated, "millimetres between pixels, such as 0.07")
    return spacing


def read_picture(path: Path) -> NDArray[np.float32]:
    """A grey picture of 8 to 16 bits, rows × columns, float32 in 0..1: the least usual depth that holds its values is
    taken for its depth.

    Raises:
        DatasetError: it is no such picture.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{path} cannot be read as a grey picture of 8 or 16 bits. Write it as PNG.")
    depth = 8 if pixels.dtype == np.uint8 else next(bits for bits in _DEPTHS if int(pixels.max()) < 1 << bits)
    return np.divide(pixels, (1 << depth) - 1, dtype=np.float32)
