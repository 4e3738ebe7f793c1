"""`nnunet:FOLDER`: one's own images as a 2D data set of nnU-Net v2 (its documentation/dataset_format.md).

    images.csv                  the images and their patients (`images.py`)
    dataset.json                `labels`: the value of each class
    imagesTr/NAME_0000.png      the image; PNG or TIFF
    labelsTr/NAME.png           of the same size: 0, or the value of a class; opening the set reads it

Every connected part of a class is a lesion. An image without a file of labels is not marked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from models.datasets.case import Cases, DatasetError
from models.datasets.dicom import DicomReader
from models.datasets.listed import read_listing
from models.datasets.own.images import TABLE, OwnImage, case_of, put_together, read_images
from models.datasets.own.regions import Region, Shape, read_labels
from models.datasets.pictures import parts_of
from models.types.region import Mask

DATASET = "nnunet"
DESCRIPTION = "dataset.json"
_CHANNEL = "_0000"
_BACKGROUND = 0


class Description(BaseModel):
    """What is needed of `dataset.json`. Regions made of several values are not read."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    labels: dict[str, int]


def read_nnunet(folder: Path, reader: DicomReader) -> Cases:
    """The images of the set; no pixels but those of the labels are read.

    Raises:
        DatasetError: see `read_images` and `case_of`; the description is missing or damaged, or labels are no picture
            or have a value that it does not name.
    """
    description = read_listing(
        folder / DESCRIPTION,
        Description,
        missing="It is part of every data set of nnU-Net.",
        damaged="Its labels must be names with one value each.",
    )
    names = {value: name for name, value in description.labels.items()}
    paths = [(image, _labels_of(folder, image)) for image in read_images(folder / TABLE)]
    return put_together(
        case_of(DATASET, image, reader, _regions(path, names) if path.is_file() else [], looked_at=path.is_file())
        for image, path in paths
    )


def _labels_of(folder: Path, image: OwnImage) -> Path:
    return folder / "labelsTr" / f"{image.path.stem.removesuffix(_CHANNEL)}{image.path.suffix}"


def _regions(path: Path, names: Mapping[int, str]) -> list[Region]:
    labels = read_labels(path)
    regions = []
    for value in sorted(set(labels.ravel().tolist()) - {_BACKGROUND}):
        if value not in names:
            raise DatasetError(f"{path} has the value {value}, which {DESCRIPTION} lacks. Add it to its labels.")
        for number, mask in enumerate(parts_of(labels == value), start=1):
            place = f"{path}: {names[value]} {number}"
            regions.append(Region(place, names[value], True, _of_shape(mask, labels.shape, path)))
    return regions


def _of_shape(mask: Mask, drawn: tuple[int, ...], path: Path) -> Callable[[Shape], Mask]:
    def draw(shape: Shape) -> Mask:
        if shape != drawn:
            raise DatasetError(f"{path} has not the size of its image. Draw it on the image itself.")
        return mask

    return draw
