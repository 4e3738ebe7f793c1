"""What we write, before independent judges (see tests/validators.py)."""

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from readings import ENCODING, blob, lesion, read_image
from validators import dcentvfy, dciodvfy, dsrdump, pixelmed

from dicom_io.headers import describe
from dicom_io.results.encode import encode_results
from dicom_io.results.encoding import Encoding
from models.exam import put_together
from models.types import ExamReading, FindingKind, ReadImage, UnreadImage
from node.demo.studies import DemoStudy


@pytest.fixture(scope="module")
def sources(mammogram_study: DemoStudy) -> dict[str, Dataset]:
    headers = [dcmread(path, stop_before_pixels=True) for path in mammogram_study.files]
    return {str(header.SOPInstanceUID): header for header in headers}


def _read(source: Dataset, *, found: bool) -> ReadImage:
    told = describe(source)
    shape = (int(source.Rows), int(source.Columns))
    findings = [
        lesion(shape[0] // 2, shape[1] // 3, blob(60, 45, 1)),
        lesion(shape[0] // 3, shape[1] // 2, blob(30, 35, 2), FindingKind.CALCIFICATION, malignancy=0.1),
        lesion(0, 0, blob(1, 1) | True),
    ]
    return read_image(
        told.sop_instance_uid, shape, *findings[: 3 * found], laterality=told.laterality, view=told.view, malignancy=0.7
    )


def _full(sources: Mapping[str, Dataset]) -> ExamReading:
    first, *others = sources.values()
    images = [_read(source, found=number != 1) for number, source in enumerate(others)]
    exam = put_together(images, [UnreadImage(str(first.SOPInstanceUID), "mammogram", "its pixels are corrupt.")], [])
    return replace(exam, missing=("left MLO",), warnings=("right CC: implant.",))


def _write(
    exam: ExamReading, sources: Mapping[str, Dataset], folder: Path, encoding: Encoding = ENCODING
) -> list[Path]:
    predecessor = None
    if encoding.revision > 1:
        earlier = encode_results(exam, sources, replace(encoding, revision=1))
        predecessor = dcmread(BytesIO(earlier[-1].content))
    paths = []
    for number, result in enumerate(encode_results(exam, sources, encoding, predecessor)):
        paths.append(folder / f"{number}-{result.kind}.dcm")
        paths[-1].write_bytes(result.content)
    return paths


def test_the_results_of_a_study_are_without_errors(sources: dict[str, Dataset], tmp_path: Path):
    *segs, report = _write(_full(sources), sources, tmp_path)
    assert len(segs) == 2
    assert [dciodvfy(path) for path in (*segs, report)] == [[], [], []]
    assert dcentvfy([*segs, report]) == []
    assert dsrdump(report) == []
    assert pixelmed(report) == []


def test_a_revision_without_geometry_is_without_errors(sources: dict[str, Dataset], tmp_path: Path):
    encoding = replace(ENCODING, revision=2, nominal_geometry=False)
    *segs, report = _write(_full(sources), sources, tmp_path, encoding)
    assert [dciodvfy(path) for path in (*segs, report)] == [[], [], []]
    assert dcentvfy([*segs, report]) == []
    assert dsrdump(report) == []


def test_a_report_without_findings_is_without_errors(sources: dict[str, Dataset], tmp_path: Path):
    exam = put_together([_read(source, found=False) for source in sources.values()], [], [])
    (report,) = _write(exam, sources, tmp_path)
    assert (dciodvfy(report), dsrdump(report), pixelmed(report)) == ([], [], [])


def test_a_report_on_nothing_read_is_without_errors(tmp_path: Path):
    tomo, old = Dataset(), Dataset()
    tomo.SOPClassUID, tomo.SOPInstanceUID, tomo.SeriesInstanceUID = "1.2.840.10008.5.1.4.1.1.13.1.3", "1.2.3.1", "1.2.3"
    old.SOPClassUID, old.SOPInstanceUID, old.SeriesInstanceUID = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.4.1", "1.2.4"
    tomo.StudyInstanceUID = old.StudyInstanceUID = "1.2"
    unread = [UnreadImage("1.2.3.1", "tomosynthesis", "not read yet."), UnreadImage("1.2.4.1", "report", "no image.")]
    (report,) = _write(put_together([], unread, []), {"1.2.3.1": tomo, "1.2.4.1": old}, tmp_path)
    assert (dciodvfy(report), dsrdump(report), pixelmed(report)) == ([], [], [])


def test_the_judges_are_not_blind(sources: dict[str, Dataset], tmp_path: Path):
    report = dcmread(_write(_full(sources), sources, tmp_path)[-1])
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
