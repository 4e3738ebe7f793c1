"""INbreast: full-field digital mammograms with drawn outlines (Moreira et al. 2012, 10.1016/j.acra.2011.09.014).

The folder read here:

    INbreast.csv        one row per image, columns separated by semicolons
    AllDICOMs/FILE_PATIENT_MG_SIDE_VIEW_ANON.dcm
    AllXML/FILE.xml     regions as OsiriX writes them (a property list); only for images with a region

No pathology is known: BI-RADS is a reader's opinion, and biopsies are not stated. Calcifications were drawn one by one,
often hundreds per image, and sometimes also the outline of their cluster. A calcification lesion is a cluster: one that
was outlined, or at least five single calcifications ("grouped" in BI-RADS), each within 5 mm of another; the mask of
such a group is its convex hull, and does not count as outlined. Fewer than five are not a lesion. A mass in which such
a lesion lies (`models.types.reading.calcifications_in_masses`) is a mass with calcifications; both are lesions.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import cv2
import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from models.datasets.case import Case, Cases, DatasetError, LeftOut, Lesion, lesions_told_apart
from models.datasets.dicom import DicomReader, placed
from models.datasets.labels import birads_of, density_of, laterality_of
from models.datasets.pictures import polygon_mask
from models.datasets.tables import Row, read_csv
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind

_COLUMNS = ("Laterality", "View", "File Name", "ACR", "Bi-Rads")
_PIXEL_MM = 0.07
"""Every image of the set was taken with this detector pitch."""
_REACH_PX = 5 / _PIXEL_MM
_GROUP = 5
_MARGIN_PX = 5
"""A group's hull extends this far beyond the calcifications' centres."""

_CLUSTER = re.compile(r"cluster", re.IGNORECASE)
_CALCIFICATION = re.compile(r"calcification", re.IGNORECASE)
_SPICULES = re.compile(r"e?spiculated region", re.IGNORECASE)
_MASS = re.compile(r"mass|distortion|as+[iy]m+etry", re.IGNORECASE)

Point = tuple[float, float]
"""x, y in pixels."""


@dataclass(frozen=True)
class Region:
    """A drawn region, or a group of calcifications."""

    name: str
    points: tuple[Point, ...]
    kind: FindingKind
    outlined: bool = True


def read_inbreast(folder: Path, reader: DicomReader) -> Cases:
    """The images of the set; no pixels are read.

    Raises:
        DatasetError: the table or a file of regions is missing or damaged.
    """
    files = {path.name.split("_")[0]: path for path in sorted((folder / "AllDICOMs").glob("*.dcm"))}
    cases, left_out = [], []
    for row in read_csv(folder / "INbreast.csv", _COLUMNS, delimiter=";"):
        name = row["File Name"]
        if not name.isdigit():  # the table ends in totals
            continue
        if name not in files:
            left_out.append(LeftOut(name, "the image is not in the folder"))
            continue
        xml = folder / "AllXML" / f"{name}.xml"
        regions, faulty = _regions(xml) if xml.is_file() else ((), ())
        left_out.extend(faulty)
        cases.append(_case(row, files[name], xml.is_file() and not faulty, regions, reader))
    return Cases(tuple(cases), tuple(left_out))


def _case(row: Row, path: Path, complete: bool, regions: tuple[Region, ...], reader: DicomReader) -> Case:
    patient = path.stem.split("_")[1] if path.stem.count("_") else path.stem
    birads = birads_of(row["Bi-Rads"])

    def read() -> Mammogram:
        return placed(reader.mammogram(path), laterality_of(row["Laterality"]), row["View"].upper() or None, _PIXEL_MM)

    return Case(
        name=row["File Name"],
        dataset="inbreast",
        patients=(patient,),
        exam=f"{patient} {row.get('Acquisition date', '')}".strip(),
        laterality=laterality_of(row["Laterality"]),
        view=row["View"].upper() or None,
        pathology=None,
        birads=birads,
        density=density_of(row["ACR"]),
        marked_up=complete or (not regions and birads == "1"),
        label_is_fair=True,
        official=None,
        read=read,
        read_lesions=_drawer(path, regions),
        kinds=frozenset(region.kind for region in regions),
    )


def _drawer(path: Path, regions: tuple[Region, ...]) -> Callable[[Mammogram], tuple[Lesion, ...]]:
    def draw(image: Mammogram) -> tuple[Lesion, ...]:
        lesions = []
        for region in regions:
            mask = polygon_mask(region.points, image.shape)
            if mask is None:
                raise DatasetError(f"A region of {path.name} lies outside the image. Fetch both again.")
            lesions.append(Lesion(mask, region.outlined, region.kind, subtype=region.name.lower()))
        return lesions_told_apart(lesions)

    return draw


def _regions(path: Path) -> tuple[tuple[Region, ...], tuple[LeftOut, ...]]:
    """The lesions of one file, and the regions that may be lesions but whose names do not say what they are."""
    masses, spicules, clusters, single, left_out = [], [], [], [], []
    for name, points in _read_contours(path):
        if _CLUSTER.search(name) and len(points) > 2:
            clusters.append(Region(name, points, FindingKind.CALCIFICATION))
        elif _CALCIFICATION.search(name):
            single.append((float(np.mean([x for x, _ in points])), float(np.mean([y for _, y in points]))))
        elif _SPICULES.search(name) and len(points) > 2:
            spicules.append(Region(name, points, FindingKind.MASS))
        elif _MASS.search(name) and len(points) > 2:
            masses.append(Region(name, points, FindingKind.MASS))
        else:
            left_out.append(LeftOut(f"{path.stem}, region {name or 'without a name'}", "it does not say what it is"))
    # A spiculated region that is drawn round a mass belongs to that mass: the mass is the lesion.
    alone = [spicule for spicule in spicules if not any(_within(_centre(mass), spicule.points) for mass in masses)]
    outside = [point for point in single if not any(_within(point, cluster.points) for cluster in clusters)]
    return (*masses, *alone, *clusters, *_groups(outside)), tuple(left_out)


def _groups(points: list[Point]) -> list[Region]:
    if len(points) < _GROUP:
        return []
    near = KDTree(points).sparse_distance_matrix(KDTree(points), _REACH_PX)
    count, labels = connected_components(near, directed=False)
    groups = [np.array(points)[labels == number] for number in range(count)]
    return [
        Region("grouped calcifications", _hull(group), FindingKind.CALCIFICATION, outlined=False)
        for group in groups
        if len(group) >= _GROUP
    ]


def _hull(points: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[Point, ...]:
    """The convex hull of discs round the points."""
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    discs = points[:, None] + _MARGIN_PX * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    hull = cv2.convexHull(discs.reshape(-1, 2).astype(np.float32)).reshape(-1, 2)
    return tuple((float(x), float(y)) for x, y in hull)


def _within(point: Point, outline: tuple[Point, ...]) -> bool:
    return cv2.pointPolygonTest(np.array(outline, dtype=np.float32), point, False) >= 0


def _centre(region: Region) -> Point:
    x, y = np.mean(region.points, axis=0)
    return float(x), float(y)


def _read_contours(path: Path) -> list[tuple[str, tuple[Point, ...]]]:
    """Name and points of each region of a file.

    Raises:
        DatasetError: the file does not hold regions in this format. Entities are never expanded: plistlib refuses them.
    """
    try:
        with path.open("rb") as file:
            regions = plistlib.load(file, fmt=plistlib.FMT_XML)["Images"][0]["ROIs"]
        return [(str(region.get("Name", "")).strip(), _points(region["Point_px"])) for region in regions]
    except (ExpatError, plistlib.InvalidFileException, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path} holds no regions as OsiriX writes them. Fetch it again.") from error


def _points(texts: list[str]) -> tuple[Point, ...]:
    points = []
    for text in texts:
        x, y = (float(number) for number in text.strip("() ").split(",")[:2])
        points.append((x, y))
    if not points:
        raise ValueError("a region without points")
    return tuple(points)
