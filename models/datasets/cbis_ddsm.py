"""CBIS-DDSM: scanned film mammograms with drawn lesions and biopsies (doi 10.7937/K9/TCIA.2016.7O02S9CY, CC BY 3.0).

Source: Lee et al. 2017 (Scientific Data, 10.1038/sdata.2017.177). The folder read here holds the four tables and, at
any depth, a folder for each image and each of its abnormalities, as TCIA's downloaders make them (the folders below
are named by UID or by description; both are ignored):

    mass_case_description_train_set.csv, mass_…_test_set.csv, calc_…_train_set.csv, calc_…_test_set.csv
    Mass-Training_P_00001_LEFT_CC/…/*.dcm      the mammogram
    Mass-Training_P_00001_LEFT_CC_1/…/*.dcm    its abnormality 1: a mask and a crop

Masses and calcifications were published separately: a patient may be in the training images of one part and in the test
images of the other. A film that is in both parts becomes one case with the lesions of both; it is a test image if it is
one in either part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from models.datasets.case import Case, Cases, DatasetError, LeftOut, Lesion, Pathology, Side, lesions_told_apart
from models.datasets.cbis_ddsm_files import FoundMask, files_by_name, find_mask, read_mask
from models.datasets.ddsm import film_spacing_mm, hospital_of, pathology_of
from models.datasets.dicom import DicomReader, placed
from models.datasets.labels import birads_of, density_of, laterality_of, worst_birads, worst_pathology
from models.datasets.tables import Row, read_csv
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind

_TABLES = MappingProxyType(
    {
        "mass_case_description_train_set.csv": ("Mass-Training", FindingKind.MASS, Side.TRAIN),
        "mass_case_description_test_set.csv": ("Mass-Test", FindingKind.MASS, Side.TEST),
        "calc_case_description_train_set.csv": ("Calc-Training", FindingKind.CALCIFICATION, Side.TRAIN),
        "calc_case_description_test_set.csv": ("Calc-Test", FindingKind.CALCIFICATION, Side.TEST),
    }
)
_COLUMNS = ("patient_id", "left or right breast", "image view", "abnormality id", "assessment", "pathology")
_WORDS = MappingProxyType(
    {
        FindingKind.MASS: ("mass shape", "mass margins"),
        FindingKind.CALCIFICATION: ("calc type", "calc distribution"),
    }
)
_NO_TABLE = "the table is not in the folder; without it no image counts as marked up: it may name lesions of any image"

View = tuple[str, str, str]
"""Patient, breast and view, as the tables spell them."""


@dataclass(frozen=True)
class _Abnormality:
    name: str
    mask: FoundMask
    kind: FindingKind
    pathology: Pathology
    birads: str | None
    subtype: str


@dataclass(frozen=True)
class _Film:
    """An image of one of the four parts."""

    name: str
    path: Path
    shape: tuple[int, int]
    shown: View
    density: str | None
    side: Side
    ddsm_case: str
    abnormalities: tuple[_Abnormality, ...]


def read_cbis_ddsm(folder: Path, reader: DicomReader) -> Cases:
    """The images of the set. Reads all headers and the masks' pixels (some minutes for the whole set).

    An image is marked up if its lesions of both kinds are known: all four tables are present, and each of its films
    that they name, and each mask.

    Raises:
        DatasetError: there is no table, or a table was changed; a header or a mask cannot be read.
    """
    tables = {name: folder / name for name in _TABLES if (folder / name).is_file()}
    if not tables:
        raise DatasetError(f"{folder} holds none of {', '.join(_TABLES)}. Put the tables beside the images.")
    left_out = [LeftOut(name, _NO_TABLE) for name in _TABLES if name not in tables]
    found = files_by_name(folder)
    films, missing = [], set()
    for name, table in tables.items():
        part, kind, side = _TABLES[name]
        for image, rows in _by_image(part, read_csv(table, (*_COLUMNS, *_WORDS[kind]))).items():
            files = found.get(image, ())
            if len(files) == 1:
                shape = reader.shape(files[0])
                abnormalities = tuple(_abnormality(table, image, row, shape, kind, found, reader) for row in rows)
                films.append(_film(image, files[0], shape, rows[0], side, abnormalities))
            else:
                why = f"{len(files)} files are in the folder of one image" if files else "it is not in the folder"
                left_out.append(LeftOut(image, why))
                missing.add(_view(rows[0]))
    masks = [(abnormality.name, abnormality.mask) for film in films for abnormality in film.abnormalities]
    left_out.extend(LeftOut(name, mask.fault) for name, mask in masks if mask.fault)
    mended = tuple(f"{name}: {mask.mended}." for name, mask in masks if mask.mended)
    known = {film.shown for film in films} - missing if len(tables) == len(_TABLES) else set()
    return Cases(tuple(_cases(films, known, reader)), tuple(left_out), mended)


def _view(row: Row) -> View:
    return row["patient_id"], row["left or right breast"], row["image view"]


def _by_image(part: str, rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
    images = defaultdict(list)
    for row in rows:
        name = "_".join((part, *_view(row)))
        images[name].append(row)
    return images


def _film(
    name: str, path: Path, shape: tuple[int, int], row: Row, side: Side, abnormalities: tuple[_Abnormality, ...]
) -> _Film:
    return _Film(
        name=name,
        path=path,
        shape=shape,
        shown=_view(row),
        # The tables of masses and of calcifications spell this column differently.
        density=density_of(row.get("breast_density") or row.get("breast density") or ""),
        side=side,
        ddsm_case=row.get("ddsm_case") or "",
        abnormalities=abnormalities,
    )


def _abnormality(
    table: Path,
    image: str,
    row: Row,
    shape: tuple[int, int],
    kind: FindingKind,
    found: Mapping[str, Sequence[Path]],
    reader: DicomReader,
) -> _Abnormality:
    name = f"{image}_{row['abnormality id']}"
    return _Abnormality(
        name=name,
        mask=find_mask(found.get(name, ()), shape, reader),
        kind=kind,
        pathology=pathology_of(row["pathology"], table, name),
        birads=birads_of(row["assessment"]),
        subtype=", ".join(row[column].lower() for column in _WORDS[kind] if row[column] not in ("", "N/A")),
    )


def _cases(films: Sequence[_Film], known: Set[View], reader: DicomReader) -> Iterator[Case]:
    """`known`: the views of which no table and no film is missing."""
    breasts: dict[tuple[str, str], list[_Abnormality]] = defaultdict(list)
    views: dict[View, list[_Film]] = defaultdict(list)
    for film in films:
        breasts[film.shown[:2]].extend(film.abnormalities)
        views[film.shown].append(film)
    for view, same_view in views.items():
        breast = breasts[view[:2]]
        if len({film.shape for film in same_view}) == 1:
            yield _case(same_view, breast, reader, marked_up=view in known)
        else:  # two films of one view: a lesion drawn in one is also visible in the other, where it is not drawn
            yield from (_case([film], breast, reader, marked_up=False) for film in same_view)


def _case(films: Sequence[_Film], breast: Sequence[_Abnormality], reader: DicomReader, marked_up: bool) -> Case:
    first = films[0]
    patient, side, view = first.shown
    abnormalities = [abnormality for film in films for abnormality in film.abnormalities]

    def read() -> Mammogram:
        # Each image of the set is a film, whatever the header of a copy says.
        film = replace(reader.mammogram(first.path), film=True)
        return placed(film, laterality_of(side), view, film_spacing_mm(first.ddsm_case))

    def read_lesions(image: Mammogram) -> tuple[Lesion, ...]:
        return lesions_told_apart(
            Lesion(
                read_mask(abnormality.mask.path, image.shape, reader),
                True,
                abnormality.kind,
                abnormality.pathology,
                abnormality.birads,
                abnormality.subtype,
            )
            for abnormality in abnormalities
            if abnormality.mask.path is not None
        )

    return Case(
        name=first.name,
        dataset="cbis-ddsm",
        patients=(patient,),
        exam=patient,
        laterality=laterality_of(side),
        view=view,
        pathology=worst_pathology(abnormality.pathology for abnormality in breast),
        birads=worst_birads(abnormality.birads for abnormality in breast),
        density=first.density,
        marked_up=marked_up and all(abnormality.mask.path is not None for abnormality in abnormalities),
        label_is_fair=True,
        official=Side.TEST if any(film.side is Side.TEST for film in films) else Side.TRAIN,
        read=read,
        read_lesions=read_lesions,
        kinds=frozenset(abnormality.kind for abnormality in abnormalities),
        hospital=hospital_of(first.ddsm_case),
    )
