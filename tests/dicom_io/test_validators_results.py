"""Every kind of object of a study, by independent validators (tests/support/validators.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from known_lesions import known_exam
from pydicom import Dataset, dcmread
from road import Road
from simple_models import Nothing, OneMass
from sqlalchemy import select
from validators import dcentvfy, dciodvfy, dsrdump, pixelmed

from dicom_io.results.profiles import IN_PROFILES, ResultKind
from models.types.mammogram import Laterality
from node.demo.studies import make_studies
from node.store.tables import Result

pytestmark = pytest.mark.slow

REPORTS = (ResultKind.SR, ResultKind.CAD_SR, ResultKind.KO)
TEMPLATED = (ResultKind.SR, ResultKind.CAD_SR)
SHAPES = ((480, 360), (1501, 1199), (2294, 1914), (3328, 2560), (1024, 833))
R_CC = (Laterality.RIGHT, "CC")
Cases = Mapping[str, Callable[[Path], Road]]


@dataclass(frozen=True, eq=False)
class Written:
    """The results of a case at its last revision, as files by kind."""

    files: Mapping[Path, ResultKind]

    def of(self, *kinds: ResultKind) -> list[Path]:
        return [path for path, kind in self.files.items() if kind in kinds]


def _found_everywhere(shape: tuple[int, int]) -> Callable[[Path], Road]:
    def read(folder: Path) -> Road:
        exam = known_exam(shape)
        return _read(folder, exam.seen(), *exam.images)

    return read


def _found_in_one_view(folder: Path) -> Road:
    exam = known_exam(SHAPES[0])
    return _read(folder, exam.seen(R_CC), *exam.images)


def _nothing_found(folder: Path) -> Road:
    return _read(folder, Nothing(), *known_exam(SHAPES[0]).images)


def _one_unreadable(folder: Path) -> Road:
    exam = known_exam(SHAPES[0])
    exam.images[1].BitsAllocated = 64
    return _read(folder, exam.seen(), *exam.images)


def _all_unreadable(folder: Path) -> Road:
    exam = known_exam(SHAPES[0])
    for image in exam.images:
        image.BitsAllocated = 64
    return _read(folder, exam.seen(), *exam.images)


def _a_view_missing(folder: Path) -> Road:
    exam = known_exam(SHAPES[0])
    return _read(folder, exam.seen(), *exam.images[:3])


def _a_view_that_came_late(folder: Path) -> Road:
    exam = known_exam(SHAPES[0])
    road = _read(folder, exam.seen(), *exam.images[:3])
    road.all_of_it(exam.images[3])
    assert road.study().revision == 2
    return road


def _read(folder: Path, models: OneMass, *images: Dataset | Path) -> Road:
    road = Road(folder, models, profile="all")
    road.all_of_it(*images)
    return road


PHANTOMS: Cases = {
    **{f"findings in all views of {rows} x {columns}": _found_everywhere((rows, columns)) for rows, columns in SHAPES},
    "findings in one view": _found_in_one_view,
    "no findings": _nothing_found,
    "an unreadable image": _one_unreadable,
    "nothing readable": _all_unreadable,
    "a view missing": _a_view_missing,
    "revision 2": _a_view_that_came_late,
}
REAL = "a real exam"
"""CBIS-DDSM at full size, as published; there is a finding in the middle of every view."""
CASES = (*PHANTOMS, REAL)
BY_TEMPLATE = tuple(name for name in PHANTOMS if "findings in all views" not in name or "480" in name)
"""Those whose reports have items of their own. PixelMed takes eight seconds of CPU for a report of four images."""


@pytest.fixture(scope="module")
def written(cbis_cases: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    folder = tmp_path_factory.mktemp("validated")
    roads = {name: read(folder / name) for name, read in PHANTOMS.items()}
    roads[REAL] = _read(folder / REAL, OneMass(), *make_studies(cbis_cases, folder / "cbis")[1].files)
    return {name: _written(road) for name, road in roads.items()}


@pytest.fixture(scope="module")
def pixelmed_found(written: dict[str, Written]) -> list[str]:
    """What PixelMed reports of the documents of BY_TEMPLATE, one line per error with its file."""
    return pixelmed(*(path for name in BY_TEMPLATE for path in written[name].of(*TEMPLATED)))


@pytest.mark.parametrize("name", CASES)
def test_every_object_conforms_to_its_information_object_definition(name: str, written: dict[str, Written]) -> None:
    files = written[name].files
    assert {path.name: dciodvfy(path) for path in files} == {path.name: [] for path in files}


@pytest.mark.parametrize("name", CASES)
def test_the_objects_of_a_study_agree_about_patient_and_study(name: str, written: dict[str, Written]) -> None:
    assert dcentvfy(list(written[name].files)) == []


@pytest.mark.parametrize("name", CASES)
def test_reports_conform_to_the_relationships_of_their_sop_class(name: str, written: dict[str, Written]) -> None:
    reports = written[name].of(*REPORTS)
    assert {path.name: dsrdump(path) for path in reports} == {path.name: [] for path in reports}


@pytest.mark.parametrize("name", BY_TEMPLATE)
def test_reports_conform_to_their_templates(name: str, written: dict[str, Written], pixelmed_found: list[str]) -> None:
    paths = [str(path) for path in written[name].of(*TEMPLATED)]
    assert len(paths) == 2
    assert [line for line in pixelmed_found if line.startswith(tuple(paths))] == []


@pytest.mark.parametrize(
    ("name", "with_findings"), [("findings in one view", 1), ("no findings", 0), ("an unreadable image", 3), (REAL, 4)]
)
def test_the_validated_objects_cover_every_kind_that_a_study_can_have(
    name: str, with_findings: int, written: dict[str, Written]
) -> None:
    counts = {kind: len(written[name].of(kind)) for kind in IN_PROFILES}
    of_the_exam = {ResultKind.SR: 1, ResultKind.CAD_SR: 1, ResultKind.SC: 1, ResultKind.KO: min(1, with_findings)}
    assert counts == {ResultKind.SEG: with_findings, ResultKind.GSPS: with_findings, **of_the_exam}


def test_the_validators_find_planted_errors(written: dict[str, Written], tmp_path: Path) -> None:
    report = dcmread(written["findings in one view"].of(ResultKind.SR)[0])
    del report.VerificationFlag
    procedure = next(item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121058")
    procedure.RelationshipType = "SELECTED FROM"
    del report.ContentSequence[-1].ContentSequence
    for group in report.ContentSequence[-2].ContentSequence:
        group.ContentSequence = [item for item in group.ContentSequence if item.ValueType not in ("NUM", "SCOORD")]
    broken = tmp_path / "broken.dcm"
    report.save_as(broken)
    assert dciodvfy(broken) != []
    assert dsrdump(broken) != []
    assert pixelmed(broken) != []


def _written(road: Road) -> Written:
    with road.sessions.begin() as session:
        rows = session.scalars(select(Result).where(Result.last_revision == road.study().revision)).all()
        return Written({road.data_dir / row.path: ResultKind(row.kind) for row in rows})
