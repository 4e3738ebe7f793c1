"""VinDr-Mammo: full-field digital mammograms with boxes (doi 10.13026/br2v-7517, PhysioNet, credentialed access).

Source: Nguyen et al. 2023 (Scientific Data, 10.1038/s41597-023-02100-7). The folder read here:

    breast-level_annotations.csv   one row per image: view, BI-RADS and density of its breast, training or test
    finding_annotations.csv        one row per finding: categories, BI-RADS, box
    images/STUDY/IMAGE.dicom

Findings are boxes, never outlines, and there are no biopsies: no pathology is known. Benign findings (BI-RADS 2) were
not drawn, so an image of such a breast is not marked up. The publishers give no patient numbers; each study counts as
a patient, as in their own split.
"""

from __future__ import annotations

import ast
import math
from collections import defaultdict
from pathlib import Path

from models.datasets.case import Case, Cases, DatasetError, LeftOut, Lesion, Side
from models.datasets.dicom import DicomReader, placed
from models.datasets.labels import birads_of, density_of, laterality_of
from models.datasets.pictures import box_mask
from models.datasets.tables import Row, read_csv
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind

_IMAGES = (
    "study_id",
    "image_id",
    "laterality",
    "view_position",
    "height",
    "width",
    "breast_birads",
    "breast_density",
    "split",
)
_FINDINGS = ("image_id", "finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax")
_SIDES = {"training": Side.TRAIN, "test": Side.TEST}
# As for CDD-CESM, a finding of soft tissue counts as a mass.
_MASSES = {"Mass", "Asymmetry", "Focal Asymmetry", "Architectural Distortion", "Suspicious Lymph Node"}
_CALCIFICATION = "Suspicious Calcification"
_WHOLE_BREAST = "Global Asymmetry"
_NOTHING = "No Finding"
_SIZES = (
    "the image has {shape[0]} × {shape[1]} pixels, and its boxes are drawn on {stated[0]} × {stated[1]}: "
    "fetch the image as it was published"
)


def read_vindr_mammo(folder: Path, reader: DicomReader) -> Cases:
    """The images of the set; no pixels are read. The headers of images with boxes are read, to check the size: boxes
    drawn on an image of another size would be in the wrong place.

    Raises:
        DatasetError: a table is missing or was changed; a header cannot be read.
    """
    images = read_csv(folder / "breast-level_annotations.csv", _IMAGES)
    findings = defaultdict(list)
    table = folder / "finding_annotations.csv"
    for line, row in enumerate(read_csv(table, _FINDINGS), start=2):
        findings[row["image_id"]].append((row, _categories(table, line, row)))
    cases, left_out = [], []
    for row in images:
        path = folder / "images" / row["study_id"] / f"{row['image_id']}.dicom"
        if not path.is_file():
            left_out.append(LeftOut(row["image_id"], "the image is not in the folder"))
            continue
        stated = int(_number(row["height"]) or 0), int(_number(row["width"]) or 0)
        found = findings[row["image_id"]]
        if any(_kind(categories) for _, categories in found) and (shape := reader.shape(path)) != stated:
            left_out.append(LeftOut(row["image_id"], _SIZES.format(shape=shape, stated=stated)))
            continue
        lesions, faulty = _lesions(row["image_id"], stated, found)
        left_out.extend(faulty)
        cases.append(_case(row, path, lesions, not faulty, reader))
    return Cases(tuple(cases), tuple(left_out))


def _case(row: Row, path: Path, lesions: tuple[Lesion, ...], complete: bool, reader: DicomReader) -> Case:
    birads = birads_of(row["breast_birads"])

    def read() -> Mammogram:
        return placed(reader.mammogram(path), laterality_of(row["laterality"]), row["view_position"])

    return Case(
        name=row["image_id"],
        dataset="vindr-mammo",
        patients=(row["study_id"],),
        exam=row["study_id"],
        laterality=laterality_of(row["laterality"]),
        view=row["view_position"],
        pathology=None,
        birads=birads,
        density=density_of(row["breast_density"]),
        marked_up=complete and (bool(lesions) or birads == "1"),
        label_is_fair=True,
        official=_SIDES.get(row["split"]),
        read=read,
        read_lesions=lambda _: lesions,
        kinds=frozenset(lesion.kind for lesion in lesions),
    )


def _lesions(
    image: str, shape: tuple[int, int], findings: list[tuple[Row, list[str]]]
) -> tuple[tuple[Lesion, ...], tuple[LeftOut, ...]]:
    """The lesions drawn in one image, and its findings that may be lesions and cannot be used."""
    lesions, left_out = [], []
    for finding, categories in findings:
        kind = _kind(categories)
        if kind is None:
            if _WHOLE_BREAST in categories:
                left_out.append(LeftOut(f"{image}, {_WHOLE_BREAST}", "it is not a lesion with an outline"))
            continue  # findings of skin and nipple are not lesions, and cover none
        edges = tuple(_number(finding[edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))
        mask = box_mask([edge for edge in edges if edge is not None], shape) if None not in edges else None
        if mask is None:
            left_out.append(LeftOut(f"{image}, {', '.join(categories)}", "its box lies outside the image"))
            continue
        lesions.append(
            Lesion(
                mask=mask,
                outlined=False,
                kind=kind,
                birads=birads_of(finding["finding_birads"]),
                subtype=", ".join(categories).lower(),
            )
        )
    return tuple(lesions), tuple(left_out)


def _kind(categories: list[str]) -> FindingKind | None:
    """A box with both names is a mass with calcifications; calcifications over an asymmetry are calcifications (as in
    CDD-CESM)."""
    if _CALCIFICATION in categories:
        return FindingKind.MASS_WITH_CALCIFICATIONS if "Mass" in categories else FindingKind.CALCIFICATION
    return FindingKind.MASS if _MASSES & set(categories) else None


def _categories(table: Path, line: int, row: Row) -> list[str]:
    """The list in a cell, which is written as in Python: "['Mass', 'Skin Retraction']"."""
    try:
        found = ast.literal_eval(row["finding_categories"])
    except (SyntaxError, ValueError):
        found = None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise DatasetError(f"{table}, line {line}: finding_categories is no list of findings. Fetch the table again.")
    return [name for name in found if name != _NOTHING]


def _number(words: str) -> float | None:
    try:
        value = float(words)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
