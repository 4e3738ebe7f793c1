"""CDD-CESM: low-energy mammograms with drawn lesions (doi 10.7937/29kw-ae92, CC BY 4.0).

Sources: Khaled et al. 2021 (10.7937/29kw-ae92), Khaled et al. 2022 (Scientific Data, 10.1038/s41597-022-01238-0),
Clark et al. 2013 (10.1007/s10278-013-9622-7). Two layouts are read. That of The Cancer Imaging Archive, whose pictures
may be at any depth:

    Radiology-manual-annotations.xlsx (or .csv)   one row per image: findings, view, BI-RADS, pathology
    Radiology_hand_drawn_segmentations_v2.csv     one row per region
    Low energy images of CDD-CESM/P1_L_DM_CC.jpg  the subtracted images beside them are not used

and that of a subset, with regions as pictures:

    annotations.csv                               the first table
    native-cc/labels.csv                          one row per image, with the range of patient numbers it belongs to
    native-cc/images, masks                       JPEG at the original size, CC views; PNG masks
    malignant-512/images, masks                   JPEG padded to 512 × 512, CC and MLO, all malignant

No image states its pixel spacing; all are digital, and code that measures assumes one (`models.anatomy.film`). The
512-pixel images of the subset were reduced by a factor of 4.19 (the median of the 29 images that are there in both
sizes; range 2.8 to 6.6). Their spacing is computed from this factor and an assumed 0.1 mm per pixel at the original
size.

In the subset, view and size reveal the label: every MLO image and every 512-pixel image is malignant. Malignancy may be
evaluated only on the native images (`label_is_fair`).

Opening the set reads the pixels of all images with drawn regions: whether a region can be a lesion depends on the
breast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.anatomy.breast import breast_mask
from models.datasets.case import Case, Cases, DatasetError, LeftOut, Lesion, Pathology
from models.datasets.cdd_cesm_regions import kind_of, lesion_regions, names_calcifications
from models.datasets.labels import birads_of, density_of, laterality_of
from models.datasets.pictures import parts_of, read_drawn, read_grey
from models.datasets.spreadsheet import read_sheet
from models.datasets.tables import Row, read_csv
from models.datasets.via import Region, drawn_regions
from models.types.mammogram import Mammogram
from models.types.region import Mask

_SHRUNK_SPACING_MM = 0.1 * 4.19
_ANNOTATIONS = ("Image_name", "Findings", "View")
_PATHOLOGY = "Pathology Classification/ Follow up"
_NATIVE = ("file", "repo_class", "tcia_name", "tcia_pathology", "findings", "bbox_union", "patient_low", "patient_high")
_TABLES = ("Radiology-manual-annotations.xlsx", "Radiology-manual-annotations.csv", "Radiology_manual_annotations.xlsx")
_REGIONS = "Radiology_hand_drawn_segmentations_v2.csv"


@dataclass(frozen=True)
class _Picture:
    """An image as the tables describe it.

    Attributes:
        row: of the annotations; empty if the image is not among them.
        draw: takes the image's shape and returns the regions drawn in it; None where none was drawn.
        findings: as text.
        native: whether it has its original size.
    """

    name: str
    path: Path
    patients: tuple[str, ...]
    laterality: str
    view: str
    pathology: Pathology
    row: Row
    findings: str
    draw: Callable[[tuple[int, int]], list[Mask]] | None
    native: bool

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """None at the original size, where it is not known: code that measures assumes a spacing."""
        return None if self.native else (_SHRUNK_SPACING_MM, _SHRUNK_SPACING_MM)


def read_cdd_cesm(folder: Path) -> Cases:
    """The images of the set, in either layout.

    Raises:
        DatasetError: a table, an image or a mask is missing or damaged, or there are no images.
    """
    pictures, left_out = _pictures(folder)
    if not pictures:
        raise DatasetError(f"No images in {folder}. Give the folder that holds the tables of CDD-CESM and its images.")
    cases = []
    for picture in pictures:
        lesions, faulty = _lesions(picture)
        left_out.extend(faulty)
        cases.append(_case(picture, lesions))
    return Cases(tuple(cases), tuple(left_out))


def read_without_calcifications(folder: Path) -> tuple[Case, ...]:
    """The native images of normal and benign breasts whose findings name no calcification, without what is drawn in
    them: real tissue to put simulated calcifications into.

    Raises:
        DatasetError: see `read_cdd_cesm`.
    """
    return tuple(
        _case(picture, ())
        for picture in _native_pictures(folder)
        if picture.pathology is not Pathology.MALIGNANT and not names_calcifications(picture.findings)
    )


def read_with_calcifications(folder: Path) -> tuple[Case, ...]:
    """The native images whose findings name calcifications, with the regions that are drawn in them as lesions.

    Raises:
        DatasetError: see `read_cdd_cesm`.
    """
    return tuple(
        _case(picture, _lesions(picture)[0])
        for picture in _native_pictures(folder)
        if names_calcifications(picture.findings)
    )


def _native_pictures(folder: Path) -> list[_Picture]:
    return [picture for picture in _pictures(folder)[0] if picture.native]


def _pictures(folder: Path) -> tuple[list[_Picture], list[LeftOut]]:
    """The images of either layout, and those that are left out."""
    return _archive(folder) if (folder / _REGIONS).is_file() else _part(folder)


def _case(picture: _Picture, lesions: tuple[Lesion, ...]) -> Case:
    # An image without a region certainly shows no lesion only if the breast is normal.
    unmarked = picture.draw is None and picture.pathology is Pathology.NORMAL

    def read() -> Mammogram:
        laterality = laterality_of(picture.laterality)
        pixels = read_grey(picture.path)
        return Mammogram(pixels, picture.spacing_mm, film=False, laterality=laterality, view=picture.view)

    return Case(
        name=picture.name,
        dataset="cdd-cesm",
        patients=picture.patients,
        exam=picture.patients[0] if len(picture.patients) == 1 else None,
        laterality=laterality_of(picture.laterality),
        view=picture.view,
        pathology=picture.pathology,
        birads=birads_of(picture.row.get("BIRADS", "")),
        density=density_of(picture.row.get("Breast density (ACR)", "")),
        marked_up=bool(lesions) or unmarked,
        label_is_fair=picture.native,
        official=None,
        read=read,
        read_lesions=lambda _: lesions,
        kinds=frozenset(lesion.kind for lesion in lesions),
    )


def _lesions(picture: _Picture) -> tuple[tuple[Lesion, ...], tuple[LeftOut, ...]]:
    """The regions of an image that are lesions, and what of it is not used for detection."""
    unused = f"{picture.name} for detection"
    if picture.draw is None:
        none_there = picture.pathology is Pathology.NORMAL
        return (), () if none_there else (LeftOut(unused, "no region is drawn, but it may show a lesion"),)
    kind = kind_of(picture.findings)
    if kind is None:
        return (), (LeftOut(unused, "its findings name no lesion, but a region is drawn"),)
    pixels = read_grey(picture.path)
    shape = pixels.shape[0], pixels.shape[1]
    masks, faulty = lesion_regions(picture.name, picture.draw(shape), breast_mask(pixels))
    if not masks:
        faulty += (LeftOut(unused, "none of its drawn regions can be a lesion"),)
    return tuple(Lesion(mask, True, kind, picture.pathology) for mask in masks), faulty


def _part(folder: Path) -> tuple[list[_Picture], list[LeftOut]]:
    rows = {row["Image_name"]: row for row in read_csv(folder / "annotations.csv", _ANNOTATIONS)}
    native = list(_native(folder / "native-cc", rows))
    twins = {twin for _, twin in native}
    pictures, left_out = [picture for picture, _ in native], []
    for picture in _malignant(folder / "malignant-512", rows):
        if picture.name in twins:
            left_out.append(LeftOut(picture.name, "the same image is in native-cc at its original size"))
        else:
            pictures.append(picture)
    return pictures, left_out


def _native(folder: Path, rows: dict[str, Row]) -> Iterator[tuple[_Picture, str]]:
    """Each image of native-cc, with its name in the collection ("" where that is unknown)."""
    table = folder / "labels.csv"
    for label in read_csv(table, _NATIVE):
        name, twin = Path(label["file"]).stem, label["tcia_name"]
        row = rows.get(twin, {})
        path = _present(folder / "images" / label["file"])
        mask = _present(folder / "masks" / f"{name}.png") if label["bbox_union"] else None
        try:
            numbers = range(int(label["patient_low"]), int(label["patient_high"]) + 1)
        except ValueError as error:
            raise DatasetError(f"{table}, {label['file']}: its patient is no number. Fetch the table again.") from error
        picture = _Picture(
            name=name,
            path=path,
            patients=tuple(str(number) for number in numbers),
            laterality=row.get("Side") or label.get("repo_side", ""),
            view="CC",
            pathology=_pathology(table, name, label["tcia_pathology"] or _class(label["repo_class"])),
            row=row,
            findings=row.get("Findings", label["findings"]),
            draw=_painted(mask, path) if mask else None,
            native=True,
        )
        yield picture, twin


def _class(repo_class: str) -> str:
    return Pathology.MALIGNANT if repo_class == "mixed" else repo_class


def _malignant(folder: Path, rows: dict[str, Row]) -> Iterator[_Picture]:
    for path in sorted((folder / "images").glob("*.jpg")):
        if path.stem not in rows:
            raise DatasetError(f"annotations.csv has no row for {path}. Fetch the table that belongs to the images.")
        row = rows[path.stem]
        yield _Picture(
            name=path.stem,
            path=path,
            patients=(_patient(path.stem),),
            laterality=row.get("Side", ""),
            view=row["View"],
            pathology=Pathology.MALIGNANT,
            row=row,
            findings=row["Findings"],
            draw=_painted(_present(folder / "masks" / path.name), path),
            native=False,
        )


def _archive(folder: Path) -> tuple[list[_Picture], list[LeftOut]]:
    """The layout of The Cancer Imaging Archive."""
    table = next((folder / name for name in _TABLES if (folder / name).is_file()), folder / _TABLES[0])
    columns = (*_ANNOTATIONS, "Patient_ID", "Side", "Type", _PATHOLOGY)
    rows = read_sheet(table, columns) if table.suffix == ".xlsx" else read_csv(table, columns)
    paths = {path.stem.strip(): path for path in sorted(folder.rglob("*.jpg"))}
    regions = drawn_regions(folder / _REGIONS)
    pictures, left_out = [], []
    for row in rows:
        name = row["Image_name"]
        if row["Type"] != "DM":  # subtracted images are not mammograms as used in screening
            continue
        if name not in paths:
            left_out.append(LeftOut(name, "the image is not in the folder"))
            continue
        drawn = regions.get(name, [])
        pictures.append(
            _Picture(
                name=name,
                path=paths[name],
                patients=(row["Patient_ID"],),
                laterality=row["Side"],
                view=row["View"],
                pathology=_pathology(table, name, row[_PATHOLOGY]),
                row=row,
                findings=row["Findings"],
                draw=partial(_outlined, drawn) if drawn else None,
                native=True,
            )
        )
    return pictures, left_out


def _painted(mask: Path, image: Path) -> Callable[[tuple[int, int]], list[Mask]]:
    return lambda shape: parts_of(read_drawn(mask, shape, image))


def _outlined(regions: Sequence[Region], shape: tuple[int, int]) -> list[Mask]:
    return [mask for region in regions if (mask := region.mask(shape)) is not None]


def _patient(name: str) -> str:
    """The number in "P35_L_DM_CC"."""
    return name.split("_")[0].removeprefix("P")


def _pathology(table: Path, name: str, words: str) -> Pathology:
    try:
        return Pathology(words.lower())
    except ValueError as error:
        raise DatasetError(f"{table} gives {name} the pathology {words!r}. Fetch the table again.") from error


def _present(path: Path) -> Path:
    if not path.is_file():
        raise DatasetError(f"{path} is missing. The data set is incomplete: fetch it again.")
    return path
