"""What a radiologist sees: results of the node in a real OHIF, displayed over their lesions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from known_lesions import known_exam
from ohif import WEBGL, Ohif, ohif_files
from one_origin import one_origin
from orthanc import Orthanc
from playwright.sync_api import Browser
from pydicom import Dataset
from road import Road
from running import RunningNode, eventually
from sqlalchemy import select

from dicom_io.results.colours import COLOURS
from dicom_io.results.encoding import lesion_name, place
from models.types.exam import ExamImage, ExamReading
from models.types.reading import Finding
from node.demo.studies import DemoStudy
from node.reporting.exams import exam_of
from node.store.tables import Study

pytestmark = pytest.mark.acceptance

SIZES = ((1501, 1199), (2294, 1914), (1500, 1125), (1999, 1503))
"""Of RCC, LCC, RMLO and LMLO; column counts that are no multiple of 8 test the packing of 1-bit pixels."""


@dataclass(frozen=True, eq=False)
class Delivered:
    """A study in Orthanc with its results, and the node's findings in it."""

    name: str
    study_instance_uid: str
    exam: ExamReading
    results: list[Dataset]

    @property
    def objects(self) -> int:
        return len(self.exam.images) + len(self.results)

    @property
    def images(self) -> list[ExamImage]:
        """In the order in which OHIF shows them: by Instance Number, R CC, L CC, R MLO, L MLO."""
        return sorted(self.exam.images, key=lambda image: (image.view or "", image.laterality == "L"))

    def series(self, modality: str, about: str) -> str:
        """The description of the result series that refers to `about`."""
        (found,) = [
            str(result.SeriesDescription)
            for result in self.results
            if result.Modality == modality and about in str(result.SeriesDescription)
        ]
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(WEBGL) as started:
        yield started


@pytest.fixture(scope="module")
def address(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    files = ohif_files()
    if not orthanc.has_dicomweb:
        pytest.skip("Orthanc does not speak DICOMweb (Debian package orthanc-dicomweb)")
    with one_origin(files, orthanc.url, tmp_path_factory.mktemp("nginx")) as served:
        yield served


@pytest.fixture(scope="module", params=["served", "sizes"])
def delivered(request: pytest.FixtureRequest, address: str) -> Delivered:
    chosen: Delivered = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(scope="module")
def served(orthanc: Orthanc, node: RunningNode, mammogram_study: DemoStudy) -> Delivered:
    """A real exam, sent by Orthanc to `mammo-node serve` with the shipped models, and the results sent back."""
    study = {orthanc.upload(file) for file in mammogram_study.files}.pop()
    orthanc.post("/modalities/mammo-node/store", {"Resources": [study], "Synchronous": True})
    eventually("the report is in Orthanc", lambda: orthanc.instances(study, "SR"), timeout_s=540)
    uid = mammogram_study.study_instance_uid
    with node.database() as session:
        row = session.scalars(select(Study).where(Study.study_instance_uid == uid)).one()
        exam = exam_of(session, row, node.data_dir)
    results = [*orthanc.instances(study, "SEG"), *orthanc.instances(study, "SR")]
    return Delivered("served", uid, exam, results)


@pytest.fixture(scope="module")
def sizes(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """Images of four sizes, in which exactly the inserted lesions are found."""
    folder = tmp_path_factory.mktemp("sizes")
    known = known_exam(*SIZES, spacing_mm=0.2)
    road = Road(folder / "node", models=known.seen())
    road.all_of_it(*known.images)
    for dataset in (*known.images, *road.results()):
        orthanc.upload(_saved(dataset, folder))
    with road.sessions.begin() as session:
        exam = exam_of(session, session.scalars(select(Study)).one(), road.data_dir)
    return Delivered("sizes", str(known.images[0].StudyInstanceUID), exam, road.results())


@pytest.fixture(scope="module")
def overlaid(delivered: Delivered, browser: Browser, address: str) -> Iterator[Ohif]:
    """The study in OHIF, each image under its segmentation."""
    with browser.new_context(viewport={"width": 1600, "height": 1000}) as context:
        ohif = Ohif(context.new_page(), address)
        ohif.open(delivered.study_instance_uid, delivered.objects)
        for image, viewport in zip(delivered.images, ohif.grid, strict=True):
            assert ohif.image(viewport) == image.sop_instance_uid
            ohif.overlay(delivered.series("SEG", f"{place(image)} "), viewport)
        yield ohif


def test_all_four_views_have_findings(delivered: Delivered) -> None:
    assert [place(image) for image in delivered.images] == ["R CC", "L CC", "R MLO", "L MLO"]
    assert all(image.reading.findings for image in delivered.images)


def test_every_segment_in_the_viewer_has_the_name_colour_and_pixels_of_its_lesion(
    overlaid: Ohif, delivered: Delivered
) -> None:
    for image in delivered.images:
        shown = overlaid.segments(image.sop_instance_uid)
        names = {lesion_name(image, number).label: finding for number, finding in _numbered(image)}
        assert shown.keys() == names.keys()
        for label, finding in names.items():
            segment = shown[label]
            assert np.array_equal(segment.mask, finding.mask.full(image.reading.shape))
            assert segment.colour == pytest.approx(COLOURS[finding.kind], abs=2)


def test_the_overlay_lies_over_the_lesions_on_the_screen(overlaid: Ohif, delivered: Delivered, artefacts: Path) -> None:
    for image, viewport in zip(delivered.images, overlaid.grid, strict=True):
        boxes = np.array([_box(finding) for finding in image.reading.findings])
        about = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
        there = overlaid.colours(viewport, about, within=_three_screen_pixels(image))
        overlaid.screenshot(artefacts / f"ohif-{delivered.name}-segmentations.png")
        assert there, f"{place(image)}: what is coloured does not fill {about}"


def test_the_outlines_of_the_report_lie_over_the_lesions(overlaid: Ohif, delivered: Delivered, artefacts: Path) -> None:
    report = delivered.series("SR", "AI report")
    for image, viewport in zip(delivered.images, overlaid.grid, strict=True):
        drawn = overlaid.report(report, viewport, image.sop_instance_uid)
        assert drawn == pytest.approx(_box(image.reading.findings[0]), abs=_three_screen_pixels(image))
    overlaid.screenshot(artefacts / f"ohif-{delivered.name}-report.png")
    outlines = overlaid.outlines()
    for image in delivered.images:
        for number, finding in _numbered(image):
            outline = outlines[lesion_name(image, number).uid]
            assert outline.image == image.sop_instance_uid
            assert outline.box == pytest.approx(_box(finding), abs=1.5), "to within what outlines are simplified by"


def test_the_viewer_logs_no_error_and_sends_no_request_to_another_host(overlaid: Ohif) -> None:
    assert overlaid.faults == []


def _numbered(image: ExamImage) -> list[tuple[int, Finding]]:
    return list(enumerate(image.reading.findings, start=1))


def _box(finding: Finding) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of the mask's pixels, their edges included."""
    rows, columns = np.nonzero(finding.mask.crop)
    top, left = finding.mask.box.top, finding.mask.box.left
    return left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1


def _three_screen_pixels(image: ExamImage) -> float:
    """In image pixels; the image has about 450 rows on the screen, and an outline is that wide."""
    return 3 * image.reading.shape[0] / 450


def _saved(dataset: Dataset, folder: Path) -> Path:
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path
