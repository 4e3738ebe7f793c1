"""Data sets that this program wrote itself: a listing in JSON, images as DICOM, outlines as DICOM SEG."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from models.datasets.case import DatasetError

Listing = TypeVar("Listing", bound=BaseModel)


class ListedImage(Protocol):
    """An image of a listing; file names are relative to the set's folder."""

    @property
    def file(self) -> str: ...

    @property
    def segmentation(self) -> str | None:
        """None where nothing is drawn."""

    @property
    def lesions(self) -> Sized: ...


def read_listing(path: Path, listing: type[Listing], missing: str, damaged: str) -> Listing:
    """The listing.

    Args:
        listing: the pydantic model of the file.
        missing: a sentence: what the user can do if the file cannot be read.
        damaged: the same, if the file's content is not valid.

    Raises:
        DatasetError: it is missing or damaged.
    """
    try:
        return listing.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. {missing}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DatasetError(f"{path} is damaged ({where}: {first['msg']}). {damaged}") from error


def check_files(folder: Path, path: Path, images: Sequence[ListedImage], cure: str) -> None:
    """Raises DatasetError if a file that the listing at `path` names is missing, or lesions have no segmentation."""
    for image in images:
        for named in (image.file, image.segmentation):
            if named is not None and not (folder / named).is_file():
                raise DatasetError(f"{folder / named} is missing, and {path} names it. {cure}")
        if len(image.lesions) and image.segmentation is None:
            raise DatasetError(f"{path} names lesions of {image.file} but no segmentation. {cure}")
