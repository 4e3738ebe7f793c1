"""The most complete reports, by independent validators; test_validators_results.py has the ordinary ones."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from readings import ENCODING
from reports import OLD_REPORT, calibrated, report_on, some_exam, some_sources, two_view_exam, with_spacing
from validators import dciodvfy, dsrdump, pixelmed

from dicom_io.results.encode import encode_results
from dicom_io.results.encoding import Encoding
from dicom_io.results.profiles import ResultKind, profile_of
from models.birads.concordance import concordances
from models.types.birads import Assessment, Category
from models.types.exam import ExamReading
from models.types.mammogram import Laterality

pytestmark = pytest.mark.slow

ASSESSMENTS = (
    Assessment(Laterality.LEFT, Category.FOUR_B, "SR", OLD_REPORT),
    Assessment(Laterality.RIGHT, Category.SIX, "HL7"),
    Assessment(None, Category.ZERO, "CSV"),
)


def _with_concordance(exam: ExamReading) -> ExamReading:
    return replace(exam, concordances=concordances(exam, ASSESSMENTS))


EXAMS = {
    "calibrated": with_spacing(calibrated(some_exam()), (0.07, 0.08)),
    "calibrated in part": calibrated(some_exam(), lesions=False),
    "tied": two_view_exam(),
    "uncalibrated, compared": _with_concordance(some_exam()),
    "all": _with_concordance(with_spacing(calibrated(two_view_exam()), (0.07, 0.08))),
}


def _written(exam: ExamReading, folder: Path, encoding: Encoding = ENCODING) -> Path:
    path = folder / "report.dcm"
    first = report_on(exam)
    second = replace(encoding, revision=2)
    path.write_bytes(encode_results(exam, some_sources(), second, {ResultKind.SR: first})[-1].content)
    return path


@pytest.mark.parametrize("name", EXAMS)
def test_reports_pass_the_validators_without_errors(name: str, tmp_path: Path):
    report = _written(EXAMS[name], tmp_path)
    assert (dciodvfy(report), dsrdump(report)) == ([], [])


def test_the_most_complete_report_conforms_to_its_templates(tmp_path: Path):
    """The report with default settings and with everything that settings can add."""
    asked = replace(ENCODING, coded_category=True, profile=profile_of("ohif", draws_exam=True))
    (tmp_path / "asked").mkdir()
    reports = _written(EXAMS["all"], tmp_path), _written(EXAMS["all"], tmp_path / "asked", asked)
    assert pixelmed(*reports) == []
    assert [(dciodvfy(report), dsrdump(report)) for report in reports] == [([], []), ([], [])]


def test_the_most_complete_report_is_read_by_dcmqi_with_the_measurements_of_its_lesions(tmp_path: Path):
    tool = Path(sys.executable).with_name("tid1500reader")
    if not tool.exists() and shutil.which(tool.name) is None:
        pytest.skip("tid1500reader is not installed (PyPI: dcmqi)")
    metadata = tmp_path / "report.json"
    report = _written(EXAMS["all"], tmp_path)
    command = [
        str(tool) if tool.exists() else tool.name,
        "--inputDICOM",
        str(report),
        "--outputMetadata",
        str(metadata),
    ]
    subprocess.run(command, check=True, capture_output=True)
    lesion, *others = json.loads(metadata.read_text(encoding="utf-8"))["Measurements"]
    assert len(others) == 1, "the other lesion; breasts and exam are evaluations"
    measured = {item["quantity"]["CodeValue"]: item["value"] for item in lesion["measurementItems"]}
    assert float(measured["111047"]) == 31
    assert float(measured["SCORE"]) == 0.62


def test_equal_inputs_give_equal_bytes(tmp_path: Path):
    once, again = (_written(EXAMS["all"], tmp_path).read_bytes() for _ in range(2))
    assert once == again
