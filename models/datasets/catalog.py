"""Data sets by name, as the command line's `--data NAME:FOLDER` opens them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from models.datasets.archive import read_archive
from models.datasets.case import Case, Cases, DatasetError
from models.datasets.cbis_ddsm import read_cbis_ddsm
from models.datasets.cbis_ddsm_masses import read_cbis_ddsm_masses
from models.datasets.cdd_cesm import read_cdd_cesm
from models.datasets.dicom import CheckedReader, DicomReader
from models.datasets.inbreast import read_inbreast
from models.datasets.own.coco import read_coco
from models.datasets.own.csv_file import read_csv_file
from models.datasets.own.nnunet import read_nnunet
from models.datasets.own.yolo_labels import read_yolo
from models.datasets.phantom import read_phantoms
from models.datasets.simulated_clusters import read_simulated_clusters
from models.datasets.vindr_mammo import read_vindr_mammo

DATASETS: Mapping[str, Callable[[Path, DicomReader], Cases]] = MappingProxyType(
    {
        "cbis-ddsm": read_cbis_ddsm,
        "cbis-ddsm-masses": lambda folder, _: read_cbis_ddsm_masses(folder),
        "cdd-cesm": lambda folder, _: read_cdd_cesm(folder),
        "inbreast": read_inbreast,
        "vindr-mammo": read_vindr_mammo,
        "phantom": read_phantoms,
        "simulated-clusters": lambda folder, _: read_simulated_clusters(folder),
        "archive": read_archive,
        "csv": read_csv_file,
        "coco": read_coco,
        "yolo": read_yolo,
        "nnunet": read_nnunet,
    }
)
"""Every supported data set (docs/data.md says how to get each one and how its folder is laid out); the last four are
layouts of one's own images."""
_FILES = frozenset({"csv"})
"""Data sets that are named by a file."""
_FOLDERS = MappingProxyType(
    {
        "phantom": "that `mammo-node phantom --out` wrote",
        "simulated-clusters": "into which you downloaded cdd-cesm",
        "archive": "that `mammo-node annotations export` or `export --deidentify` wrote",
        **dict.fromkeys(("coco", "yolo", "nnunet"), "with your own images and their annotations"),
    }
)
"""What the folder of a data set is that is not downloaded."""
_SAME_PATIENTS = MappingProxyType({"cbis-ddsm-masses": "cbis-ddsm", "simulated-clusters": "cdd-cesm"})
"""Data sets whose patients are those of another set, under the same numbers."""


def open_data(specs: Sequence[str], reader: DicomReader) -> Cases:
    """The images of one or several data sets, each given as `NAME:FOLDER`.

    Patients are named `NAME/patient`: patients of two sets are always different, and a patient of one set whose images
    are in two folders is the same patient.

    Raises:
        DatasetError: a set is unknown, its folder is missing, or it cannot be used; two images have the same name.
    """
    if not specs:
        raise DatasetError(f"No data set is given. Give NAME:FOLDER, NAME being one of {', '.join(DATASETS)}.")
    opened = [_open(spec, CheckedReader(reader)) for spec in specs]
    return put_together(opened)


def put_together(opened: Sequence[Cases]) -> Cases:
    """Several sets as one.

    Raises:
        DatasetError: two images have the same name.
    """
    cases = tuple(chain.from_iterable(part.cases for part in opened))
    _check_names(cases)
    return Cases(
        cases,
        tuple(chain.from_iterable(part.left_out for part in opened)),
        tuple(chain.from_iterable(part.mended for part in opened)),
    )


def of_set(name: str, found: Cases) -> Cases:
    """The images with patients named `NAME/patient`; a set that holds patients of another one has that one's NAME."""
    owner = _SAME_PATIENTS.get(name, name)
    return replace(found, cases=tuple(_of_set(owner, case) for case in found.cases))


def _open(spec: str, reader: DicomReader) -> Cases:
    name, _, place = spec.partition(":")
    if name not in DATASETS or not place:
        raise DatasetError(
            f"{spec!r} names no data set. Give NAME:FOLDER, NAME being one of {', '.join(DATASETS)}, "
            "for example cbis-ddsm:/data/CBIS-DDSM."
        )
    folder = Path(place).expanduser()
    if name in _FILES and not folder.is_file():
        raise DatasetError(f"{folder} is not a file. Give the table of your images (docs/data.md).")
    if name not in _FILES and not folder.is_dir():
        which = _FOLDERS.get(name, f"into which you downloaded {name}")
        raise DatasetError(f"{folder} is not a folder. Give the folder {which} (docs/data.md).")
    found = DATASETS[name](folder, reader)
    if not found.cases:
        raise DatasetError(f"No image of {name} can be used in {folder}. docs/data.md says how the set is laid out.")
    return of_set(name, found)


def _of_set(name: str, case: Case) -> Case:
    return replace(case, patients=tuple(f"{name}/{patient}" for patient in case.patients))


def _check_names(cases: Sequence[Case]) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        if case.name in seen:
            raise DatasetError(
                f"Two images are named {case.name} ({seen[case.name].dataset} and {case.dataset}). "
                "Give each data set only once, and each image in only one folder."
            )
        seen[case.name] = case
